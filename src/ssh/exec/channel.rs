//! One command on a channel of its own: standard input goes out while output comes in.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Pty, Sig};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use crate::report::printable;
use crate::ssh::connection::Connection;
use crate::ssh::error::{PrivilegeError, SshError};
use crate::ssh::secrets::Candidate;

use super::dialogue::Dialogue;
use super::feed::{self, Turns};
use super::password::Password;
use super::{Exit, Input, Stream};

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
    /// There is standard input.
    pub(super) input: bool,
    /// Send it before the command says that it has begun.
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
        let Start { request, terminal, input: has_input, feed_at_once, candidate } = start;
        let (mut reader, writer) = channel.split();
        let mut remote = RemoteCommand { writer: Arc::new(writer), slot: Some(slot) };
        let writer = Arc::clone(&remote.writer);
        if terminal {
            let asked = writer.request_pty(true, "dumb", 80, 24, 0, 0, &RAW).await;
            asked.map_err(|_| self.ended())?;
        }
        writer.exec(true, request).await.map_err(|_| self.ended())?;

        let turns = Turns::new();
        let begin_feeding = |input: &mut Input| -> Feeding<'_> {
            match (terminal, has_input) {
                (false, _) => Box::pin(feed::to_channel(&writer, input.again())),
                (true, true) => Box::pin(feed::to_terminal(&writer, input.again(), &turns)),
                // The script does not read.
                (true, false) => Box::pin(std::future::ready(Ok(()))),
            }
        };
        let mut feeding = feed_at_once.then(|| begin_feeding(input));
        let mut password = Password::new(candidate);
        let mut terminal_wanted = terminal;
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
            let (stream, data) = match Message::from(message) {
                Message::Output(stream, data) => (stream, data),
                Message::Exit(status) => {
                    exit.get_or_insert(status);
                    continue;
                }
                Message::OutputComplete => {
                    output_complete = true;
                    continue;
                }
                // The first answer is that to the first request.
                Message::Granted => {
                    terminal_wanted = false;
                    continue;
                }
                Message::Refused if terminal_wanted => {
                    return Err(PrivilegeError::NoTerminal.into());
                }
                Message::Refused => {
                    let reason = "it does not allow commands; is there a ForceCommand or a \
                                  restricted key?";
                    return Err(SshError::Channel { reason: reason.to_owned() });
                }
                Message::Closed => {
                    remote.has_ended();
                    let without = "it closed the channel without an exit status".to_owned();
                    let exit = exit.ok_or(SshError::Channel { reason: without })?;
                    return ended(dialogue, exit, password);
                }
                Message::Lost => match exit {
                    // That is no loss when everything had arrived.
                    Some(exit) if output_complete => return ended(dialogue, exit, password),
                    _ => return Err(self.ended()),
                },
                Message::Other => continue,
            };
            let news = dialogue.receive(stream, &data, &mut sink)?;
            if news.prompt {
                let Some(line) = password.line() else {
                    return Ok(Ended::NotBegun { exit: None, tried: password.tried() });
                };
                writer.data_bytes(line).await.map_err(|_| self.ended())?;
            }
            if news.begun {
                password.worked();
                if !feed_at_once {
                    feeding = Some(begin_feeding(input));
                }
            }
            if news.input_wanted {
                turns.ask();
            }
            if let Some(status) = news.exit {
                exit = Some(status);
                turns.end();
            }
        }
    }
}

/// What the server says on a channel, as far as it matters here.
enum Message {
    Output(Stream, Bytes),
    Exit(Exit),
    OutputComplete,
    Granted,
    Refused,
    Closed,
    /// The connection is gone.
    Lost,
    Other,
}

impl From<Option<ChannelMsg>> for Message {
    fn from(message: Option<ChannelMsg>) -> Self {
        match message {
            Some(ChannelMsg::Data { data }) => Self::Output(Stream::Stdout, data),
            Some(ChannelMsg::ExtendedData { data, ext: EXTENDED_DATA_STDERR }) => {
                Self::Output(Stream::Stderr, data)
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                Self::Exit(Exit::Code(exit_status.cast_signed()))
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                Self::Exit(Exit::Signal(signal_text(signal_name)))
            }
            Some(ChannelMsg::Eof) => Self::OutputComplete,
            Some(ChannelMsg::Success) => Self::Granted,
            Some(ChannelMsg::Failure) => Self::Refused,
            Some(ChannelMsg::Close) => Self::Closed,
            None => Self::Lost,
            Some(_) => Self::Other,
        }
    }
}

fn ended(dialogue: &Dialogue, exit: Exit, password: Password) -> Result<Ended, SshError> {
    if !dialogue.begun() {
        return Ok(Ended::NotBegun { exit: Some(exit), tried: password.tried() });
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
