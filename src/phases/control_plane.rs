//! The first control plane: the authority for certificates, and the API server it serves. Everything here is
//! made once per run, when it is first needed, and secrets in it live no longer than the run.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{Mutex, OnceCell};
use zeroize::Zeroizing;

use crate::cluster::kubeconfig::{self, Kubeconfig};
use crate::cluster::static_pods::{self, Component};
use crate::fleet::Link;
use crate::inventory::KubernetesVersion;
use crate::kubernetes::objects::bootstrap_token::{self, BootstrapToken, TokenOptions};
use crate::kubernetes::{ApiClient, Credentials, Dial, Object, Timing, apply};
use crate::node::{Change, Node};
use crate::pki;

use super::run::{HostState, Run};
use super::{Context, Mode, PhaseError};

/// Where kubeadm keeps its kubeconfigs.
pub const KUBERNETES_DIRECTORY: &str = "/etc/kubernetes";
/// Where the cluster's authority is, on every node.
pub const CA_PATH: &str = "/etc/kubernetes/pki/ca.crt";
/// How long the run's join token lives if the run cannot delete it.
const TOKEN_LIFETIME: time::Duration = time::Duration::minutes(15);
/// A node that begins to join later than this gets a new token.
const TOKEN_USE: Duration = Duration::from_secs(8 * 60);

/// The first control plane during a run.
pub struct ControlPlane {
    state: Option<Arc<HostState>>,
    pki: OnceCell<Arc<pki::Outcome>>,
    ca: OnceCell<Vec<u8>>,
    api: OnceCell<Option<ApiClient>>,
    running_version: OnceCell<Option<KubernetesVersion>>,
    tokens: Mutex<Vec<RunToken>>,
}

/// A join token made by this run.
struct RunToken {
    token: BootstrapToken,
    made: Instant,
}

impl ControlPlane {
    pub(super) fn new(state: Option<Arc<HostState>>) -> Self {
        Self {
            state,
            pki: OnceCell::new(),
            ca: OnceCell::new(),
            api: OnceCell::new(),
            running_version: OnceCell::new(),
            tokens: Mutex::new(Vec::new()),
        }
    }

    /// The host's inventory name.
    pub fn name(&self) -> &str {
        self.state.as_ref().map_or("", |state| &state.host.name)
    }

    fn state(&self) -> Result<&Arc<HostState>, PhaseError> {
        self.state.as_ref().ok_or_else(|| {
            let text = "the inventory has no host of role control-plane, so there is no cluster to work on";
            PhaseError::Local(text.to_owned())
        })
    }

