//! `fleetadm exec`: a command on the selected hosts, output per host, exit status.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::fleet::{self, Fleet};
use crate::inventory::Host;
use crate::report::{Event, Outcome, Reporter};
use crate::ssh::{self, Exit, Input, RunOptions, SshError, Stream};

use super::args::{ExecArgs, Global};
use super::failure::Failure;
use super::session;

const PHASE: &str = "exec";

#[derive(Debug, thiserror::Error)]
enum ExecError {
    #[error(transparent)]
    Ssh(#[from] SshError),
    #[error("{0}")]
    Exit(Exit),
}

pub fn run(global: &Global, args: ExecArgs) -> Result<u8, Failure> {
    let selected = session::select(global)?;
    let command = match args.command.as_slice() {
        [line] => line.clone(),
        words => words.iter().map(|word| ssh::quote(word)).collect::<Vec<_>>().join(" "),
    };
    let hosts = &selected.hosts;
    let parallel = usize::from(global.parallel);
    let options = RunOptions { as_root: args.become_root, ..RunOptions::default() };
    let fleet = Fleet::new(session::connector(global)?, parallel);
    session::contact(global, PHASE, hosts, None, |reporter, cancel| async move {
        on_every_host(hosts, fleet, parallel, &cancel, &command, &options, &reporter).await;
        Ok(())
    })
}

async fn on_every_host(
    hosts: &[Host],
    fleet: Fleet,
    parallel: usize,
    cancel: &CancellationToken,
    command: &str,
    options: &RunOptions,
    reporter: &Reporter,
) {
    let (fleet_ref, reporter_ref) = (&fleet, reporter);
    let outcomes = fleet::run_all(hosts, parallel, cancel, |host| async move {
        let started = Instant::now();
        let result = on_host(fleet_ref, host, command, options, reporter_ref).await;
        let outcome = match &result {
            Ok(()) => Outcome::Done { changes: 0 },
            Err(error) => Outcome::Failed {
                error: error.to_string(),
                unreachable: matches!(error, ExecError::Ssh(error) if error.could_not_reach() || error.is_lost()),
                changes: 0,
            },
        };
        finished(reporter_ref, host, outcome, started);
        result
    })
    .await;
    for (host, outcome) in outcomes {
        if let fleet::Outcome::Cancelled = outcome {
            finished(
                reporter,
                host,
                Outcome::Skipped { reason: "interrupted".to_owned() },
                Instant::now(),
            );
        }
    }
    fleet.close().await;
}

fn finished(reporter: &Reporter, host: &Host, outcome: Outcome, started: Instant) {
    reporter.emit(Event::PhaseFinished {
        host: host.name.clone(),
        phase: PHASE.to_owned(),
        outcome,
        elapsed: started.elapsed(),
    });
}

async fn on_host(
    fleet: &Fleet,
    host: &Host,
    command: &str,
    options: &RunOptions,
    reporter: &Reporter,
) -> Result<(), ExecError> {
    let connection = fleet.connection(host).await?;
    let exit = connection
        .run_lines(command, Input::None, options, |stream, line| {
            reporter.emit(Event::Output {
                host: host.name.clone(),
                stderr: stream == Stream::Stderr,
                line: line.to_owned(),
            });
        })
        .await?;
    if exit.success() { Ok(()) } else { Err(ExecError::Exit(exit)) }
}
