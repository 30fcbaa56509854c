//! `fleetadm copy`: files and trees to the selected hosts, or from them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::fleet::{Fleet, Link, Step, Task};
use crate::node::{CopyError, CopyMode, Fetch, Push, SshTransport};
use crate::ssh::RunAs;

use super::args::{CopyArgs, Global};
use super::failure::Failure;
use super::session;

/// What is copied.
enum Job {
    Push(Push),
    Fetch(Fetch),
}

pub fn run(global: &Global, args: CopyArgs) -> Result<u8, Failure> {
    let selected = session::select(global)?;
    let hosts = &selected.hosts;
    let (mode, changes) = match args.dry_run {
        true => (CopyMode::DryRun { diff: !args.no_diff }, "to change"),
        false => (CopyMode::Apply, "changed"),
    };
    let run_as = if args.become_root { RunAs::BecomeUser } else { RunAs::LoginUser };
    let job = Arc::new(prepare(args).map_err(Failure::usage)?);
    session::contact(
        global,
        "copy",
        hosts,
        Some(changes),
        |reporter, cancel, connector| async move {
            let (pace, timeout) = (global.pace(), global.timeout);
            let step = Step { name: "copy", pace, timeout, cancel, reporter };
            let fleet = Arc::new(Fleet::new(connector, pace.parallel));
            step.run(hosts, |task| {
                let (job, fleet) = (job.clone(), fleet.clone());
                async move {
                    // Held to the end, for it may be the only one who does.
                    let connection = fleet.connection(&task.host).await?;
                    let link = Link::new(fleet.clone(), task.host.clone());
                    let transport = SshTransport::new(link).run_as(run_as);
                    let result = job.run(&transport.with_limit(timeout), &task, mode).await;
                    drop(connection);
                    fleet.disconnect(&task.host).await;
                    result
                }
            })
            .await;
            fleet.close().await;
            Ok(())
        },
    )
}

fn prepare(args: CopyArgs) -> Result<Job, CopyError> {
    let mut paths = args.paths;
    // The command line has at least two.
    let last = paths.pop().unwrap_or_default();
    if args.fetch {
        return Fetch::prepare(&paths, last, args.max_size).map(Job::Fetch);
    }
    let sources: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
    Push::prepare(&sources, &last, args.mode, args.owner).map(Job::Push)
}

impl Job {
    async fn run(
        &self,
        transport: &SshTransport,
        task: &Task,
        mode: CopyMode,
    ) -> Result<(), CopyError> {
        match self {
            Self::Push(push) => push.run(transport, task, mode).await,
            Self::Fetch(fetch) => fetch.run(transport, task, mode).await,
        }
    }
}
