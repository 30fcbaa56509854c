//! `kubelet-wait-bootstrap`: until the kubelet has credentials of its own and the node is registered. The
//! bootstrap credentials are removed then.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::kubeconfig::BOOTSTRAP_KUBELET;
use crate::kubernetes::{Poll, wait};
use crate::phases::control_plane::KUBERNETES_DIRECTORY;
use crate::phases::{Context, Done, PhaseError, diagnosis, kubelet, nodes};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    if context.dry_run() {
        return Ok(Done::NotNeeded("a dry run waits for nothing".to_owned()));
    }
    let Some(api) = context.api().await? else { return Ok(Done::Finished) };
    kubelet::wait_healthy(&context).await?;
    // A node can only be registered by a kubelet that has its certificate.
    let name = &context.host().name;
    let timeout = run.cluster().section.timeouts.tls_bootstrap;
    let poll = Poll { timeout, interval: Duration::from_millis(250) };
    if let Err(error) = wait::node_registered(api, name, poll, &run.options().cancel).await {
        return Err(diagnosis::kubelet(&context, error).await);
    }
    let bootstrap = format!("{KUBERNETES_DIRECTORY}/{BOOTSTRAP_KUBELET}");
    let removed = context.node().await?.remove(&[&bootstrap]).await?;
    context.report_all(removed);

    nodes::annotate(&context).await?;
    Ok(Done::Finished)
}
