//! The control planes as every phase needs them: the first one, which is the authority for certificates, and the API
//! they serve. Everything here is made once per run, when it is first needed, and secrets in it live no longer than
//! the run.

pub(super) mod dial;
pub mod standing;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{sleep, timeout};

use crate::fleet::Link;
use crate::kubernetes::objects::bootstrap_token::{self, BootstrapToken, TokenOptions};
use crate::kubernetes::{ApiClient, Applied, Credentials, Dial, Object, Timing, apply};
use crate::node::{Change, Node, RemoteFile};
use crate::pki;

use super::run::{HostState, Run};
use super::{Context, Mode, PhaseError};

pub(super) use dial::{any_of, through};

/// Where kubeadm keeps its kubeconfigs.
pub const KUBERNETES_DIRECTORY: &str = "/etc/kubernetes";
/// Where the cluster's authority is, on every node.
pub const CA_PATH: &str = "/etc/kubernetes/pki/ca.crt";
/// How long the run's join token lives if the run cannot delete it.
const TOKEN_LIFETIME: time::Duration = time::Duration::minutes(15);
/// How often whoever builds on the first control plane makes sure of it.
const LOOK_AFTER_FIRST: Duration = Duration::from_secs(5);
/// How long another API server may take to accept a connection before it counts as not answering.
const ANSWER: Duration = Duration::from_secs(10);
/// A node that begins to join later than this gets a new token.
const TOKEN_USE: Duration = Duration::from_secs(8 * 60);

/// The control planes during a run.
pub struct ControlPlane {
    /// Every control plane of the inventory, selected or not.
    hosts: Vec<Arc<HostState>>,
    first: OnceCell<Arc<HostState>>,
    pki: OnceCell<Arc<pki::Outcome>>,
    ca: OnceCell<Vec<u8>>,
    credentials: OnceCell<Option<Credentials>>,
    api: OnceCell<Option<ApiClient>>,
    tokens: Mutex<Vec<RunToken>>,
}

/// A join token made by this run.
struct RunToken {
    token: BootstrapToken,
    made: Instant,
}

impl ControlPlane {
    pub(super) fn new(hosts: Vec<Arc<HostState>>) -> Self {
        Self {
            hosts,
            first: OnceCell::new(),
            pki: OnceCell::new(),
            ca: OnceCell::new(),
            credentials: OnceCell::new(),
            api: OnceCell::new(),
            tokens: Mutex::new(Vec::new()),
        }
    }

    /// Inventory name of the first control plane, once it is known; before that, of the one that stands first.
    pub fn name(&self) -> &str {
        self.first.get().or(self.hosts.first()).map_or("", |state| &state.host.name)
    }

    /// Every control plane of the inventory.
    pub(super) fn hosts(&self) -> &[Arc<HostState>] {
        &self.hosts
    }

    /// The control plane of this name.
    pub(super) fn state(&self, name: &str) -> Option<&Arc<HostState>> {
        self.hosts.iter().find(|state| state.host.name == name)
    }

    /// The first control plane: the one that holds the authority. Where there are several, the hosts say which.
    ///
    /// # Errors
    /// There is none, or the hosts do not tell which it is; see [`standing`].
    pub(super) async fn first(&self, run: &Run) -> Result<&Arc<HostState>, PhaseError> {
        self.first.get_or_try_init(|| standing::first(&self.hosts, run)).await
    }

    /// The address the first API server advertises: the inventory's, or that of the host's default route.
    ///
    /// # Errors
    /// The host cannot be reached, or has no default route.
    pub async fn advertise_address(&self, run: &Run) -> Result<IpAddr, PhaseError> {
        let first = self.first(run).await?;
        run.advertise_address(first).await.map_err(|error| self.named(error))
    }

    /// Keep the PKI the certs phase made.
    pub(super) fn set_pki(&self, outcome: pki::Outcome) {
        // Set twice only when somebody loaded the same files from the host in the meantime.
        let _ = self.pki.set(Arc::new(outcome));
    }

