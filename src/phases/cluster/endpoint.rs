//! The control plane's endpoint as the host sees it: a name that resolves there, and an API server of this cluster
//! behind it.

use std::sync::Arc;
use std::time::Duration;

use crate::inventory::Role;
use crate::kubernetes::poll::Attempt;
use crate::kubernetes::{Poll, Timing};
use crate::phases::{Context, Done, PhaseError};

/// One try may take this long.
const REQUEST: Duration = Duration::from_secs(5);

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let cluster = context.run.cluster();
    let Some(endpoint) = cluster.control_plane_endpoint() else {
        return Ok(Done::NotNeeded("the inventory has no control_plane_endpoint".to_owned()));
    };
    if context.dry_run() {
        return Ok(Done::NotNeeded("a dry run waits for nothing".to_owned()));
    }
    let Some(api) = context.endpoint_api().await? else { return Ok(Done::Finished) };
    let api = api.with_timing(Timing::once(REQUEST));
    let poll = Poll::for_at_most(cluster.section.timeouts.discovery);
    let cancel = &context.run.options().cancel;
    let action = format!("reach the control plane by its endpoint, {endpoint}, from this host");
    // A load balancer takes its time to see that an API server is ready, and one that is not may have another answer
    // until then: every answer may change.
    let waited = poll.until(cancel, &action, || async {
        Ok(match api.probe("/version").await {
            Ok(_) => Attempt::Done(()),
            Err(error) => Attempt::NotYet(error.to_string()),
        })
    });
    let Err(error) = waited.await else { return Ok(Done::Finished) };
    let remedy = match &cluster.section.load_balancer {
        Some(_) => {
            "see what journalctl has of kubernetes-haproxy, kubernetes-keepalived or kube-vip on its hosts"
        }
        None => {
            "have whatever serves it lead to the API servers, or let fleetadm serve it with [cluster.load_balancer]"
        }
    };
    let error = PhaseError::Api(error);
    if error.interrupted() {
        return Err(error);
    }
    let text = format!("{error}; {remedy}");
    // kubeadm's own control planes go by their own API servers, in the releases that have it so.
    let local = cluster.release.kubeconfig_profile().kubelet_local_server;
    if local && context.host().role == Role::ControlPlane {
        context.warn(text);
        return Ok(Done::Finished);
    }
    Err(PhaseError::State(text))
}
