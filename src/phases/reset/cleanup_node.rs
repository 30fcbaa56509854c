//! `cleanup-node`: the kubelet stopped, pods and mounts gone, kubeadm's and fleetadm's files removed.
//!
//! The order is kubeadm's, and for its reasons: nothing is deleted while something of a pod is still mounted
//! below it. Where kubeadm leaves empty directories behind, these go too.

use std::sync::Arc;

use crate::cluster::kubeconfig::{BOOTSTRAP_KUBELET, Workflow, specs};
use crate::inventory::Role;
use crate::node::{FileAction, FileBatch, NodeError, ServiceAction};
use crate::phases::control_plane::KUBERNETES_DIRECTORY;
use crate::phases::{Context, Done, PhaseError, kubelet, prepare};

/// Directories that are kubeadm's or the kubelet's alone.
const DIRECTORIES: [&str; 3] =
    ["/etc/kubernetes/manifests", "/var/lib/kubelet", "/etc/kubernetes/pki"];
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
    unmount(&context).await?;
    remove_pods(&context).await?;

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
    remove_unit(&context).await?;
    context.report_all(node.prune_directories(&EMPTY_DIRECTORIES).await?);
    // Last, since everything above went through it.
    node.cleanup().await?;
    Ok(Done::Finished)
}

/// Unmount what pods have mounted.
pub(super) async fn unmount(context: &Context) -> Result<(), PhaseError> {
    let changes = context.node().await?.unmount_below(&["/var/lib/kubelet"]).await?;
    context.report_all(changes);
    Ok(())
}

/// Stop and remove every pod sandbox. As with kubeadm, a runtime that does not answer only warns.
pub(super) async fn remove_pods(context: &Context) -> Result<(), PhaseError> {
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
    if context.run.inventory().artifacts.binaries.is_none() || context.host().role == Role::Etcd {
        return Ok(());
    }
    let batch = prepare::binaries::unit();
    let node = context.node().await?;
    let planned = node.plan(&batch).await?;
    if planned.iter().any(|change| change.action == FileAction::Unchanged) {
        context.service(ServiceAction::Disable, kubelet::SERVICE).await?;
        remove_own(context, &batch).await?;
        context.report_all(node.prune_directories(&[prepare::binaries::DROP_IN_DIRECTORY]).await?);
        node.service(ServiceAction::Reload, kubelet::SERVICE).await?;
    }
    Ok(())
}
