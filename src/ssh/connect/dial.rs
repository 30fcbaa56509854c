//! From an address to a stream of bytes: by TCP, or through a jump host's connection. Nothing is said to the server yet.

use std::io;
use std::time::Duration;

use russh::ChannelOpenFailure;
use rustix::io::Errno;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::proxy_command::ProxyCommand;
use super::relay::Relay;
use super::wire::{Lifeline, Wire};
use crate::ssh::connection::{Connection, NotOpened};
use crate::ssh::error::{Fault, SshError};
use crate::ssh::settings::Settings;

/// A way to a server that has not been spoken to.
pub(in crate::ssh) struct Dialled {
    pub(in crate::ssh) wire: Wire,
    pub(in crate::ssh) lifeline: Lifeline,
    /// The jump host's connection that it goes through.
    pub(in crate::ssh) via: Option<Connection>,
    pub(in crate::ssh) deadline: Deadline,
}

/// When a server must have let the user in.
#[derive(Debug, Clone, Copy)]
pub(in crate::ssh) struct Deadline {
    pub(in crate::ssh) at: Instant,
    /// All the time there was.
    limit: Duration,
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    /// What to say when it has passed.
    pub(in crate::ssh) fn passed(&self, what: &str) -> String {
        format!("{what} within {} s", self.limit.as_secs_f64())
    }
}

/// Open a stream to the server of `settings`: through `via`, by its ProxyCommand, or by TCP. It takes `room` until it is
/// gone.
pub(in crate::ssh) async fn dial(
    settings: &Settings,
    via: Option<Connection>,
    room: Option<OwnedSemaphorePermit>,
) -> Result<Dialled, SshError> {
    let deadline = Deadline::new(settings.connect_timeout.value);
    let patience = settings.patience();
    let (wire, lifeline) = match (&via, &settings.proxy_command.value) {
        (Some(via), _) => Wire::new(relay(settings, via, deadline).await?, patience),
        (None, Some(command)) => {
            let (command, complaints) = ProxyCommand::start(command).map_err(|error| {
                let (reason, fault) = explain(&error, settings.port.value);
                unreachable(settings, format!("its ProxyCommand does not run: {reason}"), fault)
            })?;
            let (wire, lifeline) = Wire::new(command, patience);
            (wire, lifeline.with_complaints(complaints))
        }
        (None, None) => {
            let stream = connect(settings, deadline).await?;
            if let Some(patience) = patience {
                give_up_after(&stream, patience);
            }
            Wire::new(stream, patience)
        }
    };
    Ok(Dialled { wire: wire.in_room(room), lifeline, via, deadline })
}

/// Resolve and connect, trying every address the name has.
async fn connect(settings: &Settings, deadline: Deadline) -> Result<TcpStream, SshError> {
    let (host, port) = (settings.host_name.value.as_str(), settings.port.value);
    let candidates: Vec<_> = match timeout_at(deadline.at, lookup_host((host, port))).await {
        Ok(Ok(candidates)) => candidates.collect(),
        Ok(Err(error)) => {
            let reason = format!("cannot resolve {host} ({error}); check `address`");
            return Err(unreachable(settings, reason, Fault::Lasting));
        }
        Err(_) => {
            let passed = deadline.passed(&format!("cannot resolve {host}"));
            let reason = format!("{passed}; check `address` and the name server");
            return Err(unreachable(settings, reason, Fault::Silent));
        }
    };
    let mut last = None;
    for (index, candidate) in candidates.iter().enumerate() {
        // An address that does not answer leaves time for the others; the last has all that is left.
        let left = u32::try_from(candidates.len() - index).unwrap_or(u32::MAX);
        let share = deadline.at.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(*candidate)).await {
            Ok(Ok(stream)) => {
                // Without it small requests wait for acknowledgements; failing to set it only costs time.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some(explain(&error, port)),
            Err(_) => last = Some((no_answer(deadline, ""), Fault::Silent)),
        }
    }
    let (reason, fault) =
        last.unwrap_or_else(|| (format!("{host} has no address"), Fault::Lasting));
    Err(unreachable(settings, reason, fault))
}

