//! `show-join-command`: how the cluster is used, and how a node is joined by hand.

use std::sync::Arc;

use crate::phases::{Context, Done, PhaseError};
use crate::pki::Certificate;
use crate::report::Event;

/// Run the phase. Printed when the run made something of the cluster, not on every converging run.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    if context.dry_run() || run.control_plane().was_there() {
        return Ok(Done::NotNeeded("the cluster was there before".to_owned()));
    }
    let cluster = run.cluster();
    let address = run.control_plane().advertise_address(run).await?;
    let url = cluster.control_plane_url(address);
    let server = url.trim_start_matches("https://");
    let ca = run.control_plane().ca(run).await?;
    let hashes: String = Certificate::from_pem(ca)
        .map_err(|reason| PhaseError::State(format!("ca.crt: {reason}")))?
        .iter()
        .map(|ca| format!(" --discovery-token-ca-cert-hash {}", ca.public_key_hash()))
        .collect();
    run.reporter().emit(Event::Message {
        text: format!(
            "The control plane is up. On {host}, as root:\n  \
             export KUBECONFIG=/etc/kubernetes/admin.conf && kubectl get nodes\n\
             Pods need a network: fleetadm installs none.\n\
             Hosts of the inventory are joined by `fleetadm apply`. To join another by hand, make a token on \
             {host} with `kubeadm token create` and run on the other host:\n  \
             kubeadm join {server} --token <token>{hashes}",
            host = context.host().name,
        ),
    });
    Ok(Done::Finished)
}