    /// The PKI: what the certs phase made, or what the host has.
    ///
    /// # Errors
    /// The host has no complete PKI and the certs phase has not run.
    pub async fn pki(&self, run: &Arc<Run>) -> Result<&Arc<pki::Outcome>, PhaseError> {
        let load = || async {
            let first = self.first(run).await?;
            // Whoever asks, it is about the first control plane.
            let context = Context::new(run.clone(), first.clone(), "init/certs", None);
            let ensured = super::init::certs::ensure(&context, None).await;
            let outcome = ensured.map_err(|error| self.named(error))?;
            if let Some(file) = outcome.missing() {
                return Err(self.named(PhaseError::State(format!(
                    "/etc/kubernetes/pki/{} is missing; run phase init/certs first",
                    file.name
                ))));
            }
            Ok(Arc::new(outcome))
        };
        self.pki.get_or_try_init(load).await
    }

    /// The PKI, where this run has made or read it already.
    pub fn known_pki(&self) -> Option<&Arc<pki::Outcome>> {
        self.pki.get()
    }

    /// The cluster's CA certificate, PEM.
    ///
    /// # Errors
    /// The host cannot be reached, or has none.
    pub async fn ca(&self, run: &Run) -> Result<&[u8], PhaseError> {
        if let Some(file) = self.pki.get().and_then(|outcome| outcome.file("ca.crt")) {
            return Ok(&file.content);
        }
        let read = || async {
            let mut files = self.node(run).await?.read(&[CA_PATH]).await?;
            files.remove(CA_PATH).map(|file| file.content.to_vec()).ok_or_else(|| {
                PhaseError::State(format!(
                    "{} has no {CA_PATH}: it is no control plane yet; run `fleetadm apply` or `fleetadm init`",
                    self.name()
                ))
            })
        };
        Ok(self.ca.get_or_try_init(read).await?)
    }

    /// A client of the API server as the cluster's administrator. In a dry run there is none while the
    /// host has no administrator's kubeconfig.
    ///
    /// # Errors
    /// The host cannot be reached, or has no administrator's kubeconfig.
    pub async fn api(&self, run: &Arc<Run>) -> Result<Option<&ApiClient>, PhaseError> {
        let client = self.api.get_or_try_init(|| self.open_api(run)).await?;
        Ok(client.as_ref())
    }

    async fn open_api(&self, run: &Arc<Run>) -> Result<Option<ApiClient>, PhaseError> {
        let Some(credentials) = self.credentials(run).await? else { return Ok(None) };
        let port = run.cluster().section.api_server.bind_port;
        let dial = any_of(self.addresses(run).await?, port);
        Ok(Some(timed(run, ApiClient::new(dial, self.name(), port, credentials)?)))
    }

    /// Who we are to the API: the cluster's administrator.
    async fn credentials(&self, run: &Run) -> Result<Option<&Credentials>, PhaseError> {
        let read = || async {
            let found = administrator(self.node(run).await?).await?;
            if found.is_none() && run.mode() == Mode::Apply {
                return Err(PhaseError::State(format!(
                    "{} has no {KUBERNETES_DIRECTORY}/admin.conf: it is no control plane yet; run `fleetadm apply` or \
                     `fleetadm init`",
                    self.name(),
                )));
            }
            Ok(found)
        };
        let credentials = self.credentials.get_or_try_init(read).await?;
        Ok(credentials.as_ref())
    }

    /// Opens streams as the first control plane sees addresses.
    ///
    /// # Errors
    /// The first control plane cannot be reached.
    pub(super) async fn dial_from_first(&self, run: &Run) -> Result<Arc<dyn Dial>, PhaseError> {
        Ok(dial::through(run.link(&self.first(run).await?.host)))
    }

    /// Where API servers are, the first control plane's foremost. The others stand in for it while it does not answer,
    /// as far as the inventory says where they are: nobody is contacted for that.
    ///
    /// # Errors
    /// The first control plane cannot be reached.
    pub(super) async fn addresses(&self, run: &Run) -> Result<Vec<(Link, IpAddr)>, PhaseError> {
        let first = self.first(run).await?;
        let mut addresses = vec![(run.link(&first.host), self.advertise_address(run).await?)];
        addresses.extend(self.others(run, &first.host.name));
        Ok(addresses)
    }

    fn others(&self, run: &Run, first: &str) -> Vec<(Link, IpAddr)> {
        let others = self.hosts.iter().filter(|state| state.host.name != first);
        let address = |state: &Arc<HostState>| {
            let known =
                state.facts_so_far().and_then(|facts| facts.default_addresses.first().copied());
            Some((run.link(&state.host), state.host.advertise_address.or(known)?))
        };
        others.filter_map(address).collect()
    }