    /// The address the API server advertises: the inventory's, or that of the host's default route.
    ///
    /// # Errors
    /// The host cannot be reached, or has no default route.
    pub async fn advertise_address(&self, run: &Run) -> Result<IpAddr, PhaseError> {
        let state = self.state()?;
        if let Some(address) = state.host.advertise_address {
            return Ok(address);
        }
        run.facts(state)
            .await
            .map_err(|error| self.named(error))?
            .default_addresses
            .first()
            .copied()
            .ok_or_else(|| {
                PhaseError::State(
                    "the host has no default route to take its address from; set advertise_address"
                        .to_owned(),
                )
            })
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
    pub async fn pki(&self, context: &Context) -> Result<&Arc<pki::Outcome>, PhaseError> {
        let load = || async {
            let outcome = super::init::certs::ensure(context).await?;
            if let Some(file) = outcome.created().next() {
                return Err(PhaseError::State(format!(
                    "/etc/kubernetes/pki/{} is missing; run phase certs first",
                    file.name
                )));
            }
            Ok(Arc::new(outcome))
        };
        self.pki.get_or_try_init(load).await
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
        // The super-admin first: the administrator's group means nothing before its binding exists.
        let paths =
            ["super-admin.conf", "admin.conf"].map(|name| format!("{KUBERNETES_DIRECTORY}/{name}"));
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let mut files = self.node(run).await?.read(&paths).await?;
        let Some((path, file)) = paths.iter().find_map(|path| files.remove_entry(*path)) else {
            if run.mode() == Mode::DryRun {
                return Ok(None);
            }
            return Err(PhaseError::State(format!(
                "{} has no {}: it is no control plane yet; run `fleetadm apply` or `fleetadm init`",
                self.name(),
                paths[1]
            )));
        };
        let credentials = credentials(&path, &file.content)?;
        let address = self.advertise_address(run).await?;
        let dial = dialer(run.link(&self.state()?.host));
        let port = run.cluster().section.api_server.bind_port;
        let client = ApiClient::new(dial, &address.to_string(), port, &credentials)?;
        Ok(Some(match run.mode() {
            Mode::Apply => client,
            Mode::DryRun => client.with_timing(Timing::once(Duration::from_secs(3))),
        }))
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

    /// Refuse to go on where the control plane runs another version than the inventory says: a control plane is
    /// upgraded, one minor release at a time and with checks that nothing here makes.
    ///
    /// # Errors
    /// The versions differ, or the host cannot be reached.
    pub async fn check_version(&self, run: &Run) -> Result<(), PhaseError> {
        let read = || async {
            let path = Component::KubeApiserver.manifest_path();
            let mut files = self.node(run).await?.read(&[&path]).await?;
            let Some(file) = files.remove(&path) else { return Ok::<_, PhaseError>(None) };
            let manifest = static_pods::from_yaml(&String::from_utf8_lossy(&file.content))?;
            Ok(static_pods::running_version(&manifest))
        };
        let wanted = run.cluster().release.version;
        match self.running_version.get_or_try_init(read).await? {
            Some(running) if *running != wanted => Err(PhaseError::State(format!(
                "the control plane {} runs Kubernetes {running}, the inventory says {wanted}; fleetadm cannot \
                 upgrade yet: set kubernetes_version = \"{running}\", or upgrade with kubeadm",
                self.name()
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the control plane was there when the run looked first.
    pub fn was_there(&self) -> bool {
        matches!(self.running_version.get(), Some(Some(_)))
    }

    async fn node<'a>(&'a self, run: &Run) -> Result<&'a Node, PhaseError> {
        let state = self.state()?;
        run.node(state).await.map_err(|error| self.named(error))
    }

    /// Other hosts' tasks need the control plane, too: its failures must not read as theirs.
    fn named(&self, error: PhaseError) -> PhaseError {
        PhaseError::ControlPlane { host: self.name().to_owned(), source: Box::new(error) }
    }
}

/// Opens byte streams as the host sees addresses, through its SSH connection.
fn dialer(link: Link) -> Arc<dyn Dial> {
    Arc::new(move |host: String, port: u16| {
        let link = link.clone();
        async move {
            let tunnel = async { link.connection().await?.tunnel(&host, port).await };
            tunnel.await.map_err(std::io::Error::other)
        }
    })
}

fn credentials(path: &str, content: &Zeroizing<Vec<u8>>) -> Result<Credentials, PhaseError> {
    let unusable = |reason: &'static str| {
        PhaseError::Kubeconfig(kubeconfig::Error::Unreadable { file: path.to_owned(), reason })
    };
    let config = Kubeconfig::parse(content).map_err(unusable)?;
    let user =
        config.current_user().ok_or_else(|| unusable("its current context names no user in it"))?;
    Ok(Credentials {
        ca: config
            .current_cluster()
            .and_then(|cluster| cluster.ca_pem())
            .ok_or_else(|| unusable("it embeds no certificate authority"))?
            .to_vec(),
        certificate: user
            .certificate_pem()
            .ok_or_else(|| unusable("it embeds no client certificate"))?
            .to_vec(),
        key: user.key_pem().ok_or_else(|| unusable("it embeds no client key"))?,
    })
}

impl Context {
    /// Opens byte streams as this host sees addresses.
    ///
    /// # Errors
    /// The host cannot be reached.
    pub async fn dial(&self) -> Result<Arc<dyn Dial>, PhaseError> {
        let link = self.run.link(self.host());
        link.connection().await?;
        Ok(dialer(link))
    }

    /// A client of the API server; `None` only in a dry run on a host that is no control plane yet.
    ///
    /// # Errors
    /// The host cannot be reached, or is no control plane yet.
    pub async fn api(&self) -> Result<Option<&ApiClient>, PhaseError> {
        self.run.control_plane().api(&self.run).await
    }

    /// Make these objects exist as wanted and tell what changed.
    ///
    /// # Errors
    /// The API server does not answer or refuses.
    pub async fn apply(&self, objects: &[Object]) -> Result<(), PhaseError> {
        let changes = match (self.dry_run(), self.api().await?) {
            (false, Some(api)) => apply::apply_all(api, objects).await?,
            (_, api) => apply::preview_all(api, objects).await?,
        };
        self.report_applied(changes);
        Ok(())
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
