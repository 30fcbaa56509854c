//! `check-cluster`: the cluster goes on without the control plane that left, before another one leaves.

use std::sync::Arc;
use std::time::Duration;

use crate::kubernetes::Poll;
use crate::kubernetes::poll::Attempt;
use crate::phases::{Context, Done, PhaseError};

use super::cluster::{self, Standing};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let living = match cluster::standing(&context).await {
        Standing::Living(living) if !living.view.ends() => living,
        _ => return Ok(Done::NotNeeded("no control plane stays".to_owned())),
    };
    if context.dry_run() {
        return Ok(Done::NotNeeded("a dry run waits for nothing".to_owned()));
    }
    let timeout = context.run.cluster().section.timeouts.etcd_api_call;
    let poll = Poll { timeout, interval: Duration::from_millis(500) };
    let action = format!("see the cluster well without {}", context.host().name);
    let check = || async {
        Ok(match living.check().await {
            Ok(()) => Attempt::Done(()),
            Err(problem) => Attempt::NotYet(problem),
        })
    };
    poll.until(&context.run.options().cancel, &action, check).await?;
    Ok(Done::Finished)
}
