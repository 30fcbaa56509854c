//! `fleetadm apply`, `init`, `join` and `reset`: a workflow over the selected hosts.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use crate::fleet::Fleet;
use crate::inventory::{self, Host, Role, fold_hosts};
use crate::phases::{Mode, Run, RunOptions};
use crate::workflow::{self, APPLY, Choice, Phase, RESET};

use super::args::{
    ApplyArgs, Global, PhaseCommand, ResetArgs, ResetPhaseCommand, RunArgs, WorkflowArgs,
};
use super::failure::Failure;
use super::session::{self, Selected};

type Phases<'a> = &'a [&'static Phase];

pub fn apply(global: &Global, args: ApplyArgs) -> Result<u8, Failure> {
    let selected = session::select(global)?;
    let choice = args.run.choice(None);
    run(global, "apply", APPLY, selected, &args.run, args.upload_certs, choice)
}

pub fn init(global: &Global, args: WorkflowArgs) -> Result<u8, Failure> {
    one_role(global, "init", &workflow::init(), args, Role::ControlPlane)
}

pub fn join(global: &Global, args: WorkflowArgs) -> Result<u8, Failure> {
    one_role(global, "join", &workflow::join(), args, Role::Worker)
}

pub fn reset(global: &Global, args: ResetArgs) -> Result<u8, Failure> {
    let (options, only) = match args.phase {
        None => (args.options, None),
        Some(ResetPhaseCommand::Phase { name: None, .. }) => return list(RESET),
        Some(ResetPhaseCommand::Phase { name, options }) => (options, name),
    };
    let selected = session::select(global)?;
    if !options.force && !options.run.dry_run && !confirm_reset(global, &selected.hosts)? {
        return Err(Failure::usage("reset was not confirmed; nothing was touched"));
    }
    let choice = options.run.choice(only.as_deref());
    run(global, "reset", RESET, selected, &options.run, false, choice)
}

fn one_role(
    global: &Global,
    command: &str,
    phases: Phases<'_>,
    args: WorkflowArgs,
    role: Role,
) -> Result<u8, Failure> {
    let (args, only) = match args.phase {
        None => (args.apply, None),
        Some(PhaseCommand::Phase { name: None, .. }) => return list(phases),
        Some(PhaseCommand::Phase { name, apply }) => (apply, name),
    };
    let mut selected = session::select(global)?;
    selected.hosts.retain(|host| host.role == role);
    if selected.hosts.is_empty() {
        return Err(Failure::usage(format!("{command}: no {role} host is selected")));
    }
    let choice = args.run.choice(only.as_deref());
    run(global, command, phases, selected, &args.run, args.upload_certs, choice)
}

fn list(phases: Phases<'_>) -> Result<u8, Failure> {
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
    command: &str,
    phases: Phases<'_>,
    selected: Selected,
    args: &RunArgs,
    upload_certs: bool,
    choice: Choice,
) -> Result<u8, Failure> {
    choice.check(phases).map_err(Failure::usage)?;
    if let Some(mistakes) = &selected.inventory.not_yet {
        return Err(Failure::usage(mistakes));
    }
    let cluster = selected.cluster(global, command)?;
    let ignore = selected.ignored(&args.ignore_preflight_errors);
    let (pace, timeout) = (global.pace(), global.timeout);
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Apply };

    let changes = Some(match mode {
        Mode::DryRun => "to change",
        Mode::Apply => "changed",
    });
    let hosts = selected.hosts.clone();
    let status = session::contact(
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
                survey: false,
                upload_certs,
                cancel: stop.clone(),
                reporter,
            };
            let fleet = Arc::new(Fleet::new(connector, pace.parallel));
            let run = Run::new(selected.inventory, selected.hosts, cluster, fleet, options);
            workflow::run(Arc::new(run), phases, workflow::Options { pace, choice, timeout, stop })
                .await;
            Ok(())
        },
    )?;
    Ok(status)
}

/// Ask on the terminal; without one nothing is destroyed unasked.
fn confirm_reset(global: &Global, hosts: &[Host]) -> Result<bool, Failure> {
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    let silent = if inventory::is_standard_input(&global.inventory) {
        Some("the inventory comes on standard input, where the answer would have to come from")
    } else if !std::io::stdin().is_terminal() {
        Some("there is no terminal to ask on")
    } else {
        None
    };
    if let Some(silent) = silent {
        return Err(Failure::usage(format!(
            "reset removes the cluster's state from the hosts and asks first; {silent}, so say --force \
             if that is what you want"
        )));
    }
    let mut terminal = std::io::stderr().lock();
    let _ = write!(
        terminal,
        "This removes the cluster's state from {} ({} hosts). Proceed? [y/N] ",
        fold_hosts(&names),
        hosts.len()
    );
    let _ = terminal.flush();
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::internal(format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
