//! Events as JSON lines on standard output; the last line is the summary.

use std::io::Write;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::summary::Summary;
use super::text::escaped_json;
use super::{Event, Outcome, Unit, assessment};

/// Write one event as one line, or, where it is about several hosts' output, as one for each host; an assessment
/// is a line for each host and check. A closed standard output ends the output, not the run.
pub fn write(event: &Event, at: OffsetDateTime) {
    match event {
        Event::Listing { .. } | Event::Data { .. } => return,
        Event::Assessed(assessment) => {
            if let Ok(lines) = assessment::lines(assessment) {
                let _ = std::io::stdout().lock().write_all(&lines);
            }
            return;
        }
        _ => {}
    }
    let mut value = object(event, at);
    if let Some((name, object)) = json_of(event) {
        // It is large or secret, and JSON already: it takes the place of the object's end.
        let value = value.to_string();
        let open = escaped_json(value.strip_suffix('}').unwrap_or_default());
        let object = escaped_json(object);
        let _ = writeln!(std::io::stdout().lock(), "{open},\"{name}\":{object}}}");
    } else if let Event::Merged { hosts, .. } = event {
        for host in hosts {
            value["host"] = json!(host);
            write_value(&value);
        }
    } else {
        write_value(&value);
    }
}

/// What an event has as JSON already, and the field it belongs to.
fn json_of(event: &Event) -> Option<(&'static str, &str)> {
    match event {
        Event::Facts { facts, .. } => Some(("facts", facts)),
        Event::Object { kind, object } => Some((kind, object.expose_secret())),
        _ => None,
    }
}

/// Write one line.
pub fn write_value(value: &Value) {
    let _ = writeln!(std::io::stdout().lock(), "{}", escaped_json(&value.to_string()));
}

/// The last line: counts and the exit status.
pub fn summary(command: &str, summary: &Summary, exit_status: u8) -> Value {
    let hosts: Vec<Value> = summary
        .hosts
        .iter()
        .map(|(name, host)| {
            json!({
                "host": name,
                "changes": host.changes,
                "skipped": host.skipped,
                "complete": host.is_complete(),
                "unreachable": host.unreachable,
                "failed_phase": host.failure.as_ref().map(|(phase, _)| phase),
                "error": host.failure.as_ref().map(|(_, error)| error),
            })
        })
        .collect();
    json!({
        "time": time(OffsetDateTime::now_utc()),
        "kind": "summary",
        "command": command,
        "hosts": hosts,
        "changes": summary.changes(),
        "failed": summary.failed(),
        "warnings": summary.warnings,
        "exit_status": exit_status,
    })
}

/// As RFC 3339 writes it.
pub fn time(at: OffsetDateTime) -> String {
    // Fails only for years outside RFC 3339.
    at.format(&Rfc3339).unwrap_or_default()
}

/// An event as an object: without what [`json_of`] has, and of a [`Event::Merged`] without the host.
pub fn object(event: &Event, at: OffsetDateTime) -> Value {
    let mut value = fields(event);
    value["time"] = json!(time(at));
    value
}

fn fields(event: &Event) -> Value {
    match event {
        Event::Connected { host, elapsed } => {
            json!({"kind": "connected", "host": host, "seconds": elapsed.as_secs_f64()})
        }
        Event::Planned { host, tasks } => json!({"kind": "planned", "host": host, "tasks": tasks}),
        Event::BatchStarted { batch, batches, hosts, .. } => {
            json!({"kind": "batch_started", "batch": batch, "batches": batches, "hosts": hosts})
        }
        Event::PhaseStarted { host, phase, after } => {
            json!({"kind": "phase_started", "host": host, "phase": phase, "after": after})
        }
        Event::PhaseFinished { host, phase, outcome, elapsed } => {
            let mut value = json!({
                "kind": "phase_finished",
                "host": host,
                "phase": phase,
                "seconds": elapsed.as_secs_f64(),
            });
            match outcome {
                Outcome::Done { changes } => {
                    value["outcome"] = json!("done");
                    value["changes"] = json!(changes);
                }
                Outcome::NotNeeded { reason } => {
                    value["outcome"] = json!("not_needed");
                    value["reason"] = json!(reason);
                }
                Outcome::Skipped { reason } => {
                    value["outcome"] = json!("skipped");
                    value["reason"] = json!(reason);
                }
                Outcome::Failed { error, unreachable, changes } => {
                    value["outcome"] = json!("failed");
                    value["error"] = json!(error);
                    value["unreachable"] = json!(unreachable);
                    value["changes"] = json!(changes);
                }
            }
            value
        }
        Event::Changed { host, phase, what, detail, dry_run } => json!({
            "kind": "changed",
            "host": host,
            "phase": phase,
            "what": what,
            "detail": detail,
            "dry_run": dry_run,
        }),
        Event::Warning { host, phase, text } => {
            json!({"kind": "warning", "host": host, "phase": phase, "text": text})
        }
        Event::Note { host, text } => json!({"kind": "note", "host": host, "text": text}),
        Event::Progress { host, phase, done, of, unit } => json!({
            "kind": "progress",
            "host": host,
            "phase": phase,
            "done": done,
            "of": of,
            "unit": match unit {
                Unit::Bytes => "bytes",
                Unit::Images => "images",
            },
        }),
        Event::Merged { folded, exit_code, ended, stdout, stderr, left_out, .. } => json!({
            "kind": "merged",
            "same_on": folded,
            "exit_code": exit_code,
            "ended": ended,
            "stdout": stdout,
            "stderr": stderr,
            "bytes_left_out": left_out,
        }),
        Event::Output { host, stderr, line } => json!({
            "kind": "output",
            "host": host,
            "stream": if *stderr { "stderr" } else { "stdout" },
            "line": line,
        }),
        Event::Check { host, phase, name, severity, message } => json!({
            "phase": phase,
            "kind": "check",
            "host": host,
            "name": name,
            "severity": severity,
            "message": message,
        }),
        Event::HostKey {
            host,
            jump_host,
            address,
            through,
            key_type,
            fingerprint,
            status,
            known,
            listed,
        } => json!({
            "kind": "host_key",
            "host": host,
            "jump_host": jump_host,
            "address": address,
            "through": through,
            "type": key_type,
            "fingerprint": fingerprint,
            "status": status,
            "known": known.as_ref().map(|(file, line, key)| {
                json!({"file": file, "line": line, "key": key})
            }),
            "listed": listed,
        }),
        Event::Assessed(assessment) => json!({"kind": "assessed", "command": assessment.command}),
        Event::Listing { text } => json!({"kind": "listing", "text": text}),
        Event::Data { text } => json!({"kind": "data", "text": text}),
        Event::Found { kind, fields } => {
            let mut value = fields.clone();
            value["kind"] = json!(kind);
            value
        }
        Event::Facts { host, .. } => json!({"kind": "facts", "host": host}),
        Event::Object { kind, .. } => json!({"kind": kind}),
        Event::Disclosed { what, secret } => {
            json!({"kind": "disclosed", "what": what, "secret": secret.expose_secret()})
        }
        Event::Interrupted => json!({"kind": "interrupted"}),
        Event::Message { text } => json!({"kind": "message", "text": text}),
    }
}
