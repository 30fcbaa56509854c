//! Runs on record: what each run that was about hosts did, kept in a directory of the user's own, for `--limit @failed`, for
//! `fleetadm report`, and for whoever looks into a run of yesterday.
//!
//! `runs/ID/events.jsonl` holds the run's events as `--output json` prints them, between a first line that describes the run
//! and a last one with what it came to; `runs/ID/hosts/NAME.log` holds the same by host, as text, of hosts where there was
//! something to tell. Nothing depends on a record: the hosts and the cluster are the state. A record must never hold a secret
//! (see [`keep`]), and keeping one must never hold up a run or make it fail.

mod directory;
mod keep;
mod log;
mod read;
mod writer;

pub use directory::{RunId, Runs};
pub use log::host_log;
pub use read::{Overview, RunRecord, overview, read};
pub use writer::{Beginning, Recorder};

/// The events of a run, one JSON object a line.
const EVENTS: &str = "events.jsonl";

/// Where the logs by host are.
const HOSTS: &str = "hosts";

#[cfg(test)]
mod tests;
