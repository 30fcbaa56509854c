//! Hosts by checks, folded: hosts with the same results are one group, and checks that passed everywhere are only
//! counted.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Assessment, HostState};
use crate::report::Severity;

/// The results of all hosts that were asked.
pub(super) struct Matrix<'a> {
    /// Hosts with equal results, the worst first.
    pub groups: Vec<Vec<usize>>,
    /// Checks that did not pass everywhere, the worst first.
    pub rows: Vec<Row<'a>>,
    /// Checks that passed wherever they were made, with the number of hosts.
    pub passed: Vec<(&'a str, usize)>,
}

/// A check that did not pass everywhere.
pub(super) struct Row<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its result for each group; `None` where it is not made.
    pub cells: Vec<Option<Severity>>,
}

/// A check over all hosts: its result by host.
struct Column<'a> {
    name: &'a str,
    results: Vec<(usize, Severity)>,
}

impl Column<'_> {
    fn count(&self, severity: Severity) -> usize {
        self.results.iter().filter(|(_, result)| *result == severity).count()
    }
}

impl<'a> Matrix<'a> {
    /// Fold an assessment.
    pub fn new(assessment: &'a Assessment) -> Self {
        let all = columns(assessment);
        let (passed, mut failed): (Vec<_>, Vec<_>) = all.into_iter().partition(|column| {
            column.results.iter().all(|(_, severity)| *severity == Severity::Passed)
        });
        // Stable: checks that came off equally stay in the order they were made in.
        failed.sort_by_key(|column| {
            Reverse((column.count(Severity::Error), column.count(Severity::Warning)))
        });
        let (groups, rows) = fold(assessment, &failed);
        let passed = passed.iter().map(|column| (column.name, column.results.len())).collect();
        Self { groups, rows, passed }
    }
}

fn columns(assessment: &Assessment) -> Vec<Column<'_>> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (index, host) in assessment.hosts.iter().enumerate() {
        for check in &host.checks {
            let place = *places.entry(&check.name).or_insert_with(|| {
                columns.push(Column { name: &check.name, results: Vec::new() });
                columns.len() - 1
            });
            columns[place].results.push((index, check.severity));
        }
    }
    columns
}

fn fold<'a>(assessment: &Assessment, columns: &[Column<'a>]) -> (Vec<Vec<usize>>, Vec<Row<'a>>) {
    let mut results = vec![vec![None; columns.len()]; assessment.hosts.len()];
    for (place, column) in columns.iter().enumerate() {
        for (host, severity) in &column.results {
            results[*host][place] = Some(*severity);
        }
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut places: HashMap<&[Option<Severity>], usize> = HashMap::new();
    for (index, host) in assessment.hosts.iter().enumerate() {
        if host.state == HostState::Checked || !host.checks.is_empty() {
            let place = *places.entry(&results[index]).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push(index);
        }
    }
    groups.sort_by_key(|hosts| {
        let of = |wanted| results[hosts[0]].iter().filter(|cell| **cell == Some(wanted)).count();
        Reverse((of(Severity::Error), of(Severity::Warning)))
    });
    let row = |(place, column): (usize, &Column<'a>)| Row {
        name: column.name,
        cells: groups.iter().map(|hosts| results[hosts[0]][place]).collect(),
    };
    let rows = columns.iter().enumerate().map(row).collect();
    (groups, rows)
}
