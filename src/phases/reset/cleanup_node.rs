//! `cleanup-node`: the kubelet stopped, pods and mounts gone, kubeadm's and fleetadm's files removed.
//!
//! The order is kubeadm's, and for its reasons: nothing is deleted while something of a pod is still mounted
//! below it. Where kubeadm leaves empty directories behind, these go too.

use std::sync::Arc;

use crate::cluster::kubeconfig::{BOOTSTRAP_KUBELET, Workflow, specs};
use crate::cluster::{etcd_kubelet, etcd_unit};
use crate::inventory::Role;
use crate::node::{FileAction, FileBatch, NodeError, NodeFile, ServiceAction};
use crate::phases::control_plane::KUBERNETES_DIRECTORY;
use crate::phases::etcd::member;
use crate::phases::{Context, Done, PhaseError, kubelet, load_balancer, prepare};

/// The kubelet's own.
pub(super) const KUBELET_DIRECTORY: &str = "/var/lib/kubelet";
/// Directories that are kubeadm's or the kubelet's alone.
const DIRECTORIES: [&str; 3] =
    ["/etc/kubernetes/manifests", KUBELET_DIRECTORY, "/etc/kubernetes/pki"];
/// What kubeadm up to 1.24 emptied besides.
const OLDER_DIRECTORIES: [&str; 3] = ["/var/lib/dockershim", "/var/run/kubernetes", "/var/lib/cni"];
/// Removed when nothing is in them.
const EMPTY_DIRECTORIES: [&str; 6] = [
    "/etc/kubernetes/tmp",
    "/etc/kubernetes",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
    "/usr/libexec/kubernetes/kubelet-plugins/volume",
    "/usr/libexec/kubernetes/kubelet-plugins",
    "/usr/libexec/kubernetes",
];

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    context.service(ServiceAction::Stop, kubelet::SERVICE).await?;
    // From here on there is no way back: pods stay away from the node.
    context.run.reset().is_leaving(&context.host().name);
    unmount(&context).await?;
    remove_pods(&context).await?;
    load_balancer::remove(&context).await?;

    let node = context.node().await?;
    let mut directories = DIRECTORIES.to_vec();
    if context.run.cluster().release.version.minor <= 24 {
        directories.extend(OLDER_DIRECTORIES);
    }
    context.report_all(node.remove_directories(&directories).await?);
    let files = kubeconfigs(&context);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    context.report_all(node.remove(&files).await?);

    remove_own(&context, &prepare::files::render(&context).await?).await?;
    if remove_own(&context, &prepare::registries::files(&context).await?).await? {
        let directories = prepare::registries::directories(&context);
        let directories: Vec<&str> = directories.iter().map(String::as_str).collect();
        context.report_all(node.prune_directories(&directories).await?);
    }
    remove_unit(&context).await?;
    context.report_all(node.prune_directories(&EMPTY_DIRECTORIES).await?);
    // Last, since everything above went through it.
    node.cleanup().await?;
    Ok(Done::Finished)
}

/// Unmount what pods have mounted.
pub(super) async fn unmount(context: &Context) -> Result<(), PhaseError> {
    let changes = context.node().await?.unmount_below(&[KUBELET_DIRECTORY]).await?;
    context.report_all(changes);
    Ok(())
}

/// Stop and remove every pod sandbox. As with kubeadm, a runtime that does not answer only warns.
pub(super) async fn remove_pods(context: &Context) -> Result<(), PhaseError> {
    if !context.run.cluster().runs_containers(context.host().role) {
        return Ok(());
    }
    let socket = kubelet::runtime_endpoint(context).await?;
    match context.node().await?.remove_sandboxes(&socket).await {
        Ok(changes) => {
            context.report_all(changes);
            Ok(())
        }
        Err(error @ NodeError::Transport { .. }) => Err(error.into()),
        Err(error) => {
            context.warn(format!("pods may be left: {error}"));
            Ok(())
        }
    }
}

fn kubeconfigs(context: &Context) -> Vec<String> {
    // All that any release writes: the host may have been set up by another.
    let profile = crate::cluster::kubeconfig::Profile::V1_36;
    let mut files: Vec<String> = specs(&profile, Workflow::Init, &context.host().name)
        .iter()
        .map(|spec| format!("{KUBERNETES_DIRECTORY}/{}", spec.file))
        .collect();
    files.push(format!("{KUBERNETES_DIRECTORY}/{BOOTSTRAP_KUBELET}"));
    files
}

/// Remove those files that are on the host as fleetadm puts them there. One that somebody has changed since
/// is theirs.
async fn remove_own(context: &Context, batch: &FileBatch) -> Result<bool, PhaseError> {
    let node = context.node().await?;
    let planned = node.plan(batch).await?;
    let own: Vec<&str> = planned
        .iter()
        .filter(|change| change.action == FileAction::Unchanged)
        .map(|change| change.path.as_str())
        .collect();
    if own.is_empty() {
        return Ok(false);
    }
    context.report_all(node.remove(&own).await?);
    Ok(true)
}

/// The kubelet's unit goes where it came with `[artifacts]`: without its configuration it could only fail at
/// every boot. A packaged unit, and the binaries, stay.
async fn remove_unit(context: &Context) -> Result<(), PhaseError> {
    if member::is_service(context) {
        return remove_etcd_unit(context).await;
    }
    let node = context.node().await?;
    let mut removed = false;
    if context.host().role == Role::Etcd {
        let mode = etcd_kubelet::DROP_IN_MODE;
        let file = NodeFile::public(etcd_kubelet::DROP_IN_PATH, etcd_kubelet::DROP_IN, mode);
        let batch = FileBatch { directories: Vec::new(), files: vec![file] };
        removed = remove_own(context, &batch).await?;
    }
    if context.run.inventory().artifacts.binaries.is_some() {
        let batch = prepare::binaries::unit();
        let planned = node.plan(&batch).await?;
        if planned.iter().any(|change| change.action == FileAction::Unchanged) {
            context.service(ServiceAction::Disable, kubelet::SERVICE).await?;
            removed |= remove_own(context, &batch).await?;
        }
    }
    if removed {
        context.report_all(node.prune_directories(&[prepare::binaries::DROP_IN_DIRECTORY]).await?);
        node.service(ServiceAction::Reload, kubelet::SERVICE).await?;
    }
    Ok(())
}

/// The unit of etcd goes, where it is fleetadm's.
async fn remove_etcd_unit(context: &Context) -> Result<(), PhaseError> {
    let node = context.node().await?;
    let files = node.read(&[etcd_unit::UNIT_PATH]).await?;
    let Some(unit) = files.get(etcd_unit::UNIT_PATH) else { return Ok(()) };
    if !etcd_unit::is_ours(&String::from_utf8_lossy(&unit.content)) {
        return Ok(());
    }
    context.service(ServiceAction::Disable, etcd_unit::SERVICE).await?;
    context.report_all(node.remove(&[etcd_unit::UNIT_PATH]).await?);
    node.service(ServiceAction::Reload, etcd_unit::SERVICE).await?;
    Ok(())
}
