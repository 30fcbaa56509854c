//! Bootstrap tokens for hosts that are joined by hand, and the command that joins them.

use std::sync::Arc;

use crate::cluster::join_command::JoinCommand;
use crate::kubernetes::objects::bootstrap_token::{BootstrapToken, TokenOptions};
use crate::kubernetes::objects::cluster_info;
use crate::kubernetes::tokens::{self, LiveToken};
use crate::kubernetes::{ApiClient, ApiError};
use crate::phases::{PhaseError, Run};

/// Make a token that does not exist.
///
/// # Errors
/// A token with its public part exists; the API server does not answer or refuses.
pub async fn create(
    run: &Arc<Run>,
    token: &BootstrapToken,
    options: &TokenOptions,
) -> Result<(), PhaseError> {
    Ok(tokens::create(api(run).await?, token, options).await?)
}

/// How hosts are joined by hand: with the address and the authority that the cluster itself tells those who join.
///
/// # Errors
/// The cluster tells nothing, or nothing of use; the API server does not answer or refuses.
pub async fn join_command(run: &Arc<Run>) -> Result<JoinCommand, PhaseError> {
    let unusable = |reason: &str| {
        PhaseError::State(format!(
            "ConfigMap kube-public/cluster-info {reason}, so no host could join with a token; put it right with \
             `fleetadm init phase bootstrap-token`"
        ))
    };
    let config_map = api(run).await?.get(&cluster_info::key()).await?;
    let config_map = config_map.ok_or_else(|| unusable("does not exist"))?;
    let (server, ca) =
        cluster_info::read(&config_map).ok_or_else(|| unusable("names no cluster"))?;
    JoinCommand::new(&server, &ca)
        .map_err(|reason| unusable(&format!("has no usable authority ({reason})")))
}

/// The tokens of the cluster that are good for something, by id.
///
/// # Errors
/// The API server does not answer or refuses.
pub async fn list(run: &Arc<Run>) -> Result<Vec<LiveToken>, PhaseError> {
    Ok(tokens::list(api(run).await?).await?)
}

/// Delete a token by its public part; `false` where there was none.
///
/// # Errors
/// The API server does not answer or refuses.
pub async fn delete(run: &Arc<Run>, id: &str) -> Result<bool, PhaseError> {
    Ok(tokens::delete(api(run).await?, id).await?)
}

async fn api(run: &Arc<Run>) -> Result<&ApiClient, PhaseError> {
    let api = run.control_plane().api(run).await?;
    // Only a dry run goes on without, and none of this has one.
    api.ok_or_else(|| ApiError::Setup { problem: "there is no API server yet".to_owned() }.into())
}
