//! What a run came to: counted from the events, the same for every way of showing it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Event, Outcome};

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
    /// Time spent in tasks of this host.
    pub busy: Duration,
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
    /// Take an event into account.
    pub fn record(&mut self, event: &Event) {
        match event {
            Event::PhaseFinished { host, phase, outcome, elapsed } => {
                let summary = self.hosts.entry(host.clone()).or_default();
                summary.busy += *elapsed;
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
            Event::Warning { .. } => self.warnings += 1,
            Event::Interrupted => self.interrupted = true,
            _ => {}
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
