//! Writes the record of a run, on a thread of its own: whoever passes events on never waits for a disk.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::directory::Runs;
use super::keep::{Printed, kept};
use super::{EVENTS, HOSTS, log};
use crate::report::file::at as named;
use crate::report::{Event, Summary, json};

/// How many lines may wait for the disk. What comes beyond is left out, and counted.
const WAITING: usize = 200_000;

/// How old what is not yet in the file may get.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// For how long events are let come before the first of them is written.
const GATHER: Duration = Duration::from_millis(20);

/// How much text of hosts' logs is held before it is written out, in bytes.
const HELD: usize = 8 << 20;

/// How long the end of a run waits for the disk.
const GRACE: Duration = Duration::from_secs(10);

/// What is known of a run before it begins.
#[derive(Debug, Clone)]
pub struct Beginning<'a> {
    /// Name of the command.
    pub command: &'a str,
    /// The inventory's file; `None` where it is none.
    pub inventory: Option<&'a Path>,
    /// `--limit`.
    pub limit: Option<&'a str>,
    /// `--shard`.
    pub shard: Option<String>,
    /// Inventory names of the selected hosts.
    pub hosts: &'a [String],
}

/// Passes what happens on to the thread that writes it down.
#[derive(Debug)]
pub struct Recorder {
    command: String,
    lines: Sender<Line>,
    writer: Thread,
    waiting: Arc<AtomicUsize>,
    left_out: usize,
    printed: Printed,
}

enum Line {
    Event(Value),
    /// The last one, and where the result goes.
    End(Value, Sender<io::Result<()>>),
}

impl Recorder {
    /// Begin the record of a run that begins now.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn start(runs: &Runs, beginning: &Beginning<'_>) -> io::Result<Self> {
        let started = OffsetDateTime::now_utc();
        let (id, directory) = runs.begin(started)?;
        let path = directory.join(EVENTS);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| named(&path, &error))?;
        // Says to readers that the run goes on. Where the file system has no locks, they take it for one that was cut short.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let first = json!({
            "time": json::time(started),
            "kind": "run",
            "id": id.to_string(),
            "command": beginning.command,
            "version": env!("CARGO_PKG_VERSION"),
            "inventory": beginning.inventory.map(Path::to_string_lossy),
            "limit": beginning.limit,
            "shard": beginning.shard,
            "hosts": beginning.hosts,
        });
        let (lines, received) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut writer = Writer {
            events: BufWriter::with_capacity(64 << 10, file),
            path,
            logs: Logs::new(&directory),
            flushed: Instant::now(),
        };
        let (runs, counted) = (runs.clone(), waiting.clone());
        let thread = std::thread::Builder::new().name("record".to_owned()).spawn(move || {
            let mut result = writer.event(&first).and_then(|()| writer.flush());
            runs.prune(OffsetDateTime::now_utc());
            writer.run(&received, &counted, &mut result);
        })?;
        let command = beginning.command.to_owned();
        let (writer, printed) = (thread.thread().clone(), Printed::default());
        Ok(Self { command, lines, writer, waiting, left_out: 0, printed })
    }

    /// Put an event on record.
    pub fn record(&mut self, event: &Event, at: OffsetDateTime) {
        self.printed.count(event);
        let printed = self.printed.told_by(event, at);
        for value in printed.into_iter().chain(kept(event, at)) {
            if self.waiting.load(Ordering::Relaxed) >= WAITING {
                self.left_out += 1;
                continue;
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
            // A thread that is gone has said why at the end.
            let _ = self.lines.send(Line::Event(value));
        }
    }

    /// End the record with what the run came to.
    ///
    /// # Errors
    /// Something could not be written, or the disk takes too long.
    pub fn finish(self, summary: &Summary, exit_status: u8) -> io::Result<()> {
        let mut last = json::summary(&self.command, summary, exit_status);
        if self.left_out > 0 {
            last["left_out"] = json!(self.left_out);
        }
        let (done, result) = channel();
        let _ = self.lines.send(Line::End(last, done));
        self.writer.unpark();
        match result.recv_timeout(GRACE) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(io::Error::other("the disk takes too long")),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("its writer has ended")),
        }
    }
}

struct Writer {
    events: BufWriter<File>,
    path: PathBuf,
    logs: Logs,
    flushed: Instant,
}

