//! `fleetadm trust`: the host keys of the selected hosts, shown, compared and added to known_hosts.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::fleet::{Consent, Trust, Unconfirmed};
use crate::inventory::{Host, Place, SshSettings, Written};
use crate::report::NoAnswer;
use crate::ssh::ExpectedKeys;

use super::args::{Global, TrustArgs};
use super::failure::Failure;
use super::session;

pub fn run(global: &Global, args: TrustArgs) -> Result<u8, Failure> {
    let mut selected = session::select(global)?;
    let consent = consent(&args)?;
    if let Some(file) = &args.known_hosts {
        let file = std::path::absolute(file)
            .map_err(|error| Failure::usage(format!("--known-hosts: {error}")))?;
        selected.hosts.iter_mut().for_each(|host| look_in(&file, Arc::make_mut(host)));
    }
    let hosts = &selected.hosts;
    let parallel = usize::from(global.parallel);
    let changes = Some(if args.dry_run { "to change" } else { "changed" });
    session::contact(global, "trust", hosts, changes, |reporter, cancel, connector| async move {
        let trust = Trust {
            connector: &connector,
            parallel,
            cancel: &cancel,
            reporter: &reporter,
            consent: &consent,
            replace: args.replace,
            dry_run: args.dry_run,
        };
        let result = trust.run(hosts).await;
        connector.close().await;
        match result {
            // The summary says that it was interrupted.
            Ok(()) | Err(Unconfirmed::NoAnswer(NoAnswer::Interrupted)) => Ok(()),
            Err(Unconfirmed::NoAnswer(NoAnswer::NoTerminal)) => Err(Failure::usage(
                "new host keys are added once they are confirmed, and there is no terminal to ask on; hold them against \
                 a list with --fingerprints FILE, or say --yes to trust them as they are shown now",
            )),
            Err(error) => Err(Failure::usage(format!("{error}; nothing more was added"))),
        }
    })
}

fn consent(args: &TrustArgs) -> Result<Consent, Failure> {
    let Some(path) = &args.fingerprints else {
        return Ok(if args.yes { Consent::FirstUse } else { Consent::Ask });
    };
    let failure = |reason: &dyn std::fmt::Display| {
        Failure::usage(format!("--fingerprints {}: {reason}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| failure(&error))?;
    ExpectedKeys::parse(&text).map(Consent::Listed).map_err(|reason| failure(&reason))
}

/// Have `file` alone say what is known of `host` and the jump hosts before it.
fn look_in(file: &std::path::Path, host: &mut Host) {
    let set = |ssh: &mut SshSettings| {
        let value: Vec<PathBuf> = vec![file.to_owned()];
        ssh.known_hosts = Some(Written { value, place: Place::CommandLine });
    };
    let ssh = host.ssh_mut();
    set(ssh);
    if let Some(jump) = &mut ssh.jump {
        jump.value.iter_mut().for_each(|hop| set(&mut hop.ssh));
    }
}
