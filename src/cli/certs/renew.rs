//! `fleetadm certs renew`: new certificates on the control planes, one after the other, and on every kubelet.

use std::sync::Arc;

use crate::cli::args::{Global, RenewArgs};
use crate::cli::failure::Failure;
use crate::cli::lease;
use crate::cli::session;
use crate::fleet::{Fleet, Pace, Share};
use crate::inventory::{Host, Role};
use crate::phases::certs::places::KUBELET;
use crate::phases::certs::renew;
use crate::phases::{Mode, Run, RunOptions};
use crate::workflow::{self, Choice, Phase, RENEW_CONTROL_PLANES, RENEW_KUBELETS, Scope};

/// One half of the command: some hosts, and what is done there.
struct Stage {
    hosts: Vec<Arc<Host>>,
    phases: &'static [&'static Phase],
    choice: Choice,
    pace: Pace,
}

pub fn run(global: &Global, args: RenewArgs) -> Result<u8, Failure> {
    let command = "certs renew";
    let selected = session::select_to_change(global, command)?;
    let cluster = selected.cluster(global, command)?;
    let stages = stages(&selected.hosts, &args.name, global.pace());
    let hosts: Vec<Arc<Host>> =
        stages.iter().flat_map(|stage| stage.hosts.iter().cloned()).collect();
    if hosts.is_empty() {
        let name = &args.name;
        return Err(Failure::usage(format!(
            "{command}: no selected host has a certificate {name}"
        )));
    }
    let within = args.within.map(time::Duration::try_from).transpose();
    let within = within.map_err(|_| Failure::usage("--within is longer than time goes on"))?;
    let (mode, changes) = match args.dry_run {
        true => (Mode::DryRun, "to change"),
        false => (Mode::Apply, "changed"),
    };
    let inventory = selected.inventory;
    let parallel = usize::from(global.parallel);
    let lease = (mode == Mode::Apply).then(|| lease::options(global, command));
    session::contact(global, command, &hosts, Some(changes), |reporter, cancel, connector| {
        // The connections outlive a stage: the other hosts need the first control plane, too.
        let fleet = Arc::new(Fleet::new(connector, parallel));
        let timeout = global.timeout;
        async move {
            let last = stages.len().saturating_sub(1);
            for (number, Stage { hosts, phases, choice, pace }) in stages.into_iter().enumerate() {
                let stop = cancel.child_token();
                let options = RunOptions {
                    mode,
                    renewal: renew::Options { within },
                    lease: lease.clone(),
                    ..RunOptions::new(stop.clone(), reporter.clone())
                };
                let run =
                    Run::new(inventory.clone(), hosts, cluster.clone(), fleet.clone(), options);
                let options =
                    workflow::Options { pace, choice, which: Scope::EveryHost, timeout, stop };
                let run = Arc::new(run);
                if number < last {
                    workflow::stage(&run, phases, options).await;
                } else {
                    workflow::run(run, phases, options).await;
                }
            }
            Ok(())
        }
    })
}

/// The control planes one by one, none after one that failed; then all others at once.
fn stages(hosts: &[Arc<Host>], name: &str, pace: Pace) -> Vec<Stage> {
    let (others, control_planes): (Vec<Arc<Host>>, Vec<Arc<Host>>) =
        hosts.iter().cloned().partition(|host| host.role == Role::Worker);
    let only = match name {
        "all" => Vec::new(),
        name => vec![format!("renew/control-plane/{name}")],
    };
    let one_by_one =
        Pace { serial: Some(Share::Count(1)), max_failures: Some(Share::Count(0)), ..pace };
    let mut stages = vec![Stage {
        hosts: control_planes,
        phases: RENEW_CONTROL_PLANES,
        choice: Choice { only, skip: Vec::new() },
        pace: one_by_one,
    }];
    if name == "all" || name == KUBELET {
        stages.push(Stage {
            hosts: others,
            phases: RENEW_KUBELETS,
            choice: Choice::default(),
            pace,
        });
    }
    stages.retain(|stage| !stage.hosts.is_empty());
    stages
}
