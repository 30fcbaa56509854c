//! Draining a node: no new pods, and those that are there moved away through the eviction API, which respects
//! PodDisruptionBudgets.
//!
//! It never deletes a pod past its budget, and never touches what is bound to the node.

mod pods;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::client::{ApiClient, Call, JSON, PatchKind, Selector, Timing};
use super::error::ApiError;
use super::nodes;
use super::object::{Kind, ObjectKey};
use super::objects::node;

pub use pods::{Kept, PodRef, Sorted, sort};

/// One request may take this long.
const REQUEST: Duration = Duration::from_secs(15);
/// Rest between two looks at what is left.
const LOOK: Duration = Duration::from_secs(1);
/// Rest before an eviction that a budget does not allow is tried again; that of `kubectl drain`.
const REFUSED: Duration = Duration::from_secs(5);
/// Evictions asked for at once.
const AT_ONCE: usize = 16;

/// How a node is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainOptions {
    /// Give up after this long.
    pub timeout: Duration,
    /// Evict pods without a controller, too.
    pub force: bool,
}

/// Why a node is not drained.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The API server refused a request or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Pods would not come back anywhere.
    #[error(
        "Node {node} is not drained: no controller would make {} anew: {}; delete {} yourself, or give {} up with --force",
        counted(pods.len()), listed(pods), if pods.len() == 1 { "it" } else { "them" }, if pods.len() == 1 { "it" } else { "them" }
    )]
    Unmanaged {
        /// The node.
        node: String,
        /// The pods.
        pods: Vec<PodRef>,
    },
    /// Pods are still there.
    #[error(
        "Node {node} is not drained after {} s: {} left: {}; see to that, raise --drain-timeout, or leave draining \
         out with --skip-phases drain",
        waited.as_secs(), counted(left.len()), left.join(", ")
    )]
    TimedOut {
        /// The node.
        node: String,
        /// How long.
        waited: Duration,
        /// The pods, each with why it is still there.
        left: Vec<String>,
    },
}

fn counted(pods: usize) -> String {
    if pods == 1 { "1 pod".to_owned() } else { format!("{pods} pods") }
}

