//! `kubelet-start`: the kubelet's files on the control plane, and the kubelet running with them.

use std::sync::Arc;

use crate::phases::{Context, Done, PhaseError, kubelet, registration};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let batch = kubelet::files(&context).await?;
    kubelet::put_in_place(&context, &batch).await?;
    registration::start(&context).await?;
    Ok(Done::Finished)
}
