//! `status`: what runs where, against what the inventory says.
//!
//! Every host is looked at by itself ([`look`]), the cluster through whichever control plane answers ([`cluster`]); what
//! that amounts to is decided in [`verdict`], which is pure. Nothing here changes anything, and nothing is waited for to
//! become well: whoever does not answer within seconds does not answer.

pub mod cluster;
pub mod look;
pub mod verdict;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use time::OffsetDateTime;
use tokio::sync::OnceCell;

use crate::phases::Run;
use cluster::ClusterSeen;
use look::{Look, Looked};
use verdict::{ClusterStatus, HostStatus};

/// How long a component may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A host that is looked at once, whoever asks first.
type Looking = Shared<BoxFuture<'static, Arc<Looked>>>;

/// What is seen of the hosts of a run and of their cluster, each looked at once, when it is first asked for.
pub struct Survey {
    run: Arc<Run>,
    hosts: HashMap<String, Looking>,
    cluster: OnceCell<ClusterSeen>,
}

impl Survey {
    /// Over all hosts of a run. Nothing is contacted yet.
    pub fn new(run: Arc<Run>) -> Self {
        let looking = |state: &Arc<_>| look::look(run.clone(), Arc::clone(state)).boxed().shared();
        let hosts =
            run.states().iter().map(|state| (state.host.name.clone(), looking(state))).collect();
        Self { run, hosts, cluster: OnceCell::new() }
    }

    /// How a host stands; `None` for one that is not of the run.
    pub async fn host(&self, name: &str) -> Option<HostStatus> {
        let looking = self.hosts.get(name)?.clone();
        let (looked, cluster) = tokio::join!(looking, self.cluster());
        let host = self.run.hosts().into_iter().find(|host| host.name == name)?;
        let now = OffsetDateTime::now_utc();
        Some(verdict::of_host(&host, &looked.look, cluster, self.run.cluster(), now))
    }

    /// How the cluster stands; `None` where nobody has been asked.
    pub fn cluster_so_far(&self) -> Option<ClusterStatus> {
        let seen = self.cluster.get()?;
        let looks = self.run.states().iter().filter_map(|state| {
            let name = state.host.name.as_str();
            Some((name, self.hosts.get(name)?.peek()?))
        });
        let certificates = looks.flat_map(|(name, looked)| {
            let found = match &looked.look {
                Look::Seen(seen) => seen.certificates.as_slice(),
                Look::Failed { .. } => &[],
            };
            found.iter().map(move |one| (name, one))
        });
        let now = OffsetDateTime::now_utc();
        Some(verdict::of_cluster(seen, self.run.cluster(), certificates, now))
    }

    async fn cluster(&self) -> &ClusterSeen {
        self.cluster.get_or_init(|| cluster::ask(&self.run, &self.hosts)).await
    }
}
