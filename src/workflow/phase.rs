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
    /// kubeadm's subphases of it, which can be chosen one by one; empty where there are none.
    pub parts: &'static [&'static str],
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
    /// A phase on the same host, however it ended.
    HereEnded(&'static str),
    /// A phase on whichever host runs it first of all: the first control plane.
    FirstControlPlane(&'static str),
    /// A phase on every host that runs it; failures elsewhere do not hold this phase back.
    EverywhereEnded(&'static str),
}

impl Need {
    /// The phase waited for.
    pub fn phase(self) -> &'static str {
        match self {
            Self::Here(name)
            | Self::HereEnded(name)
            | Self::FirstControlPlane(name)
            | Self::EverywhereEnded(name) => name,
        }
    }
}

impl Phase {
    /// Whether `pattern` names this phase, a parent of it, or one of its parts.
    pub fn is_named_by(&self, pattern: &str) -> bool {
        names_phase(pattern, self.name) || self.part_named_by(pattern).is_some()
    }

    /// The part that `pattern` names: `certs/ca`.
    pub fn part_named_by(&self, pattern: &str) -> Option<&'static str> {
        let (phase, part) = pattern.rsplit_once('/')?;
        let bare = self.name.split_once('/').map_or(self.name, |(_, bare)| bare);
        let named = phase == self.name || phase == bare;
        self.parts.iter().find(|known| named && **known == part).copied()
    }

    /// The parts that are wanted: `None` for the whole phase.
    pub fn parts_wanted(&self, only: &[String], skip: &[String]) -> Option<Vec<&'static str>> {
        let whole = only.is_empty() || only.iter().any(|name| names_phase(name, self.name));
        let chosen =
            |part: &str| whole || only.iter().any(|name| self.part_named_by(name) == Some(part));
        let skipped = |part: &str| skip.iter().any(|name| self.part_named_by(name) == Some(part));
        let wanted: Vec<&'static str> =
            self.parts.iter().filter(|part| chosen(part) && !skipped(part)).copied().collect();
        (wanted.len() < self.parts.len()).then_some(wanted)
    }
}

/// Whether `pattern` names this phase: `init/certs`, `certs`, or a parent of either.
fn names_phase(pattern: &str, phase: &str) -> bool {
    let bare = phase.split_once('/').map_or(phase, |(_, bare)| bare);
    [phase, bare].into_iter().any(|name| {
        name.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::names_phase;
    use crate::workflow::APPLY;

    #[test]
    fn parts_are_chosen_and_skipped_one_by_one() {
        let certs = APPLY.iter().find(|phase| phase.name == "init/certs").unwrap();
        let parts = |only: &[&str], skip: &[&str]| {
            let owned =
                |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
            certs.parts_wanted(&owned(only), &owned(skip))
        };
        assert_eq!(parts(&[], &[]), None);
        assert_eq!(parts(&["certs"], &[]), None);
        assert_eq!(parts(&["certs/ca", "init/certs/sa"], &[]).unwrap(), ["ca", "sa"]);
        assert_eq!(parts(&[], &["certs/sa"]).unwrap().len(), certs.parts.len() - 1);
        assert!(certs.is_named_by("certs/ca") && !certs.is_named_by("certs/cab"));
    }

    #[test]
    fn a_phase_is_named_with_or_without_its_workflow() {
        assert!(names_phase("init/certs", "init/certs"));
        assert!(names_phase("certs", "init/certs"));
        assert!(names_phase("addon", "init/addon/coredns"));
        assert!(!names_phase("cert", "init/certs"));
        assert!(!names_phase("join/certs", "init/certs"));
    }
}
