//! The command line: what can be said, in kubeadm's vocabulary wherever it has a word for it.

mod access;
mod certs;
mod config;
mod preflight;
mod report;
mod reset;
mod shard;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::fleet::{Pace, Share};
use crate::inventory;
use crate::node::Owner;
use crate::workflow::Choice;

pub use access::{
    KubeconfigArgs, TokenCommand, TokenCreateArgs, TokenFormat, TokenUsage, TunnelArgs,
};
pub use certs::{CertsCommand, CertsFormat, CheckExpirationArgs, GenerateCsrArgs, RenewArgs};
pub use config::{Component, ConfigCommand, Defaults, ImagesCommand, ImagesSource, MigrateArgs};
pub use preflight::{Links, PreflightArgs, PreflightWorkflow};
pub use report::ReportArgs;
pub use reset::{ResetArgs, ResetPhaseCommand};
pub use shard::Shard;

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
    /// The inventory: TOML or JSON, a program that prints it, or - for standard input
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "FLEETADM_INVENTORY",
        default_value = "inventory.toml"
    )]
    pub inventory: PathBuf,
    /// kubeadm's own documents in place of the inventory's `[cluster]`: ClusterConfiguration, and beside it
    /// InitConfiguration, JoinConfiguration, KubeletConfiguration, KubeProxyConfiguration
    ///
    /// InitConfiguration's nodeRegistration holds for control planes, JoinConfiguration's for workers, or for further
    /// control planes where it has controlPlane; what the inventory says of a host is stronger. A field without a
    /// counterpart in an inventory is an error. The inventory's own key is `kubeadm_config`.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeadm_config: Option<PathBuf>,
    /// Only these hosts: names, globs, ranges, groups, roles, @FILE, @failed; ! excludes, & intersects
    ///
    /// Terms are separated by commas or blanks; their order does not matter. Plain terms add up, `&gpu` keeps only
    /// what is in gpu as well, `!node-1` takes node-1 out. @FILE stands for the terms in a file (relative to the
    /// working directory, # begins a comment), @failed for the hosts that failed, were unreachable or not done
    /// in the last run with this inventory. A selection that leaves no host is an error.
    #[arg(short, long, global = true, value_name = "HOSTS")]
    pub limit: Option<String>,
    /// Only one part of the hosts that --limit leaves: I of N, counted from 1, as 2/8
    ///
    /// Every host is in exactly one of the N parts, as long as inventory and --limit stay the same; hosts are dealt out in the
    /// inventory's order. What changes control planes or hosts of etcd is not for several at once: apply, init, join, reset and
    /// certs renew refuse a part of a selection with such hosts. A part without a host is an error.
    #[arg(long, global = true, value_name = "I/N", env = "FLEETADM_SHARD")]
    pub shard: Option<Shard>,
    /// A key of the `[ssh]` table for every host, above the inventory; for example user=ops or jump=bastion
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub ssh: Vec<String>,
    /// OpenSSH's configuration instead of ~/.ssh/config and /etc/ssh/ssh_config; none for no file at all
    #[arg(short = 'F', long, global = true, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
    /// How many steps are under way at once, over all hosts
    #[arg(long, global = true, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: u16,
    /// Go through the hosts in batches of so many, each begun when the one before has ended
    ///
    /// A percentage is of the selected hosts, rounded down, at least one. Hosts that others wait for come first: the
    /// control plane in the first batch of apply, init and join, and in the last one of reset.
    #[arg(long, global = true, value_name = "N|P%", value_parser = batch_size)]
    pub serial: Option<Share>,
    /// Once more than so many hosts have failed, begin no further host; default: no limit
    ///
    /// A percentage is of the selected hosts, rounded down. Hosts that have begun go on to their end; those that have
    /// not are reported as not started.
    #[arg(long, global = true, value_name = "N|P%")]
    pub max_failures: Option<Share>,
    /// Limit in seconds, or with a unit as 90s or 5m: for each host in exec, copy, facts, preflight and status,
    /// for the whole run elsewhere
    ///
    /// For a host it counts from connecting; in exec, copy and facts it takes the place of the inventory's command_timeout. In a
    /// workflow, steps under way when it passes are finished, and no others begin.
    #[arg(long, global = true, value_name = "DURATION", value_parser = inventory::parse_duration)]
    pub timeout: Option<Duration>,
    /// How long to wait for hosts, or a cluster, that another fleetadm is changing; 0 not to wait [default: 45s]
    ///
    /// A run that changes hosts holds a lease of each of them and one of the cluster, which runs that concern only workers
    /// share. One that cannot have them says who has and fails. The lease of a run that has crashed, or has lost its
    /// network, is over within 30 seconds.
    #[arg(long, global = true, value_name = "DURATION", value_parser = patience)]
    pub lease_timeout: Option<Duration>,
    /// Read the login password of hosts without password_command from this file descriptor
    #[arg(long, global = true, value_name = "N")]
    pub password_fd: Option<u32>,
    /// Read the password for sudo or doas of hosts without become_password_command from this file descriptor
    #[arg(long, global = true, value_name = "N")]
    pub become_password_fd: Option<u32>,
    /// How the run is shown: auto and plain print for people, json prints one object per line
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Auto)]
    pub output: OutputFormat,
    /// More detail; twice for every phase
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// How fast the hosts are gone through.
    pub fn pace(&self) -> Pace {
        Pace {
            parallel: usize::from(self.parallel),
            serial: self.serial,
            max_failures: self.max_failures,
        }
    }
}

