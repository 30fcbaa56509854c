//! Running commands: standard input goes out while output comes in, and everything is bounded.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::connection::Connection;
use super::error::SshError;
use super::lines::LineSplitter;
use super::privilege;
use crate::report::printable;

/// Piece size when standard input comes from a reader.
const CHUNK: usize = 128 * 1024;
/// How much of standard error is looked at to tell sudo's refusal from the command's own failure.
const REFUSAL_HEAD: usize = 4096;
/// SSH's number for standard error among extended data.
const EXTENDED_DATA_STDERR: u32 = 1;

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

/// How a command is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Become root first, as the inventory says.
    pub as_root: bool,
    /// Limit for the command; `None` means the host's `command_timeout`.
    pub timeout: Option<Duration>,
    /// Most bytes of standard output; more is an error.
    pub stdout_limit: usize,
    /// Most bytes of standard error; more is an error.
    pub stderr_limit: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            as_root: false,
            timeout: None,
            stdout_limit: 16 * 1024 * 1024,
            stderr_limit: 1024 * 1024,
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
    /// Run `command` through the login shell, as the login user.
    pub async fn run(&self, command: &str, input: Input) -> Result<Output, SshError> {
        self.run_with(command, input, &RunOptions::default()).await
    }

    /// Run `command` as root: through `sudo` and `sh`, or through root's login shell.
    pub async fn run_as_root(&self, command: &str, input: Input) -> Result<Output, SshError> {
        let options = RunOptions { as_root: true, ..RunOptions::default() };
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

    /// The command line that runs `command` as root on this host.
    pub fn root_command(&self, command: &str) -> String {
        privilege::root_command(self.become_root(), command)
    }

    pub(super) async fn execute(
        &self,
        command: &str,
        input: Input,
        options: &RunOptions,
        mut sink: impl FnMut(Stream, &[u8]) -> Result<(), SshError> + Send,
    ) -> Result<Exit, SshError> {
        let mut printed = false;
        let mut stderr_head = Vec::new();
        let watch = |stream: Stream, data: &[u8]| {
            match stream {
                Stream::Stdout => printed = true,
                Stream::Stderr => {
                    let room = REFUSAL_HEAD - stderr_head.len();
                    stderr_head.extend_from_slice(&data[..room.min(data.len())]);
                }
            }
            sink(stream, data)
        };

        if command.contains('\0') {
            return Err(SshError::Channel { reason: "the command contains a NUL byte".to_owned() });
        }
        let session = self.open_session().await?;
        let limit = options.timeout.unwrap_or(self.command_timeout());
        let command = if options.as_root { self.root_command(command) } else { command.to_owned() };
        let exit = timeout(limit, self.drive(session, command, input, watch))
            .await
            .map_err(|_| SshError::Timeout { limit })??;

        // sudo refuses before the command can have printed anything.
        if options.as_root
            && !printed
            && let stderr = String::from_utf8_lossy(&stderr_head)
            && let Some(refusal) = privilege::refusal(&exit, &stderr, self.user())
        {
            return Err(refusal.into());
        }
        Ok(exit)
    }

    /// Run one command on a channel of its own, reading and writing at the same time: a command that
    /// waits for its output to be taken stops reading its input.
    async fn drive(
        &self,
        (channel, slot): (Channel<Msg>, OwnedSemaphorePermit),
        command: String,
        input: Input,
        mut sink: impl FnMut(Stream, &[u8]) -> Result<(), SshError> + Send,
    ) -> Result<Exit, SshError> {
        let (mut reader, writer) = channel.split();
        let mut remote = RemoteCommand { writer: Arc::new(writer), slot: Some(slot) };
        let writer = Arc::clone(&remote.writer);
        writer.exec(true, command).await.map_err(|_| self.ended())?;

        let mut feeding = true;
        let mut feed = pin!(feed(&writer, input));
        let mut exit = None;
        let mut output_complete = false;
        loop {
            let message = tokio::select! {
                message = reader.wait() => message,
                fed = &mut feed, if feeding => {
                    feeding = false;
                    fed?;
                    continue;
                }
            };
            match message {
                Some(ChannelMsg::Data { data }) => sink(Stream::Stdout, &data)?,
                Some(ChannelMsg::ExtendedData { data, ext: EXTENDED_DATA_STDERR }) => {
                    sink(Stream::Stderr, &data)?;
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    exit = Some(Exit::Code(exit_status.cast_signed()));
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    exit = Some(Exit::Signal(signal_text(signal_name)));
                }
                Some(ChannelMsg::Eof) => output_complete = true,
                Some(ChannelMsg::Failure) => {
                    let reason = "it does not allow commands; is there a ForceCommand or a \
                                  restricted key?";
                    return Err(SshError::Channel { reason: reason.to_owned() });
                }
                Some(ChannelMsg::Close) => {
                    remote.has_ended();
                    return exit.ok_or_else(|| SshError::Channel {
                        reason: "it closed the channel without an exit status".to_owned(),
                    });
                }
                // The connection is gone; that is no loss when everything had arrived.
                None if output_complete && exit.is_some() => {
                    return exit.ok_or_else(|| self.ended());
                }
                None => return Err(self.ended()),
                Some(_) => {}
            }
        }
    }
}

/// Write standard input and end it. A connection that fails meanwhile is noticed by the reading side.
async fn feed(writer: &ChannelWriteHalf<Msg>, input: Input) -> Result<(), SshError> {
    let sent = match input {
        Input::None => Ok(()),
        Input::Bytes(bytes) => writer.data_bytes(bytes).await,
        Input::Reader(mut reader) => {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(CHUNK);
                let read = reader.read_buf(&mut buffer).await;
                match read.map_err(|error| SshError::Input { reason: error.to_string() })? {
                    0 => break Ok(()),
                    _ => match writer.data_bytes(buffer.split().freeze()).await {
                        Ok(()) => {}
                        Err(error) => break Err(error),
                    },
                }
            }
        }
    };
    if sent.is_ok() {
        // As above.
        let _ = writer.eof().await;
    }
    Ok(())
}

fn signal_text(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => printable(&name).into_owned(),
        named => format!("{named:?}"),
    }
}

/// A command on the server. Dropped before its end (a limit, a cancelled future), it is asked to
/// terminate, and its session slot stays taken until that has been sent.
///
/// sshd delivers the signal for ordinary users only. When root is logged in, what ends the command is
/// the closed channel, once it prints or reads.
struct RemoteCommand {
    writer: Arc<ChannelWriteHalf<Msg>>,
    /// `None` once the command has ended.
    slot: Option<OwnedSemaphorePermit>,
}

impl RemoteCommand {
    fn has_ended(&mut self) {
        self.slot = None;
    }
}

impl Drop for RemoteCommand {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let writer = Arc::clone(&self.writer);
        runtime.spawn(async move {
            // Best effort: without a connection there is nobody to tell.
            let _ = writer.signal(Sig::TERM).await;
            let _ = writer.close().await;
            drop(slot);
        });
    }
}
