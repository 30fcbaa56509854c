//! `kubelet-finalize`: kubelet.conf points at the client certificate that the kubelet rotates by itself.

use std::sync::Arc;

use crate::cluster::kubeconfig::{self, KUBELET_CLIENT_FILE, Kubeconfig};
use crate::node::{FileBatch, NodeFile, ServiceAction};
use crate::phases::control_plane::KUBERNETES_DIRECTORY;
use crate::phases::{Context, Done, PhaseError, kubelet};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let path = format!("{KUBERNETES_DIRECTORY}/kubelet.conf");
    let mut files = context.node().await?.read(&[&path, KUBELET_CLIENT_FILE]).await?;
    if !files.contains_key(KUBELET_CLIENT_FILE) {
        return Ok(Done::NotNeeded(format!("the kubelet has not written {KUBELET_CLIENT_FILE}")));
    }
    let Some(file) = files.remove(&path) else {
        return Err(PhaseError::State(format!("{path} is missing; run phase kubeconfig first")));
    };
    let unusable = |reason| kubeconfig::Error::Unreadable { file: path.clone(), reason };
    let mut config = Kubeconfig::parse(&file.content).map_err(unusable)?;
    if !config.use_client_file(KUBELET_CLIENT_FILE) {
        return Ok(Done::Finished);
    }
    let content = config.render().map_err(unusable)?;
    let mut batch = FileBatch::default();
    batch.files.push(NodeFile::secret(path, content, kubeconfig::MODE));
    if context.install(&batch).await? == 0 {
        return Ok(Done::Finished);
    }
    // Losing this restart to a crash costs nothing: both files hold the same valid certificate, and the
    // kubelet reads kubelet.conf anew whenever it next starts.
    context.service(ServiceAction::Restart, kubelet::SERVICE).await?;
    if !context.dry_run() {
        kubelet::wait_healthy(&context).await?;
    }
    Ok(Done::Finished)
}