/// A duration that may be none at all.
fn patience(text: &str) -> Result<Duration, &'static str> {
    if text == "0" { Ok(Duration::ZERO) } else { inventory::parse_duration(text) }
}

/// A batch of no hosts would never end.
fn batch_size(text: &str) -> Result<Share, String> {
    match text.parse() {
        Ok(Share::Count(0) | Share::Percent(0)) => Err("a batch has at least one host".to_owned()),
        Ok(share) => Ok(share),
        Err(error) => Err(error.to_string()),
    }
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
    /// Bring up the first control plane, and etcd where it has hosts of its own
    Init(WorkflowArgs),
    /// Join the other control planes and the workers to the cluster
    Join(WorkflowArgs),
    /// Take the selected hosts out of the cluster and leave them bare
    Reset(ResetArgs),
    /// Show what runs where, against what the inventory says; changes nothing
    Status,
    /// Print a kubeconfig of the administrator or of a named user, or put it into a file
    Kubeconfig(KubeconfigArgs),
    /// Open a port on this workstation that leads to the API server
    Tunnel(TunnelArgs),
    /// Bootstrap tokens, for hosts that are joined by hand
    Token {
        /// What to do with them.
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Look after the certificates of a running cluster, on all its hosts
    Certs {
        /// What to do.
        #[command(subcommand)]
        command: CertsCommand,
    },
    /// Print, check and migrate kubeadm's configuration; list and pull images
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Run a command on the selected hosts
    Exec(ExecArgs),
    /// Show what there is to know about the selected hosts, which stay as they are
    Facts(FactsArgs),
    /// Copy files and trees to the selected hosts, or fetch them from there
    Copy(CopyArgs),
    /// Show the host keys of the selected hosts, compare them, and add them to known_hosts
    Trust(TrustArgs),
    /// List the runs on record, show one, or draw it as a page
    Report(ReportArgs),
    /// Look at the inventory, or make one from Ansible's, without contacting a host
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

/// Options of workflows that change hosts.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Print every file with its diff and every command; touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// A directory with patches as kubeadm has them, in place of the inventory's
    ///
    /// A file is TARGET.yaml or .json, or TARGET with anything and +TYPE behind it. TARGET is etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubeletconfiguration (since 1.25) or
    /// corednsdeployment (since 1.32), TYPE strategic (the default), merge or json. They are applied in the order of the
    /// files' names. The inventory's own key is `patches` in `[cluster]`.
    #[arg(long, value_name = "DIR")]
    pub patches: Option<PathBuf>,
    /// Phases to leave out, for example addon/coredns
    #[arg(long, value_name = "PHASES", value_delimiter = ',')]
    pub skip_phases: Vec<String>,
    /// Checks whose errors only warn; "all" for every one
    #[arg(long, value_name = "CHECKS", value_delimiter = ',')]
    pub ignore_preflight_errors: Vec<String>,
    /// End with where the time went: the tasks that determined the end of the run, and each phase in all
    #[arg(long)]
    pub timings: bool,
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

/// `fleetadm exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Become root first, or whom become_user names
    #[arg(long = "become")]
    pub become_root: bool,
    /// Show equal outputs once, with the hosts they came from, when all are done
    ///
    /// The largest group comes first. Of each host 1 MiB is kept.
    #[arg(long)]
    pub merge: bool,
    /// Give every host this file as standard input; - for fleetadm's own
    #[arg(long, value_name = "FILE")]
    pub stdin: Option<PathBuf>,
    /// Run this script of the workstation; what follows are its arguments
    ///
    /// The interpreter its #! line names runs it on the host, where nothing of it is left.
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// The command and its arguments; one argument is given to the host's shell as it is
    #[arg(required_unless_present = "script", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `fleetadm facts`.
#[derive(Debug, Args)]
#[command(
    after_help = "Hosts are shown in the inventory's order, those that fail on standard error. Nothing is kept, here or \
    there. CSV is that of RFC 4180 with plain line feeds."
)]
pub struct FactsArgs {
    /// What to show of each host: names of columns, or paths into the JSON as disks./var.free_mb; `help` lists them
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// table for people, csv of the same columns, or json: everything, an object per host [default: table]
    #[arg(long, value_enum, hide_possible_values = true)]
    pub format: Option<FactsFormat>,
}

