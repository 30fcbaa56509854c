//! The command line: what can be said, in kubeadm's vocabulary wherever it has a word for it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::workflow::Choice;

/// kubeadm for a whole inventory: preflight, init, join and reset over SSH, from one workstation.
#[derive(Debug, Parser)]
#[command(name = "fleetadm", version, max_term_width = 100, propagate_version = true)]
#[command(
    after_help = "Exit status: 0 done; 1 fleetadm itself failed; 2 usage or inventory error, \
    nothing was touched; 3 a check or phase failed on at least one host; 4 at least one host could not \
    be reached; 130 interrupted."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options every command has.
    #[command(flatten)]
    pub global: Global,
}

/// Options every command has.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The inventory file
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "FLEETADM_INVENTORY",
        default_value = "inventory.toml"
    )]
    pub inventory: PathBuf,
    /// Only these hosts: names, globs, ranges, groups, roles; a leading ! excludes
    #[arg(short, long, global = true, value_name = "HOSTS")]
    pub limit: Option<String>,
    /// A key of [ssh] for every host, above the inventory; for example user=ops or jump=bastion
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub ssh: Vec<String>,
    /// OpenSSH's configuration instead of ~/.ssh/config and /etc/ssh/ssh_config; none for no file at all
    #[arg(short = 'F', long, global = true, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
    /// How many steps are under way at once, over all hosts
    #[arg(long, global = true, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: u16,
    /// How the run is shown: auto and plain print for people, json prints one object per line
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Auto)]
    pub output: OutputFormat,
    /// More detail; twice for every phase
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people, with a progress line on a terminal.
    Auto,
    /// For people, lines only.
    Plain,
    /// One JSON object per line on standard output, the last one a summary.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every host at once, before anything is changed
    Preflight(PreflightArgs),
    /// Converge the whole inventory: preflight, init where there is no control plane, the missing joins
    Apply(ApplyArgs),
    /// Bring up the control plane
    Init(WorkflowArgs),
    /// Join the workers to the cluster the control plane runs
    Join(WorkflowArgs),
    /// Take the selected hosts out of the cluster and leave them bare
    Reset(ResetArgs),
    /// Run a command on the selected hosts
    Exec(ExecArgs),
    /// Look at the inventory without contacting a host
    Inventory {
        /// What to look at.
        #[command(subcommand)]
        command: InventoryCommand,
    },
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completion {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// `fleetadm preflight`.
#[derive(Debug, Args)]
pub struct PreflightArgs {
    /// Check as for this workflow; without it, what apply would do with each host decides
    #[arg(value_enum)]
    pub workflow: Option<PreflightWorkflow>,
    /// Checks whose errors only warn; "all" for every one
    #[arg(long, value_name = "CHECKS", value_delimiter = ',')]
    pub ignore_preflight_errors: Vec<String>,
}

/// The workflow to check for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PreflightWorkflow {
    /// Becoming the control plane
    Init,
    /// Becoming a worker
    Join,
    /// Being reset
    Reset,
}

/// Options of workflows that change hosts.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Print every file with its diff and every command; touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Phases to leave out, for example addon/coredns
    #[arg(long, value_name = "PHASES", value_delimiter = ',')]
    pub skip_phases: Vec<String>,
    /// Checks whose errors only warn; "all" for every one
    #[arg(long, value_name = "CHECKS", value_delimiter = ',')]
    pub ignore_preflight_errors: Vec<String>,
}

/// `fleetadm apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Options of workflows.
    #[command(flatten)]
    pub run: RunArgs,
    /// Put the encrypted control-plane certificates into the cluster, as kubeadm init --upload-certs does
    #[arg(long)]
    pub upload_certs: bool,
}

/// `fleetadm init` and `fleetadm join`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WorkflowArgs {
    /// Options of workflows.
    #[command(flatten)]
    pub apply: ApplyArgs,
    /// One phase only.
    #[command(subcommand)]
    pub phase: Option<PhaseCommand>,
}

/// `phase NAME`.
#[derive(Debug, Subcommand)]
pub enum PhaseCommand {
    /// Run one phase of the workflow, with all below it
    Phase {
        /// Name of the phase, for example certs, certs/ca or addon/coredns; without it the phases are listed
        name: Option<String>,
        /// Options of workflows.
        #[command(flatten)]
        apply: ApplyArgs,
    },
}

/// `fleetadm reset`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ResetArgs {
    /// Options of reset.
    #[command(flatten)]
    pub options: ResetOptions,
    /// One phase only.
    #[command(subcommand)]
    pub phase: Option<ResetPhaseCommand>,
}

/// `phase NAME` of reset.
#[derive(Debug, Subcommand)]
pub enum ResetPhaseCommand {
    /// Run one phase of the workflow
    Phase {
        /// Name of the phase, for example cleanup-node; without it the phases are listed
        name: Option<String>,
        /// Options of reset.
        #[command(flatten)]
        options: ResetOptions,
    },
}

/// Options of reset.
#[derive(Debug, Args)]
pub struct ResetOptions {
    /// Options of workflows.
    #[command(flatten)]
    pub run: RunArgs,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub force: bool,
}

/// `fleetadm exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Run as root even where the login user is not
    #[arg(long = "become")]
    pub become_root: bool,
    /// The command and its arguments; one argument is given to the host's shell as it is
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `fleetadm inventory`.
#[derive(Debug, Subcommand)]
pub enum InventoryCommand {
    /// Print the resolved hosts
    Show {
        /// Only this host, with all its settings
        host: Option<String>,
    },
    /// Check the inventory and say what it describes
    Check,
}

impl RunArgs {
    /// The phases wanted, `only` given by the `phase` subcommand.
    pub fn choice(&self, only: Option<&str>) -> Choice {
        Choice {
            only: only.map(str::to_owned).into_iter().collect(),
            skip: self.skip_phases.clone(),
        }
    }
}
