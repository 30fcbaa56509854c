//! What every command that contacts hosts begins and ends with: inventory, selection, runtime, renderer,
//! signals.

use std::future::Future;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::inventory::{self, Host, Inventory};
use crate::report::{Event, Format, Options, Renderer, Reporter, exit};
use crate::ssh::{Connector, Environment, SshConfig};

use super::args::{Global, OutputFormat};
use super::failure::Failure;

/// A loaded inventory and the hosts selected from it.
pub struct Selected {
    /// The whole inventory.
    pub inventory: Arc<Inventory>,
    /// The hosts `--limit` leaves, in inventory order.
    pub hosts: Vec<Host>,
}

/// Load the inventory, lay `--ssh` over it and apply `--limit`. No host is contacted.
pub fn select(global: &Global) -> Result<Selected, Failure> {
    let mut inventory = inventory::load(&global.inventory).map_err(Failure::usage)?;
    inventory.override_ssh(&global.ssh).map_err(Failure::usage)?;
    let hosts = match &global.limit {
        Some(limit) => inventory::select(&inventory.hosts, limit)
            .map_err(|error| Failure::usage(format!("--limit: {error}")))?
            .into_iter()
            .cloned()
            .collect(),
        None => inventory.hosts.clone(),
    };
    Ok(Selected { inventory: Arc::new(inventory), hosts })
}

/// What connects to hosts, with `-F` applied and OpenSSH's configuration checked. No host is contacted.
pub fn connector(global: &Global) -> Result<Connector, Failure> {
    let mut environment = Environment::current();
    match &global.ssh_config {
        // As for ssh -F.
        Some(file) if file.as_os_str().eq_ignore_ascii_case("none") => {
            environment.ssh_config = SshConfig::None;
        }
        Some(file) => environment.ssh_config = SshConfig::File(file.clone()),
        None => {}
    }
    let connector = Connector::new(environment);
    connector.check().map_err(Failure::usage)?;
    Ok(connector)
}

/// Do `work` on a runtime, with a renderer for what it reports and a token that the first Ctrl-C, SIGTERM or
/// lost terminal fires; the second aborts at once. `changes` is the word for what the command changes, if it can. Gives the exit status.
pub fn contact<F, Fut>(
    global: &Global,
    command: &str,
    hosts: &[Host],
    changes: Option<&'static str>,
    work: F,
) -> Result<u8, Failure>
where
    F: FnOnce(Reporter, CancellationToken) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::internal(format!("cannot start: {error}")))?;
    let options = Options {
        format: match global.output {
            OutputFormat::Auto => Format::Auto,
            OutputFormat::Plain => Format::Plain,
            OutputFormat::Json => Format::Json,
        },
        verbosity: global.verbose,
        command: command.to_owned(),
        hosts: hosts.iter().map(|host| host.name.clone()).collect(),
        summary: hosts.len() > 1 || command != "exec" || global.output == OutputFormat::Json,
        changes,
    };
    let status = runtime.block_on(async {
        let (reporter, renderer) = Renderer::start(options);
        let cancel = CancellationToken::new();
        let abort = CancellationToken::new();
        let watcher = tokio::spawn(watch_signals(cancel.clone(), abort.clone(), reporter.clone()));
        let result = tokio::select! {
            result = work(reporter, cancel.clone()) => result,
            () = abort.cancelled() => Ok(()),
        };
        watcher.abort();
        // Wait for the watcher to let go of its reporter: the renderer ends when the last one is gone.
        let _ = watcher.await;
        if abort.is_cancelled() {
            return Ok(exit::INTERRUPTED);
        }
        let summary = renderer.finish().await;
        result?;
        Ok(summary.exit_status())
    });
    // Tasks that an abort left behind must not hold the process.
    runtime.shutdown_background();
    status
}

async fn watch_signals(cancel: CancellationToken, abort: CancellationToken, reporter: Reporter) {
    let signals =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else { return };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        if cancel.is_cancelled() {
            abort.cancel();
            return;
        }
        cancel.cancel();
        reporter.emit(Event::Interrupted);
    }
}
