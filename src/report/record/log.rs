//! A host's part of a record as text: a line for each thing that happened, with its time.

use std::io::{self, BufRead};

use serde_json::Value;

use super::read::parse;
use crate::report::printable_line;

/// How long a line may get, in characters.
const LINE_LIMIT: usize = 4000;

/// The host that a line of a record is about, and the same as text.
pub(super) fn line(value: &Value) -> Option<(&str, String)> {
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let host = value["host"].as_str()?;
    let seconds = || format!("{:.1} s", value["seconds"].as_f64().unwrap_or_default());
    let (phase, said) = match text("kind") {
        "connected" => ("connect", format!("connected after {}", seconds())),
        "planned" => ("plan", format!("tasks: {}", value["tasks"])),
        "phase_started" => (text("phase"), started(&value["after"])),
        "phase_finished" => {
            let said = match text("outcome") {
                "done" => format!("done, {} changed", value["changes"]),
                "failed" if value["unreachable"] == true => {
                    format!("unreachable: {}", text("error"))
                }
                "failed" => format!("failed: {}", text("error")),
                "skipped" => format!("skipped: {}", text("reason")),
                _ => format!("not needed: {}", text("reason")),
            };
            (text("phase"), format!("{said} ({})", seconds()))
        }
        "changed" if value["dry_run"] == true => (text("phase"), format!("would {}", text("what"))),
        "changed" => (text("phase"), text("what").to_owned()),
        "warning" => (text("phase"), format!("warning: {}", text("text"))),
        "note" => ("note", text("text").to_owned()),
        "check" => {
            let (severity, name) = (text("severity"), text("name"));
            (text("phase"), format!("{severity} {name}: {}", text("message")))
        }
        "host" => ("preflight", format!("{}: {}", text("state"), text("reason"))),
        "host_key" => {
            let (status, key_type) = (text("status"), text("type"));
            ("host key", format!("{status} {key_type} {}", text("fingerprint")))
        }
        "printed" => ("output", format!("{} bytes, which are not kept", value["bytes"])),
        _ => return None,
    };
    let time = printable_line(text("time"), 40);
    let phase = printable_line(phase, 100);
    Some((host, format!("{time:<30}  {phase:<26}  {}\n", printable_line(&said, LINE_LIMIT))))
}

/// Whether a line of a record tells more than that a host was reached and did without a change what it had to.
pub(super) fn is_news(value: &Value) -> bool {
    match value["kind"].as_str().unwrap_or_default() {
        "connected" | "planned" | "phase_started" | "printed" => false,
        "phase_finished" => match value["outcome"].as_str().unwrap_or_default() {
            "done" => value["changes"] != 0,
            "not_needed" => false,
            _ => true,
        },
        "check" => value["severity"] != "passed",
        _ => true,
    }
}

fn started(after: &Value) -> String {
    let text = |key: &str| after[key].as_str().unwrap_or_default();
    match text("why") {
        "" => "begins".to_owned(),
        "batch" => {
            format!("begins, after the batch that ended with {} {}", text("host"), text("phase"))
        }
        "place" => format!("begins, in the place of {} {}", text("host"), text("phase")),
        _ => format!("begins, after {} {}", text("host"), text("phase")),
    }
}

/// What happened on a host, from the lines of a record.
///
/// # Errors
/// The lines cannot be read.
pub fn host_log(lines: impl BufRead, host: &str) -> io::Result<String> {
    let mut log = String::new();
    parse(lines, |value| {
        if let Some((_, text)) = line(value).filter(|(name, _)| *name == host) {
            log.push_str(&text);
        }
    })?;
    Ok(log)
}
