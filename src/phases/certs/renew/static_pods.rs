//! The static pods of a control plane, started anew where they run with certificates that are not there any more.
//!
//! kubeadm has the operator move manifests out and in again. Here the process is asked to end, and the kubelet starts
//! it anew at once: the manifest is never away, so that a run cut short leaves nothing to bring back, and it takes a
//! tenth of the time. One component after the other, each healthy before the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::slices;
use crate::cluster::kubeconfig::Kubeconfig;
use crate::cluster::static_pods::probes::health_endpoint;
use crate::cluster::static_pods::{self, Component};
use crate::kubernetes::health::{HealthEndpoint, wait_api_server};
use crate::kubernetes::poll::Attempt;
use crate::kubernetes::{ApiClient, ApiError, Poll};
use crate::node::{Process, PublicPart, ServiceAction};
use crate::phases::certs::places::kubeconfig_path;
use crate::phases::control_plane::dial::credentials;
use crate::phases::static_pods::arguments;
use crate::phases::{Context, PhaseError, diagnosis, kubelet};

/// `terminationGracePeriodSeconds` of a pod that does not say otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// A static pod that is on the host.
#[derive(Debug)]
struct Installed {
    component: Component,
    manifest: Pod,
    /// What its process is called with.
    arguments: Vec<String>,
    /// Certificates, keys and kubeconfigs it has been told to use.
    uses: Vec<String>,
}

/// Start those anew that began before one of their files was written. `renewed` are the files that this run has
/// written, or would; `kubelet_restarted` says that the kubelet counts no failures of theirs.
pub(super) async fn restart(
    context: &Context,
    renewed: &BTreeSet<String>,
    mut kubelet_restarted: bool,
) -> Result<(), PhaseError> {
    let node = context.node().await?;
    let pods = installed(context).await?;
    let paths: BTreeSet<&str> = pods.iter().flat_map(|pod| &pod.uses).map(String::as_str).collect();
    let written = node.read_public(&paths.into_iter().collect::<Vec<_>>()).await?;
    let mut healthy = false;
    for pod in &pods {
        let running = running(context, pod).await?;
        if !is_stale(pod, running.as_ref(), &written, renewed) {
            continue;
        }
        if context.dry_run() {
            context.changed(format!("restart {}", pod.component));
            continue;
        }
        if !healthy {
            // Nobody else would start it again.
            kubelet::wait_healthy(context).await?;
            healthy = true;
        }
        match &running {
            Some(process) => {
                let changes =
                    node.terminate(process, &format!("restart {}", pod.component)).await?;
                context.report_all(changes);
                end(context, pod, process).await?;
            }
            // It has failed, perhaps of the certificates, and the kubelet makes longer and longer pauses between its
            // tries, until it is itself started anew.
            None if !kubelet_restarted => {
                context.service(ServiceAction::Restart, kubelet::SERVICE).await?;
                kubelet_restarted = true;
            }
            None => {}
        }
        wait(context, pod, running.as_ref()).await?;
    }
    Ok(())
}

/// Whether what runs has files that are not there any more.
fn is_stale(
    pod: &Installed,
    running: Option<&Process>,
    written: &BTreeMap<String, PublicPart>,
    renewed: &BTreeSet<String>,
) -> bool {
    // What does not run will have what is there when the kubelet starts it.
    let later = |path: &String| {
        let modified = written.get(path).map(|file| file.modified);
        running.is_some_and(|process| modified.is_some_and(|at| at > process.started))
    };
    pod.uses.iter().any(|path| renewed.contains(path) || later(path))
}

/// The static pods of the control plane that the host has, in the order in which they need each other.
async fn installed(context: &Context) -> Result<Vec<Installed>, PhaseError> {
    let paths: Vec<String> = Component::ALL.iter().map(|it| it.manifest_path()).collect();
    let files = context.node().await?.read(&slices(&paths)).await?;
    let mut pods = Vec::new();
    for (component, path) in Component::ALL.into_iter().zip(&paths) {
        let Some(file) = files.get(path) else { continue };
        let manifest = static_pods::from_yaml(&String::from_utf8_lossy(&file.content))?;
        pods.push(Installed::new(component, manifest));
    }
    Ok(pods)
}

