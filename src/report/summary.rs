//! What a run came to: counted from the events, the same for every way of showing it.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::{Assessment, Event, HostState, Outcome, Severity};

/// Exit statuses of the command line.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// fleetadm itself failed.
    pub const INTERNAL: u8 = 1;
    /// Usage or inventory error; nothing was touched.
    pub const USAGE: u8 = 2;
    /// A check or phase failed on at least one host.
    pub const FAILED: u8 = 3;
    /// At least one host could not be reached.
    pub const UNREACHABLE: u8 = 4;
    /// Interrupted.
    pub const INTERRUPTED: u8 = 130;
}

/// What a run came to for one host.
#[derive(Debug, Clone, Default)]
pub struct HostSummary {
    /// Changes made (or, in a dry run, that would be made).
    pub changes: usize,
    /// The first failure, with its phase.
    pub failure: Option<(String, String)>,
    /// The host could not be reached.
    pub unreachable: bool,
    /// Tasks that were skipped because of a failure elsewhere.
    pub skipped: usize,
    /// Why the first of them was.
    pub skip_reason: Option<String>,
    /// Tasks that were planned.
    pub planned: usize,
    /// Tasks that have ended, however.
    pub ended: usize,
    /// When tasks of this host were under way.
    pub busy: Busy,
}

/// When something was under way, as stretches of time that do not touch each other, in order: tasks of a host overlap, and
/// no host is busy for longer than the run takes.
#[derive(Debug, Clone, Default)]
pub struct Busy(Vec<(OffsetDateTime, OffsetDateTime)>);

impl Busy {
    /// How long, all in all.
    pub fn time(&self) -> Duration {
        let stretches = self.0.iter().map(|(start, end)| *end - *start);
        stretches.map(|length| Duration::try_from(length).unwrap_or_default()).sum()
    }

    /// Take a task into account. Tasks are told as they end.
    fn add(&mut self, elapsed: Duration, end: OffsetDateTime) {
        let mut stretch =
            (end.checked_sub(elapsed.try_into().unwrap_or_default()).unwrap_or(end), end);
        while let Some((start, end)) = self.0.pop_if(|(_, end)| *end >= stretch.0) {
            stretch = (stretch.0.min(start), stretch.1.max(end));
        }
        self.0.push(stretch);
    }
}

impl HostSummary {
    /// All that was planned is done, and well.
    pub fn is_complete(&self) -> bool {
        self.failure.is_none() && self.skipped == 0 && self.ended >= self.planned
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// By host, in inventory order as far as the hosts were announced.
    pub hosts: BTreeMap<String, HostSummary>,
    /// Warnings seen.
    pub warnings: usize,
    /// The operator stopped the run.
    pub interrupted: bool,
}

impl Summary {
    /// Take an event of that time into account.
    pub fn record(&mut self, event: &Event, at: OffsetDateTime) {
        match event {
            Event::Planned { host, tasks } => {
                self.hosts.entry(host.clone()).or_default().planned += tasks;
            }
            Event::PhaseFinished { host, phase, outcome, elapsed } => {
                let summary = self.hosts.entry(host.clone()).or_default();
                summary.ended += 1;
                summary.busy.add(*elapsed, at);
                match outcome {
                    Outcome::Done { changes } => summary.changes += changes,
                    Outcome::NotNeeded { .. } => {}
                    Outcome::Skipped { reason } => {
                        summary.skipped += 1;
                        summary.skip_reason.get_or_insert_with(|| reason.clone());
                    }
                    Outcome::Failed { error, unreachable, changes } => {
                        summary.changes += changes;
                        summary.unreachable |= unreachable;
                        summary.failure.get_or_insert_with(|| (phase.clone(), error.clone()));
                    }
                }
            }
            Event::Assessed(assessment) => self.record_assessment(assessment),
            Event::Warning { .. } => self.warnings += 1,
            Event::Interrupted => self.interrupted = true,
            _ => {}
        }
    }

