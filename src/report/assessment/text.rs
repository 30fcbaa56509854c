//! An assessment for people: a folded matrix, what to do about each cause, and one closing line.
//!
//! Words carry the meaning; colour only repeats it. All text from hosts is stripped before it is laid out.

use std::io::IsTerminal;

use super::causes::{self, Cause};
use super::matrix::{Matrix, Row};
use super::{Assessment, counted};
use crate::report::wrap::{middle_cut, wrap};
use crate::report::{Severity, printable, printable_line};

/// The width where there is no terminal.
const WIDTH: usize = 100;
/// Prose wider than this is hard to read.
const PROSE: usize = 110;
/// How much of a list of hosts, of a name and of a message is shown. The other ways of showing have all of it.
const HOSTS_LIMIT: usize = 400;
const NAME_LIMIT: usize = 200;
const MESSAGE_LIMIT: usize = 2000;
/// The widest heading of a column that is a list of hosts and not a number.
const HEADING: usize = 20;
/// The narrowest column: that of the words for results.
const CELL: usize = 4;

/// How it is to look.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Look {
    /// Columns there are.
    pub width: usize,
    /// Whether to colour.
    pub colour: bool,
    /// Whether to list what passed.
    pub passed: bool,
}

impl Look {
    /// What suits standard output: a terminal's width, and colour unless `NO_COLOR` is set.
    pub fn of_stdout(passed: bool) -> Self {
        let size = rustix::termios::tcgetwinsize(std::io::stdout());
        let width = size.map(|size| usize::from(size.ws_col)).ok().filter(|width| *width > 0);
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = std::io::stdout().is_terminal() && !refused;
        Self { width: width.unwrap_or(WIDTH), colour, passed }
    }
}

/// All of it, with a newline at the end.
pub(in crate::report) fn render(assessment: &Assessment, look: Look) -> String {
    let matrix = Matrix::new(assessment);
    let mut page = Page { assessment, look, text: String::new() };
    page.matrix(&matrix);
    page.passed(&matrix);
    page.reachability();
    for cause in causes::of_checks(assessment).iter().chain(&causes::of_silence(assessment)) {
        page.cause(cause);
    }
    page.gap();
    page.line(&assessment.closing_line());
    page.text
}

