//! `cleanup-leftovers`: what kubeadm's reset leaves on a host, as far as `--cleanup` names it.

use std::sync::Arc;

use crate::phases::{Context, Done, PhaseError, kubelet};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let what = &context.run.options().reset.cleanup;
    if what.is_empty() {
        return Ok(Done::NotNeeded("--cleanup names nothing".to_owned()));
    }
    let socket = kubelet::runtime_endpoint(&context).await?;
    let cleaned = context.node().await?.clean(what, &socket).await?;
    for kept in cleaned.kept {
        context.warn(format!("left: {kept}"));
    }
    context.report_all(cleaned.changes);
    Ok(Done::Finished)
}
