//! etcd on hosts of its own: the hosts as every phase needs them, and the phases that make them members.
//!
//! The first member begins alone and the others join it one by one as learners, also where all are new: so there is one
//! way in for every member, whether it is there from the beginning, comes later or takes a lost one's place, and a host
//! that cannot be reached keeps none of the others waiting.

pub mod certs;
pub mod client_certs;
pub mod kubelet_start;
pub mod members;
pub mod preflight;
mod standing;

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::kubernetes::Dial;
use crate::pki;

use super::control_plane;
use super::run::{HostState, Run};
use super::{Context, PhaseError};

/// The hosts of etcd during a run. Secrets in it live no longer than the run.
pub struct EtcdHosts {
    /// Every host of etcd in the inventory, selected or not.
    hosts: Vec<Arc<HostState>>,
    first: OnceCell<Arc<HostState>>,
    pki: OnceCell<Arc<pki::Outcome>>,
}

impl EtcdHosts {
    pub(super) fn new(hosts: Vec<Arc<HostState>>) -> Self {
        Self { hosts, first: OnceCell::new(), pki: OnceCell::new() }
    }

    /// Inventory name of the first host of etcd, once it is known; before that, of the one that stands first.
    pub fn name(&self) -> &str {
        self.first.get().or(self.hosts.first()).map_or("", |state| &state.host.name)
    }

    /// All of them.
    pub(super) fn hosts(&self) -> &[Arc<HostState>] {
        &self.hosts
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.hosts.len()
    }

    /// The first host of etcd: the one that holds the authority. Where there are several, the hosts say which.
    ///
    /// # Errors
    /// The hosts do not tell which it is; see [`standing`].
    pub(super) async fn first(&self, run: &Run) -> Result<&Arc<HostState>, PhaseError> {
        self.first.get_or_try_init(|| standing::first(&self.hosts, run)).await
    }

    /// Keep the PKI that the certs phase made.
    fn set_pki(&self, outcome: pki::Outcome) {
        // Set twice only when somebody loaded the same files from the host in the meantime.
        let _ = self.pki.set(Arc::new(outcome));
    }

    /// The PKI of the first host: what the certs phase made, or what the host has.
    ///
    /// # Errors
    /// The host has no complete PKI and the certs phase has not run.
    pub async fn pki(&self, run: &Arc<Run>) -> Result<&Arc<pki::Outcome>, PhaseError> {
        let load = || async {
            let first = self.first(run).await?;
            // Whoever asks, it is about the first host of etcd.
            let context = Context::new(run.clone(), first.clone(), "etcd/certs", None);
            let ensured = super::init::certs::ensure(&context, None).await;
            let outcome = ensured.map_err(|error| self.named(error))?;
            if let Some(file) = outcome.created().next() {
                return Err(self.named(PhaseError::State(format!(
                    "/etc/kubernetes/pki/{} is missing; run phase etcd/certs first",
                    file.name
                ))));
            }
            Ok(Arc::new(outcome))
        };
        self.pki.get_or_try_init(load).await
    }

    /// Opens streams through the first host, and the address of its member.
    ///
    /// # Errors
    /// The hosts do not tell which it is.
    pub(super) async fn dial_first(
        &self,
        run: &Run,
    ) -> Result<(Arc<dyn Dial>, String), PhaseError> {
        self.dial(run, self.first(run).await?).await
    }

    /// The same for each host, the first foremost. Nobody is contacted for that.
    ///
    /// # Errors
    /// As [`Self::dial_first`].
    pub(super) async fn dials(
        &self,
        run: &Run,
    ) -> Result<Vec<(Arc<dyn Dial>, String)>, PhaseError> {
        let first = self.first(run).await?;
        let mut dials = vec![self.dial(run, first).await?];
        for state in self.hosts.iter().filter(|state| state.host.name != first.host.name) {
            dials.push(self.dial(run, state).await?);
        }
        Ok(dials)
    }

    async fn dial(
        &self,
        run: &Run,
        state: &HostState,
    ) -> Result<(Arc<dyn Dial>, String), PhaseError> {
        let address = run.advertise_address(state).await.map_err(|error| self.named(error))?;
        Ok((control_plane::through(run.link(&state.host)), address.to_string()))
    }

    /// Other hosts' tasks need the first host of etcd, too: its failures must not read as theirs.
    fn named(&self, error: PhaseError) -> PhaseError {
        PhaseError::EtcdHost { host: self.name().to_owned(), source: Box::new(error) }
    }
}

/// Why an etcd phase has nothing to do on a control plane.
const NO_HOSTS: &str = "etcd runs on the control planes";
