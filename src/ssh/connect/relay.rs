//! The bytes of a connection that runs through a jump host's connection.
//!
//! Everything that arrives is taken from the jump host's connection at once. Left in its channel it would hold up
//! everything else on that connection, and for good when the session that should take it waits for room to send, which
//! only the held-up connection can give it. How much can pile up here is bounded: a server that keeps to the windows it
//! was given has at most a few MiB on the way, and one that does not loses its connection, not that of its neighbours.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use crate::ssh::connection::Connection;

/// Most bytes that wait to be read: the windows of a good number of channels, 2 MiB each.
const BACKLOG: usize = 64 * 1024 * 1024;
/// What a waiting piece takes besides its bytes: many small ones are no way around the limit.
const PIECE: usize = 128;

/// A byte stream through a jump host.
pub(in crate::ssh) struct Relay {
    pieces: mpsc::UnboundedReceiver<io::Result<Bytes>>,
    /// The piece being read.
    current: Bytes,
    backlog: Arc<AtomicUsize>,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    /// The jump host's connection stays open as long as something runs through it.
    _via: Connection,
}

impl Relay {
    /// Relay over `channel`, which was opened on `via`.
    pub(in crate::ssh) fn new(channel: Channel<Msg>, via: Connection) -> Self {
        let (reader, writer) = channel.split();
        let (sender, pieces) = mpsc::unbounded_channel();
        let backlog = Arc::new(AtomicUsize::new(0));
        let output = Box::pin(writer.make_writer());
        tokio::spawn(pump(reader, writer, sender, Arc::clone(&backlog)));
        Self { pieces, current: Bytes::new(), backlog, writer: output, _via: via }
    }
}

/// Take what arrives until either side ends, then close the channel.
async fn pump(
    mut reader: ChannelReadHalf,
    writer: ChannelWriteHalf<Msg>,
    pieces: mpsc::UnboundedSender<io::Result<Bytes>>,
    backlog: Arc<AtomicUsize>,
) {
    loop {
        let message = tokio::select! {
            message = reader.wait() => message,
            () = pieces.closed() => break,
        };
        let piece = match message {
            Some(ChannelMsg::Data { data }) => data,
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => break,
            Some(_) => continue,
        };
        let waiting = backlog.fetch_add(piece.len() + PIECE, Ordering::Relaxed);
        let piece = if waiting > BACKLOG {
            Err(io::Error::other("the host sends more than it may"))
        } else {
            Ok(piece)
        };
        let failed = piece.is_err();
        // Fails when the relay is gone, which ends the loop above.
        let _ = pieces.send(piece);
        if failed {
            break;
        }
    }
    drop(pieces);
    // Fails when the jump host's connection has ended.
    let _ = writer.close().await;
}

impl AsyncRead for Relay {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // An empty piece would look like the end.
        while this.current.is_empty() {
            match ready!(this.pieces.poll_recv(cx)) {
                Some(piece) => {
                    this.current = piece?;
                    this.backlog.fetch_sub(this.current.len() + PIECE, Ordering::Relaxed);
                }
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = buffer.remaining().min(this.current.len());
        buffer.put_slice(&this.current[..length]);
        this.current.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Relay {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            // The channel takes an empty write for a mistake; to a stream it is nothing.
            return Poll::Ready(Ok(0));
        }
        self.writer.as_mut().poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(cx)
    }
}
