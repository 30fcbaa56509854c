//! Whether the kubelet takes the host's static pods in, and runs what their manifests say. One that it has turned away it
//! never looks at again, however well the reason has passed, unless it is started again.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::cluster::static_pods::Component;
use crate::inventory::Role;
use crate::kubernetes::objects::KUBE_SYSTEM;
use crate::kubernetes::objects::node::is_registered;
use crate::kubernetes::poll::Attempt;
use crate::kubernetes::{ApiClient, ApiError, Kind, ObjectKey, Poll, Timing, nodes, wait};
use crate::node::{Process, ServiceAction};
use crate::report::printable_line;

use super::{Context, PhaseError, diagnosis, kubelet};

const INTERVAL: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(5);
/// How often a kubelet is started again. One that has just started goes by the room that the Node offered before, and may
/// turn pods away once more for what has passed already.
const RESTARTS: usize = 3;
/// How long a started kubelet has to say what room there is by now, which it does every ten seconds.
const SETTLED: Duration = Duration::from_secs(15);

/// The static pod of a component on this host, as the API shows it.
pub fn mirror_key(context: &Context, component: Component) -> ObjectKey {
    let name = format!("{component}-{}", context.host().name);
    ObjectKey::namespaced(Kind::Pod, KUBE_SYSTEM, &name)
}

/// Wait until the Node offers everything that the pod requests. A kubelet registers before it has measured its disk, and
/// turns pods away that request some of it until it has reported again. Where no API server answers, it is not registered,
/// and goes by what it sees itself.
///
/// # Errors
/// The Node does not within the TLS bootstrap timeout.
pub async fn wait_for_room(context: &Context, pod: &Pod) -> Result<(), PhaseError> {
    let cluster = context.run.cluster();
    // A kubelet that registers with the API server of its own host does so after its etcd has joined.
    if cluster.release.kubeconfig_profile().kubelet_local_server {
        return Ok(());
    }
    let requests = measured_requests(pod);
    let (Some(api), false) = (context.api().await?, requests.is_empty()) else { return Ok(()) };
    let poll = Poll {
        timeout: cluster.section.timeouts.tls_bootstrap,
        interval: Duration::from_millis(250),
    };
    let cancel = &context.run.options().cancel;
    match wait::node_offers(api, &context.host().name, &requests, poll, cancel).await {
        Ok(()) => Ok(()),
        Err(error) => Err(diagnosis::kubelet(context, error).await),
    }
}

/// The resources that the pod requests, without those which a kubelet knows from its start.
fn measured_requests(pod: &Pod) -> BTreeSet<&str> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let requests =
        containers.filter_map(|container| container.resources.as_ref()?.requests.as_ref());
    let names = requests.flat_map(|requests| requests.keys().map(String::as_str));
    names.filter(|name| !["cpu", "memory"].contains(name)).collect()
}

/// What the process of a pod is called with.
pub fn arguments(pod: &Pod) -> Vec<String> {
    let container = pod.spec.iter().flat_map(|spec| &spec.containers).next();
    container
        .map(|it| it.command.iter().chain(&it.args).flatten().cloned().collect())
        .unwrap_or_default()
}

/// Wait until the kubelet runs these pods as their manifests have them.
///
/// # Errors
/// It does not in time; the API refuses to say.
pub async fn wait_current(
    context: &Context,
    api: &ApiClient,
    pods: Vec<(Component, Pod)>,
    poll: Poll,
) -> Result<(), ApiError> {
    let once = api.with_timing(Timing::once(REQUEST));
    for (component, wanted) in pods {
        let key = mirror_key(context, component);
        let cancel = &context.run.options().cancel;
        let action = format!("see {component} run with its new manifest");
        poll.until(cancel, &action, || async {
            let shown = match once.get(&key).await {
                Ok(shown) => shown,
                Err(error) if error.is_transient() => {
                    return Ok(Attempt::NotYet(error.to_string()));
                }
                Err(error) => return Err(error),
            };
            let current = match &shown {
                Some(shown) => shows(shown, &wanted),
                // A kubelet that could not reach the API when the pod began shows it with its next look at it, up to a
                // minute and a half later.
                None => began_with_manifest(context, component, &wanted).await.unwrap_or(false),
            };
            Ok(match current {
                true => Attempt::Done(()),
                false => Attempt::NotYet("the kubelet does not run it yet".to_owned()),
            })
        })
        .await?;
    }
    Ok(())
}

