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
    /// Control planes that join the first.
    JoiningControlPlanes,
    /// Every selected control plane, the first included.
    ControlPlanes,
    /// Workers, and control planes that join the first.
    Joining,
    /// Every selected host that may hold a member of etcd.
    EtcdMembers,
    /// Selected workers.
    Workers,
    /// Every selected host but those of etcd: those that have a Node.
    Nodes,
    /// Every selected host of etcd.
    EtcdHosts,
    /// The host of etcd whose member begins, and which holds etcd's authority.
    FirstEtcdHost,
    /// Hosts of etcd that join the first.
    JoiningEtcdHosts,
    /// What a cluster begins with: every host of etcd, and the first control plane.
    Founding,
}

/// The hosts that others build on, by name.
#[derive(Debug, Clone, Copy)]
pub struct First<'a> {
    /// The first control plane.
    pub control_plane: &'a str,
    /// The first host of etcd, where there is one.
    pub etcd_host: Option<&'a str>,
}

impl<'a> From<&'a str> for First<'a> {
    /// Of a cluster without hosts of etcd.
    fn from(control_plane: &'a str) -> Self {
        Self { control_plane, etcd_host: None }
    }
}

impl Scope {
    /// Whether it makes a difference which control plane is the first.
    pub fn tells_first(self) -> bool {
        matches!(
            self,
            Self::FirstControlPlane | Self::JoiningControlPlanes | Self::Joining | Self::Founding
        )
    }

    /// Whether the phase is of no use without the first control plane, on whichever host it runs.
    pub fn builds_on_first(self) -> bool {
        matches!(self, Self::Joining | Self::JoiningControlPlanes | Self::Workers | Self::Nodes)
    }

    /// Whether the phase runs on this host.
    pub fn covers(self, host: &Host, first: First<'_>) -> bool {
        let is_first = host.name == first.control_plane;
        let is_first_of_etcd = first.etcd_host == Some(&host.name);
        match (self, host.role) {
            (Self::EveryHost, _)
            | (Self::ControlPlanes, Role::ControlPlane)
            | (Self::EtcdMembers, Role::ControlPlane | Role::Etcd)
            | (Self::Workers | Self::Joining, Role::Worker)
            | (Self::Nodes, Role::ControlPlane | Role::Worker)
            | (Self::EtcdHosts | Self::Founding, Role::Etcd) => true,
            (Self::FirstControlPlane | Self::Founding, Role::ControlPlane) => is_first,
            (Self::FirstEtcdHost, Role::Etcd) => is_first_of_etcd,
            (Self::JoiningEtcdHosts, Role::Etcd) => !is_first_of_etcd,
            (Self::JoiningControlPlanes | Self::Joining, Role::ControlPlane) => !is_first,
            _ => false,
        }
    }
}

/// What a phase waits for. A phase that is not part of the run is not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A phase on the same host.
    Here(&'static str),
    /// A phase of the first control plane. Hosts of etcd, which come before it, do not wait for it.
    FirstControlPlane(&'static str),
    /// A phase of the first host of etcd.
    FirstEtcdHost(&'static str),
    /// A phase on every host of etcd that runs it; failures there do not hold this phase back.
    EtcdHostsEnded(&'static str),
    /// A phase on every control plane that runs it, however it ended there: for hosts of etcd, which control planes need
    /// for as long as they are asked anything.
    ControlPlanesEnded(&'static str),
    /// A phase on the control plane before this one, of those that run it: one control plane at a time. Nothing for
    /// other hosts. It may stand behind this one in the table.
    PreviousControlPlane(&'static str),
    /// A phase on every worker that runs it; failures there do not hold this phase back.
    WorkersEnded(&'static str),
}

impl Need {
    /// The phase waited for.
    pub fn phase(self) -> &'static str {
        match self {
            Self::Here(name)
            | Self::FirstControlPlane(name)
            | Self::FirstEtcdHost(name)
            | Self::EtcdHostsEnded(name)
            | Self::ControlPlanesEnded(name)
            | Self::PreviousControlPlane(name)
            | Self::WorkersEnded(name) => name,
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
