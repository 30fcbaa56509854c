//! A port of the workstation that leads to a service on whichever of several hosts answers. Knows nothing of what goes
//! through it, and never keeps a connection of one host waiting for another that is down.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::connections::Fleet;
use crate::inventory::Host;
use crate::report::{Event, Reporter};
use crate::ssh::{SshError, Tunnel};

/// How long a host may take before the next one is tried beside it.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a host may take to connect to its service.
const OPEN: Duration = Duration::from_secs(10);
/// How long to rest when the workstation has no room for another connection.
const REST: Duration = Duration::from_millis(200);
/// Most bytes of one connection that wait for a client that does not read. Left in the tunnel they would hold up every
/// other connection through the same host.
const BACKLOG: usize = 64 * 1024 * 1024;

/// A service on a host.
#[derive(Debug, Clone)]
pub struct Service {
    /// The host.
    pub host: Arc<Host>,
    /// The service's address as the host sees it.
    pub address: String,
    /// Its port.
    pub port: u16,
}

/// A port that leads to the first of several services that answers, and on to the others when it does not any more.
pub struct Forward {
    listener: TcpListener,
    fleet: Arc<Fleet>,
    services: Vec<Service>,
    reporter: Reporter,
    /// What events call it.
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The service that answered last.
    current: usize,
    /// No service answered the last time.
    failing: bool,
}

impl Forward {
    /// Forward what connects to `listener`. No host is contacted.
    ///
    /// # Errors
    /// The listener cannot be waited for.
    pub fn new(
        listener: std::net::TcpListener,
        fleet: Arc<Fleet>,
        services: Vec<Service>,
        reporter: Reporter,
        name: &'static str,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { listener, fleet, services, reporter, name, state: Mutex::default() })
    }

    /// The host whose service answers.
    ///
    /// # Errors
    /// None does: why, for the host that was asked first.
    pub async fn probe(&self) -> Result<&Host, SshError> {
        self.open().await.map(|(index, _)| self.services[index].host.as_ref())
    }

    /// Pass connections on, until the future is dropped; those that are open end with it.
    pub async fn serve(&self) {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((client, _)) => open.push(self.pass_on(client)),
                    // Too many open files: it gets better when a connection ends.
                    Err(_) => sleep(REST).await,
                },
                Some(()) = open.next() => {}
            }
        }
    }

    async fn pass_on(&self, client: TcpStream) {
        // Small packets of an interactive session must not wait; where that cannot be had, they do.
        let _ = client.set_nodelay(true);
        // A client that gets nowhere is told by the end of its connection, the operator by an event.
        if let Ok((_, tunnel)) = self.open().await {
            relay(client, tunnel).await;
        }
    }

    /// A stream to the service that answered last, or to another one if that takes too long.
    async fn open(&self) -> Result<(usize, Tunnel), SshError> {
        let first = self.state().current;
        let count = self.services.len();
        let mut next = (0..count).map(|offset| (first + offset) % count);
        let mut attempts = FuturesUnordered::new();
        let mut failure = None;
        attempts.extend(next.next().map(|index| self.attempt(index)));
        loop {
            tokio::select! {
                ended = attempts.next() => match ended {
                    Some((index, Ok(tunnel))) => {
                        self.answered(index);
                        return Ok((index, tunnel));
                    }
                    Some((_, Err(error))) => {
                        failure.get_or_insert(error);
                        attempts.extend(next.next().map(|index| self.attempt(index)));
                    }
                    None => break,
                },
                () = sleep(PATIENCE) => attempts.extend(next.next().map(|index| self.attempt(index))),
            }
        }
        let error = failure.unwrap_or_else(|| SshError::Lost { reason: "there is no host".into() });
        self.nobody_answered(first, &error);
        Err(error)
    }

    async fn attempt(&self, index: usize) -> (usize, Result<Tunnel, SshError>) {
        let service = &self.services[index];
        let open = || async {
            let connection = self.fleet.connection(&service.host).await?;
            connection.tunnel_within(&service.address, service.port, OPEN).await
        };
        let result = match open().await {
            // It was lost before anybody noticed; the next one is new.
            Err(error) if error.is_lost() => open().await,
            result => result,
        };
        if let Err(error) = &result
            && may_come_back(error)
        {
            // Otherwise this failure would be everybody's for a minute.
            self.fleet.disconnect(&service.host).await;
        }
        (index, result)
    }

    fn answered(&self, index: usize) {
        let before =
            std::mem::replace(&mut *self.state(), State { current: index, failing: false });
        if before.failing || before.current != index {
            let host = &self.services[index].host.name;
            self.tell(host, format!("connections go through {host} now"));
        }
    }

    fn nobody_answered(&self, index: usize, error: &SshError) {
        let before = std::mem::replace(&mut self.state().failing, true);
        if !before {
            let others = match self.services.len() {
                1 => "",
                _ => ", and no other host answers either",
            };
            let host = &self.services[index].host.name;
            self.tell(host, format!("{error}{others}; the next connection tries again"));
        }
    }

    fn tell(&self, host: &str, text: String) {
        let (host, phase) = (host.to_owned(), self.name.to_owned());
        self.reporter.emit(Event::Warning { host, phase, text });
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another attempt makes sense: a wrong key or password stays wrong, and may lock the account.
fn may_come_back(error: &SshError) -> bool {
    match error {
        SshError::Jump { error, .. } => may_come_back(error),
        SshError::Unreachable { .. } | SshError::Lost { .. } => true,
        _ => false,
    }
}

/// Pass bytes both ways until both ends are done, or one of them is broken.
async fn relay(client: TcpStream, tunnel: Tunnel) {
    let (mut from_client, to_client) = client.into_split();
    let (from_service, mut to_service) = tokio::io::split(tunnel);
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_service).await?;
        to_service.shutdown().await
    };
    // Both ends learn of a failure by the end of their connection.
    let _ = tokio::try_join!(up, buffered(from_service, to_client, BACKLOG));
}

