//! Who works on what: a run holds a lease of each host that it changes, and one of the cluster, so that two operators do not
//! undo each other's work. The cluster's is shared by runs that concern only workers; a run that concerns a control plane or
//! a host of etcd has it alone.
//!
//! Leases are taken before the first phase on a host, the cluster's before any. Nothing else may take one.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::inventory::Role;
use crate::node::{Answer, LEASE_LIMIT, Lease, Node, Sharing};
use crate::report::Event;

use super::PhaseError;
use super::run::Run;

/// How long somebody else's lease is waited for where the operator does not say: one whose run has crashed is over by then.
pub const PATIENCE: Duration = Duration::from_secs(LEASE_LIMIT.as_secs() + 15);

/// How often to ask again.
const INTERVAL: Duration = Duration::from_secs(1);
/// A lease that is let go within this time is not worth mentioning: the run before was still ending. Asked more often.
const SOON: Duration = Duration::from_secs(2);
const SOON_INTERVAL: Duration = Duration::from_millis(200);

/// Leases as the operator wants them.
#[derive(Debug, Clone)]
pub struct LeaseOptions {
    /// Who this is, for others who want the lease: one line, no secret, and unlike any other run's.
    pub holder: String,
    /// How long somebody else's lease is waited for.
    pub patience: Duration,
}

/// What is leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Host,
    Cluster,
}

impl Thing {
    fn file_name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Cluster => "cluster",
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "the host",
            Self::Cluster => "the cluster",
        })
    }
}

/// Whether it has been told that a lease cannot be had: a fleet whose hosts have none is worth one warning.
#[derive(Debug, Default)]
pub(super) struct Told(AtomicBool);

/// A place for a lease.
#[derive(Debug, Default)]
pub(super) struct Leased(Mutex<Standing>);

#[derive(Debug, Default)]
enum Standing {
    #[default]
    None,
    Held(Lease),
    /// It cannot be had here, which has been told.
    Unguarded,
}

impl Run {
    /// Hold the cluster's lease, at the first of its control planes that can be reached; where none can, there is nothing to
    /// keep others from. Comes before every lease of a host, so that no two runs wait for each other.
    ///
    /// # Errors
    /// Somebody else has it.
    pub async fn lease_cluster(&self) -> Result<(), PhaseError> {
        if self.options().lease.is_none() {
            return Ok(());
        }
        let alone = self.hosts().iter().any(|host| host.role != Role::Worker);
        let sharing = if alone { Sharing::Exclusive } else { Sharing::Shared };
        for state in self.control_plane().hosts() {
            match self.node(state).await {
                Ok(node) => return hold(self, self.leased(), node, Thing::Cluster, sharing).await,
                Err(error) if error.unreachable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hold the lease of a host, which is taken again where the connection was lost.
    ///
    /// # Errors
    /// Somebody else has it; the host cannot be reached.
    pub(super) async fn lease_host(&self, node: &Node, leased: &Leased) -> Result<(), PhaseError> {
        hold(self, leased, node, Thing::Host, Sharing::Exclusive).await
    }
}

async fn hold(
    run: &Run,
    leased: &Leased,
    node: &Node,
    thing: Thing,
    sharing: Sharing,
) -> Result<(), PhaseError> {
    let Some(options) = &run.options().lease else { return Ok(()) };
    let mut standing = leased.0.lock().await;
    match &*standing {
        Standing::Held(lease) if lease.is_held() => return Ok(()),
        Standing::Held(lease) if let Some(reason) = lease.gave_way() => {
            unguarded(run, node, thing, reason);
            *standing = Standing::Unguarded;
            return Ok(());
        }
        Standing::Unguarded => return Ok(()),
        Standing::Held(_) | Standing::None => {}
    }
    let started = Instant::now();
    let mut told = false;
    loop {
        let holders = match node.lease(thing.file_name(), sharing, &options.holder).await? {
            Answer::Granted(lease) => {
                *standing = Standing::Held(lease);
                return Ok(());
            }
            Answer::Unguarded(reason) => {
                unguarded(run, node, thing, &reason);
                *standing = Standing::Unguarded;
                return Ok(());
            }
            Answer::Busy(holders) => holders,
        };
        let waited = started.elapsed();
        if waited >= options.patience {
            return Err(PhaseError::State(in_use(thing, &holders)));
        }
        if waited >= SOON && !told {
            told = true;
            let seconds = options.patience.as_secs();
            let text = format!("{}; waiting up to {seconds} s for it", claimed(thing, &holders));
            warn(run, node, text);
        }
        let interval = if waited < SOON { SOON_INTERVAL } else { INTERVAL };
        let pause = interval.min(options.patience - waited);
        let cancelled = run.options().cancel.run_until_cancelled(sleep(pause)).await;
        if cancelled.is_none() {
            return Err(PhaseError::Interrupted);
        }
    }
}

fn unguarded(run: &Run, node: &Node, thing: Thing, reason: &str) {
    let text = format!("nothing keeps another fleetadm from {thing} at the same time: {reason}");
    if run.told_unguarded().0.swap(true, Ordering::Relaxed) {
        run.reporter().emit(Event::Note { host: node.name().to_owned(), text });
    } else {
        warn(run, node, text);
    }
}

fn warn(run: &Run, node: &Node, text: String) {
    let (host, phase) = (node.name().to_owned(), "lease".to_owned());
    run.reporter().emit(Event::Warning { host, phase, text });
}

fn claimed(thing: Thing, holders: &[String]) -> String {
    match holders {
        [] => format!("another fleetadm works on {thing}"),
        holders => format!("{thing} is worked on by {}", holders.join("; ")),
    }
}

fn in_use(thing: Thing, holders: &[String]) -> String {
    format!(
        "{}; wait for it to end, or give --lease-timeout the time to wait",
        claimed(thing, holders)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_the_way_is_named() {
        let ann = ["ann@laptop (fleetadm reset, process 7) since 10:00:00".to_owned()];
        insta::assert_snapshot!(in_use(Thing::Cluster, &ann), @"the cluster is worked on by ann@laptop (fleetadm reset, process 7) since 10:00:00; wait for it to end, or give --lease-timeout the time to wait");
        insta::assert_snapshot!(claimed(Thing::Host, &[]), @"another fleetadm works on the host");
    }
}
