//! An established connection: shared, watched, and able to open channels.

pub(super) mod sessions;
pub(super) mod stream;
pub(super) mod tunnel;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use russh::client::{DisconnectReason, Handle, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelOpenFailure, Disconnect};
use tokio::runtime;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use super::auth::Banner;
use super::connect::wire::Lifeline;
use super::connection::sessions::Sessions;
use super::error::{HostKeyError, SshError};
use super::exec::Marks;
use super::known_hosts::HostKeyCheck;
use super::privilege::Privilege;
use super::settings::Settings;
use crate::report::printable_line;

/// Pauses in milliseconds before asking again for a session that was refused: the first ones for a server that has not
/// cleaned up after the one before, the others where no session is open whose end would make room.
const OPEN_RETRIES: ([u64; 4], [u64; 4]) = ([10, 20, 50, 100], [200, 500, 1000, 2000]);

/// How long the server may take to say whether there is room for a session.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an answer that nobody waits for any more is waited for, to close what it opens.
const LATE_ANSWER: Duration = Duration::from_secs(180);

/// How long a host may take to read the goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Most characters of what a server says that go into an error message.
pub(super) const QUOTED: usize = 200;

/// A connection to one host. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

/// A connection that is there as long as somebody else has it.
#[derive(Clone)]
pub(super) struct WeakConnection(Weak<Inner>);

struct Inner {
    handle: Handle<Client>,
    ending: Ending,
    /// `None` only while it is being dropped.
    lifeline: Option<Lifeline>,
    /// The jump host's connection that this one runs through.
    via: Option<Connection>,
    sessions: Sessions,
    endpoint: String,
    user: String,
    command_timeout: Duration,
    privilege: Privilege,
    marks: Marks,
}

/// What a connection is made from besides its settings.
pub(super) struct Parts {
    pub(super) handle: Handle<Client>,
    pub(super) ending: Ending,
    pub(super) lifeline: Lifeline,
    pub(super) via: Option<Connection>,
    pub(super) endpoint: String,
    pub(super) user: String,
    pub(super) privilege: Privilege,
}

/// Why there is no channel.
pub(super) enum NotOpened {
    /// The server said no.
    Refused(ChannelOpenFailure),
    /// The server said nothing for as long as it may.
    Silent,
    /// The connection is gone.
    Lost(SshError),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}@{})", self.0.user, self.0.endpoint)
    }
}

impl fmt::Debug for WeakConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakConnection")
    }
}

impl WeakConnection {
    pub(super) fn upgrade(&self) -> Option<Connection> {
        self.0.upgrade().map(Connection)
    }
}

impl Connection {
    pub(super) fn downgrade(&self) -> WeakConnection {
        WeakConnection(Arc::downgrade(&self.0))
    }

    pub(super) fn new(parts: Parts, settings: &Settings) -> Self {
        Self(Arc::new(Inner {
            handle: parts.handle,
            ending: parts.ending,
            lifeline: Some(parts.lifeline),
            via: parts.via,
            sessions: Sessions::new(),
            endpoint: parts.endpoint,
            user: parts.user,
            command_timeout: settings.command_timeout.value,
            privilege: parts.privilege,
            marks: Marks::random(),
        }))
    }

    /// `address:port` of the server.
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// The login user.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// True once the connection has ended, for whatever reason.
    pub fn is_closed(&self) -> bool {
        self.0.handle.is_closed()
    }

    /// End the connection now. Commands still running on it fail with [`SshError::Lost`].
    pub async fn close(&self) {
        self.0.ending.record(CLOSED_HERE);
        let goodbye = async {
            // It has ended already where that fails.
            let _ = self.0.handle.disconnect(Disconnect::ByApplication, "", "en").await;
            if let Some(lifeline) = &self.0.lifeline {
                lifeline.ended().await;
            }
        };
        // A host that does not take anything any more is not worth waiting for.
        if timeout(GOODBYE_TIMEOUT, goodbye).await.is_err()
            && let Some(lifeline) = &self.0.lifeline
        {
            lifeline.cut();
        }
    }

