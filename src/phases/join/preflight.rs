//! `preflight` of join: whether the host can become a worker or a further control plane, or is one already.

use std::sync::Arc;

use crate::inventory::Role;
use crate::phases::preflight::{self, Workflow};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let workflow = match context.host().role {
        Role::ControlPlane => Workflow::JoinControlPlane,
        _ => Workflow::JoinWorker,
    };
    preflight::check(&context, workflow).await?;
    context.check_version().await?;
    Ok(Done::Finished)
}
