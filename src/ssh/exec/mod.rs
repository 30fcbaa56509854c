//! Running commands, on whatever login shell, as whatever user, with everything bounded.
//!
//! Commands are for a POSIX shell: `sh` runs them. What else the host prints on the way is never taken for their output.

mod channel;
mod dialogue;
mod feed;
mod password;
mod script;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::io::AsyncRead;
use tokio::time::timeout;

use super::connection::Connection;
use super::error::SshError;
use super::lines::LineSplitter;
use super::shell;

use channel::{Ended, Start};
use dialogue::Dialogue;

pub(super) use script::Marks;

/// What a command reads from standard input. It always sees the end of it.
#[derive(Default)]
pub enum Input {
    /// Nothing.
    #[default]
    None,
    /// These bytes, not copied on the way; clones for many hosts share them.
    Bytes(Bytes),
    /// What a reader yields, a piece at a time: for files too large to hold.
    Reader(Box<dyn AsyncRead + Send + Unpin>),
}

impl Input {
    /// Input from a reader, for example an opened `tokio::fs::File`.
    pub fn reader(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self::Reader(Box::new(reader))
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Reader(_) => false,
        }
    }

    /// The same once more, except that a reader can be read only once: it is gone then.
    fn again(&mut self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Self::Reader(_) => std::mem::take(self),
        }
    }
}

impl fmt::Debug for Input {
    // Never the contents: keys and tokens travel here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Reader(_) => f.write_str("Reader"),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Input {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// Who runs a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunAs {
    /// The login user.
    #[default]
    LoginUser,
    /// Whom the inventory says to become (`become_user`): root, if it does not say.
    BecomeUser,
    /// Root. An error where the inventory says to become somebody else.
    Root,
}

/// How a command is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Who runs it.
    pub run_as: RunAs,
    /// Limit for the command; `None` means the host's `command_timeout`.
    pub timeout: Option<Duration>,
    /// Most bytes of standard output; more is an error.
    pub stdout_limit: usize,
    /// Most bytes of standard error; more is an error.
    pub stderr_limit: usize,
    /// End it, with [`SshError::GaveWay`], where the server has no room for another session beside it.
    pub gives_way: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            run_as: RunAs::LoginUser,
            timeout: None,
            stdout_limit: 16 * 1024 * 1024,
            stderr_limit: 1024 * 1024,
            gives_way: false,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// A signal killed it; the name without `SIG`.
    Signal(String),
}

impl Exit {
    /// True for status 0.
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(name) => write!(f, "killed by SIG{name}"),
        }
    }
}

/// What a command left behind.
#[derive(Clone)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl fmt::Debug for Output {
    // Never the contents: keys are read back from hosts this way.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) = (self.stdout.len(), self.stderr.len());
        write!(f, "Output({}, {stdout} bytes of stdout, {stderr} of stderr)", self.exit)
    }
}

impl Output {
    /// Standard output as text; untrusted, and invalid UTF-8 replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; untrusted, and invalid UTF-8 replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// One of a command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Connection {
    /// Run `command` as the login user.
    pub async fn run(&self, command: &str, input: Input) -> Result<Output, SshError> {
        self.run_with(command, input, &RunOptions::default()).await
    }

    /// Run `command` as root.
    pub async fn run_as_root(&self, command: &str, input: Input) -> Result<Output, SshError> {
        let options = RunOptions { run_as: RunAs::Root, ..RunOptions::default() };
        self.run_with(command, input, &options).await
    }

    /// Run `command` with limits of its own.
    pub async fn run_with(
        &self,
        command: &str,
        input: Input,
        options: &RunOptions,
    ) -> Result<Output, SshError> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = self
            .execute(command, input, options, |stream, data| {
                let (buffer, limit, name) = match stream {
                    Stream::Stdout => (&mut stdout, options.stdout_limit, "standard output"),
                    Stream::Stderr => (&mut stderr, options.stderr_limit, "standard error"),
                };
                if buffer.len() + data.len() > limit {
                    return Err(SshError::OutputTooLong { stream: name, limit });
                }
                buffer.extend_from_slice(data);
                Ok(())
            })
            .await?;
        Ok(Output { exit, stdout, stderr })
    }

    /// Run `command` and hand each line to `on_line` as it arrives. Lines are untrusted; overlong ones
    /// come in pieces, and there may be any number of them: the output limits do not apply.
    pub async fn run_lines(
        &self,
        command: &str,
        input: Input,
        options: &RunOptions,
        mut on_line: impl FnMut(Stream, &str) + Send,
    ) -> Result<Exit, SshError> {
        let (mut stdout, mut stderr) = (LineSplitter::default(), LineSplitter::default());
        let exit = self
            .execute(command, input, options, |stream, data| {
                let splitter = match stream {
                    Stream::Stdout => &mut stdout,
                    Stream::Stderr => &mut stderr,
                };
                splitter.push(data, |line| on_line(stream, line));
                Ok(())
            })
            .await;
        stdout.finish(|line| on_line(Stream::Stdout, line));
        stderr.finish(|line| on_line(Stream::Stderr, line));
        exit
    }

    /// Run `command`, in as many attempts as it takes to know how to become somebody else. It begins in one of them at
    /// most.
    ///
    /// Boxed: what is handed from future to future by value takes its room once in each, for each of thousands of hosts.
    pub(super) fn execute<'a>(
        &'a self,
        command: &'a str,
        input: Input,
        options: &'a RunOptions,
        sink: impl FnMut(Stream, &[u8]) -> Result<(), SshError> + Send + 'a,
    ) -> BoxFuture<'a, Result<Exit, SshError>> {
        Box::pin(self.attempts(command, input, options, sink))
    }

    async fn attempts(
        &self,
        command: &str,
        mut input: Input,
        options: &RunOptions,
        mut sink: impl FnMut(Stream, &[u8]) -> Result<(), SshError> + Send,
    ) -> Result<Exit, SshError> {
        let (privilege, marks) = (self.privilege(), self.marks());
        let limit = options.timeout.unwrap_or(self.command_timeout());
        loop {
            let way = privilege.way(options.run_as)?;
            let candidate = privilege.password(&way).await?;
            let script = script::script(&way, marks, command, !input.is_empty());
            let start = Start {
                request: shell::request(&script)?,
                terminal: way.terminal,
                input: !input.is_empty(),
                // What has been read from a reader is gone if the command does not begin.
                feed_at_once: !way.handshake()
                    && (way.proven || !matches!(input, Input::Reader(_))),
                candidate,
            };
            let mut dialogue = Dialogue::new(&way, marks);
            let session = self.open_session().await?;
            // Boxed for the same reason.
            let run = Box::pin(self.drive(session, start, &mut dialogue, &mut input, &mut sink));
            let run = async {
                tokio::select! {
                    ended = run => ended,
                    () = self.crowded(), if options.gives_way => Err(SshError::GaveWay),
                }
            };
            match timeout(limit, run).await {
                Ok(Ok(Ended::Exit(exit))) => {
                    privilege.worked(&way);
                    return Ok(exit);
                }
                Ok(Ok(Ended::NotBegun { exit, tried })) => {
                    privilege.refused(&way, exit.as_ref(), tried, &dialogue.preamble())?;
                }
                Ok(Err(error)) => return Err(error),
                Err(_) if dialogue.begun() => return Err(SshError::Timeout { limit }),
                Err(_) => return Err(privilege.silent(&way, limit, &dialogue.preamble())),
            }
        }
    }
}
