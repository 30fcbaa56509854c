//! kube-vip: a static pod beside every API server, one of which answers for the virtual address.

use std::sync::Arc;

use super::{interface, section};
use crate::cluster::load_balancer::{self, is_own, kube_vip_path};
use crate::cluster::spec::MANIFESTS_DIRECTORY;
use crate::cluster::static_pods;
use crate::inventory::LoadBalancerKind;
use crate::node::{FileBatch, NodeDirectory, NodeFile};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let Some(balancer) = section(&context) else {
        return Ok(Done::NotNeeded("the inventory has no [cluster.load_balancer]".to_owned()));
    };
    let (LoadBalancerKind::KubeVip { image }, Some(address)) = (&balancer.kind, balancer.address)
    else {
        // It would contend for the address with what serves it now.
        remove(&context).await?;
        return Ok(Done::Finished);
    };
    let interface =
        interface(&context, balancer, address, context.advertise_address().await?).await?;
    let manifest = load_balancer::kube_vip(context.run.cluster(), image, address, &interface)?;
    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory::new(MANIFESTS_DIRECTORY, 0o700));
    batch.files.push(NodeFile::public(kube_vip_path(), manifest, static_pods::FILE_MODE));
    context.install(&batch).await?;
    Ok(Done::Finished)
}

/// Remove the manifest, unless it is the operator's own.
///
/// # Errors
/// What the host said.
pub(super) async fn remove(context: &Context) -> Result<(), PhaseError> {
    let node = context.node().await?;
    let path = kube_vip_path();
    let present = node.read(&[&path]).await?;
    if present.get(&path).is_some_and(|file| is_own(&file.content)) {
        context.report_all(node.remove(&[&path]).await?);
    }
    Ok(())
}