impl Installed {
    fn new(component: Component, manifest: Pod) -> Self {
        let arguments = arguments(&manifest);
        let values =
            arguments.iter().filter_map(|argument| argument.split_once('=')).map(|it| it.1);
        let is_ours = |value: &str| {
            value.starts_with("/etc/kubernetes/")
                && [".crt", ".key", ".conf"].iter().any(|end| value.ends_with(end))
        };
        let uses: BTreeSet<String> =
            values.filter(|value| is_ours(value)).map(str::to_owned).collect();
        Self { component, manifest, arguments, uses: uses.into_iter().collect() }
    }

    /// How long the kubelet waits for the pod to end by itself.
    fn grace(&self) -> Duration {
        let spec = self.manifest.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.termination_grace_period_seconds);
        seconds.and_then(|it| u64::try_from(it).ok()).map_or(DEFAULT_GRACE, Duration::from_secs)
    }

    /// The process among these that is this pod's.
    fn find(&self, processes: Vec<Process>) -> Option<Process> {
        processes.into_iter().find(|process| process.arguments == self.arguments)
    }
}

async fn running(context: &Context, pod: &Installed) -> Result<Option<Process>, PhaseError> {
    Ok(pod.find(context.node().await?.processes(&[pod.component.as_str()]).await?))
}

