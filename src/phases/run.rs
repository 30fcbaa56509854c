//! One run of a workflow: what its tasks share, typed, each part made once when it is first needed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::cluster::static_pods::{self, Component};
use crate::cluster::{Cluster, etcd_unit};
use crate::fleet::{Fleet, Link};
use crate::inventory::{Host, Inventory, KubernetesVersion, Role};
use crate::node::facts::{Facts, FactsRequest};
use crate::node::{self, Node, SshTransport};
use crate::report::{Event, Reporter};

use super::control_plane::ControlPlane;
use super::etcd_hosts::EtcdHosts;
use super::lease::{LeaseOptions, Leased, Told};
use super::preflight::fleet;
use super::prepare::artifacts::Artifacts;
use super::{Context, PhaseError, certs, reset};

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
    /// What is particular to reset.
    pub reset: reset::Options,
    /// What of certificates is renewed.
    pub renewal: certs::renew::Options,
    /// Leases of what the run changes; `None` for a run that changes nothing that others could.
    pub lease: Option<LeaseOptions>,
    /// Fires when the operator wants the run to stop.
    pub cancel: CancellationToken,
    /// Where events go.
    pub reporter: Reporter,
}

impl RunOptions {
    /// A run that does what it does without more being asked for.
    pub fn new(cancel: CancellationToken, reporter: Reporter) -> Self {
        Self {
            mode: Mode::Apply,
            ignore: Vec::new(),
            survey: false,
            upload_certs: false,
            reset: reset::Options::default(),
            renewal: certs::renew::Options::default(),
            lease: None,
            cancel,
            reporter,
        }
    }
}

/// One host during a run.
pub struct HostState {
    /// The host.
    pub host: Arc<Host>,
    node: OnceCell<Node>,
    leased: Leased,
    facts: OnceCell<Arc<Facts>>,
    running_version: OnceCell<Option<KubernetesVersion>>,
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
    etcd_hosts: Option<EtcdHosts>,
    /// The cluster's lease.
    leased: Leased,
    told_unguarded: Told,
    /// Held by whoever changes etcd's membership: etcd takes one learner at a time.
    etcd: Mutex<()>,
    artifacts: Artifacts,
    reset: reset::Shared,
    started: OffsetDateTime,
}

