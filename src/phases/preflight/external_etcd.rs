//! What the checks of an etcd that somebody else runs ask it, as the first control plane sees it, and what they make of the
//! files on the workstation. Only reads, and judges nothing but whether a file can be used.

use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use zeroize::Zeroizing;

use crate::etcd::{Access, EtcdClient};
use crate::inventory::{EtcdClientFiles, EtcdOwner, Role};
use crate::kubernetes::Dial;
use crate::phases::{Context, PhaseError};
use crate::pki::{Certificate, PrivateKey};
use crate::preflight::ExternalEtcd;

/// What there is to know of it on this control plane; `None` where etcd is the cluster's own.
///
/// # Errors
/// The host cannot be reached.
pub(super) async fn view(context: &Context) -> Result<Option<ExternalEtcd>, PhaseError> {
    let external = context.run.cluster().section.etcd.external.as_ref();
    let Some((external, files)) = external.and_then(|external| match &external.owner {
        EtcdOwner::SomebodyElse(files) => Some((external, files)),
        EtcdOwner::Inventory => None,
    }) else {
        return Ok(None);
    };
    if context.host().role != Role::ControlPlane {
        return Ok(None);
    }
    let read = Read::all(files).await;
    // As with kubeadm, the first control plane asks for all.
    let versions = match context.is_first_control_plane() {
        false => Vec::new(),
        true => {
            let dial = context.dial().await?;
            let asked = external.endpoints.iter().map(|endpoint| {
                let (dial, read) = (dial.clone(), &read);
                async move { (endpoint.clone(), version(dial, endpoint, read).await) }
            });
            join_all(asked).await
        }
    };
    Ok(Some(ExternalEtcd { files: read.problems, versions }))
}

async fn version(dial: Arc<dyn Dial>, endpoint: &str, files: &Read) -> Result<String, String> {
    let client =
        EtcdClient::at(dial, endpoint, &files.access).map_err(|error| error.to_string())?;
    client.version().await.map_err(|error| error.to_string())
}

/// The files on the workstation.
struct Read {
    access: Access,
    problems: Vec<(String, Option<String>)>,
}

impl Read {
    async fn all(files: &EtcdClientFiles) -> Self {
        let mut read = Self { access: Access::default(), problems: Vec::new() };
        if let Some(path) = &files.ca {
            let content =
                read.file(path, |content| Certificate::from_pem(content).map(|_| ())).await;
            read.access.ca = content.map(|content| content.to_vec());
        }
        if let Some((certificate, key)) = &files.client {
            let parse = |content: &[u8]| Certificate::from_pem(content).map(|_| ());
            let first = read.file(certificate, parse).await;
            let public = first.as_ref().and_then(|content| {
                Some(Certificate::from_pem(content).ok()?.into_iter().next()?.public_key)
            });
            let belongs = |content: &[u8]| {
                let key = PrivateKey::from_pem(content)?;
                match public {
                    Some(public) if public != key.public_key() => {
                        Err("it does not belong to the certificate".to_owned())
                    }
                    _ => Ok(()),
                }
            };
            let key = read.file(key, belongs).await;
            read.access.client = first.zip(key).map(|(first, key)| (first.to_vec(), key));
        }
        read
    }

    async fn file(
        &mut self,
        path: &Path,
        check: impl FnOnce(&[u8]) -> Result<(), String>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let content = tokio::fs::read(path).await.map(Zeroizing::new);
        let checked = content
            .map_err(|error| error.to_string())
            .and_then(|content| check(&content).map(|()| content));
        let (content, problem) = match checked {
            Ok(content) => (Some(content), None),
            Err(problem) => (None, Some(problem)),
        };
        self.problems.push((path.display().to_string(), problem));
        content
    }
}