    /// How the login user becomes somebody else.
    pub(super) fn privilege(&self) -> &Privilege {
        &self.0.privilege
    }

    /// What tells a command's output from what else is printed.
    pub(super) fn marks(&self) -> &Marks {
        &self.0.marks
    }

    pub(super) fn command_timeout(&self) -> Duration {
        self.0.command_timeout
    }

    /// Open a session channel, as soon as there is room for one. The slot is to be kept until its end.
    ///
    /// sshd counts a session until it has cleaned up after it, some time after the client saw it end;
    /// a refusal may be gone a moment later.
    pub(super) async fn open_session(
        &self,
    ) -> Result<(Channel<Msg>, OwnedSemaphorePermit), SshError> {
        let request =
            |connection: Self| async move { connection.0.handle.channel_open_session().await };
        let mut slot = self.session_slot().await?;
        let millis = Duration::from_millis;
        let mut soon = OPEN_RETRIES.0.map(millis).into_iter();
        let mut later = OPEN_RETRIES.1.map(millis).into_iter();
        loop {
            let refusal = match self.open(OPEN_TIMEOUT, request).await {
                Ok(channel) => return Ok((channel, slot)),
                Err(NotOpened::Refused(reason)) => reason,
                Err(NotOpened::Silent) => {
                    let limit = OPEN_TIMEOUT.as_secs();
                    let reason = format!("no answer within {limit} s; is the host overloaded?");
                    return Err(SshError::Channel { reason });
                }
                Err(NotOpened::Lost(error)) => return Err(error),
            };
            let may_pass = matches!(
                refusal,
                ChannelOpenFailure::ConnectFailed | ChannelOpenFailure::ResourceShortage
            );
            if may_pass && let Some(delay) = soon.next() {
                sleep(delay).await;
                continue;
            }
            slot = match self.0.sessions.refused(slot) {
                None if may_pass => {
                    soon = OPEN_RETRIES.0.map(millis).into_iter();
                    self.session_slot().await?
                }
                Some(slot) if may_pass && let Some(delay) = later.next() => {
                    sleep(delay).await;
                    slot
                }
                _ => {
                    return Err(SshError::Channel {
                        reason: format!(
                            "no session channel ({}); does its sshd_config allow sessions (MaxSessions)?",
                            refusal.description()
                        ),
                    });
                }
            };
        }
    }

    /// Wait until the server has shown that it has room for one session only, and another one is wanted.
    pub(super) async fn crowded(&self) {
        self.0.sessions.crowded().await;
    }

    async fn session_slot(&self) -> Result<OwnedSemaphorePermit, SshError> {
        self.0.sessions.slot().await.map_err(|_| self.ended())
    }

    /// Open a channel to `host`:`port` as seen from the server.
    pub(super) async fn open_direct(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<Channel<Msg>, NotOpened> {
        let (host, port) = (host.to_owned(), u32::from(port));
        self.open(limit, |connection| async move {
            connection.0.handle.channel_open_direct_tcpip(host, port, "127.0.0.1", 0).await
        })
        .await
    }

    /// Open a channel within `limit`. One that opens after that, or when the caller has gone, is closed again.
    async fn open<F>(
        &self,
        limit: Duration,
        request: impl FnOnce(Self) -> F,
    ) -> Result<Channel<Msg>, NotOpened>
    where
        F: Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
    {
        match timeout(limit, Opening(Some(Box::pin(request(self.clone()))))).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(NotOpened::Refused(reason)),
            Ok(Err(error)) => Err(NotOpened::Lost(self.lost(&error))),
            Err(_) => Err(NotOpened::Silent),
        }
    }

    /// The connection is gone.
    pub(super) fn ended(&self) -> SshError {
        self.lost(&russh::Error::Disconnect)
    }

