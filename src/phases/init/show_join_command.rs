//! `show-join-command`: how the cluster is used, and how a node is joined by hand.

use std::sync::Arc;

use crate::phases::{Context, Done, PhaseError};
use crate::report::Event;

/// Run the phase. Printed when the run made something of the cluster, not on every converging run.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    if context.dry_run() || run.control_plane().was_there() {
        return Ok(Done::NotNeeded("the cluster was there before".to_owned()));
    }
    run.reporter().emit(Event::Message {
        text: format!(
            "The control plane is up. On {host}, as root:\n  \
             export KUBECONFIG=/etc/kubernetes/admin.conf && kubectl get nodes\n\
             Pods need a network: fleetadm installs none.\n\
             Hosts of the inventory are joined by `fleetadm apply`. For any other host, \
             `fleetadm token create --print-join-command` prints what to run there.",
            host = context.host().name,
        ),
    });
    Ok(Done::Finished)
}
