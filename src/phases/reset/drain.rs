//! `drain`: no new pods for the node, and those that are there moved to others, before its host is touched.

use std::sync::Arc;

use crate::kubernetes::drain::{self, DrainError, DrainOptions, PodRef};
use crate::phases::{Context, Done, PhaseError};

use super::cluster::{self, Living, Standing};

/// Run the phase. A node that cannot be drained takes pods again.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let name = &context.host().name;
    let living = match cluster::standing(&context).await {
        Standing::Absent => return Ok(Done::NotNeeded("there is no cluster".to_owned())),
        Standing::Silent(why) => {
            context.warn(format!("pods are not moved away: the cluster does not answer ({why})"));
            return Ok(Done::Finished);
        }
        Standing::Living(living) => living,
    };
    if living.view.node(name).is_none() {
        return Ok(Done::NotNeeded(format!("the cluster has no Node {name}")));
    }
    if living.view.ends() {
        let text = "no control plane stays, and pods have nowhere to go";
        return Ok(Done::NotNeeded(text.to_owned()));
    }
    let options = &context.run.options().reset;
    let options = DrainOptions { timeout: options.drain_timeout, force: options.force };
    let sorted = drain::sort(&drain::pods_on(&living.api, name).await?, options.force);
    if !sorted.blocking.is_empty() {
        let (node, pods) = (name.clone(), sorted.blocking);
        return Err(DrainError::Unmanaged { node, pods }.into());
    }
    if !sorted.losing_data.is_empty() {
        let pods: Vec<String> = sorted.losing_data.iter().map(ToString::to_string).collect();
        context.warn(format!("emptyDir volumes end with their pods: {}", pods.join(", ")));
    }
    if context.dry_run() {
        context.changed(format!("cordon Node {name}"));
        for pod in &sorted.evict {
            context.changed(format!("evict Pod {pod}"));
        }
        return Ok(Done::Finished);
    }
    if drain::cordon(&living.api, name).await? {
        context.changed(format!("cordon Node {name}"));
        context.run.reset().has_cordoned(name);
    }
    match drain_node(&context, living, options).await {
        Ok(()) => Ok(Done::Finished),
        Err(error) => {
            // Not at the end of the run: that may be far.
            if context.run.reset().is_leaving(name) {
                match drain::uncordon(&living.api, name).await {
                    Ok(()) => context.changed(format!("uncordon Node {name}")),
                    Err(error) => context.warn(format!("Node {name} is cordoned still: {error}")),
                }
            }
            Err(error)
        }
    }
}

async fn drain_node(
    context: &Context,
    living: &Living,
    options: DrainOptions,
) -> Result<(), PhaseError> {
    let evicted = |pod: &PodRef| context.changed(format!("evict Pod {pod}"));
    let cancel = &context.run.options().cancel;
    drain::drain(&living.api, &context.host().name, options, cancel, evicted).await?;
    Ok(())
}
