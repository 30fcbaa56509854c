//! What kubelet-start means on every node: its files, and the service running with them.

use std::collections::BTreeMap;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::cluster::kubeconfig::{self, KUBELET_CLIENT_FILE, Kubeconfig};
use crate::cluster::kubelet::{self, KubeletNode};
use crate::cluster::spec::MANIFESTS_DIRECTORY;
use crate::cluster::{Cluster, etcd_kubelet};
use crate::inventory::{Role, Taint};
use crate::kubernetes::Poll;
use crate::kubernetes::health::HealthEndpoint;
use crate::node::facts::Facts;
use crate::node::{FileAction, FileBatch, NodeDirectory, NodeFile, RemoteFile, ServiceAction};

use super::{Context, PhaseError};

/// The kubelet's own kubeconfig.
pub const CONFIG: &str = "/etc/kubernetes/kubelet.conf";
/// The service.
pub const SERVICE: &str = "kubelet";
/// How long a kubelet that is well may take to say so.
const ANSWER: Duration = Duration::from_secs(5);

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
        Role::ControlPlane | Role::Etcd => &[],
        Role::Worker => host.taints.as_deref().unwrap_or_default(),
    };
    let node = KubeletNode {
        name: &host.name,
        hostname: &facts.hostname,
        runtime_endpoint: &socket,
        systemd_resolved: systemd_resolved(facts),
        register_with_taints: taints,
        extra_args: &host.kubelet_extra_args,
    };
    let mut batch = FileBatch::default();
    let config = if host.role == Role::Etcd {
        // A kubelet that starts without it looks for it every twenty seconds only.
        batch.directories.push(NodeDirectory::new(MANIFESTS_DIRECTORY, 0o700));
        let mode = etcd_kubelet::DROP_IN_MODE;
        let (path, text) = (etcd_kubelet::DROP_IN_PATH, etcd_kubelet::DROP_IN);
        batch.files.push(NodeFile::public(path, text, mode));
        etcd_kubelet::config_yaml(cluster, &node)?
    } else {
        let config = kubelet::config_yaml(cluster, &node)?;
        for deviation in &config.deviations {
            context.warn(deviation.to_string());
        }
        config.yaml
    };
    batch.directories.push(NodeDirectory::new("/var/lib/kubelet", 0o700));
    let mut file = |path: &str, text: String| {
        batch.files.push(NodeFile::public(path, text, kubelet::FILE_MODE));
    };
    file(kubelet::FLAGS_PATH, kubelet::flags_env(cluster, &node));
    if let Some(text) = kubelet::instance_config_yaml(cluster, &node) {
        file(kubelet::INSTANCE_CONFIG_PATH, text);
    }
    file(kubelet::CONFIG_PATH, config);
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

/// Whether the kubelet has credentials of its own: its kubeconfig is there, and so is the certificate that it names.
///
/// # Errors
/// The host cannot be reached.
pub async fn has_credentials(context: &Context) -> Result<bool, PhaseError> {
    let files = context.node().await?.read(&[CONFIG, KUBELET_CLIENT_FILE]).await?;
    Ok(credentials_among(&files))
}

/// Whether these files, of [`CONFIG`] and [`KUBELET_CLIENT_FILE`] those that exist, are credentials of a kubelet.
pub fn credentials_among(files: &BTreeMap<String, RemoteFile>) -> bool {
    let Some(file) = files.get(CONFIG) else { return false };
    let config = Kubeconfig::parse(&file.content).ok();
    let user = config.as_ref().and_then(Kubeconfig::current_user);
    let named = user.and_then(|user| user.client_certificate.as_deref());
    match named {
        Some(path) if path == KUBELET_CLIENT_FILE => files.contains_key(KUBELET_CLIENT_FILE),
        // Embedded, or where the operator keeps it.
        Some(_) => true,
        None => user.is_some_and(|user| user.certificate_pem().is_some()),
    }
}

/// The API server that the host's kubelet talks to: a control plane's own where the release has it so, so that it does
/// not need a load balancer.
///
/// # Errors
/// The host cannot be reached, or has no address to advertise.
pub async fn server(context: &Context) -> Result<String, PhaseError> {
    let run = &context.run;
    let local = run.cluster().release.kubeconfig_profile().kubelet_local_server;
    if local && context.host().role == Role::ControlPlane {
        return Ok(run.cluster().local_endpoint_url(context.advertise_address().await?));
    }
    let address = run.control_plane().advertise_address(run).await?;
    Ok(run.cluster().control_plane_url(address))
}

