//! Node objects: reading, marking, deleting.

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::apply::Applied;
use super::client::{ApiClient, PatchKind, Selector};
use super::error::ApiError;
use super::object::{Kind, ObjectKey};
use super::objects::node::{NodeMarks, patch};

/// Where a Node is.
pub fn key(name: &str) -> ObjectKey {
    ObjectKey::cluster(Kind::Node, name)
}

/// The Node, or `None` when it is not registered.
pub async fn get(client: &ApiClient, name: &str) -> Result<Option<Value>, ApiError> {
    client.get(&key(name)).await
}

/// Every Node.
pub async fn list(client: &ApiClient) -> Result<Vec<Value>, ApiError> {
    client.list(Kind::Node, None, Selector::All).await
}

/// Give a registered Node the labels, annotations and taints it lacks.
pub async fn mark(client: &ApiClient, name: &str, marks: &NodeMarks) -> Result<Applied, ApiError> {
    let key = key(name);
    let timing = client.timing();
    let start = Instant::now();
    loop {
        let Some(node) = client.get(&key).await? else {
            return Err(ApiError::Object {
                problem: format!("node {name} is not registered; is its kubelet running?"),
            });
        };
        let Some(patch) = patch(&node, marks) else {
            return Ok(Applied::Unchanged);
        };
        match client.patch(&key, PatchKind::StrategicMerge, &patch).await {
            Ok(_) => return Ok(Applied::Updated),
            // The node controller or the kubelet was faster.
            Err(error)
                if error.status() == Some(409)
                    && start.elapsed() + timing.interval < timing.total => {}
            Err(error) => return Err(error),
        }
        sleep(timing.interval).await;
    }
}

/// Delete the Node object; `false` when there was none. A Node of the same name that registers meanwhile stays: its kubelet
/// would not register it once more.
pub async fn delete(client: &ApiClient, name: &str) -> Result<bool, ApiError> {
    match get(client, name).await? {
        Some(node) => client.delete_exactly(&key(name), uid(&node)).await,
        None => Ok(false),
    }
}

/// What tells a Node from an earlier or later one of its name.
pub(super) fn uid(node: &Value) -> &str {
    node["metadata"]["uid"].as_str().unwrap_or_default()
}
