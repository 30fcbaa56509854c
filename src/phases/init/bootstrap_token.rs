//! `bootstrap-token`: what lets nodes join. The token itself is made when the first node of a run needs it,
//! and deleted when the run ends.

use std::sync::Arc;

use crate::kubernetes::objects::{bootstrap_token, cluster_info};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    let cluster = run.cluster();
    let address = run.control_plane().advertise_address(run).await?;
    let server = cluster.control_plane_url(address);
    let ca = run.control_plane().ca(run).await?;
    let mut objects =
        bootstrap_token::rbac(cluster.release.config.apiserver_kubelet_client_binding);
    objects.extend(cluster_info::objects(
        ca,
        &server,
        cluster.release.kubeconfig_profile().preferences,
    ));
    context.apply(&objects).await?;
    Ok(Done::Finished)
}
