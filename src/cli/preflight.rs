//! `fleetadm preflight`: every check on every selected host at once, before anything is changed.

use crate::inventory::Role;
use crate::workflow::{CHECK_APPLY, CHECK_INIT, CHECK_JOIN, CHECK_RESET, Choice};

use super::args::{Global, PreflightArgs, PreflightWorkflow, RunArgs};
use super::failure::Failure;
use super::{session, workflows};

pub fn run(global: &Global, args: PreflightArgs) -> Result<u8, Failure> {
    let mut selected = session::select(global)?;
    let (phases, role) = match args.workflow {
        None => (CHECK_APPLY, None),
        Some(PreflightWorkflow::Init) => (CHECK_INIT, Some(Role::ControlPlane)),
        Some(PreflightWorkflow::Join) => (CHECK_JOIN, Some(Role::Worker)),
        Some(PreflightWorkflow::Reset) => (CHECK_RESET, None),
    };
    if let Some(role) = role {
        selected.hosts.retain(|host| host.role == role);
        if selected.hosts.is_empty() {
            return Err(Failure::usage(format!("preflight: no {role} host is selected")));
        }
    }
    // Nothing is changed by a check; saying so keeps even the payload off the hosts.
    let run = RunArgs {
        dry_run: true,
        skip_phases: Vec::new(),
        ignore_preflight_errors: args.ignore_preflight_errors,
    };
    workflows::run(global, "preflight", phases, selected, &run, false, Choice::default())
}
