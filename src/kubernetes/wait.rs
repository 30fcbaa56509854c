//! Waiting for something to appear in the API: a Node, its readiness, a signature.

use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::client::{ApiClient, Timing};
use super::error::ApiError;
use super::jws;
use super::nodes;
use super::object::ObjectKey;
use super::objects::{cluster_info, node};
use super::poll::{Attempt, Poll};

/// One try may take this long.
const REQUEST: Duration = Duration::from_secs(10);

/// Until the Node exists and its kubelet has labelled it with its host name. Returns the Node.
pub async fn node_registered(
    client: &ApiClient,
    name: &str,
    poll: Poll,
    cancel: &CancellationToken,
) -> Result<Value, ApiError> {
    let action = format!("see node {name} registered");
    until(client, &nodes::key(name), &action, poll, cancel, |node| {
        if node::is_registered(node) { Ok(()) } else { Err("it has no host name yet".to_owned()) }
    })
    .await
}

/// Until the Node's Ready condition is true. It needs a CNI, which fleetadm does not install.
pub async fn node_ready(
    client: &ApiClient,
    name: &str,
    poll: Poll,
    cancel: &CancellationToken,
) -> Result<Value, ApiError> {
    let action = format!("see node {name} ready");
    until(client, &nodes::key(name), &action, poll, cancel, node::ready).await
}

/// Until the controller manager has signed cluster-info with this token.
pub async fn cluster_info_signed(
    client: &ApiClient,
    token_id: &str,
    poll: Poll,
    cancel: &CancellationToken,
) -> Result<(), ApiError> {
    let action = format!("see cluster-info signed for token {token_id}");
    let field = jws::data_key(token_id);
    until(client, &cluster_info::key(), &action, poll, cancel, |config_map| {
        match &config_map["data"][&field] {
            Value::String(_) => Ok(()),
            _ => Err("it has no signature yet; is the controller manager running?".to_owned()),
        }
    })
    .await?;
    Ok(())
}

async fn until(
    client: &ApiClient,
    key: &ObjectKey,
    action: &str,
    poll: Poll,
    cancel: &CancellationToken,
    test: impl Fn(&Value) -> Result<(), String>,
) -> Result<Value, ApiError> {
    let once = client.with_timing(Timing::once(REQUEST));
    poll.until(cancel, action, || async {
        match once.get(key).await {
            Ok(None) => Ok(Attempt::NotYet(format!("{key} does not exist"))),
            Ok(Some(object)) => Ok(match test(&object) {
                Ok(()) => Attempt::Done(object),
                Err(reason) => Attempt::NotYet(reason),
            }),
            Err(error) if error.is_transient() => Ok(Attempt::NotYet(error.to_string())),
            Err(error) => Err(error),
        }
    })
    .await
}
