//! Byte streams through a connection, for whoever talks to a service beside the server.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelOpenFailure, ChannelStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connection, NotOpened};
use crate::ssh::error::{SshError, TunnelError};
use crate::ssh::known_hosts::endpoint;

/// How long the server may take to connect where a tunnel leads.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// A byte stream through a connection.
pub struct Tunnel {
    stream: ChannelStream<Msg>,
    _connection: Connection,
}

impl Connection {
    /// A byte stream to `host`:`port` as seen from the server. It keeps the connection open.
    ///
    /// A tunnel that is not read from holds up everything else on the connection once a few MiB are
    /// waiting in it.
    pub async fn tunnel(&self, host: &str, port: u16) -> Result<Tunnel, SshError> {
        self.tunnel_within(host, port, OPEN_TIMEOUT).await
    }

    /// As [`Self::tunnel`], where the server may take so long to connect.
    ///
    /// # Errors
    /// The server cannot connect there, may not, or does not say within `limit` whether it can.
    pub async fn tunnel_within(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<Tunnel, SshError> {
        let kind = match self.open_direct(host, port, limit).await {
            Ok(channel) => {
                return Ok(Tunnel { stream: channel.into_stream(), _connection: self.clone() });
            }
            Err(NotOpened::Refused(reason)) => match reason {
                ChannelOpenFailure::ConnectFailed => TunnelError::Refused,
                ChannelOpenFailure::AdministrativelyProhibited => TunnelError::Prohibited,
                other => TunnelError::Other(other.description().to_owned()),
            },
            Err(NotOpened::Silent) => TunnelError::Silent(limit),
            Err(NotOpened::Lost(error)) => return Err(error),
        };
        Err(SshError::Tunnel { target: endpoint(host, port), kind })
    }
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
