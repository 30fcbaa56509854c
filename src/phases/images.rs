//! Images of a host's role, pulled by its container runtime where somebody asks for just that.

use std::sync::Arc;

use crate::fleet::Task;
use crate::node::NodeError;
use crate::report::Unit;

use super::{PhaseError, Run, kubelet};

/// What contexts call it.
const NAME: &str = "config/images/pull";

/// Have the host of the task pull the images of its role that its runtime does not have.
///
/// # Errors
/// The host cannot be reached, has several runtimes, or one image cannot be pulled in five tries.
pub async fn pull(run: &Arc<Run>, task: &Task) -> Result<(), PhaseError> {
    let context = run
        .context(&task.host.name, NAME, None)
        .ok_or_else(|| PhaseError::Local(format!("{} is not part of the run", task.host.name)))?;
    // In a box, since the compiler cannot lay out futures that lie too deep in one another.
    let socket = Box::pin(kubelet::runtime_endpoint(&context)).await?;
    let images = run.cluster().images_for(task.host.role);
    Ok(pull_on(run, task, &socket, &images).await?)
}

/// One image after the other, so that it can be told how far the host is.
pub(super) async fn pull_on(
    run: &Run,
    task: &Task,
    socket: &str,
    images: &[String],
) -> Result<(), NodeError> {
    let node = run.node_for_changes(&task.host);
    for (done, image) in images.iter().enumerate() {
        task.progress(done as u64, images.len() as u64, Unit::Images);
        for change in node.pull_images(socket, &[image]).await? {
            task.changed(change.what, None, false);
        }
    }
    node.cleanup().await
}
