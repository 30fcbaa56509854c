//! The picture of who reaches whom: a grid where that is small enough to look at, and a list of what is closed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::shown;
use crate::report::assessment::{Assessment, Probe, ProbeResult};

/// More hosts than this make no picture.
const HOSTS: usize = 64;

#[derive(Serialize)]
pub(super) struct Reach {
    summary: String,
    columns: Vec<String>,
    rows: Vec<Row>,
    closed: Vec<Closed>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    cells: Vec<Cell>,
}

#[derive(Serialize, Clone, Default)]
struct Cell {
    mark: &'static str,
    tone: &'static str,
    title: String,
}

/// A port of some hosts, and those who do not reach it there.
#[derive(Serialize)]
struct Closed {
    to: String,
    port: u16,
    purpose: String,
    result: &'static str,
    reason: Option<String>,
    tone: &'static str,
    from: String,
}

impl Reach {
    /// `None` where nothing was tried.
    pub(super) fn new(assessment: &Assessment) -> Option<Self> {
        let mut summary = assessment.reachability.summary()?;
        let hosts = assessment.hosts.len();
        let probes = assessment.reachability.probes.iter();
        // Indices come from whoever filled in the data; one that is off costs its probe, not the page.
        let probes: Vec<&Probe> =
            probes.filter(|probe| probe.from < hosts && probe.to < hosts).collect();
        let mut shown_hosts = taking_part(&probes, |_| true);
        if shown_hosts.len() > HOSTS {
            shown_hosts = taking_part(&probes, |result| rank(result) > 1);
            summary.push_str(if shown_hosts.len() > HOSTS {
                "; too many hosts for a picture"
            } else {
                "; the picture has only the hosts with a port that was not reached"
            });
        }
        if shown_hosts.len() > HOSTS {
            shown_hosts.clear();
        }
        let name = |host: &usize| shown(&assessment.hosts[*host].name);
        Some(Self {
            summary: shown(&summary),
            columns: shown_hosts.iter().map(name).collect(),
            rows: rows(assessment, &probes, &shown_hosts),
            closed: closed(assessment, &probes),
        })
    }
}

fn taking_part(probes: &[&Probe], wanted: fn(&ProbeResult) -> bool) -> Vec<usize> {
    let probes = probes.iter().filter(|probe| wanted(&probe.result));
    let mut hosts: Vec<usize> = probes.flat_map(|probe| [probe.from, probe.to]).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

fn rows(assessment: &Assessment, probes: &[&Probe], hosts: &[usize]) -> Vec<Row> {
    let mut pairs: HashMap<(usize, usize), Vec<&Probe>> = HashMap::new();
    for probe in probes {
        pairs.entry((probe.from, probe.to)).or_default().push(probe);
    }
    let cell = |from: usize, to: usize| match pairs.get(&(from, to)) {
        None if from == to => Cell { tone: "self", mark: " ", ..Cell::default() },
        None => Cell { tone: "n", mark: "–", ..Cell::default() },
        Some(probes) => pair(assessment, probes),
    };
    hosts
        .iter()
        .map(|from| Row {
            name: shown(&assessment.hosts[*from].name),
            cells: hosts.iter().map(|to| cell(*from, *to)).collect(),
        })
        .collect()
}

fn pair(assessment: &Assessment, probes: &[&Probe]) -> Cell {
    let Some(worst) = probes.iter().max_by_key(|probe| rank(&probe.result)) else {
        return Cell::default();
    };
    if worst.result == ProbeResult::Open {
        // The style draws it.
        return Cell::default();
    }
    let name = |host: usize| assessment.hosts[host].name.as_str();
    let ports: Vec<String> = probes
        .iter()
        .map(|probe| format!("{} {}: {}", probe.port, probe.purpose, words(&probe.result)))
        .collect();
    let title = format!("{} to {}\n{}", name(worst.from), name(worst.to), ports.join("\n"));
    let (mark, tone) = match worst.result {
        ProbeResult::Open => ("✓", "p"),
        ProbeResult::Refused => ("✗", "e"),
        ProbeResult::NoAnswer => ("?", "e"),
        ProbeResult::Stalled => ("≈", "e"),
        ProbeResult::Untested(_) => ("–", "n"),
    };
    Cell { mark, tone, title: shown(&title) }
}

/// What is not reached, in few lines: a port that many do not reach is one, and so are many that one does not reach.
fn closed(assessment: &Assessment, probes: &[&Probe]) -> Vec<Closed> {
    type Port<'a> = (Reverse<u8>, u16, &'a str, Option<&'a str>, &'static str);
    let mut by_target: BTreeMap<(Port<'_>, usize), Vec<usize>> = BTreeMap::new();
    for probe in probes.iter().filter(|probe| probe.result != ProbeResult::Open) {
        let result = &probe.result;
        let rank = Reverse(rank(result));
        let port = (rank, probe.port, probe.purpose.as_str(), result.reason(), words(result));
        by_target.entry((port, probe.to)).or_default().push(probe.from);
    }
    let mut groups: BTreeMap<(Port<'_>, Vec<usize>), Vec<usize>> = BTreeMap::new();
    for ((port, to), from) in by_target {
        groups.entry((port, from)).or_default().push(to);
    }
    let groups =
        groups.into_iter().map(|(((_, port, purpose, reason, result), from), to)| Closed {
            to: some(assessment, &to),
            port,
            purpose: shown(purpose),
            result,
            reason: reason.map(shown),
            tone: if reason.is_some() { "n" } else { "e" },
            from: some(assessment, &from),
        });
    groups.collect()
}

/// A list of hosts, with their number where it is not plain to see.
fn some(assessment: &Assessment, hosts: &[usize]) -> String {
    let names = assessment.folded(hosts);
    if hosts.len() == 1 { names } else { format!("{names} ({} hosts)", hosts.len()) }
}

/// How bad: from 2 on, a port is not reached.
fn rank(result: &ProbeResult) -> u8 {
    match result {
        ProbeResult::Open => 0,
        ProbeResult::Untested(_) => 1,
        ProbeResult::Stalled => 2,
        ProbeResult::Refused => 3,
        ProbeResult::NoAnswer => 4,
    }
}

fn words(result: &ProbeResult) -> &'static str {
    match result {
        ProbeResult::Open => "open",
        ProbeResult::Refused => "refused",
        ProbeResult::NoAnswer => "no answer",
        ProbeResult::Stalled => "large packets lost",
        ProbeResult::Untested(_) => "not tried",
    }
}
