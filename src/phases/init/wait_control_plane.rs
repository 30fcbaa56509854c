//! `wait-control-plane` of init and join: the kubelet healthy, then the host's own API server, controller manager and
//! scheduler.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::static_pods::Component;
use crate::cluster::static_pods::probes::health_endpoint;
use crate::kubernetes::Poll;
use crate::kubernetes::health::{HealthEndpoint, wait_api_server};
use crate::kubernetes::objects::cluster_admins;
use crate::phases::etcd::member;
use crate::phases::init::control_plane::{control_plane_node, pods};
use crate::phases::static_pods::{readmitting, wait_current};
use crate::phases::{Context, Done, PhaseError, diagnosis, etcd, kubelet};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    if context.dry_run() {
        return Ok(Done::NotNeeded("a dry run waits for nothing".to_owned()));
    }
    kubelet::wait_healthy(&context).await?;
    let mut own =
        vec![Component::KubeApiserver, Component::KubeControllerManager, Component::KubeScheduler];
    if context.run.cluster().has_stacked_etcd() {
        own.push(Component::Etcd);
    }
    if let Err(error) = readmitting(&context, &own, components(&context)).await {
        return Err(match error {
            PhaseError::Api(error) => diagnosis::control_plane(&context, error).await,
            other => other,
        });
    }
    // kubeadm makes this binding with the first use of the administrator's kubeconfig.
    if context.is_first_control_plane()
        && context.run.cluster().release.config.cluster_admins_binding
    {
        context.apply(&[cluster_admins::binding()]).await?;
    }
    Ok(Done::Finished)
}

/// The static pods that the node is to run.
async fn wanted_pods(context: &Context) -> Result<Vec<(Component, Pod)>, PhaseError> {
    let cluster = context.run.cluster();
    let node = control_plane_node(context).await?;
    let mut wanted = Vec::from(pods(cluster, &node)?);
    if let Some(initial) = member::initial_cluster(context).await? {
        wanted.push((Component::Etcd, etcd::pod(cluster, &node, &initial)?));
    }
    Ok(wanted)
}

async fn components(context: &Context) -> Result<(), PhaseError> {
    let Some(api) = context.own_api().await? else { return Ok(()) };
    let api = &api;
    let cluster = context.run.cluster();
    let release = &cluster.release;
    let poll = Poll {
        timeout: cluster.section.timeouts.control_plane_component_health_check,
        interval: Duration::from_millis(250),
    };
    let cancel = &context.run.options().cancel;
    if context.was_there() {
        // The kubelet takes up to twenty seconds to notice a changed manifest; until then the old pod answers.
        wait_current(context, api, wanted_pods(context).await?, poll).await?;
    }
    let path = if release.runtime.wait_for_all_components { "/livez" } else { "/healthz" };
    let api_server = async { wait_api_server(api, path, poll, cancel).await.map(|_| ()) };
    if !release.runtime.wait_for_all_components {
        return Ok(api_server.await?);
    }
    // What the host really runs is asked: addresses and ports come from the manifests' flags.
    let node = control_plane_node(context).await?;
    let dial = context.dial().await?;
    let others = pods(cluster, &node)?
        .into_iter()
        .filter(|(component, _)| *component != Component::KubeApiserver)
        .filter_map(|(component, pod)| health_endpoint(component, &pod, release))
        .map(|endpoint| HealthEndpoint {
            component: endpoint.component.to_string(),
            tls: endpoint.tls,
            host: endpoint.host,
            port: endpoint.port,
            path: endpoint.path.to_owned(),
        })
        .map(|endpoint| {
            let dial = dial.clone();
            async move { endpoint.wait(dial, poll, cancel).await.map(|_| ()) }
        });
    futures::future::try_join(api_server, futures::future::try_join_all(others)).await?;
    Ok(())
}