/// Whether the API shows the pod with the manifest's image and command.
fn shows(shown: &Value, wanted: &Pod) -> bool {
    let wanted = serde_json::json!(wanted);
    let of =
        |pod: &Value| ["image", "command"].map(|field| pod["spec"]["containers"][0][field].clone());
    of(shown) == of(&wanted)
}

/// Whether a process of this pod runs that is not older than the manifest.
async fn began_with_manifest(
    context: &Context,
    component: Component,
    wanted: &Pod,
) -> Result<bool, PhaseError> {
    let node = context.node().await?;
    let path = component.manifest_path();
    let written = node.read_public(&[&path]).await?.get(&path).map(|file| file.modified);
    let processes = node.processes(&[component.as_str()]).await?;
    Ok(written.is_some_and(|written| any_began(&processes, &arguments(wanted), written)))
}

fn any_began(processes: &[Process], arguments: &[String], written: i64) -> bool {
    processes.iter().any(|process| process.arguments == arguments && process.started >= written)
}

/// Wait for something that needs these static pods, and meanwhile have the kubelet look again, a few times, at those it has
/// turned away: in this run or, as nothing else would ever change that, in another one.
pub async fn readmitting<T>(
    context: &Context,
    components: &[Component],
    waiting: impl Future<Output = T>,
) -> T {
    tokio::select! {
        biased;
        ended = waiting => ended,
        never = readmission(context, components) => match never {},
    }
}

async fn readmission(context: &Context, components: &[Component]) -> Infallible {
    // Without a cluster to ask nobody knows. What is waited for tells then what is wrong. On the heap: what reaches the
    // API is too deep a future to stand within another one.
    if context.host().role == Role::ControlPlane
        && let Ok(Some(api)) = Box::pin(context.api()).await
    {
        let api = api.with_timing(Timing::once(REQUEST));
        for _ in 0..RESTARTS {
            let refusal = refusal(context, &api, components).await;
            context.warn(format!("{refusal}; the kubelet is started again"));
            let restart = context.service(ServiceAction::Restart, kubelet::SERVICE);
            if let Err(error) = Box::pin(restart).await {
                context.warn(format!("the kubelet cannot be started again: {error}"));
                break;
            }
            sleep(SETTLED).await;
        }
    }
    std::future::pending().await
}

/// Wait until a pod has been refused for longer than it takes a kubelet to come to its manifest; says what it is.
async fn refusal(context: &Context, api: &ApiClient, components: &[Component]) -> String {
    let mut refused_since = vec![None; components.len()];
    loop {
        sleep(INTERVAL).await;
        // A kubelet shows no pods before it has registered. An API server that does not answer is one of the things that
        // are waited for, and may be one of those refused, or want an etcd that is: then the host's processes tell.
        let node = nodes::get(api, &context.host().name).await;
        let registered = node.map(|node| node.is_some_and(|node| is_registered(&node)));
        for (&component, since) in components.iter().zip(&mut refused_since) {
            let pod = match registered {
                Ok(_) => match api.get(&mirror_key(context, component)).await {
                    Ok(pod) => pod,
                    Err(_) => continue,
                },
                Err(_) => None,
            };
            // What runs has been taken in, shown or not.
            if pod.is_none() && runs(context, component).await {
                *since = None;
                continue;
            }
            let found = match registered {
                Ok(true) => refused(component, pod.as_ref()),
                Ok(false) => None,
                Err(_) => silent(component),
            };
            match found {
                None => *since = None,
                Some((refusal, patience)) => {
                    let since = *since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= patience {
                        return refusal;
                    }
                }
            }
        }
    }
}

