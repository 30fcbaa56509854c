//! haproxy: the endpoint's port on the host leads to whichever API servers are ready.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use super::{daemon, section, served_here};
use crate::cluster::load_balancer::{self, ApiServer, Daemon, MONITOR_PATH, MONITOR_PORT};
use crate::inventory::Role;
use crate::kubernetes::Poll;
use crate::kubernetes::health::HealthEndpoint;
use crate::phases::{Context, Done, PhaseError, diagnosis};

/// How long haproxy may take to answer once it is started.
const START: Duration = Duration::from_secs(20);

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    if section(&context).is_none() {
        return Ok(Done::NotNeeded("the inventory has no [cluster.load_balancer]".to_owned()));
    }
    if served_here(&context).is_none() {
        daemon::remove(&context, Daemon::Haproxy).await?;
        return Ok(Done::Finished);
    }
    if context.facts().await?.selinux == "enforcing" {
        context.warn(
            "SELinux is enforcing: haproxy reaches no API server unless it may connect to any port; run `setsebool -P \
             haproxy_connect_any on` where it may not",
        );
    }
    let run = &context.run;
    let control_planes =
        run.inventory().hosts.iter().filter(|host| host.role == Role::ControlPlane);
    // All of them, those that are yet to join too: haproxy finds out by itself who is ready.
    let servers = try_join_all(control_planes.map(|host| async {
        let address = run.address_of(&host.name).await?;
        Ok::<_, PhaseError>(ApiServer { name: host.name.clone(), address })
    }));
    let config = load_balancer::haproxy(run.cluster(), &servers.await?)?;
    daemon::converge(&context, Daemon::Haproxy, &config, Vec::new()).await?;
    if !context.dry_run() {
        wait(&context).await?;
    }
    Ok(Done::Finished)
}

async fn wait(context: &Context) -> Result<(), PhaseError> {
    let monitor = HealthEndpoint {
        component: "haproxy".to_owned(),
        tls: false,
        host: "127.0.0.1".to_owned(),
        port: MONITOR_PORT,
        path: MONITOR_PATH.to_owned(),
    };
    let poll = Poll { timeout: START, interval: Duration::from_millis(100) };
    let waited = monitor.wait(context.dial().await?, poll, &context.run.options().cancel).await;
    match waited {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(diagnosis::service(context, Daemon::Haproxy.service(), error.into()).await)
        }
    }
}
