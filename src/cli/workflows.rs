//! `fleetadm apply`, `init` and `join`: a workflow over the selected hosts.

use std::sync::Arc;

use crate::fleet::Fleet;
use crate::inventory::{Host, Role};
use crate::phases::{Mode, Run, RunOptions, reset};
use crate::workflow::{self, APPLY, Choice, Phase, Scope};

use super::args::{ApplyArgs, Global, PhaseCommand, RunArgs, WorkflowArgs};
use super::failure::Failure;
use super::lease;
use super::patches;
use super::session::{self, Selected, Subject};

/// What is particular to a workflow.
#[derive(Default)]
pub(super) struct Particulars {
    /// `--upload-certs`.
    pub(super) upload_certs: bool,
    /// Options of reset.
    pub(super) reset: reset::Options,
}

pub(super) type Phases<'a> = &'a [&'static Phase];

/// A command that runs a workflow.
pub(super) struct Workflow<'a> {
    pub(super) command: &'static str,
    pub(super) phases: Phases<'a>,
    /// Which of the selected hosts take part.
    pub(super) which: Scope,
}

pub fn apply(global: &Global, args: ApplyArgs) -> Result<u8, Failure> {
    let selected = session::select_to_change(global, "apply")?;
    let choice = args.run.choice(None);
    let workflow = Workflow { command: "apply", phases: APPLY, which: Scope::EveryHost };
    run(global, workflow, selected, &args.run, particulars(&args), choice)
}

pub fn init(global: &Global, args: WorkflowArgs) -> Result<u8, Failure> {
    let phases = workflow::init();
    one_side(global, Workflow { command: "init", phases: &phases, which: Scope::Founding }, args)
}

pub fn join(global: &Global, args: WorkflowArgs) -> Result<u8, Failure> {
    let phases = workflow::join();
    one_side(global, Workflow { command: "join", phases: &phases, which: Scope::Joining }, args)
}

fn one_side(global: &Global, workflow: Workflow<'_>, args: WorkflowArgs) -> Result<u8, Failure> {
    let (args, only) = match args.phase {
        None => (args.apply, None),
        Some(PhaseCommand::Phase { name: None, .. }) => return list(workflow.phases),
        Some(PhaseCommand::Phase { name, apply }) => (apply, name),
    };
    let mut selected = session::select_to_change(global, workflow.command)?;
    // Which control plane is the first one is for the hosts to say.
    let control_planes = |host: &Host| host.role == Role::ControlPlane;
    let all = selected.inventory.hosts.iter().filter(|host| control_planes(host)).count();
    selected.hosts.retain(|host| match workflow.which {
        Scope::Founding => control_planes(host) || host.role == Role::Etcd,
        _ => host.role == Role::Worker || (control_planes(host) && all > 1),
    });
    if selected.hosts.is_empty() {
        let wanted = if workflow.which == Scope::Founding {
            "control-plane host"
        } else {
            "host that could join"
        };
        return Err(Failure::usage(format!("{}: no {wanted} is selected", workflow.command)));
    }
    let choice = args.run.choice(only.as_deref());
    run(global, workflow, selected, &args.run, particulars(&args), choice)
}

fn particulars(args: &ApplyArgs) -> Particulars {
    Particulars { upload_certs: args.upload_certs, ..Particulars::default() }
}

pub(super) fn list(phases: Phases<'_>) -> Result<u8, Failure> {
    let width = phases.iter().map(|phase| phase.name.len()).max().unwrap_or(0);
    let lines = phases.iter().map(|phase| {
        let parts: String =
            phase.parts.iter().map(|part| format!("  {}/{part}\n", phase.name)).collect();
        format!("{:<width$}  {}\n{parts}", phase.name, phase.summary)
    });
    super::print(&lines.collect::<String>())
}

pub(super) fn run(
    global: &Global,
    workflow: Workflow<'_>,
    selected: Selected,
    args: &RunArgs,
    particulars: Particulars,
    choice: Choice,
) -> Result<u8, Failure> {
    let Workflow { command, phases, which } = workflow;
    choice.check(phases).map_err(Failure::usage)?;
    if let Some(mistakes) = &selected.inventory.not_yet {
        return Err(Failure::usage(mistakes));
    }
    let mut cluster = selected.cluster(global, command)?;
    if let Some(directory) = &args.patches {
        cluster.patches = patches::read(directory, &cluster.release)?;
    }
    let ignore = selected.ignored(&args.ignore_preflight_errors);
    let (pace, timeout) = (global.pace(), global.timeout);
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Apply };

    let changes = Some(match mode {
        Mode::DryRun => "to change",
        Mode::Apply => "changed",
    });
    let lease = (mode == Mode::Apply).then(|| lease::options(global, command));
    let hosts = selected.hosts.clone();
    let status = session::contact_about(
        Subject::Workflow { timings: args.timings },
        global,
        command,
        &hosts,
        changes,
        |reporter, cancel, connector| async move {
            // A run that takes too long is stopped without the operator having interrupted it.
            let stop = cancel.child_token();
            let options = RunOptions {
                mode,
                ignore,
                upload_certs: particulars.upload_certs,
                reset: particulars.reset,
                lease,
                ..RunOptions::new(stop.clone(), reporter)
            };
            let fleet = Arc::new(Fleet::new(connector, pace.parallel));
            let run = Run::new(selected.inventory, selected.hosts, cluster, fleet, options);
            let options = workflow::Options { pace, choice, which, timeout, stop };
            workflow::run(Arc::new(run), phases, options).await;
            Ok(())
        },
    )?;
    Ok(status)
}