/// Wait until the process has ended, and end it where it takes longer than the kubelet gives to a pod whose manifest goes:
/// an API server waits up to a minute for its watches, and serves nobody meanwhile.
async fn end(context: &Context, pod: &Installed, process: &Process) -> Result<(), PhaseError> {
    let node = context.node().await?;
    let poll = Poll { timeout: pod.grace(), interval: Duration::from_millis(500) };
    let action = format!("see {} end", pod.component);
    let ended = poll.until(&context.run.options().cancel, &action, || async {
        Ok(match node.processes(&[pod.component.as_str()]).await {
            Ok(found)
                if found.iter().any(|it| (it.pid, it.ticks) == (process.pid, process.ticks)) =>
            {
                Attempt::NotYet("it still runs".to_owned())
            }
            Ok(_) => Attempt::Done(()),
            Err(error) => Attempt::NotYet(error.to_string()),
        })
    });
    match ended.await {
        Err(ApiError::TimedOut { .. }) => {
            // Of one change, which has been told of.
            node.kill(process, &format!("restart {}", pod.component)).await?;
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Wait until another process than `before` runs, and is healthy.
async fn wait(
    context: &Context,
    pod: &Installed,
    before: Option<&Process>,
) -> Result<(), PhaseError> {
    let cluster = context.run.cluster();
    let cancel = &context.run.options().cancel;
    let timeout = cluster.section.timeouts.control_plane_component_health_check;
    let poll = Poll { timeout, interval: Duration::from_millis(500) };
    let action = format!("see {} run again", pod.component);
    let node = context.node().await?;
    let old = before.map(|process| (process.pid, process.ticks));
    let appeared = poll.until(cancel, &action, || async {
        let found = node.processes(&[pod.component.as_str()]).await;
        Ok(match found.map(|processes| pod.find(processes)) {
            Ok(Some(now)) if Some((now.pid, now.ticks)) != old => Attempt::Done(()),
            Ok(Some(_)) => Attempt::NotYet("the old process has not ended".to_owned()),
            Ok(None) => Attempt::NotYet("the kubelet has not started it".to_owned()),
            Err(error) => Attempt::NotYet(error.to_string()),
        })
    });
    if let Err(error) = appeared.await {
        return Err(diagnosis::kubelet(context, error).await);
    }
    let Some(endpoint) = health_endpoint(pod.component, &pod.manifest, &cluster.release) else {
        return Ok(());
    };
    let healthy = match (pod.component, api(context, &endpoint.host, endpoint.port).await?) {
        (Component::KubeApiserver, Some(api)) => {
            wait_api_server(&api, "/readyz", poll, cancel).await.map(|_| ())
        }
        _ => {
            let endpoint = HealthEndpoint {
                component: endpoint.component.to_string(),
                tls: endpoint.tls,
                host: endpoint.host,
                port: endpoint.port,
                path: endpoint.path.to_owned(),
            };
            endpoint.wait(context.dial().await?, poll, cancel).await.map(|_| ())
        }
    };
    match healthy {
        Ok(()) => Ok(()),
        Err(error) => Err(diagnosis::kubelet(context, error).await),
    }
}

/// A client of this very host's API server with the credentials that are on it now: it also shows that the certificates
/// fit each other.
async fn api(context: &Context, host: &str, port: u16) -> Result<Option<ApiClient>, PhaseError> {
    let paths = ["admin.conf", "super-admin.conf"].map(kubeconfig_path);
    let mut files = context.node().await?.read(&slices(&paths)).await?;
    let Some((path, file)) = paths.iter().find_map(|path| files.remove_entry(path)) else {
        return Ok(None);
    };
    if Kubeconfig::parse(&file.content).is_err() {
        return Ok(None);
    }
    let credentials = credentials(&path, &file.content)?;
    Ok(Some(ApiClient::new(context.dial().await?, host, port, &credentials)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{cluster, node};
    use crate::cluster::static_pods::etcd::{self, InitialCluster};
    use crate::cluster::static_pods::{kube_apiserver, kube_scheduler};

    fn process(pod: &Installed, started: i64) -> Process {
        Process { pid: 7, ticks: 7, started, arguments: pod.arguments.clone() }
    }

    #[test]
    fn what_a_pod_uses_is_read_off_its_manifest() {
        let (cluster, node) = (cluster(36, 2), node());
        let etcd = etcd::manifest(&cluster, &node, &InitialCluster::New);
        let etcd = Installed::new(Component::Etcd, etcd);
        insta::assert_snapshot!(etcd.uses.join("\n"), @r"
        /etc/kubernetes/pki/etcd/ca.crt
        /etc/kubernetes/pki/etcd/peer.crt
        /etc/kubernetes/pki/etcd/peer.key
        /etc/kubernetes/pki/etcd/server.crt
        /etc/kubernetes/pki/etcd/server.key
        ");
        let scheduler =
            Installed::new(Component::KubeScheduler, kube_scheduler::manifest(&cluster, &node));
        assert_eq!(scheduler.uses, ["/etc/kubernetes/scheduler.conf"]);
        assert_eq!(scheduler.grace(), DEFAULT_GRACE);
        let mut patched = kube_scheduler::manifest(&cluster, &node);
        patched.spec.as_mut().unwrap().termination_grace_period_seconds = Some(90);
        let patched = Installed::new(Component::KubeScheduler, patched);
        assert_eq!(patched.grace(), Duration::from_secs(90));
    }

    #[test]
    fn a_process_older_than_its_files_is_stale() {
        let (cluster, node) = (cluster(36, 2), node());
        let pod =
            Installed::new(Component::KubeApiserver, kube_apiserver::manifest(&cluster, &node));
        let written = |path: &str, modified| {
            BTreeMap::from([(path.to_owned(), PublicPart { content: Vec::new(), modified })])
        };
        let stale = |process: &Process, written: &BTreeMap<String, PublicPart>| {
            is_stale(&pod, Some(process), written, &BTreeSet::new())
        };
        let now = process(&pod, 100);
        assert!(stale(&now, &written("/etc/kubernetes/pki/apiserver.crt", 101)));
        assert!(!stale(&now, &written("/etc/kubernetes/pki/apiserver.crt", 100)));
        assert!(!stale(&now, &written("/etc/kubernetes/pki/etcd/server.crt", 101)));
        let renewed = BTreeSet::from(["/etc/kubernetes/pki/apiserver.key".to_owned()]);
        assert!(is_stale(&pod, Some(&now), &BTreeMap::new(), &renewed));
        assert!(is_stale(&pod, None, &BTreeMap::new(), &renewed));
        assert!(!is_stale(&pod, None, &BTreeMap::new(), &BTreeSet::new()));
    }

    #[test]
    fn only_the_pods_own_process_is_taken_for_it() {
        let (cluster, node) = (cluster(36, 2), node());
        let pod =
            Installed::new(Component::KubeApiserver, kube_apiserver::manifest(&cluster, &node));
        let mut other = process(&pod, 1);
        other.arguments.push("--advertise-address=10.9.9.9".to_owned());
        assert_eq!(pod.find(vec![other.clone()]), None);
        assert_eq!(pod.find(vec![other, process(&pod, 2)]), Some(process(&pod, 2)));
    }
}
