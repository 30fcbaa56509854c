//! `control-plane-prepare`: what makes a joining host a control plane, carried from the first one through the
//! workstation's memory or made anew.

use std::sync::Arc;

use crate::cluster::kubeconfig::Workflow;
use crate::phases::init::{
    certs as pki_files, control_plane as manifests, kubeconfig as kubeconfigs,
};
use crate::phases::{Context, Done, PhaseError};
use crate::pki;

/// Run `download-certs`: the authorities and the service account key. Where kubeadm takes them from a Secret in the
/// cluster, they come over SSH.
pub async fn download_certs(context: Arc<Context>) -> Result<Done, PhaseError> {
    if nothing_to_carry(&context).await? {
        return Ok(Done::NotNeeded("the first control plane has no certificates yet".to_owned()));
    }
    let shared = context.run.control_plane().pki(&context.run).await?;
    let paths = shared.shared().map(|file| format!("/etc/kubernetes/pki/{}", file.name));
    let paths: Vec<String> = paths.collect();
    let asked: Vec<&str> = paths.iter().map(String::as_str).collect();
    let present = context.node().await?.read(&asked).await?;
    let existing = shared.shared().zip(&paths).filter_map(|(file, path)| {
        present.get(path).map(|present| (file.name.clone(), present.content.clone()))
    });
    // A host that holds another cluster's authority is not made part of this one.
    pki::adopt(existing.collect(), shared.shared())?;
    context.install(&pki_files::batch(shared.shared())).await?;
    Ok(Done::Finished)
}

/// Run `certs`: the host's own certificates.
pub async fn certs(context: Arc<Context>) -> Result<Done, PhaseError> {
    if nothing_to_carry(&context).await? {
        context.changed("make the host's certificates");
        return Ok(Done::Finished);
    }
    let shared = context.run.control_plane().pki(&context.run).await?.clone();
    let outcome = pki_files::ensure(&context, Some(&shared)).await?;
    for warning in &outcome.warnings {
        context.warn(warning.clone());
    }
    context.install(&pki_files::batch(outcome.files.iter())).await?;
    pki_files::see_taken_up(&context, &outcome).await?;
    Ok(Done::Finished)
}

/// Run `kubeconfig`: those of the administrator and the components.
pub async fn kubeconfig(context: Arc<Context>) -> Result<Done, PhaseError> {
    if nothing_to_carry(&context).await? {
        context.changed("make the host's kubeconfigs");
        return Ok(Done::Finished);
    }
    kubeconfigs::ensure(&context, Workflow::Join).await
}

/// Run `control-plane`: the static pods.
pub async fn control_plane(context: Arc<Context>) -> Result<Done, PhaseError> {
    manifests::run(context).await
}

/// Whether this is a dry run of a cluster that does not exist.
async fn nothing_to_carry(context: &Context) -> Result<bool, PhaseError> {
    Ok(context.dry_run() && context.api().await?.is_none())
}
