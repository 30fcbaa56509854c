//! Commands that ask a cluster for something, through one of its control planes.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::fleet::{Fleet, Step, Task};
use crate::inventory::{Host, Inventory, Role};
use crate::phases::{PhaseError, Run, RunOptions};
use crate::report::Reporter;
use crate::ssh::Connector;

use super::args::Global;
use super::failure::Failure;
use super::session::{self, Selected, Subject};

/// The cluster of an inventory, and those of its control planes that `--limit` leaves.
pub(super) struct Target {
    inventory: Arc<Inventory>,
    /// What the inventory says of the cluster.
    pub(super) cluster: Cluster,
}

impl Target {
    /// What the command line names. No host is contacted.
    ///
    /// # Errors
    /// The inventory is wrong, describes no cluster, or no control plane is selected.
    pub(super) fn select(global: &Global, command: &str) -> Result<Self, Failure> {
        let selected: Selected = session::select(global)?;
        let cluster = selected.cluster(global, command)?;
        let mut hosts = selected.hosts;
        hosts.retain(|host| host.role == Role::ControlPlane);
        if hosts.is_empty() {
            return Err(Failure::usage(format!("{command}: no control-plane host is selected")));
        }
        let inventory = Arc::new(Inventory { hosts, ..(*selected.inventory).clone() });
        Ok(Self { inventory, cluster })
    }

    /// The control planes to ask, in the inventory's order; at least one.
    pub(super) fn control_planes(&self) -> &[Arc<Host>] {
        &self.inventory.hosts
    }

    /// A run on the cluster. Nothing is contacted yet.
    pub(super) fn run(
        &self,
        global: &Global,
        reporter: Reporter,
        cancel: CancellationToken,
        connector: Connector,
    ) -> Arc<Run> {
        let options = RunOptions::new(cancel, reporter);
        let fleet = Arc::new(Fleet::new(connector, global.pace().parallel));
        let (inventory, cluster) = (self.inventory.clone(), self.cluster.clone());
        Arc::new(Run::new(inventory, self.inventory.hosts.clone(), cluster, fleet, options))
    }

    /// Do `work` as the one step `name`, told as being the first control plane's. An interrupt ends it where it is.
    pub(super) fn ask(
        &self,
        global: &Global,
        name: &'static str,
        work: impl AsyncFnOnce(&Task, &Arc<Run>) -> Result<(), PhaseError>,
    ) -> Result<u8, Failure> {
        self.step(Subject::Cluster, global, name, async |task, run| {
            tokio::select! {
                result = work(task, run) => result,
                () = run.options().cancel.cancelled() => Err(PhaseError::Interrupted),
            }
        })
    }

    /// The same, where `work` watches for an interrupt itself.
    pub(super) fn step(
        &self,
        subject: Subject,
        global: &Global,
        name: &'static str,
        work: impl AsyncFnOnce(&Task, &Arc<Run>) -> Result<(), PhaseError>,
    ) -> Result<u8, Failure> {
        let hosts = &self.control_planes()[..1];
        let about = |reporter: Reporter, cancel: CancellationToken, connector| async move {
            let run = self.run(global, reporter.clone(), cancel.clone(), connector);
            let step =
                Step { name, pace: global.pace(), timeout: global.timeout, cancel, reporter };
            step.run_once(&hosts[0], async |task| work(task, &run).await).await;
            run.finish().await;
            Ok(())
        };
        session::contact_about(subject, global, name, hosts, Some("changed"), about)
    }
}
