//! Asking a host for its facts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::parse::{Asked, MAX_TEXT};
use super::{Facts, FactsError, parse};
use crate::node::payload;
use crate::node::{Flow, Input, Node, NodeError, TransportError};

/// Everything in the script that may hang has a limit of its own, of some seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// What to ask for beyond what is always asked.
#[derive(Debug, Clone, Default)]
pub struct FactsRequest {
    /// The runtime endpoint to ask; `None` means the first one whose socket exists.
    pub cri_socket: Option<String>,
    /// Names that the host's resolver is asked for; its own name always is.
    pub names: Vec<String>,
    /// A directory, there or not, on whose disk small synchronous writes are timed: 60 KB in a file without a name.
    pub fsync: Option<String>,
    /// More paths to look at, for example etcd's data directory where it is not the usual one.
    pub paths: Vec<String>,
}

impl FactsRequest {
    fn arguments(&self, changes_nothing: bool) -> Vec<&str> {
        let mut arguments = Vec::new();
        if changes_nothing {
            arguments.push("--no-changes");
        }
        let sockets = self.cri_socket.iter().map(|socket| ["--socket", socket]);
        let names = self.names.iter().map(|name| ["--resolve", name]);
        let disks = self.fsync.iter().map(|directory| ["--fsync", directory]);
        arguments.extend(sockets.chain(names).chain(disks).flatten());
        arguments.extend(self.paths.iter().map(String::as_str));
        arguments
    }
}

impl Node {
    /// Everything there is to know, in one round trip. Changes nothing on the host
    /// (like kubeadm it may load the kernel module `configs`, though not in a dry run).
    ///
    /// # Errors
    /// The host cannot be reached, is too slow, or says what no host has to say.
    pub async fn facts(&self, request: &FactsRequest) -> Result<Facts, NodeError> {
        let command = payload::facts_command(&request.arguments(self.is_dry_run()));
        let refuse = |source| NodeError::Facts { host: self.name().to_owned(), source };
        let (mut text, mut answered) = (Vec::new(), None);
        let mut take = |data: &[u8]| {
            answered.get_or_insert_with(now);
            text.extend_from_slice(data);
            if text.len() > MAX_TEXT { Flow::Stop } else { Flow::GoOn }
        };
        let at = now();
        let run = self.transport.stream(&command, Input::Bytes(payload::facts_script()), &mut take);
        let output = match tokio::time::timeout(LIMIT, run).await {
            Ok(Err(TransportError::Stopped)) => return Err(refuse(FactsError::TooLong(MAX_TEXT))),
            Ok(result) => result.map_err(|source| NodeError::Transport {
                host: self.name().to_owned(),
                action: "facts".to_owned(),
                source,
            })?,
            Err(_) => return Err(refuse(FactsError::TooSlow(LIMIT))),
        };
        self.demand_success(&["facts"], output)?;
        let asked = answered.map(|answered| Asked { at, answered });
        parse(&String::from_utf8_lossy(&text), asked).map_err(refuse)
    }
}

/// Seconds since the epoch.
fn now() -> f64 {
    // A clock before 1970 is as wrong as one at 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
