//! One host, looked at: its facts, certificates and manifests, and whether what should run there answers. Asks everything
//! at once and judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::static_pods::{self, Component};
use crate::inventory::Role;
use crate::kubernetes::health::failed_checks;
use crate::kubernetes::{ApiClient, Timing};
use crate::node::facts::Facts;
use crate::phases::certs::expiration::{self, Found};
use crate::phases::reset::etcd::Etcd;
use crate::phases::run::{HostState, Run};
use crate::phases::{PhaseError, control_plane, kubelet};

use super::ANSWER;

/// What was seen of a host.
pub enum Look {
    /// It could not be looked at.
    Failed {
        /// Why, in one line.
        reason: String,
        /// It could not be reached.
        unreachable: bool,
    },
    /// It could.
    Seen(Box<Seen>),
}

/// What a host said.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Its facts.
    pub facts: Arc<Facts>,
    /// Its certificates.
    pub certificates: Vec<Found>,
    /// The static pods of Kubernetes that have a manifest, on hosts that should have some; `None` for one that makes no
    /// sense.
    pub manifests: BTreeMap<Component, Option<Pod>>,
    /// Whether the kubelet says that it is well, or why not; `None` where it is not asked.
    pub kubelet: Option<Result<(), String>>,
    /// Whether the host's own API server says that it is ready, or why not; `None` where there is nobody to ask it as.
    pub api_server: Option<Result<(), String>>,
}

/// A host that was looked at, and the ways from it into the cluster. They hold secrets.
pub struct Looked {
    /// What was seen.
    pub look: Look,
    /// The API server on the host.
    pub(super) api: Option<ApiClient>,
    /// Whatever API server the control plane's endpoint leads to from the host.
    pub(super) endpoint: Option<ApiClient>,
    /// etcd, by the host's own member.
    pub(super) etcd: Option<Etcd>,
}

/// Look at a host.
pub(super) async fn look(run: Arc<Run>, state: Arc<HostState>) -> Arc<Looked> {
    let looked = examine(&run, &state).await.unwrap_or_else(|error| {
        let look = Look::Failed { reason: error.to_string(), unreachable: error.unreachable() };
        Looked { look, api: None, endpoint: None, etcd: None }
    });
    Arc::new(looked)
}

async fn examine(run: &Run, state: &HostState) -> Result<Looked, PhaseError> {
    // By itself: a host that cannot be reached is asked nothing else.
    let node = run.node(state).await?;
    let role = state.host.role;
    let configuration = &run.cluster().section.kubelet_configuration;
    let serving = configuration.get("tlsCertFile").and_then(|path| path.as_str());
    let certificates = async { Ok(expiration::gather(node, role, serving).await?) };
    let etcd = async {
        match role {
            Role::Worker => Ok(None),
            Role::ControlPlane | Role::Etcd => Etcd::through(run, state).await,
        }
    };
    let (facts, certificates, manifests, kubelet, api, etcd) = tokio::try_join!(
        run.facts(state),
        certificates,
        manifests(run, state),
        ask_kubelet(run, state),
        ask_api_server(run, state),
        etcd,
    )?;
    let facts = Arc::clone(facts);
    let seen = Seen { facts, certificates, manifests, kubelet, api_server: api.answer };
    let look = Look::Seen(Box::new(seen));
    Ok(Looked { look, api: api.own, endpoint: api.endpoint, etcd })
}

async fn manifests(
    run: &Run,
    state: &HostState,
) -> Result<BTreeMap<Component, Option<Pod>>, PhaseError> {
    if state.host.role == Role::Worker {
        return Ok(BTreeMap::new());
    }
    let paths = Component::ALL.map(Component::manifest_path);
    let files = run.node(state).await?.read(&paths.each_ref().map(String::as_str)).await?;
    let found = Component::ALL.into_iter().zip(&paths).filter_map(|(component, path)| {
        let text = String::from_utf8_lossy(&files.get(path)?.content);
        Some((component, static_pods::from_yaml(&text).ok()))
    });
    Ok(found.collect())
}

async fn ask_kubelet(
    run: &Run,
    state: &HostState,
) -> Result<Option<Result<(), String>>, PhaseError> {
    if !run.cluster().runs_containers(state.host.role) {
        return Ok(None);
    }
    let Some(endpoint) = kubelet::health_endpoint(run.cluster()) else { return Ok(None) };
    let dial = control_plane::through(run.link(&state.host));
    Ok(Some(endpoint.check(dial, ANSWER).await))
}

/// The API server as it is reached from a host, and whether the host's own answers.
#[derive(Default)]
struct Api {
    own: Option<ApiClient>,
    endpoint: Option<ApiClient>,
    answer: Option<Result<(), String>>,
}

/// Whether an API server says that it is ready, or why not.
pub(super) async fn ready(api: &ApiClient) -> Result<(), String> {
    let Err(error) = api.probe("/readyz").await else { return Ok(()) };
    let text = error.to_string();
    Err(match failed_checks(&text).as_slice() {
        [] => text,
        failed => format!("/readyz: {} failed", failed.join(", ")),
    })
}

async fn ask_api_server(run: &Run, state: &HostState) -> Result<Api, PhaseError> {
    if state.host.role != Role::ControlPlane {
        return Ok(Api::default());
    }
    let (own, credentials) = match control_plane::api_of(run, state).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Api::default()),
        Err(error) if error.unreachable() => return Err(error),
        // What is there of an administrator is of no use.
        Err(error) => return Ok(Api { answer: Some(Err(error.to_string())), ..Api::default() }),
    };
    let own = own.with_timing(Timing::once(ANSWER));
    let endpoint = match &run.cluster().section.control_plane_endpoint {
        None => None,
        Some(endpoint) => {
            let (dial, host) = (control_plane::through(run.link(&state.host)), &endpoint.host);
            let port = run.cluster().endpoint_port();
            let client = ApiClient::of_name(dial, host, port, host, &credentials)?;
            Some(client.with_timing(Timing::once(ANSWER)))
        }
    };
    let answer = ready(&own).await;
    Ok(Api { own: Some(own), endpoint, answer: Some(answer) })
}
