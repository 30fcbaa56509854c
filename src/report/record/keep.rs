//! What of an event goes on record. Only what is named here does.
//!
//! Kept: how tasks went, what they changed (in words, not the change itself), warnings, notes, failures with their reasons,
//! host keys, and checks that did not pass. Of what commands printed only the amount is kept: an operator may ask a host for
//! any secret it has. Left out altogether is what was asked for as data (tokens, kubeconfigs, facts, tables) and the
//! differences of files.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::report::{Assessment, Event, HostState, Severity, json};

/// The lines for an event.
pub(super) fn kept(event: &Event, at: OffsetDateTime) -> Vec<Value> {
    match event {
        Event::Connected { .. }
        | Event::Planned { .. }
        | Event::BatchStarted { .. }
        | Event::PhaseStarted { .. }
        | Event::PhaseFinished { .. }
        | Event::Warning { .. }
        | Event::Note { .. }
        | Event::Check { .. }
        | Event::HostKey { .. }
        | Event::Interrupted => vec![json::object(event, at)],
        Event::Changed { .. } => {
            let mut value = json::object(event, at);
            value["detail"] = Value::Null;
            vec![value]
        }
        Event::Assessed(assessment) => assessed(assessment, at),
        Event::Merged { hosts, stdout, stderr, left_out, .. } => {
            let bytes = (stdout.len() + stderr.len()) as u64 + left_out;
            hosts.iter().map(|host| printed(host, bytes, at)).collect()
        }
        Event::Output { .. }
        | Event::Progress { .. }
        | Event::Listing { .. }
        | Event::Data { .. }
        | Event::Facts { .. }
        | Event::Object { .. }
        | Event::Found { .. }
        | Event::Disclosed { .. }
        | Event::Message { .. } => Vec::new(),
    }
}

/// How much the commands on a host printed.
fn printed(host: &str, bytes: u64, at: OffsetDateTime) -> Value {
    json!({"kind": "printed", "host": host, "bytes": bytes, "time": json::time(at)})
}

fn assessed(assessment: &Assessment, at: OffsetDateTime) -> Vec<Value> {
    let mut lines = Vec::new();
    for host in &assessment.hosts {
        if host.state != HostState::Checked {
            lines.push(json!({
                "kind": "host",
                "time": json::time(at),
                "host": host.name,
                "state": host.state.word(),
                "reason": host.state.reason(),
            }));
        }
        for check in host.checks.iter().filter(|check| check.severity > Severity::Passed) {
            for finding in &check.findings {
                let event = Event::Check {
                    host: host.name.clone(),
                    phase: assessment.command.clone(),
                    name: check.name.to_string(),
                    severity: finding.severity,
                    message: finding.message.clone(),
                };
                lines.push(json::object(&event, at));
            }
        }
    }
    lines
}

/// What hosts printed line by line, counted until it is told.
#[derive(Debug, Default)]
pub(super) struct Printed(BTreeMap<String, u64>);

impl Printed {
    /// Count an event.
    pub(super) fn count(&mut self, event: &Event) {
        if let Event::Output { host, line, .. } = event {
            let bytes = line.len() as u64 + 1;
            match self.0.get_mut(host) {
                Some(count) => *count += bytes,
                None => _ = self.0.insert(host.clone(), bytes),
            }
        }
    }

    /// What a host printed, once the task that ran there has ended with this event.
    pub(super) fn told_by(&mut self, event: &Event, at: OffsetDateTime) -> Option<Value> {
        let Event::PhaseFinished { host, .. } = event else { return None };
        self.0.remove(host).map(|bytes| printed(host, bytes, at))
    }
}
