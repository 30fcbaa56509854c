//! `fleetadm reset`: the selected hosts leave the cluster, or the whole cluster ends.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use crate::inventory::{self, Host, fold_hosts};
use crate::workflow::{self, RESET, Scope};

use super::args::{Global, ResetArgs, ResetPhaseCommand};
use super::failure::Failure;
use super::session;
use super::workflows::{self, Particulars, Workflow};

pub fn run(global: &Global, args: ResetArgs) -> Result<u8, Failure> {
    let (options, only) = match args.phase {
        None => (args.options, None),
        Some(ResetPhaseCommand::Phase { name: None, .. }) => return workflows::list(RESET),
        Some(ResetPhaseCommand::Phase { name, options }) => (options, name),
    };
    let selected = session::select_to_change(global, "reset")?;
    let asks = !options.yes && !options.force && !options.run.dry_run;
    if asks && !confirm(global, &selected.hosts)? {
        return Err(Failure::usage("reset was not confirmed; nothing was touched"));
    }
    let mut choice = options.run.choice(only.as_deref());
    choice.check(RESET).map_err(Failure::usage)?;
    // A phase that is asked for by itself is meant, whoever else is selected.
    let whole = only.is_none() && selected.hosts.len() == selected.inventory.hosts.len();
    let phases = if whole { workflow::reset_whole() } else { RESET.to_vec() };
    choice.skip.retain(|name| phases.iter().any(|phase| phase.is_named_by(name)));
    let mut reset = options.options(whole);
    reset.prune |= only.as_deref().is_some_and(|only| ["prune", "reset/prune"].contains(&only));
    let particulars = Particulars { reset, ..Particulars::default() };
    let workflow = Workflow { command: "reset", phases: &phases, which: Scope::EveryHost };
    workflows::run(global, workflow, selected, &options.run, particulars, choice)
}

/// Ask on the terminal; without one nothing is destroyed unasked.
fn confirm(global: &Global, hosts: &[Arc<Host>]) -> Result<bool, Failure> {
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
            "reset removes the cluster's state from the hosts and asks first; {silent}, so say --yes \
             if that is what you want (--force does, too, and goes on where the reset is refused otherwise)"
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
