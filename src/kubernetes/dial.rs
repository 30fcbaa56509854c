//! How a request reaches a node: a byte stream to an address as seen from that node.
//!
//! The transport itself (an SSH channel, a socket) belongs to the caller; this module only fits it
//! under an HTTP client.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// An owned byte stream of any transport.
pub type BoxStream = Box<dyn ByteStream>;

/// Opens byte streams to addresses as the far side sees them.
///
/// Implemented by every `Fn(String, u16) -> impl Future<Output = io::Result<impl ByteStream>>`.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Open a stream to `host:port`.
    async fn dial(&self, host: &str, port: u16) -> io::Result<BoxStream>;
}

#[async_trait]
impl<F, Fut, S> Dial for F
where
    F: Fn(String, u16) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send,
    S: ByteStream + 'static,
{
    async fn dial(&self, host: &str, port: u16) -> io::Result<BoxStream> {
        Ok(Box::new(self(host.to_owned(), port).await?))
    }
}

/// The HTTP client's connector: always the same address, whatever the request's URI says.
#[derive(Clone)]
pub(super) struct Connector {
    dial: Arc<dyn Dial>,
    host: String,
    port: u16,
}

impl Connector {
    pub(super) fn new(dial: Arc<dyn Dial>, host: &str, port: u16) -> Self {
        Self { dial, host: host.to_owned(), port }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Tunnel>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let stream = this.dial.dial(&this.host, this.port).await?;
            Ok(TokioIo::new(Tunnel(stream)))
        })
    }
}

/// A dialled stream that the HTTP client accepts as a connection.
pub(super) struct Tunnel(BoxStream);

impl Connection for Tunnel {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