/// Have the kernel drop what has not arrived within `patience` (TCP_USER_TIMEOUT, tcp(7)). It would go on for a quarter of an
/// hour after the run has ended, and a host that is back by then would do what nobody wants any more.
#[cfg(target_os = "linux")]
fn give_up_after(stream: &TcpStream, patience: Duration) {
    let milliseconds = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
    // A kernel that cannot be told goes by its own limits.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds);
}

/// Other kernels have no such option.
#[cfg(not(target_os = "linux"))]
fn give_up_after(_: &TcpStream, _: Duration) {}

async fn relay(
    settings: &Settings,
    via: &Connection,
    deadline: Deadline,
) -> Result<Relay, SshError> {
    let (host, port) = (settings.host_name.value.as_str(), settings.port.value);
    let limit = deadline.at.saturating_duration_since(Instant::now());
    let hop = via.endpoint();
    let (reason, fault) = match via.open_direct(host, port, limit).await {
        Ok(channel) => return Ok(Relay::new(channel, via.clone())),
        Err(NotOpened::Lost(error)) => {
            return Err(SshError::Jump { endpoint: hop.to_owned(), error: Box::new(error) });
        }
        Err(NotOpened::Silent) => {
            (no_answer(deadline, &format!(" through jump host {hop}")), Fault::Silent)
        }
        Err(NotOpened::Refused(refusal)) => refused_by(&refusal, hop, settings),
    };
    Err(unreachable(settings, reason, fault))
}

/// Why a jump host gave no way through.
fn refused_by(refusal: &ChannelOpenFailure, hop: &str, settings: &Settings) -> (String, Fault) {
    match refusal {
        ChannelOpenFailure::ConnectFailed => (
            format!(
                "jump host {hop} has no connection to it; is sshd running there, and is {} its address as seen from \
                 the jump host?",
                settings.host_name.value
            ),
            Fault::Refused,
        ),
        ChannelOpenFailure::AdministrativelyProhibited => (
            format!(
                "jump host {hop} forbids going on from there; set `AllowTcpForwarding yes` (or `local`) in its \
                 sshd_config, and let PermitOpen and the key's options in authorized_keys allow {}",
                settings.endpoint()
            ),
            Fault::Lasting,
        ),
        ChannelOpenFailure::ResourceShortage => {
            (format!("jump host {hop} is short of resources"), Fault::Dropped)
        }
        other => (
            format!(
                "jump host {hop} gives no way through ({}); is it an SSH server that forwards?",
                other.description()
            ),
            Fault::Lasting,
        ),
    }
}

fn explain(error: &io::Error, port: u16) -> (String, Fault) {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => (
            format!("connection refused; is sshd running and listening on port {port}?"),
            Fault::Refused,
        ),
        // Other connections end and leave room.
        Some(Errno::MFILE | Errno::NFILE) => (
            "too many open files; raise the limit with `ulimit -Hn`, or select fewer hosts with --limit".to_owned(),
            Fault::Dropped,
        ),
        Some(
            Errno::CONNRESET
            | Errno::CONNABORTED
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::NETDOWN
            | Errno::TIMEDOUT
            | Errno::ADDRNOTAVAIL,
        ) => (format!("{error}; check the address and the route to it"), Fault::Refused),
        _ => (format!("{error}; check the address and the route to it"), Fault::Lasting),
    }
}

fn no_answer(deadline: Deadline, through: &str) -> String {
    let passed = deadline.passed(&format!("no answer{through}"));
    format!("{passed}; is the host up, and does a firewall drop the port?")
}

fn unreachable(settings: &Settings, reason: String, fault: Fault) -> SshError {
    SshError::Unreachable { endpoint: settings.endpoint(), reason, fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_has_no_more_patience_than_a_session() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
        give_up_after(&stream, Duration::from_secs(60));
        assert_eq!(rustix::net::sockopt::tcp_user_timeout(&stream).unwrap(), 60_000);
    }

    #[test]
    fn faults_of_the_network() {
        let fault = |errno: Errno| explain(&errno.into(), 22).1;
        for errno in [Errno::CONNREFUSED, Errno::CONNRESET, Errno::HOSTUNREACH, Errno::NETUNREACH] {
            assert_eq!(fault(errno), Fault::Refused, "{errno}");
        }
        assert_eq!(fault(Errno::MFILE), Fault::Dropped);
        assert_eq!(fault(Errno::ACCESS), Fault::Lasting);
    }
}