impl Run {
    /// A run over `selected` hosts, by the connections of `fleet`. Nothing is contacted yet.
    pub fn new(
        inventory: Arc<Inventory>,
        selected: Vec<Arc<Host>>,
        cluster: Cluster,
        fleet: Arc<Fleet>,
        options: RunOptions,
    ) -> Self {
        let hosts: Vec<Arc<HostState>> = selected.into_iter().map(HostState::new).collect();
        let names = hosts.iter().map(|state| state.host.name.clone());
        let by_name = names.zip(0..).collect();
        // Those others build on are needed for joins even where they were not selected themselves.
        let of_role = |role| {
            let wanted = inventory.hosts.iter().filter(move |host| host.role == role);
            let states = wanted.map(|host| {
                let state = hosts.iter().find(|state| state.host.name == host.name);
                state.cloned().unwrap_or_else(|| HostState::new(host.clone()))
            });
            states.collect::<Vec<_>>()
        };
        let control_planes = of_role(Role::ControlPlane);
        let etcd_hosts = cluster.has_etcd_hosts().then(|| EtcdHosts::new(of_role(Role::Etcd)));
        Self {
            fleet,
            control_plane: ControlPlane::new(control_planes),
            etcd_hosts,
            leased: Leased::default(),
            told_unguarded: Told::default(),
            etcd: Mutex::new(()),
            artifacts: Artifacts::new(inventory.artifacts.clone()),
            reset: reset::Shared::default(),
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

    /// The same as the run knows them.
    pub(super) fn states(&self) -> &[Arc<HostState>] {
        &self.hosts
    }

    /// The control planes: what they hold, and the API they serve.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// Find out which control plane is the first one, where that takes asking the hosts.
    ///
    /// # Errors
    /// There is none, or the hosts do not tell.
    pub async fn find_first_control_plane(&self) -> Result<(), PhaseError> {
        self.control_plane.first(self).await.map(|_| ())
    }

    /// The hosts of etcd, where it is not on the control planes; `None` where it is, or is somebody else's.
    pub fn etcd_hosts(&self) -> Option<&EtcdHosts> {
        self.etcd_hosts.as_ref()
    }

    /// Find out which host of etcd is the first one; its name, where there are any.
    ///
    /// # Errors
    /// The hosts do not tell.
    pub async fn find_first_etcd_host(&self) -> Result<Option<&str>, PhaseError> {
        match &self.etcd_hosts {
            Some(hosts) => Ok(Some(&hosts.first(self).await?.host.name)),
            None => Ok(None),
        }
    }

    /// `[artifacts]` on the workstation.
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// The cluster's lease.
    pub(super) fn leased(&self) -> &Leased {
        &self.leased
    }

    /// Whether it has been told that a lease cannot be had.
    pub(super) fn told_unguarded(&self) -> &Told {
        &self.told_unguarded
    }

    /// What the tasks of a reset share.
    pub(super) fn reset(&self) -> &reset::Shared {
        &self.reset
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
    pub(super) fn fleet(&self) -> &Arc<Fleet> {
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
    pub(super) fn node_for_changes(&self, host: &Arc<Host>) -> Node {
        let link = self.link(host);
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
            names: fleet::own_names(section, &state.host.name),
            ..FactsRequest::default()
        };
        if state.host.role == Role::Etcd {
            request.paths.push(etcd_unit::UNIT_PATH.to_owned());
        }
        if self.options.survey {
            request.names = fleet::names(section, &self.inventory.hosts, &state.host.name);
            let has_etcd = matches!(state.host.role, Role::ControlPlane | Role::Etcd);
            request.fsync = has_etcd.then(|| section.etcd.data_dir.clone());
        }
        let gather = || async { Ok(Arc::new(self.node(state).await?.facts(&request).await?)) };
        state.facts.get_or_try_init(gather).await
    }

    /// The address that the host's API server and etcd advertise: the inventory's, or that of its default route.
    pub(super) async fn advertise_address(&self, state: &HostState) -> Result<IpAddr, PhaseError> {
        if let Some(address) = state.host.advertise_address {
            return Ok(address);
        }
        let text = "the host has no default route to take its address from; set advertise_address";
        let addresses = &self.facts(state).await?.default_addresses;
        addresses.first().copied().ok_or_else(|| PhaseError::State(text.to_owned()))
    }

    /// The address that others reach a host by: the inventory's, or that of its default route. It is contacted only for
    /// the latter.
    pub(super) async fn address_of(&self, name: &str) -> Result<IpAddr, PhaseError> {
        let unknown = || PhaseError::Local(format!("the inventory has no host {name}"));
        let host = self.inventory.hosts.iter().find(|host| host.name == name);
        let host = host.ok_or_else(unknown)?;
        if let Some(address) = host.advertise_address.or_else(|| host.address.parse().ok()) {
            return Ok(address);
        }
        let of_run = self.by_name.get(name).map(|index| self.hosts[*index].clone());
        let state = of_run.or_else(|| self.control_plane.state(name).cloned());
        let state = state.unwrap_or_else(|| HostState::new(host.clone()));
        self.advertise_address(&state).await.map_err(|error| {
            PhaseError::State(format!(
                "the address of {name} is not known: {error}; set advertise_address of {name}"
            ))
        })
    }

    /// Refuse to go on where the host's API server runs another version than the inventory says: a control plane is
    /// upgraded, one minor release at a time and with checks that nothing here makes.
    pub(super) async fn check_version(&self, state: &HostState) -> Result<(), PhaseError> {
        let read = || async {
            let path = Component::KubeApiserver.manifest_path();
            let mut files = self.node(state).await?.read(&[&path]).await?;
            let Some(file) = files.remove(&path) else { return Ok::<_, PhaseError>(None) };
            let manifest = static_pods::from_yaml(&String::from_utf8_lossy(&file.content))?;
            Ok(static_pods::running_version(&manifest))
        };
        let wanted = self.cluster.release.version;
        match state.running_version.get_or_try_init(read).await? {
            Some(running) if *running != wanted => Err(PhaseError::State(format!(
                "the control plane {} runs Kubernetes {running}, the inventory says {wanted}; fleetadm cannot \
                 upgrade yet: set kubernetes_version = \"{running}\", or upgrade with kubeadm",
                state.host.name
            ))),
            _ => Ok(()),
        }
    }

    /// The right to change etcd's membership, which one host at a time has.
    pub(super) async fn etcd_membership(&self) -> MutexGuard<'_, ()> {
        self.etcd.lock().await
    }

    /// The end of a run, however it went: what was made for the run alone is taken back.
    pub async fn finish(&self) {
        reset::take_back(self).await;
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
    fn new(host: Arc<Host>) -> Arc<Self> {
        Arc::new(Self {
            host,
            node: OnceCell::new(),
            leased: Leased::default(),
            facts: OnceCell::new(),
            running_version: OnceCell::new(),
        })
    }

    /// The host's lease.
    pub(super) fn leased(&self) -> &Leased {
        &self.leased
    }

    /// The facts, where they were gathered already.
    pub(super) fn facts_so_far(&self) -> Option<&Arc<Facts>> {
        self.facts.get()
    }

    /// Whether an API server was set up here when the run looked first.
    pub(super) fn was_there(&self) -> bool {
        matches!(self.running_version.get(), Some(Some(_)))
    }
}
