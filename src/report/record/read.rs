//! Reads the record of a run back: of one that ended, of one that was killed in the middle of a line, of one that is under
//! way; and what `--output json` printed, for example into a container's log. What a record says may be wrong, never
//! harmful: it can come from another machine.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::directory::is_under_way;
use crate::report::file::at;
use crate::report::{Event, Outcome, Span, Summary, Timeline};

/// A run, as its record tells it.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// Its name, or that of the file.
    pub id: String,
    /// The command.
    pub command: String,
    /// The version of fleetadm that ran it, where that is known.
    pub version: Option<String>,
    /// The inventory's file, where there was one.
    pub inventory: Option<String>,
    /// `--limit`.
    pub limit: Option<String>,
    /// `--shard`.
    pub shard: Option<String>,
    /// When it began.
    pub started: OffsetDateTime,
    /// When it ended, or what is on record of it does.
    pub ended: OffsetDateTime,
    /// The exit status; `None` where it was cut short, or goes on.
    pub exit_status: Option<u8>,
    /// It has not ended.
    pub under_way: bool,
    /// What it came to for each host.
    pub summary: Summary,
    /// Its tasks, in the order they began.
    pub spans: Vec<Span>,
    /// Lines that were left out because the disk was too slow.
    pub left_out: u64,
}

/// What the first and the last line of a record say.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The command.
    pub command: String,
    /// When it began.
    pub started: Option<OffsetDateTime>,
    /// When it ended, or what is on record of it does.
    pub ended: Option<OffsetDateTime>,
    /// How many hosts were selected.
    pub hosts: usize,
    /// How many failed; `None` where it was cut short, or goes on.
    pub failed: Option<u64>,
    /// The same for the exit status.
    pub exit_status: Option<u8>,
    /// It has not ended.
    pub under_way: bool,
}

/// Read the record in this file.
///
/// # Errors
/// It cannot be read, or is no record.
pub fn read(path: &Path) -> io::Result<RunRecord> {
    let read = || {
        let file = File::open(path)?;
        let under_way = is_under_way(&file);
        let mut reading = Reading::default();
        parse(BufReader::new(file), |value| reading.line(value))?;
        let parent = path.parent().and_then(Path::file_name);
        let name = if path.ends_with(super::EVENTS) { parent } else { path.file_name() };
        let name = name.unwrap_or_default().to_string_lossy();
        reading.end(&name, under_way).ok_or_else(|| io::Error::other("this is no record of a run"))
    };
    read().map_err(|error| at(path, &error))
}

/// Every line that is a JSON object. Others are passed over: the last one of a run that was killed, and what else is in a
/// container's log.
pub(super) fn parse(mut lines: impl BufRead, mut each: impl FnMut(&Value)) -> io::Result<()> {
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        if let Ok(value @ Value::Object(_)) = serde_json::from_slice(&line) {
            each(&value);
        }
        line.clear();
    }
    Ok(())
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    first: Value,
    last: Value,
    started: Option<OffsetDateTime>,
    ended: Option<OffsetDateTime>,
    timeline: Option<Timeline>,
    summary: Summary,
}

impl Reading {
    fn line(&mut self, value: &Value) {
        let Some(time) = time(value) else { return };
        let started = *self.started.get_or_insert(time);
        self.ended = Some(self.ended.map_or(time, |ended| ended.max(time)));
        match value["kind"].as_str() {
            Some("run") => self.first = value.clone(),
            Some("summary") => {
                self.last = value.clone();
                results(&mut self.summary, value);
            }
            _ => {
                if let Some(event) = event(value) {
                    self.summary.record(&event, time);
                    self.timeline
                        .get_or_insert_with(|| Timeline::new(started))
                        .record(&event, time);
                }
            }
        }
    }

    /// `None` where nothing was a line of a record.
    fn end(mut self, name: &str, under_way: bool) -> Option<RunRecord> {
        let (started, ended) = (self.started?, self.ended?);
        let text = |key: &str| self.first[key].as_str().map(str::to_owned);
        let command = text("command").or_else(|| self.last["command"].as_str().map(str::to_owned));
        let is_record = command.is_some() || self.timeline.is_some();
        // Nothing tells what would have been done with hosts that the run did not come to.
        if self.last["hosts"].is_null() {
            for host in names(&self.first) {
                let host = self.summary.hosts.entry(host.to_owned()).or_default();
                host.planned = host.planned.max(1);
            }
        }
        is_record.then(|| RunRecord {
            id: text("id").unwrap_or_else(|| name.to_owned()),
            command: command.unwrap_or_else(|| "a run".to_owned()),
            version: text("version"),
            inventory: text("inventory"),
            limit: text("limit"),
            shard: text("shard"),
            started,
            ended,
            exit_status: exit_status(&self.last),
            under_way,
            left_out: self.last["left_out"].as_u64().unwrap_or(0),
            summary: self.summary,
            spans: self.timeline.map(|timeline| timeline.into_spans(ended)).unwrap_or_default(),
        })
    }
}

