//! `preflight` of join: whether the host can become a worker, or is one already.

use std::sync::Arc;

use crate::phases::preflight::{self, Workflow};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    preflight::check(&context, Workflow::JoinWorker).await?;
    Ok(Done::Finished)
}
