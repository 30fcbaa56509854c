//! What can be said to `fleetadm report`.

use std::path::PathBuf;

use clap::Args;

/// `fleetadm report`.
#[derive(Debug, Args)]
#[command(
    after_help = "RUN is the name of a run, the beginning of one, `last`, or a path: a run's directory, its events.jsonl, or \
    what --output json has printed. Runs are kept in $XDG_STATE_HOME/fleetadm/runs, by default ~/.local/state/fleetadm/runs: \
    the last 50 of at most 30 days. No host is contacted and no inventory is needed; -v adds a table of all hosts. Exit status: 0; with --merge the \
    highest of the runs', 1 for one that was cut short."
)]
pub struct ReportArgs {
    /// The run; without it the runs are listed
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// One report of several runs: the shards of a fleet, wherever they ran
    ///
    /// A run that was made again counts as its last attempt: the same command on the same hosts.
    #[arg(long, requires = "runs")]
    pub merge: bool,
    /// Draw it as one HTML page: hosts over time
    #[arg(long, value_name = "FILE", requires = "runs")]
    pub html: Option<PathBuf>,
    /// Print what happened on this host
    #[arg(long, value_name = "NAME", requires = "runs", conflicts_with = "html")]
    pub host: Option<String>,
}
