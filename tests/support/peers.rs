//! Servers of this process that do not behave.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey, load_secret_key, ssh_key};
use russh::server::{
    self, Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, Disconnect, MethodKind, MethodSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A TCP server. Dropping it ends it with all its connections.
pub struct Peer {
    pub port: u16,
    open: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Peer {
    /// A server that does `serve` with every connection; the number is how many there were before.
    pub async fn start<F>(serve: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpSocket::new_v4().unwrap();
        // What is not taken is soon noticed by the sender.
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(128).unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&open);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let stream = loop {
                    tokio::select! {
                        accepted = listener.accept() => break accepted.unwrap().0,
                        Some(_) = connections.join_next() => {}
                    }
                };
                counted.fetch_add(1, Ordering::SeqCst);
                let (served, counted) = (serve(stream, number), Arc::clone(&counted));
                connections.spawn(async move {
                    served.await;
                    counted.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, open, task: task.abort_handle() }
    }

    /// Says `greeting` and then nothing more, until the client goes.
    pub async fn saying(greeting: impl Into<Vec<u8>>) -> Self {
        let greeting = greeting.into();
        Self::start(move |mut stream, _| {
            let greeting = greeting.clone();
            async move {
                let _ = stream.write_all(&greeting).await;
                drain(&mut stream).await;
            }
        })
        .await
    }

    /// Says the same for ever.
    pub async fn babbling(words: &'static str) -> Self {
        Self::start(move |mut stream, _| async move {
            while stream.write_all(words.as_bytes()).await.is_ok() {}
        })
        .await
    }

    /// Says `greeting` and hangs up.
    pub async fn hanging_up(greeting: &'static str) -> Self {
        Self::start(move |mut stream, _| async move {
            let _ = stream.write_all(greeting.as_bytes()).await;
            let _ = stream.shutdown().await;
        })
        .await
    }

    /// Passes everything on to the server at `port` and back, but falls silent after `limit` bytes from it.
    pub async fn stalling(port: u16, limit: u64) -> Self {
        Self::start(move |stream, _| async move {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut client_read, mut client_write) = stream.into_split();
            let (server_read, mut server_write) = server.split();
            let back = async {
                let _ = tokio::io::copy(&mut server_read.take(limit), &mut client_write).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = back => {}
                _ = tokio::io::copy(&mut client_read, &mut server_write) => {}
            }
        })
        .await
    }

    /// Passes everything on to the server at `port` and back, until `deaf` is set: then it takes nothing more from the
    /// client.
    pub async fn deafening(port: u16, deaf: Arc<AtomicBool>) -> Self {
        Self::start(move |stream, _| {
            let deaf = Arc::clone(&deaf);
            async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (mut client_read, mut client_write) = stream.into_split();
                let (mut server_read, mut server_write) = server.split();
                let told = async {
                    while !deaf.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                let forth = async {
                    tokio::select! {
                        _ = tokio::io::copy(&mut client_read, &mut server_write) => {}
                        () = told => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = forth => {}
                    _ = tokio::io::copy(&mut server_read, &mut client_write) => {}
                }
            }
        })
        .await
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn drain(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}

/// What a [`Peer::rogue`] does that a server should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// Nothing: it runs every command as `echo`.
    None,
    /// Says goodbye with escape sequences in it instead of running a command.
    EscapesInGoodbye,
    /// Says a long goodbye.
    LongGoodbye,
    /// Prints without end.
    EndlessOutput,
    /// Prints to standard error without end, and no newline.
    EndlessErrors,
    /// Does not answer when a command is to be run.
    SilentExec,
    /// Does not answer when a session is to be opened.
    SilentOpen,
    /// Reports no exit status, and closes the channel.
    NoStatus,
    /// Refuses the login with words that have escape sequences in them.
    EscapesInRefusal,
}

impl Peer {
    /// An SSH server that lets everybody in. The n-th connection sees the n-th of `host_keys`, or the last of them.
    pub async fn rogue(host_keys: &[PathBuf], trick: Trick) -> Self {
        let config = |path: &PathBuf| {
            let mut methods = MethodSet::empty();
            methods.push(MethodKind::PublicKey);
            Arc::new(server::Config {
                keys: vec![host_key(path)],
                methods,
                auth_rejection_time: Duration::ZERO,
                ..server::Config::default()
            })
        };
        let configs: Vec<_> = host_keys.iter().map(config).collect();
        Self::start(move |stream, number| {
            let config = Arc::clone(configs.get(number).unwrap_or(configs.last().unwrap()));
            async move {
                if let Ok(session) = server::run_stream(config, stream, Rogue(trick)).await {
                    let _ = session.await;
                }
            }
        })
        .await
    }
}

fn host_key(path: &Path) -> PrivateKey {
    let key = load_secret_key(path, None).unwrap();
    assert_eq!(key.algorithm(), Algorithm::Ed25519);
    key
}

struct Rogue(Trick);

impl server::Handler for Rogue {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        _: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if self.0 == Trick::EscapesInRefusal { Auth::reject() } else { Auth::Accept })
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(Some("\u{1b}]0;owned\u{7}\u{1b}[2Jwelcome\n".repeat(1000)))
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.0 == Trick::SilentOpen {
            // Dropped, it would refuse.
            std::mem::forget(reply);
        } else {
            reply.accept().await;
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        const GOODBYE: &str = "\u{1b}]0;owned\u{7}\u{1b}[31mgo\r\naway\u{202e}";
        match self.0 {
            Trick::SilentExec => {}
            Trick::EscapesInGoodbye => {
                session.disconnect(Disconnect::ByApplication, GOODBYE, "")?;
            }
            Trick::LongGoodbye => {
                session.disconnect(Disconnect::ByApplication, &"go away ".repeat(10_000), "")?;
            }
            Trick::NoStatus => {
                session.channel_success(channel)?;
                session.close(channel)?;
            }
            Trick::EndlessOutput | Trick::EndlessErrors => {
                session.channel_success(channel)?;
                let (handle, trick) = (session.handle(), self.0);
                tokio::spawn(async move {
                    let data = bytes::Bytes::from("\u{1b}[31mall work and no play\n".repeat(1000));
                    let line = bytes::Bytes::from(vec![b'x'; 32 * 1024]);
                    loop {
                        let sent = match trick {
                            Trick::EndlessOutput => {
                                handle.data(channel, data.clone()).await.is_ok()
                            }
                            _ => handle.extended_data(channel, 1, line.clone()).await.is_ok(),
                        };
                        if !sent {
                            break;
                        }
                    }
                });
            }
            Trick::None | Trick::SilentOpen | Trick::EscapesInRefusal => {
                let command = std::str::from_utf8(command).unwrap();
                let output = std::process::Command::new("sh")
                    .args(["-c", command])
                    .stdin(std::process::Stdio::null())
                    .output()
                    .unwrap();
                session.channel_success(channel)?;
                session.extended_data(channel, 1, output.stderr)?;
                session.data(channel, output.stdout)?;
                session.exit_status_request(channel, 0)?;
                session.eof(channel)?;
                session.close(channel)?;
            }
        }
        Ok(())
    }
}

/// The line of known_hosts for a server at `port` with this key.
pub fn known_host(port: u16, key: &Path) -> String {
    let key = ssh_key::PublicKey::from(host_key(key)).to_openssh().unwrap();
    format!("[127.0.0.1]:{port} {key}\n")
}
