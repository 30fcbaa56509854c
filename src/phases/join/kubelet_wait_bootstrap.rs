//! `kubelet-wait-bootstrap`: until the kubelet has credentials of its own and the node is registered. The
//! bootstrap credentials are removed then.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::kubeconfig::BOOTSTRAP_KUBELET;
use crate::kubernetes::poll::Attempt;
use crate::kubernetes::{Poll, wait};
use crate::node::FileBatch;
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
    let name = &context.host().name;
    let timeout = run.cluster().section.timeouts.tls_bootstrap;
    let poll = Poll { timeout, interval: Duration::from_millis(250) };
    let cancel = &run.options().cancel;
    let bootstrapped = async {
        wait::node_registered(api, name, poll, cancel).await?;
        // The Node may be that of a machine which had the name before.
        let action = "see the kubelet with credentials of its own";
        poll.until(cancel, action, || async {
            Ok(match kubelet::settled_config(&context).await {
                Ok(Some(config)) => Attempt::Done(config),
                Ok(None) => Attempt::NotYet("it has none yet".to_owned()),
                Err(error) => Attempt::NotYet(error.to_string()),
            })
        })
        .await
    };
    let config = match bootstrapped.await {
        Ok(config) => config,
        Err(error) => return Err(diagnosis::kubelet(&context, error).await),
    };
    // The kubelet has read the file that this one replaces, and reads this one when it next starts.
    let mut batch = FileBatch::default();
    batch.files.push(config);
    context.install(&batch).await?;
    let bootstrap = format!("{KUBERNETES_DIRECTORY}/{BOOTSTRAP_KUBELET}");
    let removed = context.node().await?.remove(&[&bootstrap]).await?;
    context.report_all(removed);

    nodes::annotate(&context).await?;
    Ok(Done::Finished)
}
