//! Runs that are over, looked at together: what became of each host and why, and where the time went. Made of records, shown
//! as text, as JSON and as a page.

mod html;
mod json;
mod text;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use time::OffsetDateTime;

use super::{HostSummary, RunRecord, Span, exit};

/// How many reasons are told one by one. Those that name an address are as many as hosts.
const MAX_CAUSES: usize = 40;

/// What the hosts beyond have in common.
const OTHERS: &str = "for other reasons, host by host: --host NAME shows one, --output json all";

/// One run, or several that make one: the shards of a fleet.
#[derive(Debug, Clone)]
pub struct Review {
    /// The runs, in the order they began.
    runs: Vec<Run>,
    /// What became of each host, by name.
    hosts: BTreeMap<String, HostSummary>,
    /// The tasks of all runs, from the beginning of the first.
    spans: Vec<Span>,
    /// Warnings of all runs.
    warnings: usize,
    /// Writes names of hosts in few words: `node-[001-180]`. The notation is the inventory's, which is a layer above.
    fold: fn(&[&str]) -> String,
}

/// What is left to say of a run beside its hosts.
#[derive(Debug, Clone)]
struct Run {
    id: String,
    command: String,
    inventory: Option<String>,
    limit: Option<String>,
    shard: Option<String>,
    started: OffsetDateTime,
    ended: OffsetDateTime,
    exit_status: Option<u8>,
    under_way: bool,
    left_out: u64,
    hosts: usize,
}

/// What became of a host. The worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Fate {
    Unreachable,
    Failed,
    Incomplete,
    Well,
}

impl Fate {
    fn of(host: &HostSummary) -> Self {
        match &host.failure {
            Some(_) if host.unreachable => Self::Unreachable,
            Some(_) => Self::Failed,
            None if host.is_complete() => Self::Well,
            None => Self::Incomplete,
        }
    }

    /// `unreachable`, `failed`, `not done` or `ok`.
    fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::Incomplete => "not done",
            Self::Well => "ok",
        }
    }
}

/// Hosts that came to the same end for the same reason.
#[derive(Debug)]
struct Cause<'a> {
    fate: Fate,
    /// The phase that failed.
    phase: Option<&'a str>,
    reason: &'a str,
    hosts: Vec<&'a str>,
}

impl Review {
    /// Look at these runs; there must be one at least. A run that was made again, the same command on the same hosts, counts as
    /// its last attempt; of a host that is in several runs otherwise the last one counts.
    pub fn new(mut records: Vec<RunRecord>, fold: fn(&[&str]) -> String) -> Self {
        records.sort_by_key(|record| record.started);
        let mut later = HashSet::new();
        let names =
            |record: &RunRecord| -> Vec<String> { record.summary.hosts.keys().cloned().collect() };
        let mut counts: Vec<bool> = records
            .iter()
            .rev()
            .map(|record| later.insert((record.command.clone(), names(record))))
            .collect();
        counts.reverse();
        let mut counts = counts.into_iter();
        records.retain(|_| counts.next().unwrap_or(true));

        let started = records.first().map(|record| record.started);
        let mut review =
            Self { runs: Vec::new(), hosts: BTreeMap::new(), spans: Vec::new(), warnings: 0, fold };
        for record in records {
            let after = started.map_or(time::Duration::ZERO, |first| record.started - first);
            let after = Duration::try_from(after).unwrap_or_default();
            review.runs.push(Run {
                id: record.id,
                command: record.command,
                inventory: record.inventory,
                limit: record.limit,
                shard: record.shard,
                started: record.started,
                ended: record.ended,
                exit_status: record.exit_status,
                under_way: record.under_way,
                left_out: record.left_out,
                hosts: record.summary.hosts.len(),
            });
            review.warnings += record.summary.warnings;
            review.hosts.extend(record.summary.hosts);
            let moved = |span: Span| Span { start: span.start + after, ..span };
            review.spans.extend(record.spans.into_iter().map(moved));
        }
        review
    }

    /// The highest exit status of the runs; that of one that was cut short is 1.
    pub fn exit_status(&self) -> u8 {
        let status = |run: &Run| run.exit_status.unwrap_or(exit::INTERNAL);
        self.runs.iter().map(status).max().unwrap_or(exit::DONE)
    }

    /// From the first beginning to the last end.
    fn elapsed(&self) -> Duration {
        let began = self.runs.iter().map(|run| run.started).min();
        let ended = self.runs.iter().map(|run| run.ended).max();
        let elapsed = began.zip(ended).map(|(began, ended)| ended - began);
        elapsed.and_then(|elapsed| Duration::try_from(elapsed).ok()).unwrap_or_default()
    }

    /// The command, or what the commands are.
    fn command(&self) -> String {
        let mut commands: Vec<&str> = self.runs.iter().map(|run| run.command.as_str()).collect();
        commands.dedup();
        commands.join(", ")
    }

    fn count(&self, fate: Fate) -> usize {
        self.hosts.values().filter(|host| Fate::of(host) == fate).count()
    }

    fn changes(&self) -> usize {
        self.hosts.values().map(|host| host.changes).sum()
    }

    /// What did not end well and why, hosts with the same reason together: the worst first, then what concerns most hosts.
    /// There are not many, however many hosts there are.
    fn causes(&self) -> Vec<Cause<'_>> {
        let mut causes: Vec<Cause<'_>> = Vec::new();
        let mut places = HashMap::new();
        for (name, host) in &self.hosts {
            let fate = Fate::of(host);
            let (phase, reason) = match (&host.failure, &host.skip_reason) {
                (Some((phase, error)), _) => (Some(phase.as_str()), error.as_str()),
                (None, Some(reason)) => (None, reason.as_str()),
                (None, None) => (None, "the run ended before"),
            };
            if fate == Fate::Well {
                continue;
            }
            let place = *places.entry((fate, phase, reason)).or_insert_with(|| {
                causes.push(Cause { fate, phase, reason, hosts: Vec::new() });
                causes.len() - 1
            });
            causes[place].hosts.push(name);
        }
        causes.sort_by_key(|cause| (cause.fate, std::cmp::Reverse(cause.hosts.len())));
        let mut others: BTreeMap<(Fate, Option<&str>), Vec<&str>> = BTreeMap::new();
        for cause in causes.split_off(MAX_CAUSES.min(causes.len())) {
            others.entry((cause.fate, cause.phase)).or_default().extend(cause.hosts);
        }
        let others = others.into_iter();
        causes.extend(others.map(|((fate, phase), hosts)| Cause {
            fate,
            phase,
            reason: OTHERS,
            hosts,
        }));
        causes
    }
}

#[cfg(test)]
pub(super) mod tests;
