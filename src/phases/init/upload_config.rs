//! `upload-config`: kubeadm's and the kubelet's configuration as ConfigMaps, so that kubeadm knows the cluster.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::kubeadm_config::{
    ApiEndpoint, CLUSTER_STATUS_KEY, ClusterStatus, cluster_configuration_yaml,
};
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

/// The ClusterStatus that the cluster has, with this control plane in it.
async fn cluster_status(context: &Context) -> Result<String, PhaseError> {
    let stored = match context.api().await? {
        Some(api) => match api.get(&upload_config::kubeadm_config_key()).await {
            Ok(stored) => stored,
            Err(error) if context.dry_run() && error.is_unreachable() => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    Ok(with_own_endpoint(context, stored.as_ref()).await?.1.to_yaml()?)
}

/// Add this control plane to the ClusterStatus in the cluster, while others may be adding themselves.
///
/// # Errors
/// The API server does not answer or refuses, or kubeadm-config is missing or cannot be read.
pub async fn add_to_cluster_status(context: &Context) -> Result<(), PhaseError> {
    let key = upload_config::kubeadm_config_key();
    let change = format!("add {} to the ClusterStatus in {key}", context.host().name);
    let Some(api) = context.api().await? else {
        context.changed(change);
        return Ok(());
    };
    for _ in 0..CONFLICTS {
        let stored = api.get(&key).await?;
        let Some(mut stored) = stored else {
            return Err(PhaseError::State(format!(
                "{key} is missing; run phase init/upload-config first"
            )));
        };
        let (differs, status) = with_own_endpoint(context, Some(&stored)).await?;
        if !differs {
            return Ok(());
        }
        stored["data"][CLUSTER_STATUS_KEY] = status.to_yaml()?.into();
        if context.dry_run() {
            context.changed(change);
            return Ok(());
        }
        match api.replace(&key, &stored).await {
            Ok(_) => {
                context.changed(change);
                return Ok(());
            }
            Err(error) if error.status() == Some(409) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(PhaseError::State(format!("{key} kept changing while it was to be updated; run again")))
}

/// How often somebody else's change may come between.
const CONFLICTS: usize = 20;

/// Whether this control plane was missing or elsewhere, and the status with it.
async fn with_own_endpoint(
    context: &Context,
    stored: Option<&Value>,
) -> Result<(bool, ClusterStatus), PhaseError> {
    let text = stored.and_then(|stored| stored["data"][CLUSTER_STATUS_KEY].as_str());
    let mut status = text.map(ClusterStatus::from_yaml).transpose()?.unwrap_or_default();
    let endpoint = ApiEndpoint {
        advertise_address: context.advertise_address().await?,
        bind_port: context.run.cluster().section.api_server.bind_port,
    };
    let name = context.host().name.clone();
    let differs = status.api_endpoints.get(&name) != Some(&endpoint);
    status.api_endpoints.insert(name, endpoint);
    Ok((differs, status))
}
