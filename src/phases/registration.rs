//! A kubelet that runs and has a Node. It registers one when it starts: one that has run all the time, and whose Node was
//! deleted meanwhile, needs another start.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::inventory::Role;
use crate::kubernetes::objects::node::{ahead_of_kubelet, is_registered};
use crate::kubernetes::{ApiClient, Poll, Timing, nodes, wait};
use crate::node::ServiceAction;

use super::{Context, PhaseError, diagnosis, kubelet};

/// How long an API server that is well may take to say whether there is a Node.
const ANSWER: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(250);

/// Have the kubelet run with the files that are in place, and with a Node. Where no API server answers, whatever needs the
/// Node next tells.
///
/// # Errors
/// What the host said; the API refuses a Node; the kubelet tells nothing to it within the TLS bootstrap timeout.
pub async fn start(context: &Context) -> Result<(), PhaseError> {
    let before = context.changes();
    kubelet::start(context).await?;
    let ran_before = context.changes() == before;
    if !ran_before || context.dry_run() {
        return Ok(());
    }
    let Ok(Some(api)) = context.api().await else { return Ok(()) };
    let once = api.with_timing(Timing::once(ANSWER));
    let Ok(node) = nodes::get(&once, &context.host().name).await else { return Ok(()) };
    if node.as_ref().is_some_and(is_registered) {
        return Ok(());
    }
    if context.host().role == Role::ControlPlane {
        make_ahead(context, api, node.is_some()).await?;
    }
    context.service(ServiceAction::Restart, kubelet::SERVICE).await
}

/// Make the Node that the running kubelet lacks, and let it tell what room there is: it does that to any Node of its name.
///
/// A kubelet that is started again judges its static pods by the Node that it finds. One of its own making tells of no
/// disk at first: it would turn etcd away, and with it would go the API server that it could be told better by.
async fn make_ahead(context: &Context, api: &ApiClient, is_there: bool) -> Result<(), PhaseError> {
    let host = context.host();
    let section = &context.run.cluster().section;
    if !is_there {
        let labels = host.kubelet_extra_args.get("node-labels").map(String::as_str);
        let taints = section.kubelet_configuration.get("registerWithTaints");
        let node = ahead_of_kubelet(&host.name, labels, taints);
        match api.create(&node).await {
            Ok(_) => context.changed(format!("create {}", node.key())),
            // The kubelet was started by somebody else meanwhile.
            Err(error) if error.status() == Some(409) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let poll = Poll { timeout: section.timeouts.tls_bootstrap, interval: INTERVAL };
    let cancel = &context.run.options().cancel;
    match wait::node_offers(api, &host.name, &BTreeSet::from(["cpu"]), poll, cancel).await {
        Ok(()) => Ok(()),
        Err(error) => Err(diagnosis::kubelet(context, error).await),
    }
}
