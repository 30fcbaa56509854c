//! What every command that contacts hosts begins and ends with: inventory, selection, runtime, renderer,
//! signals.

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::inventory::{self, Host, Inventory, Sources};
use crate::report::{
    Event, Format, Options, Record, RecordFile, Renderer, Reporter, Summary, exit,
};
use crate::ssh::{Connector, Environment, Secrets, SshConfig, read_descriptor};

use super::args::{Global, OutputFormat};
use super::failure::Failure;

/// How long an aborted run may take to leave the terminal as it was.
const ABORT_GRACE: Duration = Duration::from_millis(300);

/// How long the tasks of an aborted run have to let go of the renderer.
const RENDERER_GRACE: Duration = Duration::from_secs(1);

/// A loaded inventory and the hosts selected from it.
pub struct Selected {
    /// The whole inventory.
    pub inventory: Arc<Inventory>,
    /// The hosts `--limit` leaves, in inventory order.
    pub hosts: Vec<Host>,
}

impl Selected {
    /// The cluster that the inventory describes, for a command that cannot do without.
    pub fn cluster(&self, global: &Global, command: &str) -> Result<Cluster, Failure> {
        let section = self.inventory.cluster.as_ref().ok_or_else(|| {
            let origin = inventory::origin(&global.inventory);
            Failure::usage(format!("{command} needs a [cluster] section, and {origin} has none"))
        })?;
        Cluster::resolve(section).map_err(Failure::usage)
    }

    /// The checks whose errors only warn: those of the inventory, and those of the command line. In lower case.
    pub fn ignored(&self, more: &[String]) -> Vec<String> {
        let more = more.iter().map(|name| name.to_lowercase());
        self.inventory.preflight_ignore.iter().cloned().chain(more).collect()
    }
}

/// Load the inventory, lay `--ssh` over it and apply `--limit`. No host is contacted.
pub fn select(global: &Global) -> Result<Selected, Failure> {
    let mut inventory = inventory::load(&global.inventory).map_err(Failure::usage)?;
    inventory.override_ssh(&global.ssh).map_err(Failure::usage)?;
    let hosts = match &global.limit {
        Some(limit) => inventory::select(&inventory.hosts, limit, &Lists(&global.inventory))
            .map_err(|error| Failure::usage(format!("--limit: {error}")))?
            .into_iter()
            .cloned()
            .collect(),
        None => inventory.hosts.clone(),
    };
    Ok(Selected { inventory: Arc::new(inventory), hosts })
}

/// What `@` in `--limit` stands for: files of the working directory, and the record of the last run with this
/// inventory.
struct Lists<'a>(&'a Path);

impl Sources for Lists<'_> {
    fn file(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn failed(&self) -> Result<Vec<String>, String> {
        let record = RecordFile::of_user(self.0).and_then(|file| file.read());
        match record {
            Ok(Some(record)) => Ok(record.failed),
            Ok(None) => {
                Err("no run with this inventory is on record on this workstation".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Keep which hosts did not end well, for `@failed`. That it cannot be kept spoils nothing but that.
fn keep_record(inventory: &Path, command: &str, failed: Vec<String>) {
    // Where the inventory is no file, nothing could find the record again.
    let Ok(file) = RecordFile::of_user(inventory) else { return };
    if let Err(error) = file.write(&Record::new(command, failed)) {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(
            std::io::stderr(),
            "warning: what this run came to is not kept for --limit @failed: {error}"
        );
    }
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

/// Do `work` on a runtime, with a renderer for what it reports, a token that the first Ctrl-C, SIGTERM or lost terminal
/// fires, and the connector of the run; the second signal aborts at once. `changes` is the word for what the command
/// changes, if it can. Gives the exit status.
pub fn contact<F, Fut>(
    global: &Global,
    command: &str,
    hosts: &[Host],
    changes: Option<&'static str>,
    work: F,
) -> Result<u8, Failure>
where
    F: FnOnce(Reporter, CancellationToken, Connector) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    raise_open_files();
    let connector = connector(global)?;
    let passwords = Passwords::read(global)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::internal(format!("cannot start: {error}")))?;
    let all: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    let options = Options {
        format: match global.output {
            OutputFormat::Auto => Format::Auto,
            OutputFormat::Plain => Format::Plain,
            OutputFormat::Json => Format::Json,
        },
        verbosity: global.verbose,
        command: command.to_owned(),
        hosts: all.clone(),
        summary: hosts.len() > 1 || command != "exec" || global.output == OutputFormat::Json,
        changes,
    };
    let status = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let (reporter, prompter, renderer) = Renderer::start(options, cancel.clone());
        let secrets = Secrets::asking(prompter).with_given(passwords.login, passwords.become_root);
        let connector = connector.with_secrets(Arc::new(secrets)).reporting_to(reporter.clone());
        let abort = CancellationToken::new();
        let watcher = tokio::spawn(watch_signals(cancel.clone(), abort.clone(), reporter.clone()));
        let result = tokio::select! {
            result = work(reporter, cancel.clone(), connector) => result,
            () = abort.cancelled() => Ok(()),
        };
        watcher.abort();
        // Wait for the watcher to let go of its reporter: the renderer ends when the last one is gone.
        let _ = watcher.await;
        if abort.is_cancelled() {
            let summary = tokio::time::timeout(RENDERER_GRACE, renderer.finish()).await;
            let failed = summary.as_ref().map_or_else(|_| all.clone(), Summary::incomplete);
            keep_record(&global.inventory, command, failed);
            return Ok(exit::INTERRUPTED);
        }
        let summary = renderer.finish().await;
        result?;
        keep_record(&global.inventory, command, summary.incomplete());
        Ok(summary.exit_status())
    });
    // Tasks that an abort left behind must not hold the process; a question among them puts the terminal back first.
    runtime.shutdown_timeout(ABORT_GRACE);
    status
}

/// Allow as many open files as this process may have: there is a socket for every host. Without that, what does not fit is
/// told host by host.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Some systems refuse what they call their own maximum.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// What the command line says about passwords.
struct Passwords {
    login: Option<SecretString>,
    become_root: Option<SecretString>,
}

impl Passwords {
    /// Read the descriptors, before any host is contacted. One that is named twice holds one password for both.
    fn read(global: &Global) -> Result<Self, Failure> {
        let read = |option: &str, number: u32| {
            read_descriptor(number).map_err(|reason| Failure::usage(format!("{option}: {reason}")))
        };
        let login = global.password_fd.map(|fd| read("--password-fd", fd)).transpose()?;
        let become_root = match (global.password_fd, global.become_password_fd) {
            (Some(one), Some(other)) if one == other => login.clone(),
            (_, fd) => fd.map(|fd| read("--become-password-fd", fd)).transpose()?,
        };
        Ok(Self { login, become_root })
    }
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
