//! `mark-control-plane`: the labels and taints of a control-plane node.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::node_flags::{control_plane_labels, control_plane_taints};
use crate::kubernetes::objects::node::NodeMarks;
use crate::phases::{Context, Done, PhaseError, nodes};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let release = &context.run.cluster().release;
    let marks = NodeMarks {
        labels: control_plane_labels(release),
        annotations: BTreeMap::new(),
        taints: control_plane_taints(release, context.host().taints.as_deref()),
    };
    nodes::mark(&context, &marks).await?;
    Ok(Done::Finished)
}
