//! `wait-control-plane`: the kubelet healthy, then the API server, the controller manager and the scheduler.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::static_pods::Component;
use crate::cluster::static_pods::etcd::{self, InitialCluster};
use crate::cluster::static_pods::probes::health_endpoint;
use crate::kubernetes::health::{HealthEndpoint, wait_api_server};
use crate::kubernetes::objects::KUBE_SYSTEM;
use crate::kubernetes::objects::cluster_admins;
use crate::kubernetes::poll::Attempt;
use crate::kubernetes::{ApiClient, Kind, ObjectKey, Poll, Timing};
use crate::phases::init::control_plane::{control_plane_node, pods};
use crate::phases::{Context, Done, PhaseError, diagnosis, kubelet};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    if context.dry_run() {
        return Ok(Done::NotNeeded("a dry run waits for nothing".to_owned()));
    }
    kubelet::wait_healthy(&context).await?;
    if let Err(error) = components(&context).await {
        return Err(match error {
            PhaseError::Api(error) => diagnosis::kubelet(&context, error).await,
            other => other,
        });
    }
    // kubeadm makes this binding with the first use of the administrator's kubeconfig.
    if context.run.cluster().release.config.cluster_admins_binding {
        context.apply(&[cluster_admins::binding()]).await?;
    }
    Ok(Done::Finished)
}

/// Wait until every static pod of the node runs what its manifest says.
async fn static_pods_current(
    context: &Context,
    api: &ApiClient,
    poll: Poll,
) -> Result<(), PhaseError> {
    let cluster = context.run.cluster();
    let node = control_plane_node(context).await?;
    let once = api.with_timing(Timing::once(Duration::from_secs(5)));
    let etcd = (Component::Etcd, etcd::manifest(cluster, &node, &InitialCluster::New));
    for (component, wanted) in pods(cluster, &node).into_iter().chain([etcd]) {
        let key =
            ObjectKey::namespaced(Kind::Pod, KUBE_SYSTEM, &format!("{component}-{}", node.name));
        let wanted = serde_json::json!(wanted);
        let action = format!("see {component} run with its new manifest");
        let cancel = &context.run.options().cancel;
        poll.until(cancel, &action, || async {
            let what = |pod: &Value| {
                ["image", "command"].map(|field| pod["spec"]["containers"][0][field].clone())
            };
            match once.get(&key).await {
                Ok(Some(pod)) if what(&pod) == what(&wanted) => Ok(Attempt::Done(())),
                Ok(_) => Ok(Attempt::NotYet("the kubelet still runs the old one".to_owned())),
                Err(error) if error.is_transient() => Ok(Attempt::NotYet(error.to_string())),
                Err(error) => Err(error),
            }
        })
        .await?;
    }
    Ok(())
}

async fn components(context: &Context) -> Result<(), PhaseError> {
    let Some(api) = context.api().await? else { return Ok(()) };
    let cluster = context.run.cluster();
    let release = &cluster.release;
    let poll = Poll {
        timeout: cluster.section.timeouts.control_plane_component_health_check,
        interval: Duration::from_millis(250),
    };
    let cancel = &context.run.options().cancel;
    if context.run.control_plane().was_there() {
        // The kubelet takes up to twenty seconds to notice a changed manifest; until then the old pod answers.
        static_pods_current(context, api, poll).await?;
    }
    let path = if release.runtime.wait_for_all_components { "/livez" } else { "/healthz" };
    let api_server = async { wait_api_server(api, path, poll, cancel).await.map(|_| ()) };
    if !release.runtime.wait_for_all_components {
        return Ok(api_server.await?);
    }
    // What the host really runs is asked: addresses and ports come from the manifests' flags.
    let node = control_plane_node(context).await?;
    let dial = context.dial().await?;
    let others = pods(cluster, &node)
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
