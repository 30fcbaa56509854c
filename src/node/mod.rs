//! One host as root sees it: facts, files, services, container runtime.
//!
//! A [`Node`] carries out what others have decided, through one payload script and a [`Transport`].
//! Every action looks first, does only what is missing, and says what it changed; in a dry run it says
//! what it would change and touches nothing. This layer knows nothing of Kubernetes' API or of SSH, and
//! never decides what should be on a host.

mod archive;
mod binaries;
mod change;
mod cleanup;
mod copy;
mod diff;
mod error;
pub mod facts;
mod files;
mod kernel;
mod lease;
mod leftovers;
mod over_ssh;
mod packages;
mod payload;
mod processes;
mod public;
mod runtime;
mod script;
mod services;
mod transport;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use zeroize::Zeroizing;

pub use archive::image_names;
pub use binaries::{Download, DownloadLimits, LocalFile};
pub use change::{Change, FileAction, FileChange};
pub use copy::{CopyError, CopyMode, Fetch, Owner, Push};
pub use error::NodeError;
pub use facts::FactsRequest;
pub use files::{FileBatch, NodeDirectory, NodeFile, RemoteFile};
pub use lease::{Answer, LIMIT as LEASE_LIMIT, Lease, Sharing};
pub use leftovers::{Cleaned, Leftover};
pub use over_ssh::SshTransport;
pub use payload::Payload;
pub use processes::Process;
pub use public::PublicPart;
pub use services::ServiceAction;
pub use transport::{Exit, Flow, Input, MAX_OUTPUT, Output, Transport, TransportError};

/// Longest answer of the payload, in bytes, but for those that are whole files. Read line by line it may take ten times as
/// much memory, from each of many hosts.
const LONGEST_ANSWER: usize = 4 << 20;

/// Whether actions are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do what is missing.
    Apply,
    /// Only say what is missing; nothing is written on the host, not even the payload.
    DryRun,
}

/// One host, ready for work.
pub struct Node {
    name: String,
    transport: Arc<dyn Transport>,
    mode: Mode,
    payload: Payload,
    show_diff: bool,
    /// The payload has been seen on the host by this run.
    stored: AtomicBool,
}

impl Node {
    /// A host by its inventory name, and the way to run commands on it as root.
    pub fn new(name: impl Into<String>, transport: Arc<dyn Transport>, mode: Mode) -> Self {
        Self {
            name: name.into(),
            transport,
            mode,
            payload: Payload::default(),
            show_diff: mode == Mode::DryRun,
            stored: AtomicBool::new(false),
        }
    }

    /// Keep the payload in another directory of the host than `/run/fleetadm`.
    #[must_use]
    pub fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Also show differences of files when they are changed for real; costs reading them first.
    #[must_use]
    pub fn with_diff(mut self, show: bool) -> Self {
        self.show_diff = show || self.mode == Mode::DryRun;
        self
    }