fn names(value: &Value) -> impl Iterator<Item = &str> {
    value["hosts"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn exit_status(last: &Value) -> Option<u8> {
    last["exit_status"].as_u64().and_then(|status| u8::try_from(status).ok())
}

fn time(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value["time"].as_str()?, &Rfc3339).ok()
}

/// What the last line of a run says of its hosts. It knows of failures that are no task's: checks.
fn results(summary: &mut Summary, last: &Value) {
    for result in last["hosts"].as_array().into_iter().flatten() {
        let text = |key: &str| result[key].as_str().map(str::to_owned);
        let Some(name) = text("host") else { continue };
        let host = summary.hosts.entry(name).or_default();
        host.failure = text("failed_phase").zip(text("error"));
        host.unreachable = result["unreachable"] == true;
        let number = |key: &str| result[key].as_u64().and_then(|it| usize::try_from(it).ok());
        host.skipped = number("skipped").unwrap_or(0);
        host.changes = number("changes").unwrap_or(0);
    }
    if let Some(warnings) = last["warnings"].as_u64().and_then(|it| usize::try_from(it).ok()) {
        summary.warnings = warnings;
    }
}

/// The events that say how a run went.
fn event(value: &Value) -> Option<Event> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let number = |key: &str| value[key].as_u64().and_then(|it| usize::try_from(it).ok());
    let host = || text("host");
    Some(match value["kind"].as_str()? {
        "planned" => Event::Planned { host: host()?, tasks: number("tasks")? },
        "phase_started" => Event::PhaseStarted {
            host: host()?,
            phase: text("phase")?,
            after: serde_json::from_value(value["after"].clone()).unwrap_or_default(),
        },
        "phase_finished" => Event::PhaseFinished {
            host: host()?,
            phase: text("phase")?,
            outcome: outcome(value)?,
            elapsed: Duration::try_from_secs_f64(value["seconds"].as_f64()?).unwrap_or_default(),
        },
        "warning" => Event::Warning { host: host()?, phase: text("phase")?, text: text("text")? },
        "interrupted" => Event::Interrupted,
        _ => return None,
    })
}

fn outcome(value: &Value) -> Option<Outcome> {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let changes = || value["changes"].as_u64().and_then(|it| usize::try_from(it).ok());
    Some(match value["outcome"].as_str()? {
        "done" => Outcome::Done { changes: changes()? },
        "not_needed" => Outcome::NotNeeded { reason: text("reason") },
        "skipped" => Outcome::Skipped { reason: text("reason") },
        "failed" => Outcome::Failed {
            error: text("error"),
            unreachable: value["unreachable"] == true,
            changes: changes()?,
        },
        _ => return None,
    })
}

impl RunRecord {
    /// Names of the hosts that failed, were unreachable, or are not done.
    pub fn failed(&self) -> Vec<String> {
        self.summary.incomplete()
    }
}

/// Look at the ends of the record in this file. Cheap, however long it is.
///
/// # Errors
/// It cannot be read.
pub fn overview(path: &Path) -> io::Result<Overview> {
    let look = || {
        let mut file = File::open(path)?;
        let under_way = is_under_way(&file);
        let last = last_line(&mut file)?;
        file.rewind()?;
        let mut line = Vec::new();
        BufReader::new(file).read_until(b'\n', &mut line)?;
        let first: Value = serde_json::from_slice(&line).unwrap_or_default();
        Ok(Overview {
            command: first["command"].as_str().unwrap_or("?").to_owned(),
            started: time(&first),
            ended: time(&last),
            hosts: names(&first).count(),
            failed: last["failed"].as_u64(),
            exit_status: exit_status(&last),
            under_way,
        })
    };
    look().map_err(|error: io::Error| at(path, &error))
}

/// The last whole line of a file, as JSON.
fn last_line(file: &mut File) -> io::Result<Value> {
    let length = file.metadata()?.len();
    let mut size = 64 << 10;
    loop {
        file.seek(SeekFrom::Start(length.saturating_sub(size)))?;
        let mut tail = Vec::new();
        file.take(size).read_to_end(&mut tail)?;
        // What comes before the first line break may be half a line.
        let begin = if size >= length { Some(0) } else { tail.iter().position(|it| *it == b'\n') };
        let whole = tail[begin.unwrap_or(tail.len())..].split(|byte| *byte == b'\n');
        let found = whole.rev().find_map(|line| serde_json::from_slice::<Value>(line).ok());
        match found {
            Some(value) => return Ok(value),
            None if size >= length => return Ok(Value::Null),
            None => size *= 4,
        }
    }
}