/// `--format` of `facts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FactsFormat {
    /// For people.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// Everything, one object per line.
    Json,
}

/// `fleetadm copy`.
#[derive(Debug, Args)]
#[command(
    after_help = "DEST is the name of the copy. Where it ends with / or there are several sources, it is a \
    directory for them. Without a leading / it is relative to the login directory. Only what differs is copied, \
    by checksum; nothing is deleted, and symbolic links are copied as such and not followed. \
    With --fetch, /etc/motd of the host node-1 becomes DIR/node-1/etc/motd."
)]
#[command(
    override_usage = "fleetadm copy [OPTIONS] <SRC>... <DEST>\n       fleetadm copy [OPTIONS] --fetch <REMOTE>... <DIR>"
)]
pub struct CopyArgs {
    /// Fetch from the hosts, into a directory for each of them
    #[arg(long)]
    pub fetch: bool,
    /// Read and write as root, or as whom become_user names
    #[arg(long = "become")]
    pub become_root: bool,
    /// Mode of the files, in octal, in place of their own
    #[arg(long, value_name = "MODE", value_parser = mode, conflicts_with = "fetch")]
    pub mode: Option<u32>,
    /// Owner of what is written, in place of whoever writes it
    #[arg(long, value_name = "USER[:GROUP]", value_parser = Owner::parse, conflicts_with = "fetch")]
    pub owner: Option<Owner>,
    /// Most to take from one host: bytes, or with K, M, G or T behind
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "10G")]
    pub max_size: u64,
    /// Say what would change, and touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// In a dry run, leave out how text files differ
    #[arg(long)]
    pub no_diff: bool,
    /// What to copy, and where to
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    pub paths: Vec<String>,
}

fn mode(text: &str) -> Result<u32, &'static str> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.filter(|_| !text.starts_with('+')).ok_or("expected an octal mode, as 0644")
}

fn size(text: &str) -> Result<u64, &'static str> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => 64,
    };
    let number = digits.parse::<u64>().ok().filter(|_| !digits.starts_with('+'));
    let size = number.and_then(|number| number.checked_mul(1u64.checked_shl(shift)?));
    size.ok_or("expected bytes, or a number with K, M, G or T behind")
}

/// `fleetadm trust`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each host is asked for its keys without logging in; jump hosts come first, and what is behind them is \
    looked at through them. New keys are added once you confirm their fingerprints on the terminal, or once they are \
    found in the list of --fingerprints. A key that is in place of a known one is never added without --replace, a \
    revoked one never at all: the host fails then, as does one whose keys are not those of the list."
)]
pub struct TrustArgs {
    /// Only show the keys and what would be added
    #[arg(long)]
    pub dry_run: bool,
    /// Add the keys that are in this list, and no others; a line is SHA256:..., HOST SHA256:..., what ssh-keygen -l
    /// prints, a public key, or a line of known_hosts
    #[arg(long, value_name = "FILE", conflicts_with = "yes")]
    pub fingerprints: Option<PathBuf>,
    /// Add new keys without asking: trust on first use, safe only where nobody can intercept the connections
    #[arg(long)]
    pub yes: bool,
    /// Let keys take the place of those that a reinstalled host does not have any more; asked about, or held against
    /// the list of --fingerprints
    #[arg(long, conflicts_with = "yes")]
    pub replace: bool,
    /// Look in this file and add to it, in place of the known_hosts of the inventory and of OpenSSH
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
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
    /// Print an Ansible inventory as one of fleetadm's; what cannot be carried over is listed
    Import {
        /// A file or a directory with its group_vars and host_vars, or - for standard input
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// What it is written in
        #[arg(long, value_enum, default_value_t = ImportFormat::Auto)]
        format: ImportFormat,
    },
}

/// `--format` of `inventory import`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// Ansible's INI
    Ini,
    /// Ansible's YAML
    Yaml,
    /// What its name or its first line looks like
    Auto,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn batches_modes_and_sizes() {
        assert_eq!(batch_size("25%"), Ok(Share::Percent(25)));
        assert!(["0", "0%", "-1", ""].iter().all(|text| batch_size(text).is_err()));
        assert_eq!(mode("0644"), Ok(0o644));
        assert!(["", "9", "+644", "10000", "u+x"].iter().all(|text| mode(text).is_err()));
        assert_eq!(size("12"), Ok(12));
        assert_eq!(size("3K"), Ok(3 << 10));
        assert_eq!(size("2T"), Ok(2 << 40));
        for text in ["", "K", "1KK", "1k", "-1", "+1", "99999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
