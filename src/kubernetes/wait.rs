//! Waiting for something to appear in the API: a Node, its readiness, a permission.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::client::{ApiClient, Timing};
use super::error::ApiError;
use super::nodes;
use super::object::ObjectKey;
use super::objects::bootstrap_token::BootstrapToken;
use super::objects::node;
use super::poll::{Attempt, Poll};
use super::reviews;

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

/// Until the Node's kubelet has reported later than what `before` says (see [`node::heartbeat`]): it has credentials that
/// the API server takes.
pub async fn node_reported(
    client: &ApiClient,
    name: &str,
    before: Option<&str>,
    poll: Poll,
    cancel: &CancellationToken,
) -> Result<Value, ApiError> {
    let action = format!("hear from the kubelet of node {name}");
    until(client, &nodes::key(name), &action, poll, cancel, |node| {
        let now = node::heartbeat(node);
        if now.is_some() && now != before { Ok(()) } else { Err("it has not reported".to_owned()) }
    })
    .await
}

/// Until the Node offers some of each of these resources to pods, or no API server answers that could tell.
pub async fn node_offers(
    client: &ApiClient,
    name: &str,
    resources: &BTreeSet<&str>,
    poll: Poll,
    cancel: &CancellationToken,
) -> Result<(), ApiError> {
    let action = format!("see what node {name} offers to pods");
    let once = client.with_timing(Timing::once(REQUEST));
    poll.until(cancel, &action, || async {
        let node = match once.get(&nodes::key(name)).await {
            Ok(node) => node.unwrap_or_default(),
            Err(error) if error.is_unreachable() => return Ok(Attempt::Done(())),
            Err(error) if error.is_transient() => return Ok(Attempt::NotYet(error.to_string())),
            Err(error) => return Err(error),
        };
        Ok(match resources.iter().find(|&&resource| !node::offers(&node, resource)) {
            None => Attempt::Done(()),
            Some(resource) => Attempt::NotYet(format!("its kubelet has not told its {resource}")),
        })
    })
    .await
}

/// Until a kubelet with this token is let ask for its certificate.
pub async fn bootstrapper_admitted(
    client: &ApiClient,
    token: &BootstrapToken,
    poll: Poll,
    cancel: &CancellationToken,
) -> Result<(), ApiError> {
    let action = format!("see token {} admitted", token.id());
    let once = client.with_timing(Timing::once(REQUEST));
    poll.until(cancel, &action, || async {
        match reviews::bootstrapper(&once, token).await {
            Ok(Ok(())) => Ok(Attempt::Done(())),
            Ok(Err(reason)) => Ok(Attempt::NotYet(reason.to_owned())),
            Err(error) if error.is_transient() => Ok(Attempt::NotYet(error.to_string())),
            Err(error) => Err(error),
        }
    })
    .await
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
