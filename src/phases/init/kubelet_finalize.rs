//! `kubelet-finalize`: kubelet.conf points at the client certificate that the kubelet rotates by itself, and at the
//! endpoint that the control plane has by now.

use std::sync::Arc;

use crate::cluster::kubeconfig::KUBELET_CLIENT_FILE;
use crate::node::{FileBatch, ServiceAction};
use crate::phases::{Context, Done, PhaseError, kubelet};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let Some(config) = kubelet::settled_config(&context).await? else {
        return Ok(Done::NotNeeded(format!("the kubelet has not written {KUBELET_CLIENT_FILE}")));
    };
    let mut batch = FileBatch::default();
    batch.files.push(config);
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
