//! `preflight` of init: whether the host can become the control plane, or is one already, of this version.

use std::sync::Arc;

use crate::phases::preflight::{self, Workflow};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    preflight::check(&context, Workflow::Init).await?;
    context.run.control_plane().check_version(&context.run).await?;
    Ok(Done::Finished)
}