/// What it means that nothing runs of a component while no API server answers, where it is one without which none does, and
/// for how long it means nothing. The others end by themselves then.
fn silent(component: Component) -> Option<(String, Duration)> {
    let refusal = format!("{component} has a manifest, and no process of it runs");
    [Component::Etcd, Component::KubeApiserver]
        .contains(&component)
        .then_some((refusal, Duration::from_secs(45)))
}

/// Whether the host runs a process of the component; where it cannot be asked, it may.
async fn runs(context: &Context, component: Component) -> bool {
    let Ok(node) = context.node().await else { return true };
    node.processes(&[component.as_str()]).await.map_or(true, |found| !found.is_empty())
}

/// What says that the kubelet has refused a static pod, and for how long that may be something else: the kubelet looks into
/// its directory every twenty seconds where it is not told of changes.
fn refused(component: Component, pod: Option<&Value>) -> Option<(String, Duration)> {
    let Some(pod) = pod else {
        return Some((
            format!("{component} has a manifest, and the kubelet runs no pod for it"),
            Duration::from_secs(30),
        ));
    };
    let status = &pod["status"];
    // It starts again whatever ends in a pod that it has taken in: as a whole such a pod never fails.
    if status["phase"] != "Failed" {
        return None;
    }
    let texts = ["reason", "message"].map(|field| status[field].as_str().unwrap_or_default());
    let reason = printable_line(texts.join(": ").trim_matches([':', ' ']), 300);
    Some((format!("the kubelet has turned {component} away ({reason})"), INTERVAL))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_kubelet_has_to_measure_is_waited_for() {
        let pod = |requests: Value| -> Pod {
            serde_json::from_value(json!({
                "spec": { "containers": [{ "name": "etcd", "resources": { "requests": requests } }] }
            }))
            .unwrap()
        };
        let with_disk =
            pod(json!({ "cpu": "100m", "ephemeral-storage": "100Mi", "memory": "1Mi" }));
        assert_eq!(measured_requests(&with_disk), BTreeSet::from(["ephemeral-storage"]));
        assert!(measured_requests(&pod(json!({ "cpu": "100m", "memory": "1Mi" }))).is_empty());
        assert!(measured_requests(&Pod::default()).is_empty());
    }

    #[test]
    fn a_process_older_than_the_manifest_runs_another_one() {
        let process = |argument: &str, started| Process {
            pid: 7,
            ticks: 7,
            started,
            arguments: vec!["etcd".to_owned(), argument.to_owned()],
        };
        let wanted = ["etcd", "--a"].map(str::to_owned);
        assert!(any_began(&[process("--b", 9), process("--a", 9)], &wanted, 9));
        assert!(!any_began(&[process("--a", 8), process("--b", 9)], &wanted, 9));
    }

    #[test]
    fn a_static_pod_that_failed_or_is_not_there_was_refused() {
        let refused = |pod: Value| refused(Component::Etcd, Some(&pod));
        assert_eq!(refused(json!({ "status": { "phase": "Running" } })), None);
        assert_eq!(refused(json!({})), None);
        let (failed, patience) = refused(json!({ "status": {
            "phase": "Failed", "reason": "Preempting", "message": "Pod was refused"
        } }))
        .unwrap();
        insta::assert_snapshot!(failed, @"the kubelet has turned etcd away (Preempting: Pod was refused)");
        let (missing, more) = super::refused(Component::Etcd, None).unwrap();
        assert!(missing.contains("no pod") && more > patience);
        assert!(silent(Component::Etcd).unwrap().1 > more);
        assert_eq!(silent(Component::KubeScheduler), None, "it waits for an API server itself");
    }
}
