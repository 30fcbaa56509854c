//! One phase on one host: what the phase may use, and how it tells what it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::inventory::Host;
use crate::node::facts::Facts;
use crate::node::{Change, FileBatch, FileChange, Node, ServiceAction};
use crate::report::Event;

use super::run::{HostState, Run};
use super::{Mode, PhaseError};

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

    /// The host's facts, gathered at the first use in a run.
    ///
    /// # Errors
    /// As [`Self::node`], and facts that make no sense.
    pub async fn facts(&self) -> Result<&Arc<Facts>, PhaseError> {
        self.run.facts(&self.state).await
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
