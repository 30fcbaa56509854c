//! The arguments of `fleetadm preflight`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `fleetadm preflight`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is changed on any host without --fix or --pull-images. Hosts try each other's ports through \
    their SSH servers; for that, each listens for a moment on the ports of its role that are free."
)]
pub struct PreflightArgs {
    /// Check as for this workflow; without it, what apply would do with each host decides
    #[arg(value_enum)]
    pub workflow: Option<PreflightWorkflow>,
    /// Checks whose errors only warn; "all" for every one
    #[arg(long, value_name = "CHECKS", value_delimiter = ',')]
    pub ignore_preflight_errors: Vec<String>,
    /// Warnings fail as well
    #[arg(long)]
    pub strict: bool,
    /// Write the result as one HTML page that needs nothing else
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Write the result as JUnit XML
    #[arg(long, value_name = "FILE.xml")]
    pub junit: Option<PathBuf>,
    /// Which hosts try each other's ports
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Links::Auto)]
    pub links: Links,
    /// Also have every host pull the images of its role, as kubeadm's ImagePull
    #[arg(long)]
    pub pull_images: bool,
    /// Apply the safe remedies, showing each and how to undo it, and check again
    #[arg(long)]
    pub fix: bool,
    /// With --fix, only show what would be done
    #[arg(long, requires = "fix")]
    pub dry_run: bool,
    /// Say what a check looks at, why it matters and how to fix it, and contact no host; "all" lists every check
    #[arg(long, value_name = "CHECK", exclusive = true)]
    pub explain: Option<String>,
}

/// `--links`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Links {
    /// All, every pair of up to 50; beyond, control planes and a sample of 200 workers
    Auto,
    /// All, however many: each worker with a control plane and another worker
    Every,
    /// None
    None,
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
    /// Going to the release that the inventory says
    Upgrade,
}
