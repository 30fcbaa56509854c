//! kubelet and kubectl from `[artifacts] binaries`, with the kubelet's unit and kubeadm's drop-in.

use std::sync::Arc;

use futures::future::try_join_all;

use crate::node::{FileBatch, NodeFile};
use crate::phases::{Context, Done, PhaseError};

/// Where the drop-in is.
pub const DROP_IN_DIRECTORY: &str = "/etc/systemd/system/kubelet.service.d";
const UNIT_PATH: &str = "/etc/systemd/system/kubelet.service";
const UNIT: &str = include_str!("../../../templates/kubelet/kubelet.service");
const DROP_IN: &str = include_str!("../../../templates/kubelet/10-kubeadm.conf");

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    context.run.control_plane().check_version(&context.run).await?;
    let Some(binaries) = context.run.artifacts().binaries().await? else {
        return Ok(Done::NotNeeded("[artifacts] names no binaries".to_owned()));
    };
    let (node, context_ref) = (context.node().await?, &context);
    // A running kubelet goes on with the old binary: kubelet-start notices and restarts it, so that a run that
    // never gets there leaves a working node behind.
    let install = |binary: &'static str, local| async move {
        let change = node.install_binary(local, binary, 0o755).await?;
        context_ref.report_all(change.into_change().into_iter().collect());
        Ok::<_, PhaseError>(())
    };
    try_join_all(binaries.iter().map(|b| install(b.destination, &b.local))).await?;
    let batch = unit();
    context.install(&batch).await?;
    Ok(Done::Finished)
}

/// The kubelet's unit and kubeadm's drop-in, as kubeadm's packages have them.
pub fn unit() -> FileBatch {
    let files = vec![
        NodeFile::public(UNIT_PATH, UNIT, 0o644),
        NodeFile::public(format!("{DROP_IN_DIRECTORY}/10-kubeadm.conf"), DROP_IN, 0o644),
    ];
    FileBatch { directories: Vec::new(), files }
}
