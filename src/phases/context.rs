//! One phase on one host: what the phase may use, and how it tells what it did.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::inventory::Host;
use crate::node::facts::Facts;
use crate::node::{Change, FileBatch, FileChange, Node, ServiceAction};
use crate::report::Event;

use super::run::{HostState, Run};
use super::{Mode, PhaseError};

/// How often a phase under way makes sure of its host.
const LOOK_AFTER_HOST: Duration = Duration::from_secs(5);

/// How a phase ended well.
#[derive(Debug)]
pub enum Done {
    /// What the phase is for is there.
    Finished,
    /// There was nothing to look at, because of this.
    NotNeeded(String),
}

/// One phase on one host.
pub struct Context {
    /// The run this is part of.
    pub run: Arc<Run>,
    state: Arc<HostState>,
    phase: &'static str,
    parts: Option<Vec<&'static str>>,
    changes: AtomicUsize,
}

impl Context {
    pub(super) fn new(
        run: Arc<Run>,
        state: Arc<HostState>,
        phase: &'static str,
        parts: Option<Vec<&'static str>>,
    ) -> Self {
        Self { run, state, phase, parts, changes: AtomicUsize::new(0) }
    }

    /// Whether this subphase is wanted.
    pub fn wants(&self, part: &str) -> bool {
        self.parts.as_ref().is_none_or(|parts| parts.contains(&part))
    }

    /// The host.
    pub fn host(&self) -> &Arc<Host> {
        &self.state.host
    }

    /// `workflow/phase`.
    pub fn phase(&self) -> &'static str {
        self.phase
    }

    /// Whether nothing may be touched.
    pub fn dry_run(&self) -> bool {
        self.run.mode() == Mode::DryRun
    }

    /// The host as root sees it; connects at the first use in a run.
    ///
    /// # Errors
    /// The host cannot be reached, or root cannot be had there.
    pub async fn node(&self) -> Result<&Node, PhaseError> {
        self.run.node(&self.state).await
    }

    /// Hold the host's lease, where the run has any; taken again where the connection was lost.
    ///
    /// # Errors
    /// Somebody else works on the host, or it cannot be reached.
    pub async fn lease(&self) -> Result<(), PhaseError> {
        match self.run.options().lease {
            Some(_) => self.run.lease_host(self.node().await?, self.state.leased()).await,
            None => Ok(()),
        }
    }

    /// The host's facts, gathered at the first use in a run.
    ///
    /// # Errors
    /// As [`Self::node`], and facts that make no sense.
    pub async fn facts(&self) -> Result<&Arc<Facts>, PhaseError> {
        self.run.facts(&self.state).await
    }

    /// The address that this host's API server and etcd advertise.
    ///
    /// # Errors
    /// The host cannot be reached, or has no default route.
    pub async fn advertise_address(&self) -> Result<IpAddr, PhaseError> {
        self.run.advertise_address(&self.state).await
    }

    /// Refuse to go on where this host's API server runs another version than the inventory says.
    ///
    /// # Errors
    /// The versions differ, or the host cannot be reached.
    pub async fn check_version(&self) -> Result<(), PhaseError> {
        self.run.check_version(&self.state).await
    }

    /// Whether this host had an API server when the run looked first; see [`Self::check_version`].
    pub fn was_there(&self) -> bool {
        self.state.was_there()
    }

    /// Whether this host is the first control plane.
    pub fn is_first_control_plane(&self) -> bool {
        self.run.control_plane().name() == self.state.host.name
    }

    /// Changes made so far.
    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    /// Tell of a change.
    pub fn changed(&self, what: impl Into<String>) {
        self.report(Change { what: what.into(), detail: None });
    }

    /// Tell of changes the node layer made.
    pub fn report_all(&self, changes: Vec<Change>) -> usize {
        let count = changes.len();
        for change in changes {
            self.report(change);
        }
        count
    }

    fn report(&self, change: Change) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.run.reporter().emit(Event::Changed {
            host: self.state.host.name.clone(),
            phase: self.phase.to_owned(),
            what: change.what,
            detail: change.detail,
            dry_run: self.dry_run(),
        });
    }

    /// Tell of something the operator should know.
    pub fn warn(&self, text: impl Into<String>) {
        self.run.reporter().emit(Event::Warning {
            host: self.state.host.name.clone(),
            phase: self.phase.to_owned(),
            text: text.into(),
        });
    }

    /// Tell of a detail.
    pub fn note(&self, text: impl Into<String>) {
        self.run
            .reporter()
            .emit(Event::Note { host: self.state.host.name.clone(), text: text.into() });
    }

    /// Go on with a phase for as long as the host can be reached and is this run's to work on. A phase that waits for something
    /// by way of a host that is gone would otherwise wait for as long as it may.
    ///
    /// # Errors
    /// The phase's own; the connection was lost and cannot be made again, or somebody else has the host by then.
    pub async fn while_reachable<T>(
        &self,
        phase: impl Future<Output = Result<T, PhaseError>>,
    ) -> Result<T, PhaseError> {
        let link = self.run.link(self.host());
        let lost = async {
            loop {
                sleep(LOOK_AFTER_HOST).await;
                if let Err(error) = link.connection().await {
                    return error.into();
                }
                if let Err(error) = self.lease().await {
                    return error;
                }
            }
        };
        tokio::select! {
            biased;
            ended = phase => ended,
            error = lost => Err(error),
        }
    }

    /// Go on with a phase that builds on the cluster for as long as there is one: it would otherwise wait for an API server that
    /// cannot come, for as long as kubeadm's timeouts say.
    ///
    /// # Errors
    /// The phase's own; the first control plane cannot be reached, and no other one has an API server that answers.
    pub async fn while_cluster_stands<T>(
        &self,
        phase: impl Future<Output = Result<T, PhaseError>>,
    ) -> Result<T, PhaseError> {
        tokio::select! {
            biased;
            ended = phase => ended,
            error = self.run.control_plane().lost(&self.run), if !self.is_first_control_plane() => Err(error),
        }
    }

    /// Put files on the host; how many differed from what was there.
    ///
    /// # Errors
    /// What the host said.
    pub async fn install(&self, batch: &FileBatch) -> Result<usize, PhaseError> {
        let changes = self.node().await?.install(batch).await?;
        Ok(self.report_all(changes.into_iter().filter_map(FileChange::into_change).collect()))
    }

    /// Bring a service into a state.
    ///
    /// # Errors
    /// What the host said.
    pub async fn service(&self, action: ServiceAction, name: &str) -> Result<(), PhaseError> {
        let changes = self.node().await?.service(action, name).await?;
        self.report_all(changes);
        Ok(())
    }
}
