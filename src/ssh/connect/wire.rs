//! The bytes between the workstation and a server, whichever way they take: a socket, a channel of a jump host, a
//! process.
//!
//! A session that runs over a wire is a task of its own that nobody can stop from outside: it sees that it is not
//! wanted any more only between two packets. So a wire can be cut, and cuts itself when the peer takes nothing any more.
//! It knows nothing of SSH.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::proxy_command::Complaints;
use super::read_ahead::ReadAhead;

/// How much of what a server says first is kept for error messages.
const GREETING: usize = 256;

/// Bytes in both directions.
pub(in crate::ssh) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A byte stream that its [`Lifeline`] can cut.
pub(in crate::ssh) struct Wire {
    inner: Box<dyn ByteStream>,
    ahead: ReadAhead,
    /// Ready once the wire is cut.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How long the peer may take nothing.
    patience: Option<Duration>,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    greeting: Greeting,
    /// The room that it takes among those that are open.
    _room: Option<OwnedSemaphorePermit>,
    /// Tells the lifeline that the wire is gone.
    _ended: DropGuard,
}

/// What the server said first.
#[derive(Debug, Clone, Default)]
struct Greeting(Arc<Mutex<Vec<u8>>>);

/// Holds a [`Wire`]. Dropping it cuts the wire, which ends the session that runs over it and closes what is below.
#[derive(Debug)]
pub(in crate::ssh) struct Lifeline {
    cut: CancellationToken,
    ended: CancellationToken,
    greeting: Greeting,
    complaints: Option<Complaints>,
}

/// What came over a [`Wire`] and about it, all of it untrusted.
#[derive(Debug, Clone, Default)]
pub(in crate::ssh) struct Heard {
    /// The first bytes the server sent; empty when it has said nothing.
    pub(in crate::ssh) greeting: String,
    /// What the ProxyCommand on the way printed to standard error last; `None` where there is no such command.
    pub(in crate::ssh) complaints: Option<String>,
}

impl Wire {
    /// A wire over `inner`. With `patience` it fails when the peer takes nothing for so long while there is something to
    /// send: a session that waits for that sends no keepalives, which would notice a dead peer otherwise.
    pub(in crate::ssh) fn new(
        inner: impl ByteStream + 'static,
        patience: Option<Duration>,
    ) -> (Self, Lifeline) {
        let (cut, ended) = (CancellationToken::new(), CancellationToken::new());
        let greeting = Greeting::default();
        let wire = Self {
            inner: Box::new(inner),
            ahead: ReadAhead::default(),
            cut: Box::pin(cut.clone().cancelled_owned()),
            patience,
            stalled: None,
            greeting: greeting.clone(),
            _room: None,
            _ended: ended.clone().drop_guard(),
        };
        (wire, Lifeline { cut, ended, greeting, complaints: None })
    }

    /// The same, taking `room` until it is gone.
    pub(in crate::ssh) fn in_room(self, room: Option<OwnedSemaphorePermit>) -> Self {
        Self { _room: room, ..self }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// `polled`, unless the peer has been taking nothing for too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled.map_err(named);
        }
        let Some(patience) = self.patience else { return Poll::Pending };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(named(io::ErrorKind::TimedOut.into())))
    }
}

/// The error of a peer that takes nothing, whoever is the first to notice: the wire, or the kernel (TCP_USER_TIMEOUT).
fn named(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => {
            io::Error::new(error.kind(), "the host takes nothing of what is sent to it")
        }
        _ => error,
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Lifeline {
    /// Cut the wire now.
    pub(in crate::ssh) fn cut(&self) {
        self.cut.cancel();
    }

    /// Wait until whoever had the wire has dropped it.
    pub(in crate::ssh) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// The same for a wire over a process that complains.
    pub(in crate::ssh) fn with_complaints(mut self, complaints: Complaints) -> Self {
        self.complaints = Some(complaints);
        self
    }

    /// What was heard so far. Last words are waited for, but not for long.
    pub(in crate::ssh) async fn heard(&self) -> Heard {
        let complaints = match &self.complaints {
            Some(complaints) => Some(complaints.last().await),
            None => None,
        };
        let greeting = self.greeting.0.lock().unwrap_or_else(PoisonError::into_inner);
        Heard { greeting: String::from_utf8_lossy(&greeting).into_owned(), complaints }
    }
}

impl Greeting {
    fn hear(&self, data: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = GREETING - kept.len();
        kept.extend_from_slice(&data[..room.min(data.len())]);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(cx)?;
        let before = buffer.filled().len();
        ready!(this.ahead.poll_read(Pin::new(&mut this.inner), cx, buffer)).map_err(named)?;
        this.greeting.hear(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.poll_cut(cx)?;
        let polled = Pin::new(&mut this.inner).poll_write(cx, data);
        this.watch(cx, polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(cx)?;
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.watch(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(cx)?;
        let polled = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.watch(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test]
    async fn a_cut_wire_fails_whoever_waits_on_it() {
        let (near, _far) = duplex(16);
        let (mut wire, lifeline) = Wire::new(near, None);
        let reading = tokio::spawn(async move { wire.read_u8().await });
        tokio::task::yield_now().await;
        drop(lifeline);
        let error = reading.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn the_lifeline_sees_the_end() {
        let (near, _far) = duplex(16);
        let (wire, lifeline) = Wire::new(near, None);
        let soon = Duration::from_millis(20);
        assert!(timeout(soon, lifeline.ended()).await.is_err());
        drop(wire);
        timeout(soon, lifeline.ended()).await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let patience = Duration::from_millis(500);
        let (near, mut far) = duplex(16);
        let (mut wire, _lifeline) = Wire::new(near, Some(patience));
        let begun = Instant::now();
        let writing = tokio::spawn(async move { wire.write_all(&[0; 100]).await });
        // Taking something buys time.
        sleep(Duration::from_millis(300)).await;
        far.read_exact(&mut [0; 16]).await.unwrap();
        let error = writing.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= Duration::from_millis(800), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn the_beginning_is_kept() {
        let (near, mut far) = duplex(1024);
        let (mut wire, lifeline) = Wire::new(near, None);
        far.write_all(&[b'x'; 1000]).await.unwrap();
        wire.read_exact(&mut [0; 1000]).await.unwrap();
        assert_eq!(lifeline.heard().await.greeting, "x".repeat(GREETING));
    }
}
