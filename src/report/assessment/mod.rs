//! What checks found on every host, as data, and the ways of showing it: lines of JSON, text, a page, JUnit's XML.
//!
//! Everything here is a pure function of the data. It must never look at a host, decide what a check says, or write
//! to the terminal: whoever runs the checks fills it in, and the renderer prints what comes out.

mod causes;
mod html;
mod json;
mod junit;
mod matrix;
mod text;

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use super::Severity;

pub(super) use json::lines;
pub(super) use text::{Look, render};

/// What a run of checks found on all hosts.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// What was run: `preflight`, `preflight join`.
    pub command: String,
    /// The cluster's name, where it has one.
    pub cluster: Option<String>,
    /// When the hosts were asked.
    pub taken: OffsetDateTime,
    /// How long all of it took.
    pub elapsed: Duration,
    /// Warnings count as failures.
    pub strict: bool,
    /// Every selected host, in the inventory's order.
    pub hosts: Vec<AssessedHost>,
    /// Which host reaches which.
    pub reachability: Reachability,
    /// Writes names of hosts in few words: `node-[001-180]`. The notation is the inventory's, which is a layer above.
    pub fold: fn(&[&str]) -> String,
}

/// What was found on one host.
#[derive(Debug, Clone)]
pub struct AssessedHost {
    /// Inventory name.
    pub name: String,
    /// `control-plane`, `worker`.
    pub role: String,
    /// How far it came.
    pub state: HostState,
    /// Its checks, in the order they are shown in; no name twice.
    pub checks: Vec<AssessedCheck>,
    /// What the host is like, for the page only.
    pub facts: Vec<FactSheet>,
}

/// How far a host came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostState {
    /// It answered, and all checks were made.
    Checked,
    /// It could not be reached; why.
    Unreachable(String),
    /// Its answer made no sense; what was wrong with it.
    Refused(String),
    /// It was not asked; why.
    NotStarted(String),
}

/// A few facts under one heading.
#[derive(Debug, Clone, Serialize)]
pub struct FactSheet {
    /// The heading: `Memory and disks`.
    pub title: String,
    /// What, and its value.
    pub rows: Vec<(String, String)>,
}

/// The result of one check on one host.
#[derive(Debug, Clone)]
pub struct AssessedCheck {
    /// kubeadm's name, or one of its kind.
    pub name: Cow<'static, str>,
    /// The worst of its findings.
    pub severity: Severity,
    /// A check over all hosts rather than one of kubeadm's.
    pub fleet: bool,
    /// What it found; empty when passed.
    pub findings: Vec<Finding>,
    /// What to do about it; empty when passed.
    pub remedy: String,
    /// What it looked at, and what was there.
    pub evidence: Vec<(Cow<'static, str>, String)>,
}

/// One thing a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// For people. May contain what a host says, and is untrusted then.
    pub message: String,
}

/// Which host reaches which.
#[derive(Debug, Clone, Default)]
pub struct Reachability {
    /// How the pairs were chosen, where not all were.
    pub sample: Option<String>,
    /// What was tried; empty where nothing was.
    pub probes: Vec<Probe>,
}

/// One attempt of a host to reach another.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Which of the hosts tried, as an index.
    pub from: usize,
    /// Which of the hosts it tried to reach, as an index.
    pub to: usize,
    /// The TCP port.
    pub port: u16,
    /// What the port is for: `API server`.
    pub purpose: String,
    /// What came of it.
    pub result: ProbeResult,
}

/// What came of an attempt to reach a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// It is reached.
    Open,
    /// The connection is refused.
    Refused,
    /// Nothing comes back.
    NoAnswer,
    /// It connects, but large packets do not arrive.
    Stalled,
    /// It was not tried; why.
    Untested(String),
}

/// How many hosts there are of each kind; together they are all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HostCounts {
    /// Every check passed.
    pub passed: usize,
    /// Warnings at worst.
    pub warned: usize,
    /// At least one error.
    pub failed: usize,
    /// Could not be reached.
    pub unreachable: usize,
    /// Gave an answer that made no sense.
    pub refused: usize,
    /// Were not asked.
    pub not_started: usize,
}

