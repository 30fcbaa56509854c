//! One file per command: its arguments, and what it prints. Logic lives in the layers below.

mod args;
mod ask;
mod certs;
mod config;
mod copy;
mod duration;
mod exec;
mod facts;
mod failure;
mod inventory;
mod kubeadm_config;
mod kubeconfig;
mod lease;
mod local;
mod memory;
mod patches;
mod preflight;
mod report;
mod reset;
mod session;
mod status;
mod token;
mod trust;
mod tunnel;
mod value;
mod workflows;

use std::io::Write;

use clap::CommandFactory;

use crate::report::exit;

pub use args::Cli;
use args::Command;
use failure::Failure;

/// Run a command line to its end and give the exit status of the design.
pub fn run(cli: Cli) -> u8 {
    memory::keep_to_itself();
    let result = match cli.command {
        Command::Version => print(&format!("fleetadm {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "fleetadm", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::Inventory { command } => inventory::run(&cli.global, command),
        Command::Config { command } => config::run(&cli.global, command),
        Command::Trust(args) => trust::run(&cli.global, args),
        Command::Exec(args) => exec::run(&cli.global, args),
        Command::Facts(args) => facts::run(&cli.global, args),
        Command::Copy(args) => copy::run(&cli.global, args),
        Command::Preflight(args) => preflight::run(&cli.global, args),
        Command::Apply(args) => workflows::apply(&cli.global, args),
        Command::Init(args) => workflows::init(&cli.global, args),
        Command::Join(args) => workflows::join(&cli.global, args),
        Command::Report(args) => report::run(&cli.global, args),
        Command::Certs { command } => certs::run(&cli.global, command),
        Command::Kubeconfig(args) => kubeconfig::run(&cli.global, args),
        Command::Tunnel(args) => tunnel::run(&cli.global, args),
        Command::Token { command } => token::run(&cli.global, command),
        Command::Status => status::run(&cli.global),
        Command::Reset(args) => reset::run(&cli.global, args),
    };
    result.unwrap_or_else(|failure| {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(std::io::stderr(), "{failure}");
        failure.status
    })
}

/// Print data. A reader that has gone away (a closed pipe) is not a failure.
fn print(text: &str) -> Result<u8, Failure> {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(exit::DONE)
}