    /// The host's inventory name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether actions are carried out.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    fn is_dry_run(&self) -> bool {
        self.mode == Mode::DryRun
    }

    /// Run a subcommand that reads nothing, and demand success.
    async fn call(&self, arguments: &[&str]) -> Result<Zeroizing<Vec<u8>>, NodeError> {
        let output = self.run_without_input(arguments).await?;
        self.demand_success(arguments, output)
    }

    /// Run a subcommand that reads `source`, and demand success.
    async fn feed(
        &self,
        arguments: &[&str],
        source: Source<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, NodeError> {
        let output = self.run_with_input(arguments, source).await?;
        self.demand_success(arguments, output)
    }

    /// The first call of a run brings the payload along, in the same round trip. In a dry run the host
    /// keeps no trace: the script runs from standard input.
    async fn run_without_input(&self, arguments: &[&str]) -> Result<Output, NodeError> {
        if self.is_dry_run() {
            let command = Payload::transient_command(arguments);
            return self.transmit(arguments, &command, Input::Bytes(Payload::script())).await;
        }
        if self.stored.load(Ordering::Relaxed) {
            let command = self.payload.stored_command(arguments);
            let output = self.transmit(arguments, &command, Input::Empty).await?;
            if !Payload::is_missing(&output) {
                return Ok(output);
            }
        }
        let command = self.payload.storing_command(arguments);
        let output = self.transmit(arguments, &command, Input::Bytes(Payload::script())).await?;
        self.stored.store(!Payload::is_not_storable(&output), Ordering::Relaxed);
        Ok(output)
    }

    /// Standard input is taken, so the payload has to be on the host beforehand.
    async fn run_with_input(
        &self,
        arguments: &[&str],
        source: Source<'_>,
    ) -> Result<Output, NodeError> {
        let command = self.payload.stored_command(arguments);
        if self.stored.load(Ordering::Relaxed) {
            let output = self.transmit(arguments, &command, source.open().await?).await?;
            if !Payload::is_missing(&output) {
                return Ok(output);
            }
            self.stored.store(false, Ordering::Relaxed);
        }
        self.ensure_payload().await?;
        self.transmit(arguments, &command, source.open().await?).await
    }

    /// Have the payload on the host, for a command whose standard input is not free to bring it along.
    async fn ensure_payload(&self) -> Result<(), NodeError> {
        if !self.stored.load(Ordering::Relaxed) {
            self.call(&["version"]).await?;
        }
        Ok(())
    }

    async fn transmit(
        &self,
        arguments: &[&str],
        command: &str,
        input: Input,
    ) -> Result<Output, NodeError> {
        self.transport.run(command, input).await.map_err(|source| NodeError::Transport {
            host: self.name.clone(),
            action: action_of(arguments),
            source,
        })
    }

    fn demand_success(
        &self,
        arguments: &[&str],
        output: Output,
    ) -> Result<Zeroizing<Vec<u8>>, NodeError> {
        if !output.exit.is_success() {
            return Err(NodeError::failed(&self.name, action_of(arguments), &output));
        }
        if output.stdout.len() > LONGEST_ANSWER && arguments.first() != Some(&"read") {
            let answer = format!("more than {LONGEST_ANSWER} bytes");
            return Err(self.unexpected(&action_of(arguments), &answer));
        }
        Ok(output.stdout)
    }

    /// An answer that the payload would not have given.
    fn unexpected(&self, action: &str, answer: &str) -> NodeError {
        NodeError::unexpected(&self.name, action, answer)
    }

    /// What subcommands report, as lines of `word rest`.
    fn lines<'a>(
        &self,
        action: &str,
        answer: &'a [u8],
    ) -> Result<Vec<(&'a str, &'a str)>, NodeError> {
        let text = std::str::from_utf8(answer)
            .map_err(|_| self.unexpected(action, &String::from_utf8_lossy(answer)))?;
        text.lines()
            .map(|line| line.split_once(' ').ok_or_else(|| self.unexpected(action, line)))
            .collect()
    }
}

/// What a subcommand reads. Opened anew for every attempt, so that a file need not be held in memory.
#[derive(Clone)]
enum Source<'a> {
    Bytes(Bytes),
    File(&'a Path),
}

impl Source<'_> {
    async fn open(&self) -> Result<Input, NodeError> {
        Ok(match self {
            Self::Bytes(bytes) => Input::Bytes(bytes.clone()),
            Self::File(path) => Input::Reader(Box::new(
                tokio::fs::File::open(path)
                    .await
                    .map_err(|source| NodeError::local(path, source))?,
            )),
        })
    }
}

/// A subcommand as errors name it: itself and the path it was about, if only one.
fn action_of(arguments: &[&str]) -> String {
    let shown = arguments.iter().take(3).copied().collect::<Vec<_>>().join(" ");
    match arguments.len() {
        0..=3 => shown,
        more => format!("{shown} and {} more", more - 3),
    }
}