impl Assessment {
    /// Hosts by how they came off.
    pub fn host_counts(&self) -> HostCounts {
        let mut counts = HostCounts::default();
        for host in &self.hosts {
            let count = match (&host.state, host.worst()) {
                (HostState::Unreachable(_), _) => &mut counts.unreachable,
                (HostState::Refused(_), _) => &mut counts.refused,
                (HostState::NotStarted(_), _) => &mut counts.not_started,
                (HostState::Checked, Severity::Error) => &mut counts.failed,
                (HostState::Checked, Severity::Warning) => &mut counts.warned,
                (HostState::Checked, Severity::Passed) => &mut counts.passed,
            };
            *count += 1;
        }
        counts
    }

    /// Whether a result of this severity fails the run.
    pub fn fails(&self, severity: Severity) -> bool {
        severity == Severity::Error || (self.strict && severity == Severity::Warning)
    }

    /// What was run, and on which cluster.
    fn title(&self) -> String {
        match &self.cluster {
            Some(cluster) => format!("{} of {cluster}", self.command),
            None => self.command.clone(),
        }
    }

    /// Names of these hosts in few words, safe to show.
    fn folded(&self, hosts: &[usize]) -> String {
        let names: Vec<&str> = hosts.iter().map(|host| self.hosts[*host].name.as_str()).collect();
        super::printable(&(self.fold)(&names)).into_owned()
    }

    /// The closing line: what was run, and how many hosts came off how.
    fn closing_line(&self) -> String {
        let counts = self.host_counts();
        let parts = [
            (counts.failed, "failed"),
            (counts.unreachable, "unreachable"),
            (counts.refused, "gave no usable answer"),
            (counts.not_started, "not started"),
            (counts.warned, if self.strict { "failed with warnings" } else { "with warnings" }),
            (counts.passed, "passed"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
        let checks = self.hosts.iter().map(|host| host.checks.len()).sum();
        format!(
            "{}: {}: {}; {} in {:.1} s",
            super::printable_line(&self.command, 100),
            counted(self.hosts.len(), "host"),
            if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") },
            counted(checks, "result"),
            self.elapsed.as_secs_f32()
        )
    }
}

impl AssessedHost {
    /// The worst result of its checks.
    pub fn worst(&self) -> Severity {
        self.checks.iter().map(|check| check.severity).max().unwrap_or(Severity::Passed)
    }
}

impl HostState {
    /// `checked`, `unreachable`, `refused` or `not_started`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Checked => "checked",
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::NotStarted(_) => "not_started",
        }
    }

    /// Why the host was not checked, where it was not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Checked => None,
            Self::Unreachable(why) | Self::Refused(why) | Self::NotStarted(why) => Some(why),
        }
    }
}

impl AssessedCheck {
    /// All that was found, in one line.
    pub fn message(&self) -> Cow<'_, str> {
        match self.findings.as_slice() {
            [] => Cow::Borrowed(""),
            [finding] => Cow::Borrowed(&finding.message),
            findings => {
                let texts: Vec<&str> = findings.iter().map(|one| one.message.as_str()).collect();
                Cow::Owned(texts.join("; "))
            }
        }
    }
}

impl Reachability {
    /// How much was reached, in one line; `None` where nothing was tried.
    fn summary(&self) -> Option<String> {
        if self.probes.is_empty() {
            return None;
        }
        let of = |wanted: fn(&ProbeResult) -> bool| {
            self.probes.iter().filter(|probe| wanted(&probe.result)).count()
        };
        let open = of(|result| *result == ProbeResult::Open);
        let untested = of(|result| matches!(result, ProbeResult::Untested(_)));
        let tried = counted(self.probes.len() - untested, "port");
        let untested = if untested > 0 { format!(", {untested} not tried") } else { String::new() };
        let sample = self.sample.as_ref().map(|how| format!(" ({how})")).unwrap_or_default();
        Some(format!("{open} of {tried} between hosts reached{untested}{sample}"))
    }
}

impl ProbeResult {
    /// `open`, `refused`, `no_answer`, `stalled` or `untested`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Refused => "refused",
            Self::NoAnswer => "no_answer",
            Self::Stalled => "stalled",
            Self::Untested(_) => "untested",
        }
    }

    /// Why it was not tried, where it was not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Untested(why) => Some(why),
            _ => None,
        }
    }
}

/// `1 host`, `2 hosts`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
pub(super) mod samples;
