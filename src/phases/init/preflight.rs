//! `preflight` of init: whether the host can become the control plane, or is one already, of this version.

use std::sync::Arc;

use crate::cluster::spec::MANIFESTS_DIRECTORY;
use crate::cluster::static_pods;
use crate::phases::preflight::{self, Workflow};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    preflight::check(&context, Workflow::Init).await?;
    check_running_version(&context).await?;
    Ok(Done::Finished)
}

/// A control plane of another version is upgraded, never re-initialised: one minor release at a time, with
/// checks that init does not make.
async fn check_running_version(context: &Context) -> Result<(), PhaseError> {
    let path = format!("{MANIFESTS_DIRECTORY}/kube-apiserver.yaml");
    if !context.facts().await?.paths.contains_key(&path) {
        return Ok(());
    }
    let mut files = context.node().await?.read(&[&path]).await?;
    let Some(file) = files.remove(&path) else { return Ok(()) };
    let wanted = context.run.cluster().release.version;
    let manifest = static_pods::from_yaml(&String::from_utf8_lossy(&file.content))?;
    match static_pods::running_version(&manifest) {
        Some(running) if running != wanted => Err(PhaseError::State(format!(
            "the control plane runs Kubernetes {running}, the inventory says {wanted}; fleetadm cannot upgrade \
             yet: set kubernetes_version = \"{running}\", or upgrade with kubeadm"
        ))),
        _ => {
            context.run.found_control_plane();
            Ok(())
        }
    }
}
