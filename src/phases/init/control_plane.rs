//! `control-plane`: the static pods of the API server, the controller manager and the scheduler.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::patches::PatchError;
use crate::cluster::spec::{CERTIFICATES_DIRECTORY, MANIFESTS_DIRECTORY, extra_ca_directories};
use crate::cluster::static_pods::{self, Component};
use crate::cluster::static_pods::{kube_apiserver, kube_controller_manager, kube_scheduler};
use crate::cluster::{Cluster, ControlPlaneNode};
use crate::node::{FileBatch, NodeDirectory, NodeFile};
use crate::phases::{Context, Done, PhaseError};
use crate::pki::AuthorityName;

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    context.check_version().await?;
    let cluster = context.run.cluster();
    let node = control_plane_node(&context).await?;
    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory::new(MANIFESTS_DIRECTORY, 0o700));
    for (component, pod) in pods(cluster, &node)? {
        // kubeadm's names of these subphases lack the prefix.
        if !context.wants(component.as_str().trim_start_matches("kube-")) {
            continue;
        }
        batch.files.push(manifest(cluster, component, &pod)?);
    }
    context.install(&batch).await?;
    Ok(Done::Finished)
}

/// What is special about this control plane, from its facts.
///
/// # Errors
/// The host cannot be reached or has no address to advertise.
pub async fn control_plane_node(context: &Context) -> Result<ControlPlaneNode, PhaseError> {
    let run = &context.run;
    let facts = context.facts().await?;
    Ok(ControlPlaneNode {
        name: context.host().name.clone(),
        advertise_address: context.advertise_address().await?,
        extra_ca_directories: extra_ca_directories(&run.cluster().release, &facts.paths),
        proxy_environment: facts.proxy_environment.clone(),
        external_ca: external_ca(context).await?,
    })
}

/// Whether the cluster's authority signs elsewhere: its certificate is on the host, its key is not.
async fn external_ca(context: &Context) -> Result<bool, PhaseError> {
    if let Some(pki) = context.run.control_plane().known_pki() {
        let authority = pki.authorities.get(&AuthorityName::Kubernetes);
        return Ok(authority.is_some_and(|authority| authority.key.is_none()));
    }
    let paths = ["crt", "key"].map(|kind| format!("{CERTIFICATES_DIRECTORY}/ca.{kind}"));
    let [certificate, key] = paths.each_ref().map(String::as_str);
    let found = context.node().await?.read_public(&[certificate, key]).await?;
    Ok(found.contains_key(certificate) && !found.contains_key(key))
}

/// The static pods of this phase, with the operator's patches.
///
/// # Errors
/// The patches do not fit.
pub fn pods(
    cluster: &Cluster,
    node: &ControlPlaneNode,
) -> Result<[(Component, Pod); 3], PatchError> {
    let patched = |component, pod| Ok((component, static_pods::patched(cluster, component, pod)?));
    Ok([
        patched(Component::KubeApiserver, kube_apiserver::manifest(cluster, node))?,
        patched(
            Component::KubeControllerManager,
            kube_controller_manager::manifest(cluster, node),
        )?,
        patched(Component::KubeScheduler, kube_scheduler::manifest(cluster, node))?,
    ])
}

/// A static pod's manifest as a file.
///
/// # Errors
/// It cannot be rendered.
pub fn manifest(
    cluster: &Cluster,
    component: Component,
    pod: &Pod,
) -> Result<NodeFile, PhaseError> {
    let yaml = static_pods::to_yaml(pod, &cluster.release)?;
    let mut file = NodeFile::public(component.manifest_path(), yaml, static_pods::FILE_MODE);
    // A proxy's URL may hold a password, and with it the manifest does.
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut values =
        containers.flat_map(|it| it.env.iter().flatten()).filter_map(|it| it.value.as_deref());
    file.secret = values.any(|value| value.contains('@'));
    Ok(file)
}
