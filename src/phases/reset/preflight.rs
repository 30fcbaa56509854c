//! `preflight` of reset: root is all that is needed.

use std::sync::Arc;

use crate::phases::preflight::{self, Workflow};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    preflight::check(&context, Workflow::Reset).await?;
    Ok(Done::Finished)
}
