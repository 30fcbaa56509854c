//! One command on a channel of its own: standard input goes out while output comes in.

use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Pty, Sig};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

use crate::report::printable;
use crate::ssh::connection::Connection;
use crate::ssh::error::{PrivilegeError, SshError};
use crate::ssh::secrets::Candidate;

use super::dialogue::Dialogue;
use super::{Exit, Input, Stream};

/// Piece size when standard input comes from a reader.
const CHUNK: usize = 128 * 1024;
/// Bytes of standard input on one line to a terminal, which may be limited to 4095 characters. A multiple of three: only
/// the last line may be padded.
const TERMINAL_LINE: usize = 2304;
/// Lines to a terminal in one piece.
const TERMINAL_LINES: usize = 28;
/// SSH's number for standard error among extended data.
const EXTENDED_DATA_STDERR: u32 = 1;

/// A terminal that changes nothing on the way and echoes nothing.
const RAW: [(Pty, u32); 13] = [
    (Pty::ECHO, 0),
    (Pty::ECHONL, 0),
    (Pty::ICANON, 0),
    (Pty::ISIG, 0),
    (Pty::IEXTEN, 0),
    (Pty::OPOST, 0),
    (Pty::ICRNL, 0),
    (Pty::INLCR, 0),
    (Pty::IGNCR, 0),
    (Pty::ISTRIP, 0),
    (Pty::IXON, 0),
    (Pty::IXOFF, 0),
    (Pty::CS8, 1),
];

/// Standard input being written.
type Feeding<'a> = Pin<Box<dyn Future<Output = Result<(), SshError>> + Send + 'a>>;

/// How a command is started.
pub(super) struct Start {
    pub(super) request: String,
    /// On a terminal.
    pub(super) terminal: bool,
    /// Send standard input before the command says that it has begun.
    pub(super) feed_at_once: bool,
    /// What to answer to the first prompt.
    pub(super) candidate: Option<Candidate>,
}

/// How a run ended.
pub(super) enum Ended {
    /// The command ran.
    Exit(Exit),
    /// The command did not begin.
    NotBegun {
        /// How whatever ran in its place ended; `None` where it asked for a password once more.
        exit: Option<Exit>,
        /// The password that was sent.
        tried: Option<Candidate>,
    },
}

impl Connection {
    /// Run one command, reading and writing at the same time: a command that waits for its output to be taken stops
    /// reading its input.
    pub(super) async fn drive(
        &self,
        (channel, slot): (Channel<Msg>, OwnedSemaphorePermit),
        start: Start,
        dialogue: &mut Dialogue,
        input: &mut Input,
        mut sink: impl FnMut(Stream, &[u8]) -> Result<(), SshError> + Send,
    ) -> Result<Ended, SshError> {
        let Start { request, terminal, feed_at_once, mut candidate } = start;
        let (mut reader, writer) = channel.split();
        let mut remote = RemoteCommand { writer: Arc::new(writer), slot: Some(slot) };
        let writer = Arc::clone(&remote.writer);
        if terminal {
            let asked = writer.request_pty(true, "dumb", 80, 24, 0, 0, &RAW).await;
            asked.map_err(|_| self.ended())?;
        }
        writer.exec(true, request).await.map_err(|_| self.ended())?;

        let begin_feeding =
            |input: &mut Input| -> Feeding<'_> { Box::pin(feed(&writer, input.again(), terminal)) };
        let mut feeding = feed_at_once.then(|| begin_feeding(input));
        let mut terminal_wanted = terminal;
        let mut sent = false;
        let mut exit = None;
        let mut output_complete = false;
        loop {
            let message = tokio::select! {
                message = reader.wait() => message,
                fed = until_fed(&mut feeding) => {
                    feeding = None;
                    fed?;
                    continue;
                }
            };
            let (stream, data) = match message {
                Some(ChannelMsg::Data { data }) => (Stream::Stdout, data),
                Some(ChannelMsg::ExtendedData { data, ext: EXTENDED_DATA_STDERR }) => {
                    (Stream::Stderr, data)
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    exit.get_or_insert(Exit::Code(exit_status.cast_signed()));
                    continue;
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    exit.get_or_insert(Exit::Signal(signal_text(signal_name)));
                    continue;
                }
                Some(ChannelMsg::Eof) => {
                    output_complete = true;
                    continue;
                }
                Some(ChannelMsg::Success) => {
                    // The first answer is that to the first request.
                    terminal_wanted = false;
                    continue;
                }
                Some(ChannelMsg::Failure) if terminal_wanted => {
                    return Err(PrivilegeError::NoTerminal.into());
                }
                Some(ChannelMsg::Failure) => {
                    let reason = "it does not allow commands; is there a ForceCommand or a \
                                  restricted key?";
                    return Err(SshError::Channel { reason: reason.to_owned() });
                }
                Some(ChannelMsg::Close) => {
                    remote.has_ended();
                    let Some(exit) = exit else {
                        return Err(SshError::Channel {
                            reason: "it closed the channel without an exit status".to_owned(),
                        });
                    };
                    return ended(dialogue, exit, candidate.filter(|_| sent));
                }
                // The connection is gone; that is no loss when everything had arrived.
                None => match exit {
                    Some(exit) if output_complete => {
                        return ended(dialogue, exit, candidate.filter(|_| sent));
                    }
                    _ => return Err(self.ended()),
                },
                Some(_) => continue,
            };
            let news = dialogue.receive(stream, &data, &mut sink)?;
            if news.prompt {
                match &candidate {
                    Some(password) if !sent => {
                        sent = true;
                        let line = password_line(password);
                        writer.data_bytes(line).await.map_err(|_| self.ended())?;
                    }
                    _ => return Ok(Ended::NotBegun { exit: None, tried: candidate }),
                }
            }
            if news.begun {
                // Not asked for, it is nobody's turn any longer.
                if let Some(accepted) = candidate.take().filter(|_| sent) {
                    accepted.accepted();
                }
                if !feed_at_once {
                    feeding = Some(begin_feeding(input));
                }
            }
            if let Some(code) = news.exit {
                exit = Some(code);
                // The script on the terminal ends with its input, whatever the command wanted of it.
                if feeding.is_some() {
                    feeding = Some(Box::pin(end_lines(&writer)));
                }
            }
        }
    }
}

