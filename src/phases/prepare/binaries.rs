//! kubelet and kubectl from `[artifacts]`, with the kubelet's unit and kubeadm's drop-in; or etcd, where systemd
//! runs it.

use std::sync::Arc;

use futures::future::try_join_all;

use crate::inventory::Role;
use crate::node::{FileBatch, NodeFile};
use crate::phases::etcd::member;
use crate::phases::prepare::artifacts::Binary;
use crate::phases::{Context, Done, PhaseError};

/// Where the drop-in is.
pub const DROP_IN_DIRECTORY: &str = "/etc/systemd/system/kubelet.service.d";
/// Where etcd from `[artifacts]` is put.
pub const ETCD_PATH: &str = "/usr/local/bin/etcd";
const UNIT_PATH: &str = "/etc/systemd/system/kubelet.service";
const UNIT: &str = include_str!("../../../templates/kubelet/kubelet.service");
const DROP_IN: &str = include_str!("../../../templates/kubelet/10-kubeadm.conf");

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    // Hosts of etcd have asked in their own preflight.
    if context.host().role != Role::Etcd {
        context.run.control_plane().check_version(&context.run).await?;
    }
    if member::is_service(&context) {
        return etcd(&context).await;
    }
    let Some(binaries) = context.run.artifacts().binaries().await? else {
        return Ok(Done::NotNeeded("[artifacts] names no binaries".to_owned()));
    };
    let (node, context_ref) = (context.node().await?, &context);
    // A running kubelet goes on with the old binary: kubelet-start notices and restarts it, so that a run that
    // never gets there leaves a working node behind.
    let installed = binaries.iter().map(|Binary { origin, destination }| async move {
        let change = origin.install(node, destination).await?;
        context_ref.report_all(change.into_change().into_iter().collect());
        Ok::<_, PhaseError>(())
    });
    try_join_all(installed).await?;
    let batch = unit();
    context.install(&batch).await?;
    Ok(Done::Finished)
}

/// etcd itself, where systemd runs it.
async fn etcd(context: &Context) -> Result<Done, PhaseError> {
    let Some(origin) = context.run.artifacts().etcd().await? else {
        return Ok(Done::NotNeeded("[artifacts] has no etcd".to_owned()));
    };
    let change = origin.install(context.node().await?, ETCD_PATH).await?;
    context.report_all(change.into_change().into_iter().collect());
    Ok(Done::Finished)
}

/// The etcd that systemd runs on this host: the one from `[artifacts]`, or else the host's own.
///
/// # Errors
/// There is neither, or the host cannot be reached.
pub async fn etcd_path(context: &Context) -> Result<String, PhaseError> {
    if context.run.artifacts().etcd().await?.is_some() {
        return Ok(ETCD_PATH.to_owned());
    }
    context.facts().await?.commands.get("etcd").cloned().ok_or_else(|| {
        let text = "there is no etcd in the system path; install it (on Debian, etcd-server), or put the program `etcd` \
                    beside the kubelet in [artifacts] (a mirror's needs a line in `checksums`)";
        PhaseError::State(text.to_owned())
    })
}

/// The kubelet's unit and kubeadm's drop-in, as kubeadm's packages have them.
pub fn unit() -> FileBatch {
    let files = vec![
        NodeFile::public(UNIT_PATH, UNIT, 0o644),
        NodeFile::public(format!("{DROP_IN_DIRECTORY}/10-kubeadm.conf"), DROP_IN, 0o644),
    ];
    FileBatch { directories: Vec::new(), files }
}
