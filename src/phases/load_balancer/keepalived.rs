//! keepalived: the virtual address is on one of the hosts whose haproxy answers.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use super::{daemon, interface, section, served_here};
use crate::cluster::load_balancer::{self, Daemon, VirtualRouter, check_haproxy, check_path};
use crate::kubernetes::Poll;
use crate::kubernetes::poll::Attempt;
use crate::node::NodeFile;
use crate::phases::{Context, Done, PhaseError, diagnosis};

/// How long it may take until one of the hosts has the address: an election lasts about four seconds.
const ELECTION: Duration = Duration::from_secs(30);

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    if section(&context).is_none() {
        return Ok(Done::NotNeeded("the inventory has no [cluster.load_balancer]".to_owned()));
    }
    let own_name = &context.host().name;
    let served = served_here(&context);
    let Some((balancer, virtual_router_id)) = served else {
        daemon::remove(&context, Daemon::Keepalived).await?;
        return Ok(Done::Finished);
    };
    let Some(address) = balancer.address else {
        daemon::remove(&context, Daemon::Keepalived).await?;
        return Ok(Done::NotNeeded("[cluster.load_balancer] has no address".to_owned()));
    };
    let run = &context.run;
    let others = balancer.hosts.iter().filter(|name| *name != own_name);
    let peers = try_join_all(others.map(|name| run.address_of(name))).await?;
    let own = run.address_of(own_name).await?;
    if !context.facts().await?.addresses.contains(&own) {
        return Err(PhaseError::State(format!(
            "{own}, by which the others would reach keepalived, is no address of the host's own (it may be translated \
             on the way); set advertise_address of {own_name}"
        )));
    }
    let interface = interface(&context, balancer, address, own).await?;
    let router = VirtualRouter {
        name: own_name,
        index: balancer.hosts.iter().position(|name| name == own_name).unwrap_or(0),
        own,
        peers,
        address,
        interface: &interface,
        virtual_router_id,
    };
    let config = load_balancer::keepalived(&router)?;
    let script = NodeFile::public(check_path(), check_haproxy()?, 0o755);
    daemon::converge(&context, Daemon::Keepalived, &config, vec![script]).await?;
    if !context.dry_run() {
        wait(&context, &address.to_string()).await?;
    }
    Ok(Done::Finished)
}

/// Wait until something listens at the address, as this host sees it.
async fn wait(context: &Context, address: &str) -> Result<(), PhaseError> {
    let port = context.run.cluster().endpoint_port();
    let dial = context.dial().await?;
    let poll = Poll { timeout: ELECTION, interval: Duration::from_millis(500) };
    let action = format!("see haproxy behind {address}, the virtual address, at port {port}");
    let waited = poll.until(&context.run.options().cancel, &action, || async {
        Ok(match dial.dial(address, port).await {
            Ok(_) => Attempt::Done(()),
            Err(error) => Attempt::NotYet(error.to_string()),
        })
    });
    match waited.await {
        Ok(()) => Ok(()),
        Err(error) => {
            Err(diagnosis::service(context, Daemon::Keepalived.service(), error.into()).await)
        }
    }
}
