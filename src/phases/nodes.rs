//! Marking Node objects, in earnest or in a dry run.

use std::time::Duration;

use crate::cluster::node_flags;
use crate::kubernetes::objects::node::{NodeMarks, patch};
use crate::kubernetes::{Poll, nodes, wait};

use super::{Context, PhaseError, kubelet};

/// Give this host's Node the marks it lacks, once it is registered, and tell what changed.
///
/// # Errors
/// The node is not registered within the TLS bootstrap timeout, or the API refuses.
pub async fn mark(context: &Context, marks: &NodeMarks) -> Result<(), PhaseError> {
    let name = &context.host().name;
    let what = format!("mark Node {name} with {}", words(marks));
    match (context.api().await?, context.dry_run()) {
        (None, _) => context.changed(what),
        (Some(api), true) => match nodes::get(api, name).await {
            Ok(Some(node)) if patch(&node, marks).is_none() => {}
            Ok(_) => context.changed(what),
            Err(error) if error.is_unreachable() => context.changed(what),
            Err(error) => return Err(error.into()),
        },
        (Some(api), false) => {
            let timeout = context.run.cluster().section.timeouts.tls_bootstrap;
            let poll = Poll { timeout, interval: Duration::from_millis(250) };
            let cancel = &context.run.options().cancel;
            if let Err(error) = wait::node_registered(api, name, poll, cancel).await {
                return Err(super::diagnosis::kubelet(context, error).await);
            }
            if nodes::mark(api, name, marks).await?.is_change() {
                context.changed(what);
            }
        }
    }
    Ok(())
}

/// Keep the runtime's endpoint on the Node, where kubeadms of older releases read it from.
///
/// # Errors
/// As [`mark`].
pub async fn annotate(context: &Context) -> Result<(), PhaseError> {
    let socket = kubelet::runtime_endpoint(context).await?;
    let annotations = node_flags::annotations(&context.run.cluster().release, &socket);
    if annotations.is_empty() {
        return Ok(());
    }
    mark(context, &NodeMarks { annotations, ..NodeMarks::default() }).await
}

/// Labels, annotations and taints for people.
pub fn words(marks: &NodeMarks) -> String {
    let labels = marks.labels.iter().map(|(key, value)| format!("label {key}={value}"));
    let annotations = marks.annotations.keys().map(|key| format!("annotation {key}"));
    let taints = marks.taints.iter().map(|taint| match taint.value.as_str() {
        "" => format!("taint {}:{}", taint.key, taint.effect),
        value => format!("taint {}={value}:{}", taint.key, taint.effect),
    });
    labels.chain(annotations).chain(taints).collect::<Vec<_>>().join(", ")
}