/// Pass bytes on, and never leave them with the sender: up to `backlog` bytes wait here for the receiver.
async fn buffered(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    backlog: usize,
) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Vec<u8>>();
    let waiting = AtomicUsize::new(0);
    let take = async {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                break;
            }
            if waiting.fetch_add(length, Ordering::Relaxed) > backlog {
                return Err(io::Error::other("the receiver does not read"));
            }
            // Fails only when the other half has failed, which ends both.
            let _ = sender.send(buffer[..length].to_vec());
        }
        drop(sender);
        Ok(())
    };
    let give = async {
        while let Some(piece) = receiver.recv().await {
            to.write_all(&piece).await?;
            waiting.fetch_sub(piece.len(), Ordering::Relaxed);
        }
        to.shutdown().await
    };
    tokio::try_join!(take, give).map(|((), ())| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_arrives_and_the_end_too() {
        let (mut sender, from) = tokio::io::duplex(1024);
        let (to, mut receiver) = tokio::io::duplex(16);
        let data: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
        let send = async {
            sender.write_all(&data).await.unwrap();
            drop(sender);
        };
        let mut received = Vec::new();
        let (passed, (), read) =
            tokio::join!(buffered(from, to, BACKLOG), send, receiver.read_to_end(&mut received));
        passed.unwrap();
        read.unwrap();
        assert!(received == data);
    }

    #[tokio::test]
    async fn a_receiver_that_does_not_read_loses_its_connection() {
        let (mut sender, from) = tokio::io::duplex(1024);
        let (to, receiver) = tokio::io::duplex(16);
        let send = async {
            let all = vec![0; 200_000];
            assert!(sender.write_all(&all).await.is_err());
        };
        let (passed, ()) = tokio::join!(buffered(from, to, 100_000), send);
        assert!(passed.is_err());
        drop(receiver);
    }

    #[test]
    fn what_is_worth_another_attempt() {
        let behind = |error: SshError| SshError::Jump {
            endpoint: "bastion:22".to_owned(),
            error: Box::new(error),
        };
        let lost = SshError::Lost { reason: String::new() };
        let refused = SshError::Authentication {
            endpoint: "n1:22".to_owned(),
            user: "ops".to_owned(),
            reason: String::new(),
        };
        assert!(may_come_back(&lost) && may_come_back(&behind(lost.clone())));
        assert!(!may_come_back(&refused) && !may_come_back(&behind(refused.clone())));
    }
}
