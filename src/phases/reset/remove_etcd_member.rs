//! `remove-etcd-member`: the data of the local etcd goes. A sole member is not removed from a cluster that
//! ends with it.

use std::sync::Arc;

use crate::node::ServiceAction;
use crate::phases::reset::cleanup_node::{remove_pods, unmount};
use crate::phases::{Context, Done, PhaseError, kubelet};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    // etcd runs from the kubelet's manifests: its data can only be removed once nothing restarts it.
    context.service(ServiceAction::Stop, kubelet::SERVICE).await?;
    unmount(&context).await?;
    remove_pods(&context).await?;
    let directory = context.run.cluster().section.etcd.data_dir.clone();
    let changes = context.node().await?.remove_directories(&[&directory]).await?;
    context.report_all(changes);
    Ok(Done::Finished)
}
