//! `prune`: Nodes and members of etcd that no host of the inventory stands for are named, and with `--prune` removed
//! where they are dead.

use std::sync::Arc;

use crate::kubernetes::nodes;
use crate::phases::{Context, Done, PhaseError};

use super::cluster::{self, Living, Standing};
use super::quorum;

/// Run the phase. It is the cluster's rather than a host's: whichever host comes first does it for all, which wait.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let Standing::Living(living) = cluster::standing(&context).await else {
        return Ok(Done::NotNeeded("there is no cluster that answers".to_owned()));
    };
    let prune = || async {
        prune_members(&context, living).await?;
        prune_nodes(&context, living).await
    };
    context.run.reset().once_pruned(prune).await?;
    Ok(Done::Finished)
}

async fn prune_members(context: &Context, living: &Living) -> Result<(), PhaseError> {
    let options = &context.run.options().reset;
    let Some(etcd) = &living.etcd else { return Ok(()) };
    let _alone = context.run.etcd_membership().await;
    let mut left = living.view.clone();
    for member in living.view.strange_members() {
        let label = member.label();
        let what = format!("etcd member {label} ({})", member.addresses.join(", "));
        if !options.prune {
            context.warn(format!(
                "{what} is of no host in the inventory; --prune removes it where it is dead"
            ));
            continue;
        }
        if member.healthy && !options.force {
            context.warn(format!(
                "{what} is of no host in the inventory and lives, so it stays; --force --prune removes it"
            ));
            continue;
        }
        if let Err(lost) = quorum::take_out(&left.voters(), &[&label]) {
            context.warn(format!("{what} is of no host in the inventory and stays: {lost}"));
            continue;
        }
        if !context.dry_run() {
            etcd.remove(context, member.id).await?;
        }
        context.changed(format!("remove {what}, which is of no host"));
        left.members.retain(|other| other.id != member.id);
    }
    Ok(())
}

async fn prune_nodes(context: &Context, living: &Living) -> Result<(), PhaseError> {
    let options = &context.run.options().reset;
    for node in living.view.strange_nodes() {
        let name = &node.name;
        match (options.prune, node.ready) {
            (false, _) => context.warn(format!(
                "Node {name} is of no host in the inventory; --prune deletes it where it is dead"
            )),
            (true, true) if !options.force => context.warn(format!(
                "Node {name} is of no host in the inventory and lives, so it stays; --force --prune deletes it"
            )),
            (true, _) => {
                if context.dry_run() || nodes::delete(&living.api, name).await? {
                    context.changed(format!("delete Node {name}, which is of no host"));
                }
            }
        }
    }
    Ok(())
}
