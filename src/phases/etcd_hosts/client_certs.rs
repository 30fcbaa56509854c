//! `etcd/client-certs`: who an API server is to an etcd that is not on the control planes. For hosts of the inventory each
//! control plane gets a certificate and a key of its own; the key to somebody else's etcd comes from the workstation.

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::cluster::spec::{
    CERTIFICATES_DIRECTORY, ETCD_CA_FILE, ETCD_CLIENT_CERTIFICATE_FILE, ETCD_CLIENT_KEY_FILE,
};
use crate::inventory::{EtcdClientFiles, EtcdOwner};
use crate::node::{FileBatch, NodeDirectory, NodeFile};
use crate::phases::init::certs as pki_files;
use crate::phases::{Context, Done, PhaseError};
use crate::pki::Purpose;

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let external = context.run.cluster().section.etcd.external.as_ref();
    match external.map(|external| &external.owner) {
        None => Ok(Done::NotNeeded(super::NO_HOSTS.to_owned())),
        Some(EtcdOwner::SomebodyElse(files)) => {
            context.install(&given(files).await?).await?;
            Ok(Done::Finished)
        }
        Some(EtcdOwner::Inventory) => {
            made(&context).await?;
            Ok(Done::Finished)
        }
    }
}

async fn made(context: &Context) -> Result<(), PhaseError> {
    let Some(hosts) = context.run.etcd_hosts() else { return Ok(()) };
    let shared = hosts.pki(&context.run).await?.clone();
    let outcome = pki_files::ensure_for(context, Purpose::EtcdClient, Some(&shared)).await?;
    for warning in &outcome.warnings {
        context.warn(warning.clone());
    }
    // The authority's key stays on the hosts of etcd.
    let wanted = outcome.files.iter().filter(|file| {
        let path = format!("{CERTIFICATES_DIRECTORY}/{}", file.name);
        [ETCD_CA_FILE, ETCD_CLIENT_CERTIFICATE_FILE, ETCD_CLIENT_KEY_FILE].contains(&&*path)
    });
    context.install(&pki_files::batch(wanted)).await?;
    Ok(())
}

async fn given(files: &EtcdClientFiles) -> Result<FileBatch, PhaseError> {
    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory::new(CERTIFICATES_DIRECTORY, 0o755));
    if let Some(ca) = &files.ca {
        batch.directories.push(NodeDirectory::new("/etc/kubernetes/pki/etcd", 0o755));
        batch.files.push(NodeFile::public(ETCD_CA_FILE, read(ca).await?.to_vec(), 0o644));
    }
    if let Some((certificate, key)) = &files.client {
        // As kubeadm does, the key goes first: half a pair must not look whole.
        batch.files.push(NodeFile::secret(ETCD_CLIENT_KEY_FILE, read(key).await?, 0o600));
        let content = read(certificate).await?.to_vec();
        batch.files.push(NodeFile::public(ETCD_CLIENT_CERTIFICATE_FILE, content, 0o644));
    }
    Ok(batch)
}

async fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PhaseError> {
    let content = tokio::fs::read(path).await.map(Zeroizing::new);
    content.map_err(|error| {
        PhaseError::Local(format!("[cluster.etcd.external] {}: {error}", path.display()))
    })
}
