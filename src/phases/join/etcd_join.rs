//! `etcd-join`: the etcd of a joining control plane becomes a member.

use std::sync::Arc;

use crate::cluster::static_pods::etcd::peer_url;
use crate::phases::etcd::membership;
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    context.check_version().await?;
    if !context.run.cluster().has_stacked_etcd() {
        return Ok(Done::NotNeeded("etcd is external".to_owned()));
    }
    if context.dry_run() && context.api().await?.is_none() {
        membership::preview_new(&context, &peer_url(context.advertise_address().await?));
        return Ok(Done::Finished);
    }
    membership::join(&context).await
}