    fn lost(&self, error: &russh::Error) -> SshError {
        let reason = match (self.ending(), error) {
            (Some(reason), _) => reason,
            (None, russh::Error::Disconnect | russh::Error::SendError) => CLOSED.to_owned(),
            (None, error) => error.to_string(),
        };
        SshError::Lost { reason }
    }

    /// Why it ended, as far as is known. What a jump host took with it did not end by itself.
    fn ending(&self) -> Option<String> {
        let own = self.0.ending.reason();
        let via = self.0.via.as_ref().filter(|via| own != Some(CLOSED_HERE) && via.is_closed());
        let reason = via.map(|via| {
            let reason = via.ending().unwrap_or_else(|| CLOSED.to_owned());
            format!("the jump host {} was lost: {reason}", via.endpoint())
        });
        reason.or_else(|| own.map(str::to_owned))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The session ends by itself once the last command has been told to, unless the host takes nothing any more.
        let Some(lifeline) = self.lifeline.take() else { return };
        if let Ok(runtime) = runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Late or not, it is cut after that.
                let _ = timeout(GOODBYE_TIMEOUT, lifeline.ended()).await;
            });
        }
    }
}

/// A channel that has been asked for. Where nobody waits for the answer any more, what it opens is closed again.
struct Opening(Option<BoxFuture<'static, Result<Channel<Msg>, russh::Error>>>);

impl Future for Opening {
    type Output = Result<Channel<Msg>, russh::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = &mut self.0 else { return Poll::Pending };
        let opened = ready!(answer.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(opened)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let Some(answer) = self.0.take() else { return };
        let Ok(runtime) = runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Ok(Ok(channel)) = timeout(LATE_ANSWER, answer).await {
                // Fails where the connection has ended.
                let _ = channel.close().await;
            }
        });
    }
}

pub(super) const CLOSED: &str = "the server closed it; did the host reboot, or sshd restart?";
pub(super) const CLOSED_HERE: &str = "closed by fleetadm";

/// Why a connection ended, recorded once by whoever knows first.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending(Arc<OnceLock<String>>);

impl Ending {
    pub(super) fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    fn record(&self, reason: impl Into<String>) {
        // The first reason is the cause, later ones are consequences.
        let _ = self.0.set(reason.into());
    }
}

/// What russh calls back during a connection.
pub(super) struct Client {
    host_key: HostKeyCheck,
    ending: Ending,
    banner: Banner,
}

impl Client {
    pub(super) fn new(host_key: HostKeyCheck, ending: Ending, banner: Banner) -> Self {
        Self { host_key, ending, banner }
    }
}

/// Errors that end a connection from inside.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    #[error(transparent)]
    Protocol(#[from] russh::Error),
}

impl Handler for Client {
    type Error = ClientError;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        self.host_key.check(key).await?;
        Ok(true)
    }

    async fn auth_banner(
        &mut self,
        banner: &str,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.banner.hear(banner);
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        self.ending.record(match reason {
            DisconnectReason::ReceivedDisconnect(info) if info.message.is_empty() => {
                CLOSED.to_owned()
            }
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the server closed it: {}", printable_line(&info.message, QUOTED))
            }
            DisconnectReason::Error(ClientError::Protocol(russh::Error::KeepaliveTimeout)) => {
                "the host stopped answering keepalives; is it down, or the network?".to_owned()
            }
            DisconnectReason::Error(ClientError::Protocol(
                russh::Error::Disconnect | russh::Error::HUP,
            )) => CLOSED.to_owned(),
            DisconnectReason::Error(ClientError::Protocol(russh::Error::IO(error)))
                if error.kind() == io::ErrorKind::TimedOut =>
            {
                format!("{error}; is it down, or the network?")
            }
            DisconnectReason::Error(ClientError::Protocol(russh::Error::IO(error))) => {
                format!("{error}; did the host reboot, or sshd restart?")
            }
            DisconnectReason::Error(ClientError::Protocol(error)) => {
                printable_line(&error.to_string(), QUOTED)
            }
            DisconnectReason::Error(error) => error.to_string(),
        });
        Ok(())
    }
}
