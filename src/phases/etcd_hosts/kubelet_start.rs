//! `etcd/kubelet-start`: the kubelet of a host of etcd, which knows no API server and runs what is in its manifests.

use std::sync::Arc;

use crate::phases::etcd::member;
use crate::phases::{Context, Done, PhaseError, kubelet};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    if member::is_service(&context) {
        return Ok(Done::NotNeeded("systemd runs etcd".to_owned()));
    }
    let batch = kubelet::files(&context).await?;
    kubelet::put_in_place(&context, &batch).await?;
    kubelet::start(&context).await?;
    if !context.dry_run() {
        kubelet::wait_healthy(&context).await?;
    }
    Ok(Done::Finished)
}
