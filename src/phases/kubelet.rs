//! What kubelet-start means on every node: its files, and the service running with them.

use std::time::Duration;

use crate::cluster::kubelet::{self, KubeletNode};
use crate::inventory::{Role, Taint};
use crate::kubernetes::Poll;
use crate::kubernetes::health::HealthEndpoint;
use crate::node::facts::Facts;
use crate::node::{FileAction, FileBatch, NodeDirectory, NodeFile, ServiceAction};

use super::{Context, PhaseError};

/// The service.
pub const SERVICE: &str = "kubelet";

/// The kubelet's configuration files on this host.
///
/// # Errors
/// The host cannot be reached, or the operator's configuration cannot be rendered.
pub async fn files(context: &Context) -> Result<FileBatch, PhaseError> {
    let cluster = context.run.cluster();
    let facts = context.facts().await?;
    let host = context.host();
    let socket = runtime_endpoint(context).await?;
    // A control plane is tainted once it is registered; a worker registers with its taints.
    let taints: &[Taint] = match host.role {
        Role::ControlPlane => &[],
        _ => host.taints.as_deref().unwrap_or_default(),
    };
    let node = KubeletNode {
        name: &host.name,
        hostname: &facts.hostname,
        runtime_endpoint: &socket,
        systemd_resolved: systemd_resolved(facts),
        register_with_taints: taints,
        extra_args: &host.kubelet_extra_args,
    };
    let config = kubelet::config_yaml(cluster, &node)?;
    for deviation in &config.deviations {
        context.warn(deviation.to_string());
    }
    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory::new("/var/lib/kubelet", 0o700));
    let mut file = |path: &str, text: String| {
        batch.files.push(NodeFile::public(path, text, kubelet::FILE_MODE));
    };
    file(kubelet::FLAGS_PATH, kubelet::flags_env(cluster, &node));
    if let Some(text) = kubelet::instance_config_yaml(cluster, &node) {
        file(kubelet::INSTANCE_CONFIG_PATH, text);
    }
    file(kubelet::CONFIG_PATH, config.yaml);
    Ok(batch)
}

/// Whether systemd-resolved answers the host's DNS queries.
pub fn systemd_resolved(facts: &Facts) -> bool {
    facts.init.services.get("systemd-resolved").is_some_and(|service| service.active)
}

/// The endpoint of the container runtime: the inventory's, or the one whose socket is there.
///
/// # Errors
/// Several runtimes are there and the inventory does not choose.
pub async fn runtime_endpoint(context: &Context) -> Result<String, PhaseError> {
    if let Some(socket) = &context.run.cluster().section.cri_socket {
        return Ok(socket.clone());
    }
    let release = &context.run.cluster().release;
    match context.facts().await?.cri_sockets.as_slice() {
        [] => Ok(release.found_endpoint("unix:///var/run/containerd/containerd.sock")),
        [socket] => Ok(release.found_endpoint(socket)),
        several => Err(PhaseError::State(format!(
            "the host has several container runtimes ({}); choose one with cri_socket in [cluster]",
            several.join(", ")
        ))),
    }
}

/// Put the files in place for the next start of the kubelet. It is stopped before anything it has read changes, so that a
/// run cut short here leaves it stopped for the next run to start, rather than running with files it does not know.
///
/// # Errors
/// What the host said.
pub async fn put_in_place(context: &Context, batch: &FileBatch) -> Result<(), PhaseError> {
    let node = context.node().await?;
    let planned = node.plan(batch).await?;
    if planned.iter().any(|change| change.action != FileAction::Unchanged) {
        context.service(ServiceAction::Stop, SERVICE).await?;
        if let Err(error) = context.install(batch).await {
            // Nothing was replaced: a node that worked before goes on working. The first error tells more.
            let _ = context.service(ServiceAction::Start, SERVICE).await;
            return Err(error);
        }
    }
    context.service(ServiceAction::Enable, SERVICE).await
}

/// Have the kubelet run with the files that are in place.
///
/// # Errors
/// What the host said.
pub async fn start(context: &Context) -> Result<(), PhaseError> {
    context.service(ServiceAction::Start, SERVICE).await
}

/// Wait until the kubelet answers at its healthz address.
///
/// # Errors
/// It does not within kubeadm's four minutes; the error carries what the kubelet logged last.
pub async fn wait_healthy(context: &Context) -> Result<(), PhaseError> {
    let configuration = &context.run.cluster().section.kubelet_configuration;
    let port = match configuration.get("healthzPort").and_then(serde_json::Value::as_u64) {
        // Off by the operator's wish: nothing to ask.
        Some(0) => return Ok(()),
        Some(port) => u16::try_from(port).unwrap_or(10248),
        None => 10248,
    };
    let address = configuration.get("healthzBindAddress").and_then(|value| value.as_str());
    let address = match address {
        None | Some("0.0.0.0") => "127.0.0.1",
        Some("::") => "::1",
        Some(address) => address,
    };
    let timeouts = &context.run.cluster().section.timeouts;
    let poll =
        Poll { timeout: timeouts.kubelet_health_check, interval: Duration::from_millis(250) };
    let dial = context.dial().await?;
    let cancel = &context.run.options().cancel;
    let waited = HealthEndpoint::kubelet(address, port).wait(dial, poll, cancel).await;
    match waited {
        Ok(_) => Ok(()),
        Err(error) => Err(super::diagnosis::kubelet(context, error).await),
    }
}
