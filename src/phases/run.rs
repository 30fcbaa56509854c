//! One run of a workflow: what its tasks share, typed, each part made once when it is first needed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::fleet::{Fleet, Link};
use crate::inventory::{Host, Inventory, Role};
use crate::node::facts::{Facts, FactsRequest};
use crate::node::{self, Node, SshTransport};
use crate::report::{Event, Reporter};

use super::control_plane::ControlPlane;
use super::preflight::fleet;
use super::prepare::artifacts::Artifacts;
use super::{Context, PhaseError};

/// Whether hosts and cluster may be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Apply,
    /// Say what would be done.
    DryRun,
}

/// How a run behaves.
#[derive(Clone)]
pub struct RunOptions {
    /// Whether hosts and cluster may be touched.
    pub mode: Mode,
    /// Lower-case names of checks whose errors only warn.
    pub ignore: Vec<String>,
    /// Facts cover what only preflight over the fleet asks: names, and the disk of etcd.
    pub survey: bool,
    /// `--upload-certs`.
    pub upload_certs: bool,
    /// Fires when the operator wants the run to stop.
    pub cancel: CancellationToken,
    /// Where events go.
    pub reporter: Reporter,
}

/// One host during a run.
pub struct HostState {
    /// The host.
    pub host: Arc<Host>,
    node: OnceCell<Node>,
    facts: OnceCell<Arc<Facts>>,
}

/// One run of a workflow.
pub struct Run {
    options: RunOptions,
    inventory: Arc<Inventory>,
    cluster: Cluster,
    fleet: Arc<Fleet>,
    hosts: Vec<Arc<HostState>>,
    /// Where each host is in `hosts`.
    by_name: HashMap<String, usize>,
    control_plane: ControlPlane,
    artifacts: Artifacts,
    started: OffsetDateTime,
}

impl Run {
    /// A run over `selected` hosts, by the connections of `fleet`. Nothing is contacted yet.
    pub fn new(
        inventory: Arc<Inventory>,
        selected: Vec<Host>,
        cluster: Cluster,
        fleet: Arc<Fleet>,
        options: RunOptions,
    ) -> Self {
        let hosts: Vec<Arc<HostState>> = selected.into_iter().map(HostState::new).collect();
        let names = hosts.iter().map(|state| state.host.name.clone());
        let by_name = names.zip(0..).collect();
        // The control plane is needed for joins even where it was not selected itself.
        let first = inventory.hosts.iter().find(|host| host.role == Role::ControlPlane);
        let first = first.map(|first| {
            let state = hosts.iter().find(|state| state.host.name == first.name);
            state.cloned().unwrap_or_else(|| HostState::new(first.clone()))
        });
        Self {
            fleet,
            control_plane: ControlPlane::new(first),
            artifacts: Artifacts::new(inventory.artifacts.clone()),
            started: OffsetDateTime::now_utc(),
            options,
            inventory,
            cluster,
            hosts,
            by_name,
        }
    }

    /// The inventory.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The desired state of the cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether hosts and cluster may be touched.
    pub fn mode(&self) -> Mode {
        self.options.mode
    }

    /// How the run behaves.
    pub fn options(&self) -> &RunOptions {
        &self.options
    }

    /// When the run began: what kubeadm takes for "now" in all certificates.
    pub fn started(&self) -> OffsetDateTime {
        self.started
    }

    /// Where events go.
    pub fn reporter(&self) -> &Reporter {
        &self.options.reporter
    }

    /// The selected hosts in inventory order.
    pub fn hosts(&self) -> Vec<Arc<Host>> {
        self.hosts.iter().map(|state| state.host.clone()).collect()
    }

    /// The first control plane: what it holds, and the API it serves.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// `[artifacts]` on the workstation.
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// A context for one phase on one host; `None` for a host that is not part of the run.
    /// `parts` are the subphases that are wanted, `None` for all.
    pub fn context(
        self: &Arc<Self>,
        host: &str,
        phase: &'static str,
        parts: Option<Vec<&'static str>>,
    ) -> Option<Context> {
        let state = &self.hosts[*self.by_name.get(host)?];
        Some(Context::new(self.clone(), state.clone(), phase, parts))
    }

    /// The connections to hosts.
    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The connection to a host, which is made when it is needed.
    pub(super) fn link(&self, host: &Arc<Host>) -> Link {
        Link::new(self.fleet.clone(), host.clone())
    }

    /// A host as root sees it; connects at the first use.
    pub(super) async fn node<'a>(&self, state: &'a HostState) -> Result<&'a Node, PhaseError> {
        let open = || async {
            let started = Instant::now();
            let link = self.link(&state.host);
            link.connection().await?;
            let host = state.host.name.clone();
            self.reporter()
                .emit(Event::Connected { host: host.clone(), elapsed: started.elapsed() });
            let mode = match self.options.mode {
                Mode::Apply => node::Mode::Apply,
                Mode::DryRun => node::Mode::DryRun,
            };
            Ok(Node::new(host, Arc::new(SshTransport::new(link)), mode))
        };
        state.node.get_or_try_init(open).await
    }

    /// A host as root sees it, to be changed whatever the mode of the run is: for what the operator asked for by itself.
    pub(super) fn node_for_changes(&self, host: &Host) -> Node {
        let link = self.link(&Arc::new(host.clone()));
        Node::new(&host.name, Arc::new(SshTransport::new(link)), node::Mode::Apply)
    }

    /// A host's facts, gathered at the first use.
    pub(super) async fn facts<'a>(
        &self,
        state: &'a HostState,
    ) -> Result<&'a Arc<Facts>, PhaseError> {
        let section = &self.cluster.section;
        let mut request = FactsRequest {
            cri_socket: section.cri_socket.clone(),
            paths: vec![section.etcd.data_dir.clone()],
            // kubeadm looks the node's name up, which need not be the host's own.
            names: vec![state.host.name.clone()],
            ..FactsRequest::default()
        };
        if self.options.survey {
            request.names = fleet::names(section, &self.inventory.hosts, &state.host.name);
            let has_etcd = matches!(state.host.role, Role::ControlPlane | Role::Etcd);
            request.fsync = has_etcd.then(|| section.etcd.data_dir.clone());
        }
        let gather = || async { Ok(Arc::new(self.node(state).await?.facts(&request).await?)) };
        state.facts.get_or_try_init(gather).await
    }

    /// The end of a run, however it went: what was made for the run alone is taken back.
    pub async fn finish(&self) {
        if let Err(error) = self.control_plane.delete_tokens().await {
            self.reporter().emit(Event::Warning {
                host: self.control_plane.name().to_owned(),
                phase: "finish".to_owned(),
                text: format!(
                    "could not delete the join token of this run, which expires by itself: {error}"
                ),
            });
        }
        self.fleet.close().await;
    }
}

impl HostState {
    fn new(host: Host) -> Arc<Self> {
        Arc::new(Self { host: Arc::new(host), node: OnceCell::new(), facts: OnceCell::new() })
    }
}
