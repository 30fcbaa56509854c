//! A program that prints an inventory: run without arguments and without input, in bounded time and space.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::source;
use crate::report;

/// How long and how much an inventory may take.
pub(super) const LIMITS: Limits = Limits { time: Duration::from_secs(30), output: source::LIMIT };

/// How often a program that has said everything is asked whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// This much of the end of its standard error is kept, in bytes.
const COMPLAINT: usize = 8 << 10;

/// This much of the last line of it is shown, in characters.
const SHOWN: usize = 300;

/// Bounds of one run.
pub(super) struct Limits {
    /// From the start to the end of the program.
    pub(super) time: Duration,
    /// What it prints, in bytes.
    pub(super) output: u64,
}

/// Why a program gave no document.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The operating system did not start it.
    #[error(
        "cannot be run: {0}; it needs a first line such as `#!/bin/sh`, or, if it is a document and no \
         program, no executable bit (chmod -x)"
    )]
    NotStarted(io::Error),
    /// What it printed could not be read.
    #[error("cannot be heard: {0}")]
    NotRead(io::Error),
    /// It said that it failed, or was killed.
    #[error("failed ({status}){}", complaint.as_ref().map(|line| format!(": {line}")).unwrap_or_default())]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// The last line of its standard error, safe to show.
        complaint: Option<String>,
    },
    /// It did not end in time.
    #[error("had not ended after {} s and was stopped", .0.as_secs_f64())]
    Slow(Duration),
    /// It printed too much.
    #[error("printed more than {0} bytes and was stopped")]
    Long(u64),
    /// It printed something else than text.
    #[error("did not print UTF-8 text")]
    NotText,
    /// It printed no document.
    #[error("printed nothing; it has to print an inventory as TOML or JSON")]
    Empty,
}

/// What the program at `path` prints.
pub(super) fn output(path: &Path, limits: &Limits) -> Result<String, ProgramError> {
    // Without a slash, a name would be looked for in PATH.
    let program = std::path::absolute(path).map_err(ProgramError::NotStarted)?;
    let mut child = Command::new(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ProgramError::NotStarted)?;
    let result = listen(&mut child, limits);
    if result.is_err() {
        // It may have ended by itself; then there is nothing to stop.
        let _ = child.kill();
    }
    let _ = child.wait();
    result
}

fn listen(child: &mut Child, limits: &Limits) -> Result<String, ProgramError> {
    let deadline = Instant::now() + limits.time;
    let bound = limits.output;
    // Threads, because a pipe that a grandchild keeps open never ends: then they are left behind.
    let output = child.stdout.take().map(|pipe| on_a_thread(move || first(pipe, bound)));
    let complaint = child.stderr.take().map(|pipe| on_a_thread(move || last(pipe)));
    let slow = || ProgramError::Slow(limits.time);
    let wait = |receiver: Receiver<io::Result<Vec<u8>>>| {
        let left = deadline.saturating_duration_since(Instant::now());
        receiver.recv_timeout(left).map_err(|_| slow())
    };
    let printed = output.map(wait).transpose()?.unwrap_or_else(|| Ok(Vec::new()));
    let printed = printed.map_err(ProgramError::NotRead)?;
    if printed.len() as u64 > bound {
        return Err(ProgramError::Long(bound));
    }
    let status = loop {
        if let Some(status) = child.try_wait().map_err(ProgramError::NotRead)? {
            break status;
        }
        if Instant::now() >= deadline {
            return Err(slow());
        }
        thread::sleep(POLL);
    };
    if !status.success() {
        let said = complaint.map(wait).transpose()?.and_then(Result::ok).unwrap_or_default();
        return Err(ProgramError::Failed { status, complaint: last_line(&said) });
    }
    let text = String::from_utf8(printed).map_err(|_| ProgramError::NotText)?;
    if text.trim().is_empty() { Err(ProgramError::Empty) } else { Ok(text) }
}

fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody waits for it any more: the program took too long.
        let _ = sender.send(work());
    });
    receiver
}

/// The beginning, and one byte too much where there is more.
fn first(pipe: impl Read, bound: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(bound + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The end. All of it is read, so that the program never waits for a reader.
fn last(mut pipe: impl Read) -> io::Result<Vec<u8>> {
    let mut end = Vec::new();
    let mut part = [0; COMPLAINT];
    loop {
        let count = pipe.read(&mut part)?;
        if count == 0 {
            return Ok(end);
        }
        end.extend_from_slice(&part[..count]);
        end.drain(..end.len().saturating_sub(COMPLAINT));
    }
}

fn last_line(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(report::printable_line(line.trim(), SHOWN))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn run_for(script: &str, time: Duration) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let [text, program] = ["text", "program"].map(|name| directory.path().join(name));
        fs::write(&text, script).unwrap();
        // Not written by this process: while a test beside this one forks, a file open here could not be run.
        let install = Command::new("install").args(["-m", "755"]).args([&text, &program]).status();
        assert!(install.unwrap().success());
        let limits = Limits { time, output: 1000 };
        output(&program, &limits).map_err(|error| error.to_string())
    }

    fn run(script: &str) -> Result<String, String> {
        run_for(script, Duration::from_secs(20))
    }

    fn refused(script: &str) -> String {
        run(script).unwrap_err()
    }

    #[test]
    fn what_it_prints_is_the_document() {
        assert_eq!(run("#!/bin/sh\necho aside >&2\necho text\n").unwrap(), "text\n");
        assert_eq!(run("#!/bin/sh\ncat\necho \"$#\"\n").unwrap(), "0\n");
        let noisy = "#!/bin/sh\nhead -c 200000 /dev/zero >&2\necho text\n";
        assert_eq!(run(noisy).unwrap(), "text\n");
    }

    #[test]
    fn failures_say_why() {
        let said = "failed (exit status: 3): no such \"rack\"";
        assert_eq!(
            refused("#!/bin/sh\necho 'no \x1b[31msuch \"rack\"' >&2\necho >&2\nexit 3\n"),
            said
        );
        assert_eq!(refused("#!/bin/sh\nexit 1\n"), "failed (exit status: 1)");
        assert_eq!(refused("#!/bin/sh\nkill -9 $$\n"), "failed (signal: 9 (SIGKILL))");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        assert!(refused("#!/bin/sh\n").starts_with("printed nothing;"));
        assert_eq!(refused("#!/bin/sh\nprintf '\\377'\n"), "did not print UTF-8 text");
        let long = "printed more than 1000 bytes and was stopped";
        assert_eq!(refused("#!/bin/sh\nexec yes\n"), long);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for script in ["echo text\n", "#!/no/such/interpreter\necho text\n"] {
            let error = refused(script);
            assert!(error.starts_with("cannot be run: ") && error.contains("#!/bin/sh"), "{error}");
        }
    }

    #[test]
    fn slow_programs_are_stopped() {
        // The second has closed what is listened to, the third has left it to somebody else.
        for script in ["exec sleep 60", "exec sleep 60 >&- 2>&-", "sleep 5 & exit 0"] {
            let started = Instant::now();
            let time = Duration::from_millis(300);
            let error = run_for(&format!("#!/bin/sh\n{script}\n"), time).unwrap_err();
            assert_eq!(error, "had not ended after 0.3 s and was stopped", "{script}");
            assert!(started.elapsed() < Duration::from_secs(4), "{script}");
        }
    }
}
