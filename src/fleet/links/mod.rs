//! Whether hosts reach each other's ports, tried from host to host.
//!
//! On each target a listener runs for a moment; from each source its SSH server connects to it, as it does for tunnels, so
//! that a source needs no tool at all. What is sent comes back, which packets of full size have to get through for both
//! ways. Knows nothing of what the ports are for, and leaves nothing on the hosts.

mod listener;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::inventory::Host;
use crate::ssh::{Connection, SshError, Tunnel, TunnelError};

use super::Fleet;
use listener::{Listener, Port};

/// How long a connection from host to host may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long what was sent may take to come back.
const ECHO: Duration = Duration::from_secs(3);
/// Connections tried at the same time from one host. Its SSH server has other guests.
const AT_ONCE: usize = 16;

/// Packets are taken for at least and at most this large, in bytes.
const MTU_LIMITS: (u32, u32) = (1500, 9000);

/// All that an SSH server says of a connection it could not make.
const REFUSED: &str = "refused, or no way there";

/// A host, and where others try to reach it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The host.
    pub host: &'a Host,
    /// Where others reach it; `None` when that is not known.
    pub address: Option<IpAddr>,
    /// Bytes in its largest packet.
    pub mtu: u32,
}

/// A TCP port of one host that is tried from another. Hosts are indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dial {
    /// From this host.
    pub from: usize,
    /// To this one.
    pub to: usize,
    /// To this port.
    pub port: u16,
}

/// How a link was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// It can be connected to; where the port was free, packets of full size got through both ways.
    Open,
    /// The target, or something on the way, refuses, or the source knows no way there; the source does not say which.
    Refused(String),
    /// No answer.
    Silent,
    /// It can be connected to, but packets of full size do not arrive.
    Stalled,
    /// It could not be tried, because of this.
    Untested(String),
}

