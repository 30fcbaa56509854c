//! `upload-config`: kubeadm's and the kubelet's configuration as ConfigMaps, so that kubeadm knows the cluster.

use std::sync::Arc;

use crate::cluster::kubeadm_config::{ApiEndpoint, ClusterStatus, cluster_configuration_yaml};
use crate::cluster::kubelet as kubelet_files;
use crate::kubernetes::objects::upload_config;
use crate::phases::{Context, Done, PhaseError, kubelet, nodes};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    let cluster = run.cluster();
    let release = &cluster.release;

    let mut objects = Vec::new();
    if context.wants("kubeadm") {
        let status = match release.config.cluster_status {
            true => Some(cluster_status(&context).await?),
            false => None,
        };
        let configuration = cluster_configuration_yaml(cluster)?;
        objects.extend(upload_config::kubeadm_config(&configuration, status.as_deref()));
    }

    if context.wants("kubelet") {
        let resolved = kubelet::systemd_resolved(context.facts().await?);
        let config = kubelet_files::config_map_yaml(cluster, resolved)?;
        let user_supplied = !cluster.section.kubelet_configuration.is_empty();
        let name = release.kubelet_config_map();
        objects.extend(upload_config::kubelet_config(&name, &config.yaml, user_supplied));
    }
    context.apply(&objects).await?;

    nodes::annotate(&context).await?;
    Ok(Done::Finished)
}

async fn cluster_status(context: &Context) -> Result<String, PhaseError> {
    let run = &context.run;
    let mut status = ClusterStatus::default();
    let endpoint = ApiEndpoint {
        advertise_address: run.control_plane().advertise_address(run).await?,
        bind_port: run.cluster().section.api_server.bind_port,
    };
    status.api_endpoints.insert(context.host().name.clone(), endpoint);
    Ok(status.to_yaml()?)
}