/// kubelet.conf with the server it should name, as it is otherwise.
///
/// # Errors
/// As [`server`].
pub async fn led_to_its_server(
    context: &Context,
    content: &Zeroizing<Vec<u8>>,
) -> Result<NodeFile, PhaseError> {
    let mut warnings = Vec::new();
    let server = server(context).await?;
    let content = kubeconfig::led_to(CONFIG, content, &server, &mut warnings);
    warnings.into_iter().for_each(|warning| context.warn(warning));
    Ok(NodeFile::secret(CONFIG, content, kubeconfig::MODE))
}

/// kubelet.conf as it stays: with the client certificate that the kubelet has written and rotates by itself in place of the
/// one it began with, and with the server it should name. `None` as long as the kubelet has no credentials of its own.
///
/// # Errors
/// The host cannot be reached, or kubelet.conf is no kubeconfig.
pub async fn settled_config(context: &Context) -> Result<Option<NodeFile>, PhaseError> {
    let files = context.node().await?.read(&[CONFIG, KUBELET_CLIENT_FILE]).await?;
    let Some(file) = files.get(CONFIG) else { return Ok(None) };
    let unusable = |reason| kubeconfig::Error::Unreadable { file: CONFIG.to_owned(), reason };
    let mut config = Kubeconfig::parse(&file.content).map_err(unusable)?;
    let embedded = config.current_user().is_some_and(|user| user.certificate_pem().is_some());
    let configuration = &context.run.cluster().section.kubelet_configuration;
    let rotates = configuration.get("rotateCertificates") != Some(&false.into());
    let content = if !embedded && !credentials_among(&files) {
        return Ok(None);
    } else if !embedded || !rotates {
        file.content.clone()
    } else if !files.contains_key(KUBELET_CLIENT_FILE) {
        return Ok(None);
    } else {
        config.use_client_file(KUBELET_CLIENT_FILE);
        config.render().map_err(unusable)?
    };
    led_to_its_server(context, &content).await.map(Some)
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

/// Where kubelets say how they are; `None` where the operator has turned that off.
pub fn health_endpoint(cluster: &Cluster) -> Option<HealthEndpoint> {
    let configuration = &cluster.section.kubelet_configuration;
    let port = match configuration.get("healthzPort").and_then(serde_json::Value::as_u64) {
        Some(0) => return None,
        Some(port) => u16::try_from(port).unwrap_or(10248),
        None => 10248,
    };
    let address = configuration.get("healthzBindAddress").and_then(|value| value.as_str());
    let address = match address {
        None | Some("0.0.0.0") => "127.0.0.1",
        Some("::") => "::1",
        Some(address) => address,
    };
    Some(HealthEndpoint::kubelet(address, port))
}

/// Wait until the kubelet answers at its healthz address.
///
/// # Errors
/// It does not within kubeadm's four minutes; the error carries what the kubelet logged last.
pub async fn wait_healthy(context: &Context) -> Result<(), PhaseError> {
    let Some(endpoint) = health_endpoint(context.run.cluster()) else { return Ok(()) };
    let timeouts = &context.run.cluster().section.timeouts;
    let poll =
        Poll { timeout: timeouts.kubelet_health_check, interval: Duration::from_millis(250) };
    let dial = context.dial().await?;
    let cancel = &context.run.options().cancel;
    let waited = endpoint.wait(dial, poll, cancel).await;
    match waited {
        Ok(_) => Ok(()),
        Err(error) => Err(super::diagnosis::kubelet(context, error).await),
    }
}

/// Whether the kubelet answers at its healthz address now; not where it has none.
///
/// # Errors
/// The host cannot be reached.
pub async fn is_healthy(context: &Context) -> Result<bool, PhaseError> {
    let Some(endpoint) = health_endpoint(context.run.cluster()) else { return Ok(false) };
    Ok(endpoint.check(context.dial().await?, ANSWER).await.is_ok())
}
