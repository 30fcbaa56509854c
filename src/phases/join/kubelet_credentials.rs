//! What a kubelet first presents to the cluster. Where the authority can sign here, its client certificate is made here and
//! goes with it by SSH: it need not wait until the cluster's controllers run and answer, and no token has to be stored that
//! lets anybody join. The kubelet replaces it by one with a key of its own as soon as they do. Where the authority is
//! external it asks with a token, as with kubeadm.

use std::time::Duration;

use secrecy::SecretString;

use crate::cluster::kubeconfig::{self, BOOTSTRAP_KUBELET};
use crate::kubernetes::health::wait_api_server;
use crate::kubernetes::{Poll, wait};
use crate::node::NodeFile;
use crate::phases::control_plane::KUBERNETES_DIRECTORY;
use crate::phases::{Context, PhaseError, kubelet};
use crate::pki::{Algorithm, AuthorityName, KeyPool};

/// The kubeconfig for the kubelet of a host that has none.
///
/// # Errors
/// The first control plane cannot be reached or has no authority; the API refuses the token.
pub async fn first(context: &Context) -> Result<NodeFile, PhaseError> {
    let run = &context.run;
    let cluster = run.cluster();
    let server = kubelet::server(context).await?;
    let pki = run.control_plane().pki(run).await?;
    let authority = pki.authorities.get(&AuthorityName::Kubernetes);
    let (path, mut config) = match authority.filter(|authority| authority.key.is_some()) {
        Some(authority) => {
            let config = kubeconfig::kubelet_client(
                &context.host().name,
                &server,
                authority,
                cluster.certificate_validity(),
                &cluster.release.pki_profile(),
                run.started(),
                // The kind of key that kubelets make for themselves.
                &mut KeyPool::new(Algorithm::EcdsaP256),
            )?;
            (kubelet::CONFIG.to_owned(), config)
        }
        None => {
            let ca = run.control_plane().ca(run).await?;
            let token = admitted_token(context).await?;
            let config = kubeconfig::bootstrap(&cluster.section.name, &server, ca, token);
            (format!("{KUBERNETES_DIRECTORY}/{BOOTSTRAP_KUBELET}"), config)
        }
    };
    config.preferences =
        cluster.release.kubeconfig_profile().preferences.then_some(kubeconfig::Preferences {});
    let content = config
        .render()
        .map_err(|reason| kubeconfig::Error::Unreadable { file: path.clone(), reason })?;
    Ok(NodeFile::secret(path, content, kubeconfig::MODE))
}

/// A token with which the kubelet may ask for its certificate. One whose request is refused exits, and systemd takes ten
/// seconds to start it again; one that may ask waits for the answer.
async fn admitted_token(context: &Context) -> Result<SecretString, PhaseError> {
    let run = &context.run;
    let timeout = run.cluster().section.timeouts.discovery;
    let poll = Poll { timeout, interval: Duration::from_millis(250) };
    let cancel = &run.options().cancel;
    let api = context.api().await?.filter(|_| !context.dry_run());
    if let Some(api) = api {
        wait_api_server(api, "/healthz", poll, cancel).await?;
    }
    let token = run.control_plane().token(run).await?;
    if let Some(api) = api {
        wait::bootstrapper_admitted(api, &token, poll, cancel).await?;
    }
    Ok(SecretString::from(token.expose().as_str()))
}