/// Try every one of `dials`; states come in their order. At most `parallel` hosts at a time begin to listen or to try.
/// Once `cancel` fires, what has not been tried is untested. Where not all hosts may be connected to at once, they take
/// turns.
pub async fn try_links(
    fleet: &Fleet,
    places: &[Place<'_>],
    dials: &[Dial],
    parallel: usize,
    cancel: &CancellationToken,
) -> Vec<LinkState> {
    let mut states = vec![LinkState::Untested("interrupted".to_owned()); dials.len()];
    for round in rounds(dials, fleet.most_connections()) {
        for (index, state) in try_round(fleet, places, round, parallel, cancel).await {
            states[index] = state;
        }
    }
    states
}

/// Dials with their indices.
type Round = Vec<(usize, Dial)>;

/// The dials in rounds of no more than `most` hosts, or two.
fn rounds(dials: &[Dial], most: usize) -> Vec<Round> {
    let (mut rounds, mut hosts) = (Vec::new(), BTreeSet::new());
    for (index, dial) in dials.iter().enumerate() {
        let fresh = [dial.from, dial.to].iter().filter(|host| !hosts.contains(*host)).count();
        if rounds.is_empty() || hosts.len() + fresh > most && fresh > 0 {
            rounds.push(Round::new());
            hosts.clear();
        }
        hosts.extend([dial.from, dial.to]);
        if let Some(round) = rounds.last_mut() {
            round.push((index, *dial));
        }
    }
    rounds
}

async fn try_round(
    fleet: &Fleet,
    places: &[Place<'_>],
    round: Round,
    parallel: usize,
    cancel: &CancellationToken,
) -> Vec<(usize, LinkState)> {
    let mut wanted: BTreeMap<usize, BTreeSet<u16>> = BTreeMap::new();
    let mut by_source: BTreeMap<usize, Round> = BTreeMap::new();
    for (index, dial) in round {
        wanted.entry(dial.to).or_default().insert(dial.port);
        by_source.entry(dial.from).or_default().push((index, dial));
    }
    let mut states = Vec::new();
    // Everybody listens before anybody tries: a port that is tried too early looks refused.
    let start = |(to, ports): (usize, BTreeSet<u16>)| async move {
        let ports: Vec<u16> = ports.into_iter().collect();
        let listener = match fleet.connection(places[to].host).await {
            Ok(connection) => Ok(Listener::start(connection, &ports).await),
            Err(error) => Err(error),
        };
        (to, listener)
    };
    let listeners: BTreeMap<usize, Result<Listener, SshError>> =
        stream::iter(wanted).map(start).buffer_unordered(parallel.max(1)).collect().await;

    let attempts = stream::iter(&by_source).map(|(from, dials)| {
        let listeners = &listeners;
        async move {
            match fleet.connection(places[*from].host).await {
                Ok(connection) => from_one(&connection, places, dials, listeners).await,
                Err(error) => {
                    let untested = LinkState::Untested(error.to_string());
                    dials.iter().map(|(index, _)| (*index, untested.clone())).collect::<Vec<_>>()
                }
            }
        }
    });
    let mut attempts = attempts.buffer_unordered(parallel.max(1));
    while let Some(Some(tried)) = cancel.run_until_cancelled(attempts.next()).await {
        states.extend(tried);
    }
    drop(attempts);
    let running = listeners.into_values().filter_map(Result::ok);
    futures::future::join_all(running.map(Listener::stop)).await;
    states
}

/// Every link from one host.
async fn from_one(
    connection: &Connection,
    places: &[Place<'_>],
    dials: &[(usize, Dial)],
    listeners: &BTreeMap<usize, Result<Listener, SshError>>,
) -> Vec<(usize, LinkState)> {
    // Packets between two hosts take the same way whatever the port.
    let mut filled = BTreeSet::new();
    let attempts: Vec<_> = dials
        .iter()
        .map(|(index, dial)| {
            let port = match listeners.get(&dial.to) {
                Some(Ok(listener)) => listener.port(dial.port).cloned(),
                _ => None,
            };
            let fill = port == Some(Port::Ours) && filled.insert(dial.to);
            let mtu = places[dial.to].mtu.clamp(MTU_LIMITS.0, MTU_LIMITS.1);
            let bytes = if fill { 2 * mtu + 1000 } else { 0 };
            let target = places[dial.to].address;
            async move {
                let state = match target {
                    None => LinkState::Untested("the target's address is not known".to_owned()),
                    Some(address) => one(connection, address, *dial, port, bytes).await,
                };
                (*index, state)
            }
        })
        .collect();
    stream::iter(attempts).buffer_unordered(AT_ONCE).collect().await
}

async fn one(
    connection: &Connection,
    address: IpAddr,
    dial: Dial,
    port: Option<Port>,
    bytes: u32,
) -> LinkState {
    let address = address.to_string();
    match connection.tunnel_within(&address, dial.port, CONNECT).await {
        Ok(tunnel) if bytes > 0 => echo(tunnel, bytes as usize).await,
        Ok(_) => LinkState::Open,
        Err(SshError::Tunnel { kind, .. }) => match (kind, port) {
            (TunnelError::Silent(_), _) => LinkState::Silent,
            // Nobody listens there, so a refusal says nothing.
            (TunnelError::Refused, Some(Port::Closed(reason))) => LinkState::Untested(reason),
            (TunnelError::Refused, None) => {
                LinkState::Untested("the target could not be made to listen".to_owned())
            }
            (TunnelError::Refused, _) => LinkState::Refused(REFUSED.to_owned()),
            (other, _) => LinkState::Untested(other.to_string()),
        },
        Err(error) => LinkState::Untested(error.to_string()),
    }
}

/// What is sent.
static FILLER: [u8; 2 * MTU_LIMITS.1 as usize + 1000] = [0x55; _];

/// Whether so many bytes come back.
async fn echo(tunnel: Tunnel, bytes: usize) -> LinkState {
    let (mut reader, mut writer) = tokio::io::split(tunnel);
    let send = async { writer.write_all(&FILLER[..bytes.min(FILLER.len())]).await };
    let receive = async {
        let mut received = 0;
        let mut buffer = [0; 2048];
        while received < bytes {
            match reader.read(&mut buffer).await {
                // Cut off, which a path that loses packets does not do.
                Ok(0) | Err(_) => break,
                Ok(count) => received += count,
            }
        }
    };
    match timeout(ECHO, futures::future::join(send, receive)).await {
        Ok(_) => LinkState::Open,
        Err(_) => LinkState::Stalled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_take_turns() {
        let dials: Vec<Dial> =
            (0..100).map(|from| Dial { from, to: (from + 1) % 100, port: 10250 }).collect();
        assert_eq!(rounds(&dials, 100).len(), 1);
        let found = rounds(&dials, 10);
        assert_eq!(found.len(), 12);
        for round in &found {
            let hosts: BTreeSet<_> = round.iter().flat_map(|(_, d)| [d.from, d.to]).collect();
            assert!((2..=10).contains(&hosts.len()), "{hosts:?}");
        }
        let indices = found.iter().flatten().map(|(index, dial)| (*index, dial.from));
        assert!(indices.eq((0..100).zip(0..100)));
        assert_eq!(rounds(&dials, 1).len(), 100);
        assert!(rounds(&[], 1).is_empty());
    }
}
