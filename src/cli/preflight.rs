//! `fleetadm preflight`: every check on every selected host at once, before anything is changed.

mod explain;

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::fleet::{Fleet, Step};
use crate::inventory::{self, Role};
use crate::phases::preflight::fleet::{Scope, survey};
use crate::phases::preflight::{Workflow, images};
use crate::phases::{Mode, Run, RunOptions};

use super::args::{Global, PreflightArgs, PreflightWorkflow};
use super::failure::Failure;
use super::session;

pub fn run(global: &Global, args: PreflightArgs) -> Result<u8, Failure> {
    if let Some(check) = &args.explain {
        return explain::run(check);
    }
    let mut selected = session::select(global)?;
    let (workflow, role) = match args.workflow {
        None => (None, None),
        Some(PreflightWorkflow::Init) => (Some(Workflow::Init), Some(Role::ControlPlane)),
        Some(PreflightWorkflow::Join) => (None, Some(Role::Worker)),
        Some(PreflightWorkflow::Reset) => (Some(Workflow::Reset), None),
        Some(PreflightWorkflow::Upgrade) => (Some(Workflow::Upgrade), None),
    };
    if let Some(role) = role {
        selected.hosts.retain(|host| host.role == role);
        if selected.hosts.is_empty() {
            return Err(Failure::usage(format!("preflight: no {role} host is selected")));
        }
    }
    let section = selected.inventory.cluster.as_ref().ok_or_else(|| {
        let origin = inventory::origin(&global.inventory);
        Failure::usage(format!("preflight needs a [cluster] section, and {origin} has none"))
    })?;
    let cluster = Cluster::resolve(section).map_err(Failure::usage)?;
    let mut ignore = selected.inventory.preflight_ignore.clone();
    ignore.extend(args.ignore_preflight_errors.iter().map(|name| name.to_lowercase()));
    let scope = Scope { workflow, links: !args.no_links };
    let hosts = &selected.hosts.clone();
    session::contact(global, "preflight", hosts, None, |reporter, cancel, connector| async move {
        let (pace, timeout) = (global.pace(), global.timeout);
        let step = Step {
            name: "preflight",
            pace,
            timeout,
            cancel: cancel.clone(),
            reporter: reporter.clone(),
        };
        let options = RunOptions {
            mode: Mode::DryRun,
            ignore,
            survey: true,
            upload_certs: false,
            cancel,
            reporter,
        };
        let fleet = Arc::new(Fleet::new(connector, pace.parallel));
        let run = Run::new(selected.inventory, selected.hosts, cluster, fleet, options);
        let run = Arc::new(run);
        let mut survey = survey(&run, hosts, &step, scope).await;
        if args.pull_images {
            images::pull(&run, &mut survey, &step).await;
        }
        run.finish().await;
        for h in &survey.hosts {
            if let crate::phases::preflight::fleet::State::Checked(c) = &h.state {
                for r in c.kubeadm.iter().chain(&c.fleet) {
                    eprintln!(
                        "{} {} {:?} {:?} {:?}",
                        h.host.name, r.name, r.severity, r.findings, r.evidence
                    );
                }
                eprintln!("{:?}", c.facts.clock_offset);
            }
        }
        eprintln!("{:?} {:?}", survey.links, survey.sample);
        Ok(())
    })
}