fn listed(pods: &[PodRef]) -> String {
    pods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Let no new pods onto the node; `false` when it is so already.
///
/// # Errors
/// There is no such Node, or the API server refuses or does not answer.
pub async fn cordon(client: &ApiClient, name: &str) -> Result<bool, ApiError> {
    let Some(node) = nodes::get(client, name).await? else {
        return Err(ApiError::Object { problem: format!("there is no Node {name}") });
    };
    if node::is_cordoned(&node) {
        return Ok(false);
    }
    // This Node only: that patch may be late, and come to a Node that has registered since.
    let patch = json!({"metadata": {"uid": nodes::uid(&node)}, "spec": {"unschedulable": true}});
    client.patch(&nodes::key(name), PatchKind::StrategicMerge, &patch).await?;
    Ok(true)
}

/// Let new pods onto the node again. A Node that is gone is no error.
///
/// # Errors
/// The API server refuses or does not answer.
pub async fn uncordon(client: &ApiClient, name: &str) -> Result<(), ApiError> {
    let patch = json!({"spec": {"unschedulable": null}});
    match client.patch(&nodes::key(name), PatchKind::StrategicMerge, &patch).await {
        Err(error) if error.status() == Some(404) => Ok(()),
        result => result.map(|_| ()),
    }
}

/// The pods that are bound to a node.
///
/// # Errors
/// The API server refuses or does not answer.
pub async fn pods_on(client: &ApiClient, name: &str) -> Result<Vec<Value>, ApiError> {
    let selector = format!("spec.nodeName={name}");
    client.list(Kind::Pod, None, Selector::Fields(&selector)).await
}

/// Evict the pods of a cordoned node and wait until they are gone, telling of each eviction. A node whose kubelet does
/// not answer cannot confirm that its pods have ended: there, evicting them has to do.
///
/// # Errors
/// See [`DrainError`]. What was evicted until then stays evicted.
pub async fn drain(
    client: &ApiClient,
    name: &str,
    options: DrainOptions,
    cancel: &CancellationToken,
    evicted: impl Fn(&PodRef),
) -> Result<(), DrainError> {
    let work = attempts(client, name, options, evicted);
    tokio::select! {
        biased;
        () = cancel.cancelled() => {
            Err(ApiError::Cancelled { action: format!("drain Node {name}") }.into())
        }
        result = work => result,
    }
}

async fn attempts(
    client: &ApiClient,
    name: &str,
    options: DrainOptions,
    evicted: impl Fn(&PodRef),
) -> Result<(), DrainError> {
    let start = Instant::now();
    let version = eviction_version(client).await?;
    let once = &client.with_timing(Timing::once(REQUEST));
    let confirms = nodes::get(client, name).await?.is_some_and(|node| node::ready(&node).is_ok());
    let mut refused: BTreeMap<PodRef, Refused> = BTreeMap::new();
    loop {
        let mut sorted = pods::sort(&pods_on(client, name).await?, options.force);
        if !confirms {
            sorted.ending.clear();
        }
        if !sorted.blocking.is_empty() {
            let (node, pods) = (name.to_owned(), sorted.blocking);
            return Err(DrainError::Unmanaged { node, pods });
        }
        if sorted.is_drained() {
            return Ok(());
        }
        refused.retain(|pod, _| sorted.evict.contains(pod));
        let due = |pod: &&PodRef| refused.get(*pod).is_none_or(|it| it.at.elapsed() >= REFUSED);
        let due: Vec<PodRef> = sorted.evict.iter().filter(due).cloned().collect();
        let answers: Vec<_> = stream::iter(due)
            .map(|pod| async move {
                let answer = evict(once, version, &pod).await;
                (pod, answer)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (pod, answer) in answers {
            match answer? {
                Eviction::Accepted => evicted(&pod),
                Eviction::Gone => {}
                Eviction::Later(why) => {
                    refused.insert(pod, Refused { at: Instant::now(), why });
                }
            }
        }
        let waited = start.elapsed();
        if waited + LOOK >= options.timeout {
            let why = |pod: &PodRef| match refused.get(pod) {
                Some(refused) => format!("{pod} ({})", refused.why),
                None => format!("{pod} (it has not ended yet)"),
            };
            let left = sorted.left().map(why).collect();
            return Err(DrainError::TimedOut { node: name.to_owned(), waited, left });
        }
        sleep(LOOK).await;
    }
}

/// An eviction that has to wait.
struct Refused {
    at: Instant,
    why: String,
}

enum Eviction {
    Accepted,
    Gone,
    Later(String),
}

async fn evict(
    once: &ApiClient,
    version: &'static str,
    pod: &PodRef,
) -> Result<Eviction, ApiError> {
    let key = ObjectKey::namespaced(Kind::Pod, &pod.namespace, &pod.name);
    let body = json!({
        "apiVersion": version,
        "kind": "Eviction",
        "metadata": {"namespace": pod.namespace, "name": pod.name},
        // A StatefulSet's pod may be another one of the same name by now.
        "deleteOptions": {"preconditions": {"uid": pod.uid}},
    });
    let path = format!("{}/eviction", key.path());
    let call = Call::with_body(Method::POST, format!("evict {key}"), path, JSON, &body);
    match once.send(&call).await {
        Ok(_) => Ok(Eviction::Accepted),
        Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(Eviction::Gone),
        // 429 is a budget's refusal. In a namespace that ends, evictions are forbidden, and its pods end by themselves.
        Err(error) if error.is_transient() => Ok(Eviction::Later(error.reason())),
        Err(error) => Err(error),
    }
}

/// The version of Eviction that the API server takes: policy/v1 from 1.22 on.
async fn eviction_version(client: &ApiClient) -> Result<&'static str, ApiError> {
    let call = Call::get("list the resources of v1".to_owned(), "/api/v1".to_owned());
    Ok(offered(&client.send(&call).await?))
}

fn offered(resources: &Value) -> &'static str {
    let all = resources["resources"].as_array();
    let eviction = all.into_iter().flatten().find(|it| it["name"] == "pods/eviction");
    match eviction.and_then(|it| it["version"].as_str()) {
        Some("v1") => "policy/v1",
        _ => "policy/v1beta1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> PodRef {
        PodRef { namespace: "default".into(), name: name.into(), uid: "1".into() }
    }

    #[test]
    fn the_servers_own_version_of_eviction_is_used() {
        let with = |version: &str| {
            json!({"resources": [
                {"name": "pods", "kind": "Pod"},
                {"name": "pods/eviction", "kind": "Eviction", "group": "policy", "version": version},
            ]})
        };
        assert_eq!(offered(&with("v1")), "policy/v1");
        assert_eq!(offered(&with("v1beta1")), "policy/v1beta1");
        assert_eq!(offered(&json!({})), "policy/v1beta1");
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let unmanaged = DrainError::Unmanaged { node: "n2".into(), pods: vec![pod("debug")] };
        insta::assert_snapshot!(unmanaged, @"Node n2 is not drained: no controller would make 1 pod anew: default/debug; delete it yourself, or give it up with --force");
        let late = DrainError::TimedOut {
            node: "n2".into(),
            waited: Duration::from_secs(300),
            left: vec![
                "default/db-0 (Cannot evict pod as it would violate the pod's disruption budget. (429))".into(),
                "default/web (it has not ended yet)".into(),
            ],
        };
        insta::assert_snapshot!(late, @"Node n2 is not drained after 300 s: 2 pods left: default/db-0 (Cannot evict pod as it would violate the pod's disruption budget. (429)), default/web (it has not ended yet); see to that, raise --drain-timeout, or leave draining out with --skip-phases drain");
    }
}