fn ended(dialogue: &Dialogue, exit: Exit, tried: Option<Candidate>) -> Result<Ended, SshError> {
    if !dialogue.begun() {
        return Ok(Ended::NotBegun { exit: Some(exit), tried });
    }
    dialogue.check_end().map(|()| Ended::Exit(exit))
}

/// Wait for standard input to be written; for ever where nothing is being written.
async fn until_fed(feeding: &mut Option<Feeding<'_>>) -> Result<(), SshError> {
    match feeding {
        Some(feeding) => feeding.await,
        None => std::future::pending().await,
    }
}

/// What is typed, gone from memory once it has been sent.
fn password_line(password: &SecretString) -> Bytes {
    let mut line = Zeroizing::new(Vec::with_capacity(password.expose_secret().len() + 1));
    line.extend_from_slice(password.expose_secret().as_bytes());
    line.push(b'\n');
    Bytes::from_owner(line)
}

/// Write standard input and end it. A connection that fails meanwhile is noticed by the reading side.
async fn feed(
    writer: &ChannelWriteHalf<Msg>,
    input: Input,
    terminal: bool,
) -> Result<(), SshError> {
    let send = async |piece: Bytes| {
        if terminal { send_lines(writer, &piece).await } else { writer.data_bytes(piece).await }
    };
    let sent = match input {
        Input::None => Ok(()),
        Input::Bytes(bytes) => send(bytes).await,
        Input::Reader(mut reader) => {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(CHUNK);
                let read = reader.read_buf(&mut buffer).await;
                let read = read.map_err(|error| SshError::Input { reason: error.to_string() })?;
                // Padding belongs at the end of base64 only.
                let kept = if terminal && read > 0 { buffer.len() % 3 } else { 0 };
                let piece = buffer.split_to(buffer.len() - kept).freeze();
                let sent = send(piece).await;
                if read == 0 || sent.is_err() {
                    break sent;
                }
            }
        }
    };
    if sent.is_ok() {
        // As above.
        if terminal {
            return end_lines(writer).await;
        }
        let _ = writer.eof().await;
    }
    Ok(())
}

/// End what may be in the middle of a line. BusyBox' sed looks at a line only when it has seen the next.
async fn end_lines(writer: &ChannelWriteHalf<Msg>) -> Result<(), SshError> {
    // As above.
    let _ = writer.data_bytes(Bytes::from_static(b"\n.\n.\n")).await;
    Ok(())
}

/// Write lines of base64.
async fn send_lines(writer: &ChannelWriteHalf<Msg>, data: &[u8]) -> Result<(), russh::Error> {
    for piece in data.chunks(TERMINAL_LINE * TERMINAL_LINES) {
        let mut lines = String::new();
        for line in piece.chunks(TERMINAL_LINE) {
            STANDARD.encode_string(line, &mut lines);
            lines.push('\n');
        }
        writer.data_bytes(lines).await?;
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
/// sshd delivers the signal for ordinary users only. When root is logged in or the command has become root, what ends
/// it is the closed channel: at once on a terminal, otherwise once it prints or reads.
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
