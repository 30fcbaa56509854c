//! An established connection: shared, watched, and able to open channels.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client::{DisconnectReason, Handle, Handler, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelOpenFailure, ChannelStream, Disconnect};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::error::{HostKeyError, SshError, TunnelError};
use super::known_hosts::{HostKeys, endpoint};
use super::settings::Settings;
use crate::inventory::Become;
use crate::report::printable;

/// Commands at once on one connection: fewer than sshd's MaxSessions, which is 10 by default.
const MAX_SESSIONS: usize = 8;

/// Pauses in milliseconds before asking again for a session that was refused.
const OPEN_RETRIES: [u64; 8] = [10, 20, 50, 100, 200, 500, 1000, 2000];

/// How long a host may take to read the goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to one host. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    handle: Handle<Client>,
    ending: Ending,
    sessions: Arc<Semaphore>,
    endpoint: String,
    user: String,
    connect_time: Duration,
    command_timeout: Duration,
    become_root: Become,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}@{})", self.0.user, self.0.endpoint)
    }
}

impl Connection {
    pub(super) fn new(
        handle: Handle<Client>,
        ending: Ending,
        endpoint: String,
        user: String,
        connect_time: Duration,
        settings: &Settings,
    ) -> Self {
        Self(Arc::new(Inner {
            handle,
            ending,
            sessions: Arc::new(Semaphore::new(MAX_SESSIONS)),
            endpoint,
            user,
            connect_time,
            command_timeout: settings.command_timeout.value,
            become_root: settings.become_root.value,
        }))
    }

    /// `address:port` of the server.
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// How long it took from dialling to being logged in.
    pub fn connect_time(&self) -> Duration {
        self.0.connect_time
    }

    /// The login user.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// How the login user becomes root.
    pub fn become_root(&self) -> Become {
        self.0.become_root
    }

    /// True once the connection has ended, for whatever reason.
    pub fn is_closed(&self) -> bool {
        self.0.handle.is_closed()
    }

    /// End the connection now. Commands still running on it fail with [`SshError::Lost`].
    pub async fn close(&self) {
        self.0.ending.record("closed by fleetadm");
        let goodbye = self.0.handle.disconnect(Disconnect::ByApplication, "", "en");
        // It has ended already, or the host does not take anything any more: then the goodbye is not
        // worth waiting for.
        let _ = timeout(GOODBYE_TIMEOUT, goodbye).await;
    }

    /// A byte stream to `host`:`port` as seen from the server. It keeps the connection open.
    ///
    /// A tunnel that is not read from holds up everything else on the connection once a few MiB are
    /// waiting in it.
    pub async fn tunnel(&self, host: &str, port: u16) -> Result<Tunnel, SshError> {
        let opened =
            self.0.handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0).await;
        let kind = match opened {
            Ok(channel) => {
                return Ok(Tunnel { stream: channel.into_stream(), _connection: self.clone() });
            }
            Err(russh::Error::ChannelOpenFailure(reason)) => match reason {
                ChannelOpenFailure::ConnectFailed => TunnelError::Refused,
                ChannelOpenFailure::AdministrativelyProhibited => TunnelError::Prohibited,
                other => TunnelError::Other(printable(other.description()).into_owned()),
            },
            Err(error) => return Err(self.lost(&error)),
        };
        Err(SshError::Tunnel { target: endpoint(host, port), kind })
    }

    pub(super) fn command_timeout(&self) -> Duration {
        self.0.command_timeout
    }

    /// Wait for a free session slot.
    pub(super) async fn session_slot(&self) -> Result<OwnedSemaphorePermit, SshError> {
        Arc::clone(&self.0.sessions).acquire_owned().await.map_err(|_| self.ended())
    }

    /// Open a session channel.
    ///
    /// sshd counts a session until it has cleaned up after it, some time after the client saw it end;
    /// a refusal may be gone a moment later.
    pub(super) async fn open_session(&self) -> Result<Channel<Msg>, SshError> {
        let mut delays = OPEN_RETRIES.map(Duration::from_millis).into_iter();
        loop {
            let reason = match self.0.handle.channel_open_session().await {
                Ok(channel) => return Ok(channel),
                Err(russh::Error::ChannelOpenFailure(reason)) => reason,
                Err(error) => return Err(self.lost(&error)),
            };
            match (&reason, delays.next()) {
                (
                    ChannelOpenFailure::ConnectFailed | ChannelOpenFailure::ResourceShortage,
                    Some(delay),
                ) => sleep(delay).await,
                _ => {
                    return Err(SshError::Channel {
                        reason: format!(
                            "no session channel ({}); is MaxSessions in its sshd_config below 10?",
                            printable(reason.description())
                        ),
                    });
                }
            }
        }
    }

    /// The connection is gone.
    pub(super) fn ended(&self) -> SshError {
        self.lost(&russh::Error::Disconnect)
    }

    fn lost(&self, error: &russh::Error) -> SshError {
        let reason = match (self.0.ending.reason(), error) {
            (Some(reason), _) => reason.to_owned(),
            (None, russh::Error::Disconnect | russh::Error::SendError) => CLOSED.to_owned(),
            (None, error) => error.to_string(),
        };
        SshError::Lost { reason }
    }
}

const CLOSED: &str = "the server closed it; did the host reboot, or sshd restart?";

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

/// A byte stream through a connection.
pub struct Tunnel {
    stream: ChannelStream<Msg>,
    _connection: Connection,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tunnel({:?})", self._connection)
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            // The channel takes an empty write for a mistake; to a stream it is nothing.
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What russh calls back during a connection.
pub(super) struct Client {
    host_keys: HostKeys,
    ending: Ending,
}

impl Client {
    pub(super) fn new(host_keys: HostKeys, ending: Ending) -> Self {
        Self { host_keys, ending }
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
        // Certificates are never asked for; should one come, its key must be known like any other.
        self.host_keys.verify(&key.public_key())?;
        Ok(true)
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
                format!("the server closed it: {}", printable(&info.message))
            }
            DisconnectReason::Error(ClientError::Protocol(russh::Error::KeepaliveTimeout)) => {
                "the host stopped answering keepalives; is it down, or the network?".to_owned()
            }
            DisconnectReason::Error(ClientError::Protocol(
                russh::Error::Disconnect | russh::Error::HUP,
            )) => CLOSED.to_owned(),
            DisconnectReason::Error(ClientError::Protocol(russh::Error::IO(error))) => {
                format!("{error}; did the host reboot, or sshd restart?")
            }
            DisconnectReason::Error(error) => error.to_string(),
        });
        Ok(())
    }
}
