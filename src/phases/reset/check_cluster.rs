//! `check-cluster`: the cluster goes on without the control plane that left, before another one leaves.

use std::sync::Arc;

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
    living.until_well(&context, timeout).await?;
    Ok(Done::Finished)
}
