//! A phase as data: its name, whom it concerns, what it waits for, and the function that does it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::inventory::{Host, Role};
use crate::phases::{Context, PhaseError};

/// What a phase came to.
pub use crate::phases::Done;

/// The future a phase function returns.
pub type PhaseFuture = Pin<Box<dyn Future<Output = Result<Done, PhaseError>> + Send>>;

/// A step of a workflow, named as kubeadm names it.
pub struct Phase {
    /// `workflow/phase`, for example `init/kubelet-start`.
    pub name: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// The hosts it runs on.
    pub scope: Scope,
    /// What must be done before.
    pub needs: &'static [Need],
    /// Does it.
    pub run: fn(Arc<Context>) -> PhaseFuture,
}

/// The hosts a phase runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every selected host.
    EveryHost,
    /// The control plane that is set up first and holds the authority.
    FirstControlPlane,
    /// Selected workers.
    Workers,
}

impl Scope {
    /// Whether the phase runs on this host.
    pub fn covers(self, host: &Host) -> bool {
        match self {
            Self::EveryHost => true,
            Self::FirstControlPlane => host.role == Role::ControlPlane,
            Self::Workers => host.role == Role::Worker,
        }
    }
}

/// What a phase waits for. A phase that is not part of the run is not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A phase on the same host.
    Here(&'static str),
    /// A phase on whichever host runs it first of all: the first control plane.
    FirstControlPlane(&'static str),
    /// A phase on every host that runs it; failures elsewhere do not hold this phase back.
    EverywhereEnded(&'static str),
}

impl Need {
    /// The phase waited for.
    pub fn phase(self) -> &'static str {
        match self {
            Self::Here(name) | Self::FirstControlPlane(name) | Self::EverywhereEnded(name) => name,
        }
    }
}

/// Whether `pattern` names this phase: `init/certs`, `certs`, or a parent of either.
pub fn names_phase(pattern: &str, phase: &str) -> bool {
    let bare = phase.split_once('/').map_or(phase, |(_, bare)| bare);
    [phase, bare].into_iter().any(|name| {
        name.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::names_phase;

    #[test]
    fn a_phase_is_named_with_or_without_its_workflow() {
        assert!(names_phase("init/certs", "init/certs"));
        assert!(names_phase("certs", "init/certs"));
        assert!(names_phase("addon", "init/addon/coredns"));
        assert!(!names_phase("cert", "init/certs"));
        assert!(!names_phase("join/certs", "init/certs"));
    }
}
