//! `fleetadm preflight`: every check on every selected host at once, before anything is changed.

mod assessment;
mod explain;
mod sheets;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::fleet::{Fleet, Step};
use crate::inventory::Role;
use crate::phases::preflight::fleet::{Scope, survey};
use crate::phases::preflight::{Workflow, fixes, images};
use crate::phases::{Mode, Run, RunOptions};
use crate::preflight::links::Coverage;
use crate::report::{Assessment, Event, write_file};

use super::args::{Global, Links, PreflightArgs, PreflightWorkflow};
use super::failure::Failure;
use super::session::{self, Selected};

pub fn run(global: &Global, args: PreflightArgs) -> Result<u8, Failure> {
    if let Some(check) = &args.explain {
        return explain::run(check);
    }
    let mut selected = session::select(global)?;
    let command = keep_concerned(&mut selected, args.workflow)?;
    let workflow = match args.workflow {
        Some(PreflightWorkflow::Reset) => Some(Workflow::Reset),
        Some(PreflightWorkflow::Upgrade) => Some(Workflow::Upgrade),
        None | Some(PreflightWorkflow::Init | PreflightWorkflow::Join) => None,
    };
    let cluster = selected.cluster(global, "preflight")?;
    let ignore = selected.ignored(&args.ignore_preflight_errors);
    let links = match args.links {
        Links::Auto => Some(Coverage::Sample),
        Links::Every => Some(Coverage::EveryHost),
        Links::None => None,
    };
    let scope = Scope { workflow, links };
    let Selected { inventory, hosts } = selected;
    let changes = match (args.fix, args.dry_run) {
        (true, true) => Some("to change"),
        (true, false) => Some("changed"),
        (false, _) => None,
    };
    let hosts = &hosts;
    session::contact(
        global,
        "preflight",
        hosts,
        changes,
        |reporter, cancel, connector| async move {
            let started = Instant::now();
            let step = |name| Step {
                name,
                pace: global.pace(),
                timeout: global.timeout,
                cancel: cancel.clone(),
                reporter: reporter.clone(),
            };
            let fleet = Arc::new(Fleet::new(connector, global.pace().parallel));
            // Every run has its own facts, and all share the connections.
            let new_run = || {
                let options = RunOptions {
                    mode: Mode::DryRun,
                    ignore: ignore.clone(),
                    survey: true,
                    ..RunOptions::new(cancel.clone(), reporter.clone())
                };
                let (inventory, fleet) = (inventory.clone(), fleet.clone());
                Arc::new(Run::new(inventory, hosts.clone(), cluster.clone(), fleet, options))
            };
            let mut run = new_run();
            let mut found = survey(&run, hosts, &step("preflight"), scope).await;
            if args.fix
                && fixes::apply(&run, &found, &step("preflight/fix"), args.dry_run).await
                && !args.dry_run
            {
                run = new_run();
                found = survey(&run, hosts, &step("preflight"), scope).await;
            }
            if args.pull_images {
                images::pull(&run, &mut found, &step("preflight/images")).await;
            }
            run.finish().await;
            let elapsed = started.elapsed();
            let found = assessment::assessment(&command, &args, run.cluster(), found, elapsed);
            let written = write(&args, &found);
            reporter.emit(Event::Assessed(Box::new(found)));
            written
        },
    )
}

/// Leave only hosts that the workflow is for, and say what the command is called.
fn keep_concerned(
    selected: &mut Selected,
    workflow: Option<PreflightWorkflow>,
) -> Result<String, Failure> {
    let first = selected.inventory.hosts.iter().find(|host| host.role == Role::ControlPlane);
    let first = first.map(|host| host.name.clone()).unwrap_or_default();
    let (name, nobody) = match workflow {
        None => return Ok("preflight".to_owned()),
        Some(PreflightWorkflow::Init) => {
            selected.hosts.retain(|host| host.name == first);
            ("init", "the first control plane is not selected")
        }
        Some(PreflightWorkflow::Join) => {
            selected.hosts.retain(|host| host.name != first && host.role != Role::Etcd);
            ("join", "no host that joins is selected")
        }
        Some(PreflightWorkflow::Reset) => ("reset", "no host is selected"),
        Some(PreflightWorkflow::Upgrade) => {
            selected.hosts.retain(|host| host.role != Role::Etcd);
            ("upgrade", "no node is selected")
        }
    };
    if selected.hosts.is_empty() {
        return Err(Failure::usage(format!("preflight {name}: {nobody}")));
    }
    Ok(format!("preflight {name}"))
}

/// The files that were asked for.
fn write(args: &PreflightArgs, found: &Assessment) -> Result<(), Failure> {
    let write = |path: &Path, content: &str| write_file(path, content).map_err(Failure::internal);
    if let Some(path) = &args.report {
        write(path, &found.to_html().map_err(Failure::internal)?)?;
    }
    if let Some(path) = &args.junit {
        write(path, &found.to_junit())?;
    }
    Ok(())
}
