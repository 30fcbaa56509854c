//! `etcd/preflight`: whether the host can become a member of etcd, or is one already.

use std::sync::Arc;

use crate::phases::preflight::{self, Workflow};
use crate::phases::{Context, Done, PhaseError};
use crate::preflight::fleet::even_members;

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    preflight::check(&context, Workflow::EtcdMember).await?;
    let run = &context.run;
    // What runs on these hosts belongs to the control plane's release. A control plane that is away cannot say.
    if let Err(error) = run.control_plane().check_version(run).await
        && !error.unreachable()
    {
        return Err(error);
    }
    if let Some(hosts) = run.etcd_hosts()
        && hosts.name() == context.host().name
        && let Some(warning) = even_members(hosts.count())
    {
        context.warn(warning);
    }
    Ok(Done::Finished)
}
