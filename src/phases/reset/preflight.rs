//! `preflight` of reset: root, and nothing that the reset would break without a word.

use std::sync::Arc;

use crate::inventory::Role;
use crate::phases::preflight::{self, Workflow};
use crate::phases::{Context, Done, PhaseError};

use super::cleanup_node::KUBELET_DIRECTORY;
use super::cluster::{self, Living, Standing};
use super::mounts;

/// Run the phase. What refuses it is told with all its numbers, before anything is touched.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    preflight::check(&context, Workflow::Reset).await?;
    let mut refusals = Vec::new();
    refusals.extend(foreign_mounts(&context).await?);
    refusals.extend(departure(&context).await?);
    for refusal in refusals {
        if !context.run.options().reset.force {
            return Err(PhaseError::State(refusal));
        }
        context.warn(format!("{refusal}; done all the same, because of --force"));
    }
    Ok(Done::Finished)
}

/// What is mounted below the kubelet's directory that the kubelet has not mounted.
async fn foreign_mounts(context: &Context) -> Result<Option<String>, PhaseError> {
    let all = context.node().await?.mounts_below(KUBELET_DIRECTORY).await?;
    let foreign = mounts::foreign(&all);
    if foreign.is_empty() {
        return Ok(None);
    }
    let paths: Vec<String> =
        foreign.iter().map(|mount| format!("{KUBELET_DIRECTORY}/{mount}")).collect();
    Ok(Some(format!(
        "the reset would unmount what Kubernetes has not mounted: {}; unmount it yourself, and take it out of fstab \
         where it is there, or say --force",
        crate::report::printable_line(&paths.join(", "), 600)
    )))
}

/// What the cluster says to the host's leaving.
async fn departure(context: &Context) -> Result<Option<String>, PhaseError> {
    let options = &context.run.options().reset;
    // Where everybody goes, only what somebody else has joined to it stays.
    if options.whole && context.host().role != Role::ControlPlane {
        return Ok(None);
    }
    let standing = cluster::standing(context).await;
    // It may not have been waited for to the end.
    let interrupted = || context.run.options().cancel.is_cancelled();
    match standing {
        Standing::Absent => Ok(None),
        Standing::Silent(_) if options.whole || is_bare(context).await? => Ok(None),
        Standing::Silent(_) if interrupted() => Err(PhaseError::Interrupted),
        Standing::Silent(why) => Ok(Some(format!(
            "the cluster does not answer, so the host's pods cannot be moved away and its Node and member of etcd \
             cannot be removed ({why}); see to that, or reset the host all the same with --force"
        ))),
        Standing::Living(living) => match refusal(living, &context.host().name) {
            Some(_) if interrupted() => Err(PhaseError::Interrupted),
            refusal => Ok(refusal),
        },
    }
}

fn refusal(living: &Living, host: &str) -> Option<String> {
    let why = living.view.refusals().remove(host)?;
    Some(format!(
        "the cluster would not survive the reset: {why}; --force resets the host all the same"
    ))
}

/// Whether the host has no part in any cluster (any more).
async fn is_bare(context: &Context) -> Result<bool, PhaseError> {
    let paths = &context.facts().await?.paths;
    let parts = [
        "/etc/kubernetes/kubelet.conf",
        "/etc/kubernetes/bootstrap-kubelet.conf",
        "/etc/kubernetes/pki/ca.crt",
        "/etc/kubernetes/pki/etcd/ca.crt",
    ];
    Ok(!parts.iter().any(|path| paths.contains_key(*path)))
}
