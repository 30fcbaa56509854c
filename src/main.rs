//! Parse, run, exit status. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use fleetadm::cli::{Cli, run};

fn main() -> ExitCode {
    ExitCode::from(run(Cli::parse()))
}
