//! `fleetadm exec`: a command or a script of the workstation on the selected hosts.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::fleet::{Fleet, Merge, Part, Script, Step, StepError, Task};
use crate::ssh::{self, Exit, Input, RunAs, RunOptions, SshError, Stream};

use super::args::{ExecArgs, Global};
use super::failure::Failure;
use super::session;

/// The most that standard input may be where it has to be held in memory, in bytes.
const MAX_HELD: u64 = 256 << 20;

/// Files up to this size are held in memory, too, in bytes: sent without being copied, and read once for all hosts.
const SMALL: u64 = 64 << 20;

#[derive(Debug, thiserror::Error)]
enum ExecError {
    #[error(transparent)]
    Ssh(#[from] SshError),
    #[error("{0}")]
    Exit(Exit),
}

impl StepError for ExecError {
    fn is_unreachable(&self) -> bool {
        matches!(self, Self::Ssh(error) if error.could_not_reach() || error.is_lost())
    }
}

/// What every host runs.
struct Job {
    command: String,
    input: Feed,
    options: RunOptions,
    /// Where output is gathered that is told once for all.
    merge: Option<Merge>,
}

pub fn run(global: &Global, args: ExecArgs) -> Result<u8, Failure> {
    let standard_input = Path::new("-");
    if args.stdin.as_deref() == Some(standard_input) && global.inventory == standard_input {
        return Err(Failure::usage("--stdin -: the inventory comes from there already"));
    }
    let selected = session::select(global)?;
    let hosts = &selected.hosts;
    let job = Arc::new(Job::new(global, &args)?);
    session::contact(global, "exec", hosts, None, |reporter, cancel, connector| async move {
        let (pace, timeout) = (global.pace(), global.timeout);
        let step = Step { name: "exec", pace, timeout, cancel, reporter };
        let fleet = Arc::new(Fleet::new(connector, pace.parallel));
        step.run(hosts, |task| {
            let (job, fleet) = (job.clone(), fleet.clone());
            async move {
                let result = job.run(&fleet, &task).await;
                fleet.disconnect(&task.host).await;
                result
            }
        })
        .await;
        if let Some(merge) = &job.merge {
            for event in merge.take_events(hosts) {
                step.reporter.emit(event);
            }
        }
        fleet.close().await;
        Ok(())
    })
}

impl Job {
    fn new(global: &Global, args: &ExecArgs) -> Result<Self, Failure> {
        let mut input = Feed::open(args.stdin.as_deref())?;
        let command = match (&args.script, args.command.as_slice()) {
            (Some(path), arguments) => {
                let script = script(path, arguments)?;
                input.head = script.input();
                script.command()
            }
            (None, [line]) => line.clone(),
            (None, words) => {
                words.iter().map(|word| ssh::quote(word)).collect::<Vec<_>>().join(" ")
            }
        };
        let run_as = if args.become_root { RunAs::BecomeUser } else { RunAs::LoginUser };
        Ok(Self {
            command,
            input,
            options: RunOptions { run_as, timeout: global.timeout, ..RunOptions::default() },
            merge: args.merge.then(Merge::default),
        })
    }

    /// Run it on the host of `task`.
    async fn run(&self, fleet: &Fleet, task: &Task) -> Result<(), ExecError> {
        let connection = fleet.connection(&task.host).await?;
        let input = self.input.read().await?;
        let (command, options) = (&self.command, &self.options);
        let exit = match &self.merge {
            None => {
                let on_line = |stream, line: &str| task.output(stream == Stream::Stderr, line);
                task.paced(connection.run_lines(command, input, options, on_line)).await?
            }
            Some(merge) => {
                let mut part = Part::new(merge, task.place);
                let on_line = |stream, line: &str| part.push(stream, line);
                let exit = connection.run_lines(command, input, options, on_line).await?;
                part.ended(exit.clone());
                exit
            }
        };
        if exit.success() { Ok(()) } else { Err(ExecError::Exit(exit)) }
    }
}

fn script(path: &Path, arguments: &[String]) -> Result<Script, Failure> {
    let content = fs::read(path);
    let content =
        content.map_err(|error| Failure::usage(format!("--script {}: {error}", path.display())))?;
    Script::new(content, arguments)
        .map_err(|error| Failure::usage(format!("--script {}: {error}", path.display())))
}

/// The standard input that every host gets.
struct Feed {
    /// What comes first: a script that is to be run.
    head: Bytes,
    body: Body,
}

enum Body {
    None,
    Bytes(Bytes),
    File(PathBuf),
}

impl Feed {
    /// What `--stdin` names. A large file is read anew for every host; what can only be read once is held in memory.
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let body = match path {
            None => Body::None,
            Some(path) if path == Path::new("-") => held(std::io::stdin().lock())?,
            Some(path) => {
                let fail = |error| Failure::usage(format!("--stdin {}: {error}", path.display()));
                let file = fs::File::open(path).map_err(fail)?;
                let metadata = file.metadata().map_err(fail)?;
                match metadata.is_file() && metadata.len() > SMALL {
                    true => Body::File(path.to_owned()),
                    false => held(file)?,
                }
            }
        };
        Ok(Self { head: Bytes::new(), body })
    }

    async fn read(&self) -> Result<Input, SshError> {
        let head = Cursor::new(self.head.clone());
        Ok(match &self.body {
            Body::None if self.head.is_empty() => Input::None,
            Body::None => Input::Bytes(self.head.clone()),
            Body::Bytes(bytes) if self.head.is_empty() => Input::Bytes(bytes.clone()),
            Body::Bytes(bytes) => {
                Input::reader(AsyncReadExt::chain(head, Cursor::new(bytes.clone())))
            }
            Body::File(path) => {
                let file = tokio::fs::File::open(path).await.map_err(|error| SshError::Input {
                    reason: format!("{}: {error}", path.display()),
                })?;
                Input::reader(AsyncReadExt::chain(head, file))
            }
        })
    }
}

fn held(reader: impl Read) -> Result<Body, Failure> {
    let mut bytes = Vec::new();
    let read = reader.take(MAX_HELD + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::usage(format!("--stdin: {error}")))?;
    if bytes.len() as u64 > MAX_HELD {
        return Err(Failure::usage(
            "--stdin: more than 256 MiB; put it into a file and name that".to_owned(),
        ));
    }
    Ok(Body::Bytes(bytes.into()))
}
