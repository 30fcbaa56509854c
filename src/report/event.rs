//! What happens during a run, as data. Logic emits events; only the renderer prints them.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Assessment;

/// One thing that happened. Text from hosts in an event is untrusted: renderers strip control sequences.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A host's connection is up.
    Connected {
        /// Inventory name.
        host: String,
        /// Time from dial to authenticated.
        elapsed: Duration,
    },
    /// How much there is to do on a host, told before anything is done on any.
    Planned {
        /// Inventory name.
        host: String,
        /// Number of tasks, each of which ends in a `PhaseFinished`.
        tasks: usize,
    },
    /// The next hosts of a run in batches begin; those before are done.
    BatchStarted {
        /// Which batch, from 1.
        batch: usize,
        /// How many there are.
        batches: usize,
        /// Inventory names.
        hosts: Vec<String>,
        /// The same for people: `node-[001-010]`.
        folded: String,
    },
    /// A task (one phase on one host) began.
    PhaseStarted {
        /// Inventory name.
        host: String,
        /// `workflow/phase`.
        phase: String,
        /// What it waited for last, where it waited for anything that is known.
        after: Option<After>,
    },
    /// A task ended.
    PhaseFinished {
        /// Inventory name.
        host: String,
        /// `workflow/phase`.
        phase: String,
        /// How it ended.
        outcome: Outcome,
        /// Wall time of the task.
        elapsed: Duration,
    },
    /// Something on a host or in the API changed (or would, in a dry run).
    Changed {
        /// Inventory name.
        host: String,
        /// `workflow/phase`.
        phase: String,
        /// What, in a few words: `create /etc/kubernetes/admin.conf`.
        what: String,
        /// For dry runs: a unified diff or the commands, line by line; never a secret.
        detail: Option<String>,
        /// True when nothing was touched because this is a dry run.
        dry_run: bool,
    },
    /// Something the operator should know.
    Warning {
        /// Inventory name.
        host: String,
        /// `workflow/phase`.
        phase: String,
        /// The warning.
        text: String,
    },
    /// Detail shown with `-v`.
    Note {
        /// Inventory name.
        host: String,
        /// The note.
        text: String,
    },
    /// How far a task is; told now and then.
    Progress {
        /// Inventory name.
        host: String,
        /// `workflow/phase`.
        phase: String,
        /// So much so far.
        done: u64,
        /// So much in all.
        of: u64,
        /// Of what.
        unit: Unit,
    },
    /// A line a remote command printed.
    Output {
        /// Inventory name.
        host: String,
        /// True for standard error.
        stderr: bool,
        /// The line without its newline.
        line: String,
    },
    /// What a remote command printed, once for all hosts where that was the same.
    Merged {
        /// Inventory names.
        hosts: Vec<String>,
        /// The same for people: `node-[001-180]`.
        folded: String,
        /// The exit status; `None` for a command that ended in another way.
        exit_code: Option<i32>,
        /// How the command ended, for people.
        ended: String,
        /// Standard output.
        stdout: String,
        /// Standard error.
        stderr: String,
        /// Bytes beyond what is kept of a host's output.
        left_out: u64,
    },
    /// The result of one preflight check on one host.
    Check {
        /// Inventory name.
        host: String,
        /// `workflow/phase`.
        phase: String,
        /// kubeadm's name of the check.
        name: String,
        /// How bad.
        severity: Severity,
        /// kubeadm's message; empty when passed.
        message: String,
    },
    /// What checks found on all hosts.
    Assessed(Box<Assessment>),
    /// A host key that was looked at. Nothing for people: see [`Event::Listing`].
    HostKey {
        /// Inventory name; a jump host's address.
        host: String,
        /// It is on the way to hosts of the inventory.
        jump_host: bool,
        /// `address:port`.
        address: String,
        /// `address:port` of the jump hosts before it, the nearest to the workstation first.
        through: Vec<String>,
        /// `ssh-ed25519`.
        key_type: String,
        /// `SHA256:…`.
        fingerprint: String,
        /// `known`, `certified`, `new`, `changed` or `revoked`.
        status: &'static str,
        /// For a changed or revoked key the line that says so: file, number, type and fingerprint of the key there.
        known: Option<(PathBuf, usize, String)>,
        /// Whether it is in the operator's list, where there is one.
        listed: Option<bool>,
    },
    /// Data for people, on standard output. Other events say the same to programs.
    Listing {
        /// Lines of text.
        text: String,
    },
    /// Data for programs, on standard output as it is: whoever sends it has stripped what hosts said of control
    /// characters. In JSON other events say the same.
    Data {
        /// Lines of text.
        text: String,
    },
    /// What there is to know about a host. Data for programs: an object on standard output, however the run is shown.
    Facts {
        /// Inventory name.
        host: String,
        /// A JSON object, on one line.
        facts: String,
    },
    /// Something that was asked for, for programs: shown only in JSON, as a line of its own. Another event says the same
    /// to people.
    Object {
        /// What `kind` says.
        kind: &'static str,
        /// A JSON object, on one line. It may hold secrets.
        object: SecretString,
    },
    /// What was found out about a host or a cluster, for programs. People get a listing.
    Found {
        /// What `kind` says.
        kind: &'static str,
        /// A JSON object, with `host` where it is about one.
        fields: serde_json::Value,
    },
    /// A secret the operator asked for by name. Renderers show it once, on standard output; nothing keeps it.
    Disclosed {
        /// What it is.
        what: String,
        /// The secret.
        secret: SecretString,
    },
    /// The operator wants the run to stop: steps under way are finished, no others begin.
    Interrupted,
    /// Text for people at the end of a run, for example the join command.
    Message {
        /// Lines of text.
        text: String,
    },
}

/// The task whose end let another one begin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct After {
    /// Inventory name.
    pub host: String,
    /// `workflow/phase`.
    pub phase: String,
    /// In which way the other one waited.
    pub why: Why,
}

/// In which way a task waited for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It needs what the other one does, which was the last of all it needs.
    Need,
    /// It is of the next batch of hosts, and the other one was the last of the batch before.
    Batch,
    /// It could have begun earlier, but for the number of tasks under way at once.
    Place,
}

/// What progress is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Container images.
    Images,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, with this many changes.
    Done {
        /// Number of changes; 0 means all was as wanted.
        changes: usize,
    },
    /// Not wanted by the configuration or the command line, so nothing was looked at.
    NotNeeded {
        /// Why.
        reason: String,
    },
    /// Not run, because something it depends on failed or the run was interrupted.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Failed.
    Failed {
        /// The error chain in one line.
        error: String,
        /// The host could not be reached (exit status 4 rather than 3).
        unreachable: bool,
        /// Changes made before the failure.
        changes: usize,
    },
}

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Fine.
    Passed,
    /// Should be looked at.
    Warning,
    /// Stops the workflow.
    Error,
}

impl Severity {
    /// `passed`, `warning` or `error`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
