//! kubelet and kubectl from `[artifacts] binaries`, with the kubelet's unit and kubeadm's drop-in.

use std::sync::Arc;

use crate::node::{FileAction, FileBatch, FileChange, NodeFile, ServiceAction};
use crate::phases::{Context, Done, PhaseError, kubelet};

/// Where the drop-in is.
pub const DROP_IN_DIRECTORY: &str = "/etc/systemd/system/kubelet.service.d";
const UNIT_PATH: &str = "/etc/systemd/system/kubelet.service";
const UNIT: &str = include_str!("../../../templates/kubelet/kubelet.service");
const DROP_IN: &str = include_str!("../../../templates/kubelet/10-kubeadm.conf");

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let Some(binaries) = context.run.artifacts().binaries().await? else {
        return Ok(Done::NotNeeded("[artifacts] names no binaries".to_owned()));
    };
    let node = context.node().await?;
    let paths: Vec<&str> = binaries.iter().map(|binary| binary.destination).collect();
    let present = node.checksums(&paths).await?;
    for binary in binaries {
        let same =
            |sum: &crate::node::Checksum| sum.sha256 == binary.local.sha256() && sum.mode == 0o755;
        if present.get(binary.destination).and_then(Option::as_ref).is_some_and(same) {
            continue;
        }
        if binary.destination.ends_with("/kubelet") {
            // A running kubelet would go on with the old binary; stopped, it is started by kubelet-start.
            context.service(ServiceAction::Stop, kubelet::SERVICE).await?;
        }
        let change = node.install_binary(&binary.local, binary.destination, 0o755).await?;
        context.report_all(change.into_change().into_iter().collect());
    }
    let batch = unit();
    let changed = node.plan(&batch).await?.iter().any(is_change);
    if changed {
        context.service(ServiceAction::Stop, kubelet::SERVICE).await?;
        context.install(&batch).await?;
    }
    Ok(Done::Finished)
}

fn is_change(change: &FileChange) -> bool {
    change.action != FileAction::Unchanged
}

/// The kubelet's unit and kubeadm's drop-in, as kubeadm's packages have them.
pub fn unit() -> FileBatch {
    let files = vec![
        NodeFile::public(UNIT_PATH, UNIT, 0o644),
        NodeFile::public(format!("{DROP_IN_DIRECTORY}/10-kubeadm.conf"), DROP_IN, 0o644),
    ];
    FileBatch { directories: Vec::new(), files }
}
