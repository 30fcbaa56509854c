//! `kubelet-start`: the worker's trust in the cluster, its bootstrap credentials, and the kubelet running with
//! its files.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::cluster::kubeconfig::{self, BOOTSTRAP_KUBELET, Kubeconfig};
use crate::cluster::spec::{CERTIFICATES_DIRECTORY, MANIFESTS_DIRECTORY};
use crate::kubernetes::{Poll, nodes, wait};
use crate::node::{FileBatch, NodeDirectory, NodeFile, ServiceAction};
use crate::phases::control_plane::{CA_PATH, KUBERNETES_DIRECTORY};
use crate::phases::{Context, Done, PhaseError, kubelet};
use crate::pki::Certificate;

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    run.control_plane().check_version(run).await?;
    let ca = run.control_plane().ca(run).await?.to_vec();
    let joined = is_joined(&context, &ca).await?;

    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory::new(CERTIFICATES_DIRECTORY, 0o755));
    batch.directories.push(NodeDirectory::new(MANIFESTS_DIRECTORY, 0o700));
    batch.files.push(NodeFile::public(CA_PATH, ca.clone(), 0o644));
    if !joined {
        batch.files.push(bootstrap_kubeconfig(&context, &ca).await?);
    }
    let kubelet_files = kubelet::files(&context).await?;
    batch.directories.extend(kubelet_files.directories);
    batch.files.extend(kubelet_files.files);
    kubelet::put_in_place(&context, &batch).await?;
    if !joined {
        wait_for_signer(&context).await?;
    }
    kubelet::start(&context).await?;

    // A kubelet registers its node when it starts. One whose Node was deleted meanwhile needs another start.
    if joined
        && !context.dry_run()
        && let Some(api) = context.api().await?
        && nodes::get(api, &context.host().name).await?.is_none()
    {
        context.service(ServiceAction::Restart, kubelet::SERVICE).await?;
    }
    Ok(Done::Finished)
}

/// kubeadm's discovery waits until the controller manager has signed cluster-info with the token. The signature
/// is not needed here, where the authority is carried by SSH, but it is the sign that the controllers run which
/// approve and sign the kubelet's request: a kubelet that asks before they do backs off for longer than it
/// would have waited.
async fn wait_for_signer(context: &Context) -> Result<(), PhaseError> {
    let run = &context.run;
    let (Some(api), false) = (context.api().await?, context.dry_run()) else { return Ok(()) };
    let token = run.control_plane().token(run).await?;
    let timeout = run.cluster().section.timeouts.discovery;
    let poll = Poll { timeout, interval: Duration::from_millis(250) };
    Ok(wait::cluster_info_signed(api, token.id(), poll, &run.options().cancel).await?)
}

/// Whether the kubelet has credentials of its own for this very cluster.
async fn is_joined(context: &Context, ca: &[u8]) -> Result<bool, PhaseError> {
    let path = format!("{KUBERNETES_DIRECTORY}/kubelet.conf");
    let mut files = context.node().await?.read(&[&path, CA_PATH]).await?;
    if let Some(present) = files.get(CA_PATH)
        && present.content.trim_ascii() != ca.trim_ascii()
    {
        return Err(PhaseError::State(format!(
            "{CA_PATH} is the authority of another cluster; run `fleetadm reset --limit {}` first",
            context.host().name
        )));
    }
    let Some(file) = files.remove(&path) else { return Ok(false) };
    let authority = Certificate::from_pem(ca)
        .ok()
        .and_then(|chain| chain.into_iter().next())
        .ok_or_else(|| PhaseError::State("the cluster's ca.crt holds no certificate".to_owned()))?;
    let server = server(context).await?;
    for warning in
        kubeconfig::check(&path, &file.content, &authority, &server, context.run.started())?
    {
        context.warn(warning);
    }
    Ok(true)
}

async fn bootstrap_kubeconfig(context: &Context, ca: &[u8]) -> Result<NodeFile, PhaseError> {
    let run = &context.run;
    let path = format!("{KUBERNETES_DIRECTORY}/{BOOTSTRAP_KUBELET}");
    let token = run.control_plane().token(run).await?;
    let token = SecretString::from(token.expose().as_str());
    let config: Kubeconfig =
        kubeconfig::bootstrap(&run.cluster().section.name, &server(context).await?, ca, token);
    let content = config
        .render()
        .map_err(|reason| kubeconfig::Error::Unreadable { file: path.clone(), reason })?;
    Ok(NodeFile::secret(path, content, kubeconfig::MODE))
}

async fn server(context: &Context) -> Result<String, PhaseError> {
    let run = &context.run;
    let address = run.control_plane().advertise_address(run).await?;
    Ok(run.cluster().control_plane_url(address))
}
