//! `etcd local`: the data directory and the static pod of a one-member etcd.

use std::sync::Arc;

use crate::cluster::static_pods::etcd::InitialCluster;
use crate::phases::etcd::{member, membership};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase. A member that is there already keeps what it was told of the others.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    context.check_version().await?;
    if !context.run.cluster().has_stacked_etcd() {
        return Ok(Done::NotNeeded("etcd is external".to_owned()));
    }
    let initial = member::initial_cluster(&context).await?.unwrap_or(InitialCluster::New);
    let batch = member::files(&context, &initial).await?;
    // It may be one of several, and they take turns.
    let turn = context.run.etcd_membership().await;
    if member::put_in_place(&context, &batch).await? {
        membership::wait_healthy(&context).await?;
    }
    drop(turn);
    Ok(Done::Finished)
}
