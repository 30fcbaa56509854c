//! `etcd local`: the data directory and the static pod of a one-member etcd.

use std::sync::Arc;

use crate::cluster::spec::MANIFESTS_DIRECTORY;
use crate::cluster::static_pods::Component;
use crate::cluster::static_pods::etcd::{self, InitialCluster};
use crate::node::{FileBatch, NodeDirectory};
use crate::phases::init::control_plane::{control_plane_node, manifest};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    context.run.control_plane().check_version(&context.run).await?;
    let cluster = context.run.cluster();
    let node = control_plane_node(&context).await?;
    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory {
        path: cluster.section.etcd.data_dir.clone(),
        mode: 0o700,
        // etcd refuses to be read by others, and says so only in its log.
        enforce: true,
    });
    batch.directories.push(NodeDirectory::new(MANIFESTS_DIRECTORY, 0o700));
    let pod = etcd::manifest(cluster, &node, &InitialCluster::New);
    batch.files.push(manifest(cluster, Component::Etcd, &pod)?);
    context.install(&batch).await?;
    Ok(Done::Finished)
}
