//! `control-plane-join`: what the cluster is told of a new control plane, besides its labels and taints.

use std::sync::Arc;

use crate::phases::init::upload_config;
use crate::phases::{Context, Done, PhaseError};

/// Run `update-status`.
pub async fn update_status(context: Arc<Context>) -> Result<Done, PhaseError> {
    if !context.run.cluster().release.config.cluster_status {
        return Ok(Done::NotNeeded("the release keeps no ClusterStatus".to_owned()));
    }
    upload_config::add_to_cluster_status(&context).await?;
    Ok(Done::Finished)
}
