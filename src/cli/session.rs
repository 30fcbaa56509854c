//! What every command that contacts hosts begins and ends with: inventory, selection, runtime, renderer,
//! signals.

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::fleet::{Fleet, Link};
use crate::inventory::{self, Host, Inventory, Role, Sources};
use crate::node::{Mode, Node, SshTransport};
use crate::report::{Beginning, Event, Format, Options, Recorder, Renderer, Reporter, Runs, exit};
use crate::ssh::{Connector, Environment, Secrets, SshConfig, SshError, read_descriptor};

use super::args::{Global, OutputFormat};
use super::failure::Failure;
use super::kubeadm_config;
use super::patches;

/// How long an aborted run may take to leave the terminal as it was.
const ABORT_GRACE: Duration = Duration::from_millis(300);

/// How long the tasks of an aborted run have to let go of the renderer.
const RENDERER_GRACE: Duration = Duration::from_secs(1);

/// A loaded inventory and the hosts selected from it.
pub struct Selected {
    /// The whole inventory.
    pub inventory: Arc<Inventory>,
    /// The hosts `--limit` and `--shard` leave, in inventory order.
    pub hosts: Vec<Arc<Host>>,
}

impl Selected {
    fn shard(self, global: &Global) -> Result<Self, Failure> {
        let Some(shard) = global.shard else { return Ok(self) };
        let all = self.hosts.len();
        let hosts = shard.part(self.hosts);
        if hosts.is_empty() {
            let hosts = if all == 1 { "host is" } else { "hosts are" };
            return Err(Failure::usage(format!(
                "--shard {shard} has no host: {all} {hosts} selected"
            )));
        }
        Ok(Self { hosts, ..self })
    }

    /// The cluster that the inventory describes, for a command that cannot do without.
    pub fn cluster(&self, global: &Global, command: &str) -> Result<Cluster, Failure> {
        let section = self.inventory.cluster.as_ref().ok_or_else(|| {
            let origin = inventory::origin(&global.inventory);
            Failure::usage(format!(
                "{command} needs a [cluster] section, and {origin} has none; --kubeadm-config FILE can take its place"
            ))
        })?;
        let mut cluster = Cluster::resolve(section).map_err(Failure::usage)?;
        if let Some(directory) = &section.patches {
            cluster.patches = patches::read(directory, &cluster.release)?;
        }
        Ok(cluster)
    }

    /// The checks whose errors only warn: those of the inventory, and those of the command line. In lower case.
    pub fn ignored(&self, more: &[String]) -> Vec<String> {
        let more = more.iter().map(|name| name.to_lowercase());
        self.inventory.preflight_ignore.iter().cloned().chain(more).collect()
    }
}

/// Load the inventory and kubeadm's documents that it may be told by, lay `--ssh` over it and apply `--limit` and
/// `--shard`. No host is contacted.
pub fn select(global: &Global) -> Result<Selected, Failure> {
    limited(global)?.shard(global)
}

/// The same for a command that changes clusters: `--shard` does not go with hosts that must not be changed by several at
/// once.
pub fn select_to_change(global: &Global, command: &str) -> Result<Selected, Failure> {
    let selected = limited(global)?;
    let Some(shard) = global.shard else { return Ok(selected) };
    let others = selected.hosts.iter().filter(|host| host.role != Role::Worker);
    let others: Vec<&str> = others.map(|host| host.name.as_str()).collect();
    if others.is_empty() {
        return selected.shard(global);
    }
    Err(Failure::usage(format!(
        "{command} --shard: only workers can be shared out, and {} {} selected; do what is none first, without --shard \
         (--limit '!worker'), then the workers in parts (--limit worker --shard {shard})",
        inventory::fold_hosts(&others),
        if others.len() == 1 { "is" } else { "are" },
    )))
}

