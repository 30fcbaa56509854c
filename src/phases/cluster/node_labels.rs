//! Labels and taints of the inventory, set by the administrator: a kubelet may not give itself most labels, and
//! registers with its taints only once.

use std::sync::Arc;

use crate::kubernetes::objects::node::NodeMarks;
use crate::phases::{Context, Done, PhaseError, nodes};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let labels = context.host().labels.clone();
    let taints = context.host().taints.clone().unwrap_or_default();
    if labels.is_empty() && taints.is_empty() {
        return Ok(Done::NotNeeded("the inventory gives the host no labels or taints".to_owned()));
    }
    nodes::mark(&context, &NodeMarks { labels, taints, ..NodeMarks::default() }).await?;
    Ok(Done::Finished)
}
