//! `check-etcd`: another member is only added to an etcd that can bear it.

use std::sync::Arc;
use std::time::Duration;

use crate::etcd::quorum;
use crate::kubernetes::Poll;
use crate::kubernetes::poll::Attempt;
use crate::phases::{Context, Done, PhaseError, etcd};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    if !run.cluster().has_stacked_etcd() {
        return Ok(Done::NotNeeded("etcd is external".to_owned()));
    }
    if context.dry_run() {
        return Ok(Done::NotNeeded("a dry run waits for nothing".to_owned()));
    }
    let timeout = run.cluster().section.timeouts.etcd_api_call;
    let poll = Poll { timeout, interval: Duration::from_millis(500) };
    let action = "see enough members of etcd healthy";
    let checked = poll.until(&run.options().cancel, action, || async {
        // Whoever answered the last time may not any more.
        let any = match etcd::any_member(run).await {
            Ok(any) => any,
            // Without the first control plane there is nothing to wait for.
            Err(error) => return Ok(Attempt::Done(Err(error))),
        };
        let members = match any.members().await {
            Ok(members) => members,
            Err(error) => return Ok(Attempt::NotYet(error.to_string())),
        };
        let health = match etcd::healthy(run, &members).await {
            Ok(health) => health,
            Err(error) => return Ok(Attempt::NotYet(error.to_string())),
        };
        Ok(if health.healthy() >= quorum(health.voters()) {
            Attempt::Done(Ok(health))
        } else {
            Attempt::NotYet(format!(
                "{} of {} members answer; {}",
                health.healthy(),
                health.voters(),
                health.problems()
            ))
        })
    });
    let health = checked.await??;
    if health.healthy() < health.voters() {
        context.warn(format!(
            "etcd works with {} of {} members; {}",
            health.healthy(),
            health.voters(),
            health.problems()
        ));
    }
    Ok(Done::Finished)
}