/// All that `--limit` leaves.
fn limited(global: &Global) -> Result<Selected, Failure> {
    let mut inventory = inventory::load(&global.inventory).map_err(Failure::usage)?;
    kubeadm_config::take_place(global, &mut inventory)?;
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
        match Runs::of_user().and_then(|runs| runs.last_of(self.0)) {
            Ok(Some(record)) => Ok(record.failed()),
            Ok(None) => {
                Err("no run with this inventory is on record on this workstation".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Begin the record of a run.
fn start_record(global: &Global, command: &str, hosts: &[String]) -> std::io::Result<Recorder> {
    // As the path of the file itself: it may have other names.
    let is_file = !inventory::is_standard_input(&global.inventory);
    let inventory = is_file.then(|| std::fs::canonicalize(&global.inventory).ok()).flatten();
    let shard = global.shard.map(|shard| shard.to_string());
    let (inventory, limit) = (inventory.as_deref(), global.limit.as_deref());
    let beginning = Beginning { command, inventory, limit, shard, hosts };
    Recorder::start(&Runs::of_user()?, &beginning)
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

/// A host as root sees it, for a command that only looks: nothing of it stays there.
///
/// # Errors
/// The host cannot be reached.
pub async fn onlooker(fleet: &Arc<Fleet>, host: &Arc<Host>) -> Result<Node, SshError> {
    let link = Link::new(fleet.clone(), host.clone());
    link.connection().await?;
    // A dry run is what leaves no trace.
    Ok(Node::new(&host.name, Arc::new(SshTransport::new(link)), Mode::DryRun))
}

/// What a command is about, which decides what is shown and kept of it.
pub enum Subject {
    /// Its hosts: a table of them comes last, and what was done goes on record.
    Hosts,
    /// The same, and `--timings` says whether to end with where the time went.
    Workflow {
        /// `--timings`.
        timings: bool,
    },
    /// The cluster, which some host is asked about: no table, no record.
    Cluster,
    /// Another program that has the terminal: nothing is drawn on it, and Ctrl-C is the program's while this says so.
    Program(Arc<AtomicBool>),
}

/// Do `work` on a runtime, with a renderer for what it reports, a token that the first Ctrl-C, SIGTERM or lost terminal
/// fires, and the connector of the run; the second signal aborts at once. `changes` is the word for what the command
/// changes, if it can. Gives the exit status.
pub fn contact<F, Fut>(
    global: &Global,
    command: &str,
    hosts: &[Arc<Host>],
    changes: Option<&'static str>,
    work: F,
) -> Result<u8, Failure>
where
    F: FnOnce(Reporter, CancellationToken, Connector) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    contact_about(Subject::Hosts, global, command, hosts, changes, work)
}

/// As [`contact`], for a command that is about something else than its hosts.
pub fn contact_about<F, Fut>(
    subject: Subject,
    global: &Global,
    command: &str,
    hosts: &[Arc<Host>],
    changes: Option<&'static str>,
    work: F,
) -> Result<u8, Failure>
where
    F: FnOnce(Reporter, CancellationToken, Connector) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let about_hosts = matches!(subject, Subject::Hosts | Subject::Workflow { .. });
    let json = global.output == OutputFormat::Json;
    raise_open_files();
    let connector = connector(global)?;
    let passwords = Passwords::read(global)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::internal(format!("cannot start: {error}")))?;
    let all: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    let options = Options {
        format: match global.output {
            OutputFormat::Auto if matches!(subject, Subject::Program(_)) => Format::Plain,
            OutputFormat::Auto => Format::Auto,
            OutputFormat::Plain => Format::Plain,
            OutputFormat::Json => Format::Json,
        },
        verbosity: global.verbose,
        command: command.to_owned(),
        hosts: all.clone(),
        timings: matches!(subject, Subject::Workflow { timings: true }),
        summary: json || about_hosts && (hosts.len() > 1 || command != "exec"),
        changes,
    };
    let recorder = about_hosts.then(|| start_record(global, command, &all)).transpose();
    // That a run cannot be put on record spoils nothing but that.
    let recorder = recorder.unwrap_or_else(|error| {
        not_on_record(&error);
        None
    });
    let status = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let (reporter, prompter, renderer) = Renderer::start(options, recorder, cancel.clone());
        let secrets = Secrets::asking(prompter).with_given(passwords.login, passwords.become_root);
        let connector = connector.with_secrets(Arc::new(secrets)).reporting_to(reporter.clone());
        let abort = CancellationToken::new();
        let elsewhere = match &subject {
            Subject::Program(running) => running.clone(),
            Subject::Hosts | Subject::Workflow { .. } | Subject::Cluster => Arc::default(),
        };
        let watching = watch_signals(cancel.clone(), abort.clone(), reporter.clone(), elsewhere);
        let watcher = tokio::spawn(watching);
        let result = tokio::select! {
            result = work(reporter, cancel.clone(), connector) => result,
            () = abort.cancelled() => Ok(()),
        };
        watcher.abort();
        // Wait for the watcher to let go of its reporter: the renderer ends when the last one is gone.
        let _ = watcher.await;
        if abort.is_cancelled() {
            // Where the renderer does not end, the record does without an end.
            let finished = tokio::time::timeout(RENDERER_GRACE, renderer.finish()).await;
            if let Ok((summary, Some(recorder))) = finished {
                recorder
                    .finish(&summary, exit::INTERRUPTED)
                    .unwrap_or_else(|it| not_on_record(&it));
            }
            return Ok(exit::INTERRUPTED);
        }
        let (summary, recorder) = renderer.finish().await;
        let status = result.map(|()| summary.exit_status());
        if let Some(recorder) = recorder {
            let status = status.as_ref().map_or_else(|failure| failure.status, |status| *status);
            recorder.finish(&summary, status).unwrap_or_else(|error| not_on_record(&error));
        }
        status
    });
    // Tasks that an abort left behind must not hold the process; a question among them puts the terminal back first.
    runtime.shutdown_timeout(ABORT_GRACE);
    status
}

fn not_on_record(error: &std::io::Error) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "warning: this run is not on record as a whole: {error}");
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

/// `elsewhere`: Ctrl-C is meant for another program.
async fn watch_signals(
    cancel: CancellationToken,
    abort: CancellationToken,
    reporter: Reporter,
    elsewhere: Arc<AtomicBool>,
) {
    let signals =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else { return };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {
                if elsewhere.load(Ordering::Relaxed) {
                    continue;
                }
            }
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