    /// Wait until nothing is to be had of the cluster any more: the first control plane cannot be reached, and no other API
    /// server accepts a connection.
    pub(super) async fn lost(&self, run: &Run) -> PhaseError {
        loop {
            sleep(LOOK_AFTER_FIRST).await;
            let Some(first) = self.first.get() else { continue };
            let Err(error) = run.link(&first.host).connection().await else { continue };
            let port = run.cluster().section.api_server.bind_port;
            let others = self.others(run, &first.host.name);
            let others = any_of(others, port);
            if !matches!(timeout(ANSWER, others.dial(self.name(), port)).await, Ok(Ok(_))) {
                return self.named(error.into());
            }
        }
    }

    /// A join token of this run, made in the cluster when one is needed that has enough time left.
    ///
    /// # Errors
    /// The API server does not answer or refuses.
    pub async fn token(&self, run: &Arc<Run>) -> Result<BootstrapToken, PhaseError> {
        let mut tokens = self.tokens.lock().await;
        if let Some(last) = tokens.last().filter(|last| last.made.elapsed() < TOKEN_USE) {
            return Ok(last.token.clone());
        }
        let token =
            BootstrapToken::generate().map_err(|error| PhaseError::Local(error.to_string()))?;
        let made = Instant::now();
        if run.mode() == Mode::Apply
            && let Some(api) = self.api(run).await?
        {
            let expires = OffsetDateTime::now_utc() + TOKEN_LIFETIME;
            let secret = bootstrap_token::secret(&token, &TokenOptions::for_one_run(expires));
            // Remembered first: a request that fails on the way back may have been carried out.
            tokens.push(RunToken { token: token.clone(), made });
            if let Err(error) = apply::apply(api, &secret).await {
                // The next node tries anew.
                if let Some(last) = tokens.last_mut() {
                    last.made = made.checked_sub(TOKEN_USE).unwrap_or(made);
                }
                return Err(error.into());
            }
        }
        Ok(token)
    }

    /// Delete the join tokens of this run, if any were made.
    pub(super) async fn delete_tokens(&self) -> Result<(), PhaseError> {
        let Some(Some(api)) = self.api.get() else { return Ok(()) };
        let api = api.with_timing(Timing { total: Duration::from_secs(10), ..Timing::default() });
        for made in self.tokens.lock().await.drain(..) {
            api.delete(&made.token.key()).await?;
        }
        Ok(())
    }

    /// Refuse to go on where the first control plane runs another version than the inventory says.
    ///
    /// # Errors
    /// The versions differ, or the host cannot be reached.
    pub async fn check_version(&self, run: &Run) -> Result<(), PhaseError> {
        let first = self.first(run).await?;
        run.check_version(first).await.map_err(|error| self.named(error))
    }

    /// Whether the first control plane was there when the run looked first.
    pub fn was_there(&self) -> bool {
        self.first.get().is_some_and(|first| first.was_there())
    }

    /// Those of these files that the host has.
    ///
    /// # Errors
    /// The host cannot be reached, or root cannot be had there.
    pub(super) async fn files(
        &self,
        run: &Run,
        paths: &[&str],
    ) -> Result<BTreeMap<String, RemoteFile>, PhaseError> {
        self.node(run).await?.read(paths).await.map_err(|error| self.named(error.into()))
    }

    async fn node<'a>(&'a self, run: &Run) -> Result<&'a Node, PhaseError> {
        let first = self.first(run).await?;
        run.node(first).await.map_err(|error| self.named(error))
    }

    /// Other hosts' tasks need the control plane, too: its failures must not read as theirs.
    fn named(&self, error: PhaseError) -> PhaseError {
        PhaseError::ControlPlane { host: self.name().to_owned(), source: Box::new(error) }
    }
}

/// An administrator's credentials on a control plane; `None` where it has no administrator's kubeconfig.
///
/// # Errors
/// The host cannot be reached, or the kubeconfig lacks something.
pub(super) async fn administrator(node: &Node) -> Result<Option<Credentials>, PhaseError> {
    // The super-admin first: the administrator's group means nothing before its binding exists.
    let paths =
        ["super-admin.conf", "admin.conf"].map(|name| format!("{KUBERNETES_DIRECTORY}/{name}"));
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut files = node.read(&paths).await?;
    let found = paths.iter().find_map(|path| files.remove_entry(*path));
    found.map(|(path, file)| dial::credentials(&path, &file.content)).transpose()
}

