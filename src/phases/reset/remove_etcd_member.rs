//! `remove-etcd-member`: the host's member is taken out of an etcd that goes on, and its data goes. A sole member is
//! not removed from a cluster that ends with it.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::etcd_unit;
use crate::inventory::Role;
use crate::kubernetes::ApiError;
use crate::node::ServiceAction;
use crate::phases::etcd::member;
use crate::phases::reset::cleanup_node::{remove_pods, unmount};
use crate::phases::{Context, Done, PhaseError, kubelet};

use super::cluster::{self, Living, Standing};
use super::etcd::Etcd;
use super::quorum;

/// How long a cluster may take to be well before nobody may leave it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let cluster = context.run.cluster();
    if context.host().role == Role::ControlPlane && !cluster.has_stacked_etcd() {
        return Ok(Done::NotNeeded("etcd is external".to_owned()));
    }
    if !context.run.options().reset.whole {
        leave(&context).await?;
    }
    // Its data can only be removed once nothing restarts it.
    if member::is_service(&context) {
        context.service(ServiceAction::Stop, etcd_unit::SERVICE).await?;
    } else {
        context.service(ServiceAction::Stop, kubelet::SERVICE).await?;
        context.run.reset().is_leaving(&context.host().name);
        unmount(&context).await?;
        remove_pods(&context).await?;
    }
    let directory = context.run.cluster().section.etcd.data_dir.clone();
    let changes = context.node().await?.remove_directories(&[&directory]).await?;
    context.report_all(changes);
    Ok(Done::Finished)
}

/// Take the member out of the etcd of those that stay.
async fn leave(context: &Context) -> Result<(), PhaseError> {
    let Standing::Living(living) = cluster::standing(context).await else { return Ok(()) };
    let Some(etcd) = living.etcd.as_ref().filter(|_| !living.view.ends()) else { return Ok(()) };
    // Nobody else may change the members between the look at them and the removal.
    let _alone = context.run.etcd_membership().await;
    match take_out(context, living, etcd).await {
        Err(error) if context.run.options().reset.force && !error.interrupted() => {
            context.warn(format!("its member of etcd may be left: {error}"));
            Ok(())
        }
        result => result,
    }
}

async fn take_out(context: &Context, living: &Living, etcd: &Etcd) -> Result<(), PhaseError> {
    let host = &context.host().name;
    living.until_well(context, PATIENCE).await.map_err(|error| match error {
        ApiError::Cancelled { .. } => PhaseError::Interrupted,
        error => {
            let problem = error.reason();
            PhaseError::State(format!("the cluster is not well, so {host} stays in it: {problem}"))
        }
    })?;
    let address = context.advertise_address().await?.to_string();
    let view = living.view.with_members(etcd.members().await?).with_address(host, address);
    let Some(member) = view.member_of(host) else { return Ok(()) };
    quorum::take_out(&view.voters(), &[host]).map_err(|lost| {
        PhaseError::State(format!("{lost}; --force resets the host all the same"))
    })?;
    let label = member.label();
    if !context.dry_run() {
        // From here on there is no way back.
        context.run.reset().is_leaving(host);
        etcd.remove(context, member.id).await?;
    }
    context.changed(format!("remove etcd member {label}"));
    Ok(())
}