impl Writer {
    /// Write whatever comes, to the end. After the first error, which is told there, nothing more is written.
    fn run(&mut self, lines: &Receiver<Line>, waiting: &AtomicUsize, result: &mut io::Result<()>) {
        loop {
            let left = FLUSH_EVERY.saturating_sub(self.flushed.elapsed());
            let line = match lines.try_recv() {
                Ok(line) => Ok(line),
                Err(_) => {
                    let line = lines.recv_timeout(left);
                    if matches!(line, Ok(Line::Event(_))) {
                        // Whoever passes an event on wakes a thread that waits for it, which costs more than writing it.
                        std::thread::park_timeout(GATHER);
                    }
                    line
                }
            };
            match line {
                Ok(Line::Event(value)) => {
                    waiting.fetch_sub(1, Ordering::Relaxed);
                    if result.is_ok() {
                        *result = self.event(&value);
                    }
                }
                Ok(Line::End(value, done)) => {
                    if result.is_ok() {
                        *result = self.event(&value).and_then(|()| self.end());
                    }
                    // Before it is told, and also where a process that was just started still has the file.
                    let _ = flock(self.events.get_ref(), FlockOperation::Unlock);
                    // Whoever asked may have given up.
                    let _ = done.send(std::mem::replace(result, Ok(())));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The run has ended without an end.
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.end();
                    return;
                }
            }
            if self.flushed.elapsed() >= FLUSH_EVERY && result.is_ok() {
                *result = self.flush();
            }
        }
    }

    fn event(&mut self, value: &Value) -> io::Result<()> {
        let written = serde_json::to_writer(&mut self.events, value).map_err(io::Error::from);
        written
            .and_then(|()| self.events.write_all(b"\n"))
            .map_err(|error| named(&self.path, &error))?;
        self.logs.add(value)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed = Instant::now();
        self.events.flush().map_err(|error| named(&self.path, &error))
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        self.logs.write(|log| log.is_news)
    }
}

/// The logs by host. A file is open only while it is written to; there can be ten thousand.
struct Logs {
    directory: PathBuf,
    texts: HashMap<String, Log>,
    held: usize,
}

#[derive(Default)]
struct Log {
    text: String,
    /// Whether there is something in it that is worth a file: making one costs more than all the rest of a record. What a
    /// host had to do and did is among the events, too.
    is_news: bool,
}

impl Logs {
    fn new(run: &Path) -> Self {
        Self { directory: run.join(HOSTS), texts: HashMap::new(), held: 0 }
    }

    fn add(&mut self, value: &Value) -> io::Result<()> {
        let Some((host, text)) = log::line(value).filter(|(host, _)| is_file_name(host)) else {
            return Ok(());
        };
        self.held += text.len();
        if !self.texts.contains_key(host) {
            self.texts.insert(host.to_owned(), Log::default());
        }
        if let Some(log) = self.texts.get_mut(host) {
            log.text.push_str(&text);
            log.is_news |= log::is_news(value);
        }
        if self.held > HELD { self.write(|_| true) } else { Ok(()) }
    }

    /// Write those that `wanted` accepts, and forget all.
    fn write(&mut self, wanted: impl Fn(&Log) -> bool) -> io::Result<()> {
        self.held = 0;
        for (host, log) in self.texts.drain().filter(|(_, log)| wanted(log)) {
            if !self.directory.is_dir() {
                let made = DirBuilder::new().mode(0o700).create(&self.directory);
                made.map_err(|error| named(&self.directory, &error))?;
            }
            let path = self.directory.join(format!("{host}.log"));
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
            file.and_then(|mut file| file.write_all(log.text.as_bytes()))
                .map_err(|error| named(&path, &error))?;
        }
        Ok(())
    }
}

/// Whether a host's name can be that of its log. The inventory's names can, whatever they are; a jump host has none.
fn is_file_name(host: &str) -> bool {
    let fits = (1..=250).contains(&host.len()) && !host.starts_with('.');
    fits && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_of_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut writer = Writer {
            events: BufWriter::new(full),
            path: PathBuf::from("/dev/full"),
            logs: Logs::new(directory.path()),
            flushed: Instant::now(),
        };
        let (lines, received) = channel();
        let waiting = AtomicUsize::new(1000);
        for _ in 0..1000 {
            lines.send(Line::Event(json!({"kind": "note", "host": "node-1"}))).unwrap();
        }
        let (done, told) = channel();
        lines.send(Line::End(json!({}), done)).unwrap();
        writer.run(&received, &waiting, &mut Ok(()));
        let error = told.recv().unwrap().unwrap_err().to_string();
        assert_eq!(error, "/dev/full: No space left on device (os error 28)");
        assert_eq!(waiting.into_inner(), 0);
    }

    #[test]
    fn a_log_stays_in_its_directory() {
        for name in ["node-1", "a.example.com", "x_y"] {
            assert!(is_file_name(name), "{name}");
        }
        let long = "x".repeat(251);
        for name in ["", ".", "..", "../x", "a/b", "-\u{0}", "ops@bastion:22", ".hidden", &long] {
            assert!(!is_file_name(name), "{name}");
        }
    }
}