    /// What a task said about a host before goes first: it may know more.
    fn record_assessment(&mut self, assessment: &Assessment) {
        for host in &assessment.hosts {
            let summary = self.hosts.entry(host.name.clone()).or_default();
            let failure = match &host.state {
                HostState::Checked => {
                    let failed =
                        host.checks.iter().filter(|check| assessment.fails(check.severity));
                    let failed: Vec<&str> = failed.map(|check| check.name.as_ref()).collect();
                    (!failed.is_empty()).then(|| format!("did not pass: {}", failed.join(", ")))
                }
                HostState::Unreachable(why) | HostState::Refused(why) => Some(why.clone()),
                HostState::NotStarted(why) => {
                    summary.skipped += 1;
                    summary.skip_reason.get_or_insert_with(|| why.clone());
                    None
                }
            };
            summary.unreachable |= matches!(host.state, HostState::Unreachable(_));
            if let Some(why) = failure {
                summary.failure.get_or_insert_with(|| (assessment.command.clone(), why));
            }
            let findings = host.checks.iter().flat_map(|check| &check.findings);
            self.warnings += findings.filter(|one| one.severity == Severity::Warning).count();
        }
    }

    /// Changes on all hosts.
    pub fn changes(&self) -> usize {
        self.hosts.values().map(|host| host.changes).sum()
    }

    /// Hosts with a failure.
    pub fn failed(&self) -> usize {
        self.hosts.values().filter(|host| host.failure.is_some()).count()
    }

    /// Names of the hosts that failed, were unreachable, or are not done.
    pub fn incomplete(&self) -> Vec<String> {
        let hosts = self.hosts.iter().filter(|(_, host)| !host.is_complete());
        hosts.map(|(name, _)| name.clone()).collect()
    }

    /// The exit status of the design: 0, 3 or 4 (the higher wins), or 130 for a run that was stopped.
    pub fn exit_status(&self) -> u8 {
        if self.interrupted {
            exit::INTERRUPTED
        } else if self.hosts.values().any(|host| host.unreachable) {
            exit::UNREACHABLE
        } else if self.failed() > 0 || self.hosts.values().any(|host| host.skipped > 0) {
            exit::FAILED
        } else {
            exit::DONE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::assessment::samples;

    #[test]
    fn a_host_is_complete_when_all_that_was_planned_went_well() {
        let mut summary = Summary::default();
        let outcomes = |name: &str| match name {
            "done" => vec![
                Outcome::Done { changes: 1 },
                Outcome::NotNeeded { reason: "no images".to_owned() },
            ],
            "failed" => {
                vec![Outcome::Failed { error: "no".to_owned(), unreachable: false, changes: 0 }]
            }
            "skipped" => vec![Outcome::Skipped { reason: "interrupted".to_owned() }],
            _ => vec![Outcome::Done { changes: 0 }],
        };
        for (host, tasks) in
            [("done", 2), ("failed", 1), ("skipped", 1), ("cut-off", 2), ("never", 1)]
        {
            let now = OffsetDateTime::now_utc();
            summary.record(&Event::Planned { host: host.to_owned(), tasks }, now);
            for outcome in outcomes(host).into_iter().filter(|_| host != "never") {
                let elapsed = Duration::ZERO;
                let (host, phase) = (host.to_owned(), "exec".to_owned());
                summary.record(&Event::PhaseFinished { host, phase, outcome, elapsed }, now);
            }
        }
        assert_eq!(summary.incomplete(), ["cut-off", "failed", "never", "skipped"]);
        assert_eq!(summary.exit_status(), exit::FAILED);
    }

    #[test]
    fn a_host_is_busy_no_longer_than_the_run_takes() {
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let busy = |tasks: &[(u64, u64)]| {
            let mut busy = Busy::default();
            for (elapsed, end) in tasks {
                busy.add(Duration::from_secs(*elapsed), at(*end));
            }
            busy.time().as_secs()
        };
        assert_eq!(busy(&[(1, 11), (2, 15)]), 3);
        assert_eq!(busy(&[(5, 15), (5, 18), (2, 18)]), 8);
        assert_eq!(busy(&[(1, 11), (2, 15), (10, 20)]), 10);
        assert_eq!(busy(&[]), 0);
    }

    #[test]
    fn an_assessment_counts_for_each_host() {
        let status = |assessment| {
            let mut summary = Summary::default();
            summary.record(&Event::Assessed(Box::new(assessment)), OffsetDateTime::now_utc());
            (summary.exit_status(), summary.failed(), summary.incomplete().len(), summary.warnings)
        };
        assert_eq!(status(samples::healthy()), (exit::DONE, 0, 0, 0));
        assert_eq!(status(samples::mixed()), (exit::FAILED, 2, 2, 3));
        let strict = Assessment { strict: true, ..samples::mixed() };
        assert_eq!(status(strict), (exit::FAILED, 3, 3, 3));
        assert_eq!(status(samples::silent()), (exit::UNREACHABLE, 5, 7, 0));
    }
}