struct Page<'a> {
    assessment: &'a Assessment,
    look: Look,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// An empty line, unless nothing is above it.
    fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn prose(&mut self, indent: usize, text: &str) {
        for line in wrap(text, self.look.width.min(PROSE).saturating_sub(indent)) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    fn matrix(&mut self, matrix: &Matrix<'_>) {
        if matrix.rows.is_empty() {
            return;
        }
        let cut =
            |row: &Row<'_>| middle_cut(&printable_line(row.name, NAME_LIMIT), self.look.width / 2);
        let names: Vec<String> = matrix.rows.iter().map(cut).collect();
        let folded: Vec<String> =
            matrix.groups.iter().map(|hosts| self.assessment.folded(hosts)).collect();
        let first = names.iter().map(|name| width(name)).max().unwrap_or(0);
        let fits = |headings: &[String]| {
            let columns = headings.iter().map(|heading| 2 + width(heading).max(CELL));
            first + columns.sum::<usize>() <= self.look.width
        };
        let numbers: Vec<String> = (1..=folded.len()).map(|number| number.to_string()).collect();
        let short = folded.iter().all(|heading| width(heading) <= HEADING);
        if short && fits(&folded) {
            self.table(matrix, &names, first, &folded);
        } else if fits(&numbers) {
            self.table(matrix, &names, first, &numbers);
            self.gap();
            self.legend(matrix, &folded);
        } else {
            self.list(matrix);
        }
    }

    fn table(&mut self, matrix: &Matrix<'_>, names: &[String], first: usize, headings: &[String]) {
        let head = headings.iter().map(|heading| format!("  {heading:<CELL$}"));
        self.line(&format!("{:first$}{}", "", head.collect::<String>()));
        for (row, name) in matrix.rows.iter().zip(names) {
            let mut line = format!("{name:<first$}");
            for (cell, heading) in row.cells.iter().zip(headings) {
                let (word, colour) = word(*cell);
                let padding = width(heading).max(CELL) - word.len();
                line.push_str(&format!("  {}{:padding$}", self.coloured(word, colour), ""));
            }
            self.line(&line);
        }
    }

    fn legend(&mut self, matrix: &Matrix<'_>, folded: &[String]) {
        let digits = folded.len().to_string().len();
        for (number, (names, hosts)) in folded.iter().zip(&matrix.groups).enumerate() {
            let names = printable_line(names, HOSTS_LIMIT);
            let text = format!("{names} ({})", counted(hosts.len(), "host"));
            let indent = digits + 2;
            let lines = wrap(&text, self.look.width.min(PROSE).saturating_sub(indent));
            for (place, line) in lines.iter().enumerate() {
                let label = if place == 0 { (number + 1).to_string() } else { String::new() };
                self.line(&format!("{label:>digits$}  {line}"));
            }
        }
    }

    /// For fleets where hardly two hosts came off alike.
    fn list(&mut self, matrix: &Matrix<'_>) {
        for row in &matrix.rows {
            self.line(&printable_line(row.name, NAME_LIMIT));
            for severity in [Severity::Error, Severity::Warning] {
                let groups = row.cells.iter().zip(&matrix.groups);
                let groups = groups.filter(|(cell, _)| **cell == Some(severity));
                let mut hosts: Vec<usize> = groups.flat_map(|(_, hosts)| hosts).copied().collect();
                hosts.sort_unstable();
                if !hosts.is_empty() {
                    self.labelled(severity, &self.on(&hosts), 2);
                }
            }
        }
    }

    fn passed(&mut self, matrix: &Matrix<'_>) {
        if matrix.passed.is_empty() {
            return;
        }
        self.gap();
        let count = counted(matrix.passed.len(), "check");
        let asked: usize = matrix.groups.iter().map(Vec::len).sum();
        let colon = if self.look.passed { ":" } else { "" };
        match (matrix.rows.is_empty(), asked) {
            (true, 1) => self.line(&format!("{count} passed{colon}")),
            (true, _) => {
                self.line(&format!("{count} passed on all {asked} hosts that answered{colon}"))
            }
            (false, _) => self.line(&format!("{count} passed everywhere{colon}")),
        }
        if self.look.passed {
            let cut =
                |name: &str| middle_cut(&printable_line(name, NAME_LIMIT), self.look.width / 2);
            let names: Vec<_> = matrix.passed.iter().map(|(name, _)| cut(name)).collect();
            let first = names.iter().map(|name| width(name)).max().unwrap_or(0);
            for (name, (_, hosts)) in names.iter().zip(&matrix.passed) {
                self.line(&format!("  {name:<first$}  {}", counted(*hosts, "host")));
            }
        }
    }

    fn reachability(&mut self) {
        if let Some(text) = self.assessment.reachability.summary() {
            self.prose(0, &printable_line(&text, MESSAGE_LIMIT));
        }
    }

    fn cause(&mut self, cause: &Cause<'_>) {
        self.gap();
        let title = printable_line(cause.title, NAME_LIMIT);
        self.labelled(cause.severity, &format!("{title}: {}", self.on(&cause.hosts)), 0);
        for example in cause.shown() {
            let message = printable_line_by_line(example.message);
            if cause.left_out() > 0 {
                let hosts = self.assessment.folded(&example.hosts);
                self.prose(6, &format!("{}: {message}", printable_line(&hosts, HEADING)));
            } else {
                self.prose(6, &message);
            }
        }
        if cause.left_out() > 0 {
            self.prose(6, &format!("and {} more like these", cause.left_out()));
        }
        let mut remedies: Vec<&str> = cause.shown().iter().map(|example| example.remedy).collect();
        remedies.dedup();
        for remedy in remedies.into_iter().filter(|remedy| !remedy.is_empty()) {
            self.prose(6, &format!("-> {}", printable_line_by_line(remedy)));
        }
    }

    /// A list of hosts, with their number where it is not plain to see.
    fn on(&self, hosts: &[usize]) -> String {
        let names = printable_line(&self.assessment.folded(hosts), HOSTS_LIMIT);
        if hosts.len() == 1 { names } else { format!("{names} ({} hosts)", hosts.len()) }
    }

    fn labelled(&mut self, severity: Severity, text: &str, indent: usize) {
        let hang = indent + CELL + 2;
        let lines = wrap(text, self.look.width.min(PROSE).saturating_sub(hang));
        for (place, line) in lines.iter().enumerate() {
            if place == 0 {
                let (word, colour) = word(Some(severity));
                let word = self.coloured(word, colour);
                self.line(&format!("{:indent$}{word}  {line}", ""));
            } else {
                self.line(&format!("{:hang$}{line}", ""));
            }
        }
    }

    fn coloured(&self, word: &str, colour: &str) -> String {
        if self.look.colour { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

/// A result in at most [`CELL`] columns, and its colour.
fn word(cell: Option<Severity>) -> (&'static str, &'static str) {
    match cell {
        Some(Severity::Error) => ("FAIL", "1;31"),
        Some(Severity::Warning) => ("warn", "33"),
        Some(Severity::Passed) => ("ok", "32"),
        None => ("-", "2"),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Text from a host with its line breaks, cut where it gets too long.
fn printable_line_by_line(text: &str) -> String {
    let lines: Vec<String> =
        printable(text).lines().take(20).map(|line| printable_line(line, MESSAGE_LIMIT)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn show(assessment: &Assessment, width: usize) -> String {
        render(assessment, Look { width, colour: false, passed: false })
    }

    #[test]
    fn a_healthy_fleet_is_two_lines() {
        insta::assert_snapshot!(show(&samples::healthy(), 80));
        let look = Look { width: 80, colour: false, passed: true };
        insta::assert_snapshot!(render(&samples::healthy(), look));
    }

    #[test]
    fn failures_are_a_matrix_and_causes() {
        insta::assert_snapshot!(show(&samples::mixed(), 80));
    }

    #[test]
    fn a_thousand_hosts_are_folded() {
        insta::assert_snapshot!(show(&samples::thousand(), 80));
    }

    #[test]
    fn where_no_two_hosts_are_alike_checks_have_lists() {
        let mut assessment = samples::thousand();
        for index in 1..=40 {
            assessment.hosts[index].checks[index].severity = Severity::Warning;
        }
        let text = show(&assessment, 80);
        insta::assert_snapshot!(text.lines().take(24).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn hosts_that_were_not_checked_are_listed_by_reason() {
        insta::assert_snapshot!(show(&samples::silent(), 80));
    }

    #[test]
    fn hosts_cannot_write_to_the_terminal() {
        let text = show(&samples::hostile(), 80);
        insta::assert_snapshot!(text);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    }

    #[test]
    fn nothing_sticks_out() {
        let all = [samples::healthy(), samples::mixed(), samples::thousand(), samples::silent()];
        for (assessment, columns) in all.iter().zip([60, 80, 100, 220].iter().cycle()) {
            for line in show(assessment, *columns).lines() {
                assert!(line.chars().count() <= *columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let look = Look { width: 80, colour: true, passed: false };
        let text = render(&samples::mixed(), look);
        assert!(text.contains("\x1b[1;31mFAIL\x1b[0m"));
        assert_eq!(printable(&text), show(&samples::mixed(), 80));
    }
}
