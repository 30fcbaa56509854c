//! Labels of the inventory, set by the administrator: a kubelet may not give itself most of them.

use std::sync::Arc;

use crate::kubernetes::objects::node::NodeMarks;
use crate::phases::{Context, Done, PhaseError, nodes};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let labels = context.host().labels.clone();
    if labels.is_empty() {
        return Ok(Done::NotNeeded("the inventory gives the host no labels".to_owned()));
    }
    nodes::mark(&context, &NodeMarks { labels, ..NodeMarks::default() }).await?;
    Ok(Done::Finished)
}
