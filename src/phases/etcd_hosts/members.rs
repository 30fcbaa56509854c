//! `etcd/init` and `etcd/join`: the first member of etcd, and the others.

use std::sync::Arc;

use crate::cluster::static_pods::etcd::{InitialCluster, peer_url};
use crate::kubernetes::poll::Attempt;
use crate::phases::etcd::{any_member, member, membership, own_member};
use crate::phases::{Context, Done, PhaseError, diagnosis};

/// Run `etcd/init` on the first host. A member that is there already keeps what it was told of the others; one that was
/// cut short on its way in is promoted.
pub async fn first(context: Arc<Context>) -> Result<Done, PhaseError> {
    let initial = member::initial_cluster(&context).await?.unwrap_or(InitialCluster::New);
    let batch = member::files(&context, &initial).await?;
    if context.dry_run() {
        member::put_in_place(&context, &batch).await?;
        return Ok(Done::Finished);
    }
    let turn = context.run.etcd_membership().await;
    member::put_in_place(&context, &batch).await?;
    promote_learner(&context).await?;
    membership::wait_healthy(&context).await?;
    drop(turn);
    Ok(Done::Finished)
}

async fn promote_learner(context: &Context) -> Result<(), PhaseError> {
    let own = own_member(context).await?;
    let action = "see the host's etcd member answer";
    let asked = member::poll(context).until(&context.run.options().cancel, action, || async {
        Ok(match own.status().await {
            Ok(status) => Attempt::Done(status),
            Err(error) => Attempt::NotYet(error.to_string()),
        })
    });
    let status = match asked.await {
        Ok(status) => status,
        Err(error) => return Err(diagnosis::etcd_member(context, error).await),
    };
    if !status.is_learner {
        return Ok(());
    }
    let any = any_member(&context.run).await?;
    let own_url = peer_url(context.advertise_address().await?);
    match any.members().await?.at(&own_url) {
        Some(own) if own.is_learner => membership::promote(context, &any, own.id, &own_url).await,
        _ => Ok(()),
    }
}

/// Run `etcd/join` on the others.
pub async fn joining(context: Arc<Context>) -> Result<Done, PhaseError> {
    // Its first member has just been previewed.
    if context.dry_run() && !is_there(&context).await {
        membership::preview_new(&context, &peer_url(context.advertise_address().await?));
        let batch = member::files(&context, &InitialCluster::New).await?;
        context.install(&batch).await?;
        return Ok(Done::Finished);
    }
    membership::join(&context).await
}

async fn is_there(context: &Context) -> bool {
    match any_member(&context.run).await {
        Ok(any) => any.members().await.is_ok(),
        Err(_) => false,
    }
}
