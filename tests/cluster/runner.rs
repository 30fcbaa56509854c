//! Runs the built fleetadm as an operator would, with a home and a temporary directory that must stay empty.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::secrets::expect_none_in;

/// What a run left behind.
pub struct Finished {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A run under way.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: JoinHandle<String>,
    command: String,
    started: Instant,
    // The directories that nothing may be written to but the record of the run.
    empty: tempfile::TempDir,
}

/// Start fleetadm with this inventory and without a standard input.
pub fn start(inventory: &Path, arguments: &[&str]) -> Running {
    let empty = tempfile::tempdir().unwrap();
    let directory = |name: &str| {
        let path = empty.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let command = format!("fleetadm {}", arguments.join(" "));
    println!("$ {command}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_fleetadm"))
        // First: what a command runs for its user takes all that follows.
        .arg("--inventory")
        .arg(inventory)
        .args(arguments)
        .env("HOME", directory("home"))
        .env("TMPDIR", directory("tmp"))
        .env("XDG_STATE_HOME", directory("state"))
        .current_dir(directory("work"))
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in stdout.lines() {
            if sender.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    let mut errors = child.stderr.take().unwrap();
    let stderr = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        text
    });
    let started = Instant::now();
    Running { child, lines, seen: Vec::new(), stderr, command, started, empty }
}

/// Run fleetadm to its end.
pub fn fleetadm(inventory: &Path, arguments: &[&str]) -> Finished {
    start(inventory, arguments).wait()
}

impl Running {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Wait for an event (of `--output json`) that `wanted` accepts.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) {
        let deadline = self.started + Duration::from_secs(300);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| {
                panic!("{}: no {what} among\n{}", self.command, self.seen.join("\n"))
            });
            let event: Value = serde_json::from_str(&line).unwrap();
            self.seen.push(line);
            if wanted(&event) {
                return;
            }
        }
    }

    /// Whether it has come to its end already.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Send a signal by its name, for example INT.
    pub fn signal(&self, name: &str) {
        println!("  kill -{name}");
        let id = self.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(status.success());
    }

    /// Wait for the end. Whatever the run did, it must have written nothing on the workstation but its record.
    pub fn wait(mut self) -> Finished {
        let stderr = self.stderr.join().unwrap();
        let status = self.child.wait().unwrap().code();
        self.seen.extend(self.lines.iter());
        let mut stdout = self.seen.join("\n");
        if !stdout.is_empty() {
            stdout.push('\n');
        }
        let (lines, shown) = (stderr.lines().count(), 60);
        if lines > shown {
            println!("  ... {} lines", lines - shown);
        }
        for line in stderr.lines().skip(lines.saturating_sub(shown)) {
            println!("  {}", line.chars().take(160).collect::<String>());
        }
        let took = self.started.elapsed().as_secs_f32();
        println!("  {}: exit status {status:?} in {took:.1} s", self.command);
        take_record(&self.empty.path().join("state/fleetadm"));
        let written = files_below(self.empty.path());
        assert!(written.is_empty(), "{} wrote {written:?}", self.command);
        Finished { status, stdout, stderr }
    }
}

/// Take away what is kept of a run, if anything: its events and logs, which hold no secret.
fn take_record(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory.join("runs")) else { return };
    let records: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let [record] = records.as_slice() else { panic!("one record: {records:?}") };
    for entry in fs::read_dir(record).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().unwrap().to_str() {
            Some("events.jsonl") => {
                let text = fs::read_to_string(&path).unwrap();
                expect_none_in(&text);
                let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
                assert_eq!(first["kind"], "run", "{first}");
            }
            Some("hosts") => {
                for log in fs::read_dir(&path).unwrap() {
                    expect_none_in(&fs::read_to_string(log.unwrap().path()).unwrap());
                }
            }
            _ => panic!("{} is no part of a record", path.display()),
        }
    }
    fs::remove_dir_all(directory).unwrap();
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            found.push(path);
        } else if path.parent() == Some(directory) {
            found.extend(files_below(&path));
        } else {
            // Even an empty directory is something written.
            found.push(path);
        }
    }
    found
}

impl Finished {
    /// Fails unless the exit status is this one.
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}\n{}", self.stderr, self.telling());
        self
    }

    /// The last lines of standard output, without the hundreds of checks that passed.
    fn telling(&self) -> String {
        let tells = |line: &&str| !line.contains(r#""severity":"passed""#);
        let lines: Vec<_> = self.stdout.lines().filter(tells).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// The lines of `--output json`.
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// Lines of standard error about a host.
    pub fn about(&self, host: &str) -> Vec<&str> {
        let is_host = |line: &&str| line.split_whitespace().next() == Some(host);
        self.stderr.lines().filter(is_host).collect()
    }

    /// The one line that says why a host failed; there must be exactly one, and it must hold the words.
    pub fn expect_failure(&self, host: &str, words: &[&str]) {
        let lines: Vec<_> =
            self.about(host).into_iter().filter(|line| line.contains(" failed: ")).collect();
        assert_eq!(lines.len(), 1, "one line about {host}'s failure in:\n{}", self.stderr);
        for word in words {
            assert!(lines[0].contains(word), "{word:?} in: {}", lines[0]);
        }
    }

    /// Fails unless the table of hosts says that this one is done.
    pub fn expect_ok(&self, host: &str) {
        let is_ok = |line: &&str| line.split_whitespace().nth(1) == Some("ok");
        assert_eq!(
            self.about(host).into_iter().filter(is_ok).count(),
            1,
            "{host} ok in:\n{}",
            self.stderr
        );
    }

    /// The number of changes that the last line of standard error tells.
    pub fn changes(&self) -> usize {
        let last = self.stderr.lines().last().unwrap_or_default();
        let words: Vec<_> = last.split([' ', ',']).collect();
        let at = words.iter().position(|word| *word == "changed");
        let at = at.unwrap_or_else(|| panic!("no summary: {last}"));
        words[at - 1].parse().unwrap()
    }
}