/// A client of the API server on this host, and who we are to it; `None` where the host has no administrator's kubeconfig.
///
/// # Errors
/// The host cannot be reached, or the kubeconfig lacks something.
pub(super) async fn api_of(
    run: &Run,
    state: &HostState,
) -> Result<Option<(ApiClient, Credentials)>, PhaseError> {
    let Some(credentials) = administrator(run.node(state).await?).await? else { return Ok(None) };
    let address = run.advertise_address(state).await?.to_string();
    let dial = dial::through(run.link(&state.host));
    let port = run.cluster().section.api_server.bind_port;
    Ok(Some((ApiClient::new(dial, &address, port, &credentials)?, credentials)))
}

/// A dry run asks once: the cluster may not be there.
fn timed(run: &Run, client: ApiClient) -> ApiClient {
    match run.mode() {
        Mode::Apply => client,
        Mode::DryRun => client.with_timing(Timing::once(Duration::from_secs(3))),
    }
}

impl Context {
    /// Opens byte streams as this host sees addresses.
    ///
    /// # Errors
    /// The host cannot be reached.
    pub async fn dial(&self) -> Result<Arc<dyn Dial>, PhaseError> {
        let link = self.run.link(self.host());
        link.connection().await?;
        Ok(dial::through(link))
    }

    /// A client of the API server; `None` only in a dry run on a host that is no control plane yet.
    ///
    /// # Errors
    /// The host cannot be reached, or is no control plane yet.
    pub async fn api(&self) -> Result<Option<&ApiClient>, PhaseError> {
        self.run.control_plane().api(&self.run).await
    }

    /// A client of this host's own API server; `None` only in a dry run of a cluster that does not exist yet.
    ///
    /// # Errors
    /// The host cannot be reached, or there is no control plane yet.
    pub async fn own_api(&self) -> Result<Option<ApiClient>, PhaseError> {
        self.own_api_as(None).await
    }

    /// The same, but the server must vouch for this name or address, where one is given.
    ///
    /// # Errors
    /// As [`Self::own_api`].
    pub async fn own_api_as(&self, name: Option<&str>) -> Result<Option<ApiClient>, PhaseError> {
        let run = &self.run;
        let Some(credentials) = run.control_plane().credentials(run).await? else {
            return Ok(None);
        };
        let address = self.advertise_address().await?.to_string();
        let (dial, port) = (self.dial().await?, run.cluster().section.api_server.bind_port);
        let client = match name {
            None => ApiClient::new(dial, &address, port, credentials)?,
            Some(name) => ApiClient::of_name(dial, &address, port, name, credentials)?,
        };
        Ok(Some(timed(run, client)))
    }

    /// A client of whatever API server the control plane's endpoint leads to from this host, which must vouch for the
    /// endpoint's name. `None` without an endpoint, and in a dry run of a cluster that does not exist yet.
    ///
    /// # Errors
    /// As [`Self::own_api`].
    pub async fn endpoint_api(&self) -> Result<Option<ApiClient>, PhaseError> {
        let run = &self.run;
        let cluster = run.cluster();
        let Some(endpoint) = &cluster.section.control_plane_endpoint else { return Ok(None) };
        let Some(credentials) = run.control_plane().credentials(run).await? else {
            return Ok(None);
        };
        let (dial, port) = (self.dial().await?, cluster.endpoint_port());
        Ok(Some(ApiClient::of_name(dial, &endpoint.host, port, &endpoint.host, credentials)?))
    }

    /// Make these objects exist as wanted and tell what changed; whether any of them existed and was different.
    ///
    /// # Errors
    /// The API server does not answer or refuses.
    pub async fn apply(&self, objects: &[Object]) -> Result<bool, PhaseError> {
        let changes = match (self.dry_run(), self.api().await?) {
            (false, Some(api)) => apply::apply_all(api, objects).await?,
            (_, api) => apply::preview_all(api, objects).await?,
        };
        let updated = changes.iter().any(|change| change.applied == Applied::Updated);
        self.report_applied(changes);
        Ok(updated)
    }

    /// Tell of what became of objects in the API; those that were as wanted are no change.
    pub fn report_applied(&self, changes: Vec<crate::kubernetes::Change>) {
        let changes = changes.into_iter().filter(|change| change.applied.is_change());
        let change = |change: crate::kubernetes::Change| Change {
            what: format!("{} {}", change.applied.verb(), change.what),
            detail: change.detail,
        };
        self.report_all(changes.map(change).collect());
    }
}
