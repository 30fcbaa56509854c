//! `kubelet-start` of a joining host: its trust in the cluster, what its kubelet presents to it, and the kubelet running
//! with its files.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::kubelet_credentials;
use crate::cluster::kubeconfig;
use crate::cluster::spec::{CERTIFICATES_DIRECTORY, MANIFESTS_DIRECTORY};
use crate::node::{FileBatch, NodeDirectory, NodeFile};
use crate::phases::control_plane::CA_PATH;
use crate::phases::{Context, Done, PhaseError, kubelet, registration};
use crate::pki::Certificate;

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    run.control_plane().check_version(run).await?;
    let ca = run.control_plane().ca(run).await?.to_vec();
    let own = own_kubeconfig(&context, &ca).await?;

    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory::new(CERTIFICATES_DIRECTORY, 0o755));
    batch.directories.push(NodeDirectory::new(MANIFESTS_DIRECTORY, 0o700));
    batch.files.push(NodeFile::public(CA_PATH, ca.clone(), 0o644));
    match &own {
        // The control plane may have another endpoint by now.
        Some(own) => batch.files.push(kubelet::led_to_its_server(&context, own).await?),
        None => batch.files.push(kubelet_credentials::first(&context).await?),
    }
    let kubelet_files = kubelet::files(&context).await?;
    batch.directories.extend(kubelet_files.directories);
    batch.files.extend(kubelet_files.files);
    kubelet::put_in_place(&context, &batch).await?;
    registration::start(&context).await?;
    Ok(Done::Finished)
}

/// The kubelet's own kubeconfig, where it has one, which must be for this very cluster.
async fn own_kubeconfig(
    context: &Context,
    ca: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, PhaseError> {
    let path = kubelet::CONFIG;
    let mut files = context.node().await?.read(&[path, CA_PATH]).await?;
    if let Some(present) = files.get(CA_PATH)
        && present.content.trim_ascii() != ca.trim_ascii()
    {
        return Err(PhaseError::State(format!(
            "{CA_PATH} is the authority of another cluster; run `fleetadm reset --limit {}` first",
            context.host().name
        )));
    }
    let Some(file) = files.remove(path) else { return Ok(None) };
    if !kubelet::has_credentials(context).await? {
        // The kubelet writes this file before it has the certificate that the file names.
        return Ok(None);
    }
    let authority = Certificate::from_pem(ca)
        .ok()
        .and_then(|chain| chain.into_iter().next())
        .ok_or_else(|| PhaseError::State("the cluster's ca.crt holds no certificate".to_owned()))?;
    for warning in kubeconfig::check(path, &file.content, &authority, context.run.started())? {
        context.warn(warning);
    }
    Ok(Some(file.content))
}
