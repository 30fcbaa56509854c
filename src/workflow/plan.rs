//! Phases expanded over hosts: a graph of tasks, cut into batches of hosts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::fleet::Pace;
use crate::inventory::{Host, Role};

use super::phase::{First, Need, Phase};

/// One phase on one host.
pub struct Task {
    /// The phase.
    pub phase: &'static Phase,
    /// Name of the host.
    pub host: String,
    /// Left out by `--skip-phases`: counts as done without being run.
    pub left_out: bool,
    /// The parts of the phase that are wanted; `None` for all.
    pub parts: Option<Vec<&'static str>>,
    /// Tasks that must have succeeded, by index.
    pub needs: Vec<usize>,
    /// Tasks that must have ended, however, by index.
    pub needs_ended: Vec<usize>,
    /// The batch the host is in, by index.
    pub batch: usize,
}

impl Task {
    /// Tasks that must have ended before this one, by index.
    pub fn waits_for(&self) -> impl Iterator<Item = usize> {
        self.needs.iter().chain(&self.needs_ended).copied()
    }
}

/// The tasks of a run. Nothing waits for itself in a circle, and no task needs one of a later batch.
pub struct Plan {
    /// In the order of the phase table, then of the inventory.
    pub tasks: Vec<Task>,
    /// Names of the hosts that have tasks, batch by batch.
    pub batches: Vec<Vec<String>>,
}

/// Which phases of a workflow are wanted.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only these phases (and what is below them); empty: all.
    pub only: Vec<String>,
    /// All but these.
    pub skip: Vec<String>,
}

/// A name in `--skip-phases` or `phase` that no phase has.
#[derive(Debug, thiserror::Error)]
#[error("there is no phase {name:?}; the phases are {}", known.join(", "))]
pub struct UnknownPhase {
    name: String,
    known: Vec<&'static str>,
}

impl Choice {
    /// Check that every name stands for a phase of the table.
    ///
    /// # Errors
    /// The first name that stands for none.
    pub fn check(&self, phases: &[&'static Phase]) -> Result<(), UnknownPhase> {
        for name in self.only.iter().chain(&self.skip) {
            if !phases.iter().any(|phase| phase.is_named_by(name)) {
                let mut known: Vec<_> = phases.iter().map(|phase| phase.name).collect();
                known.dedup();
                return Err(UnknownPhase { name: name.clone(), known });
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Expand the phases over the hosts, of which others build on those in `first`. Phases must stand behind those they
    /// need.
    pub fn new<'a>(
        phases: &[&'static Phase],
        hosts: &[Arc<Host>],
        first: impl Into<First<'a>>,
        choice: &Choice,
        pace: &Pace,
    ) -> Self {
        let mut tasks = expand(phases, hosts, first.into(), choice);
        let batches = batches(&tasks, hosts, pace);
        let in_batch: HashMap<&str, usize> = (0..)
            .zip(&batches)
            .flat_map(|(batch, hosts)| hosts.iter().map(move |host| (host.as_str(), batch)))
            .collect();
        for task in &mut tasks {
            task.batch = in_batch.get(task.host.as_str()).copied().unwrap_or(0);
        }
        Self { tasks, batches }
    }
}

/// The hosts that have tasks, cut into batches. Whatever a host waits for on another is in its own batch or an
/// earlier one: otherwise the batches would wait for each other for ever.
fn batches(tasks: &[Task], hosts: &[Arc<Host>], pace: &Pace) -> Vec<Vec<String>> {
    let mut waits: HashMap<&str, HashSet<&str>> = HashMap::new();
    for task in tasks {
        let others = task.waits_for().map(|index| tasks[index].host.as_str());
        waits.entry(&task.host).or_default().extend(others.filter(|host| *host != task.host));
    }
    let mut left: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    left.retain(|host| waits.contains_key(host));
    let (mut order, mut placed) = (Vec::new(), HashSet::new());
    loop {
        let before = order.len();
        left.retain(|host| {
            let free = waits[host].is_subset(&placed);
            if free {
                placed.insert(*host);
                order.push((*host).to_owned());
            }
            !free
        });
        if order.len() == before {
            break;
        }
    }
    let ranges = pace.batches(order.len());
    let mut batches: Vec<Vec<String>> =
        ranges.into_iter().map(|range| order[range].to_vec()).collect();
    // Hosts that wait for each other in a circle can only go together.
    if !left.is_empty() {
        batches.push(left.into_iter().map(str::to_owned).collect());
    }
    batches
}

fn expand(
    phases: &[&'static Phase],
    hosts: &[Arc<Host>],
    first: First<'_>,
    choice: &Choice,
) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut index: HashMap<(&'static str, &str), usize> = HashMap::new();
    let mut by_phase: HashMap<&'static str, Vec<usize>> = HashMap::new();
    let workers: HashSet<&str> = hosts
        .iter()
        .filter(|host| host.role == Role::Worker)
        .map(|host| host.name.as_str())
        .collect();
    let mut in_turn: Vec<(usize, &'static str)> = Vec::new();
    let wanted = |phase: &Phase| {
        choice.only.is_empty() || choice.only.iter().any(|name| phase.is_named_by(name))
    };
    for phase in phases.iter().filter(|phase| wanted(phase)) {
        let parts = phase.parts_wanted(&choice.only, &choice.skip);
        let skipped =
            |name: &String| phase.is_named_by(name) && phase.part_named_by(name).is_none();
        let left_out = choice.skip.iter().any(skipped) || parts.as_ref().is_some_and(Vec::is_empty);
        for host in hosts.iter().filter(|host| phase.scope.covers(host, first)) {
            let mut needs = Vec::new();
            let mut needs_ended = Vec::new();
            for need in phase.needs {
                match need {
                    Need::Here(name) => {
                        needs.extend(index.get(&(*name, host.name.as_str())).copied());
                    }
                    Need::FirstControlPlane(_) if host.role == Role::Etcd => {}
                    // One host runs such a phase.
                    Need::FirstControlPlane(name) | Need::FirstEtcdHost(name) => {
                        needs.extend(by_phase.get(name).and_then(|tasks| tasks.first()).copied());
                    }
                    Need::EtcdHostsEnded(name) => {
                        needs_ended.extend(by_phase.get(name).into_iter().flatten().copied());
                    }
                    Need::ControlPlanesEnded(name) => {
                        let role = |task: usize| {
                            hosts.iter().find(|it| it.name == tasks[task].host).map(|it| it.role)
                        };
                        let of_control_planes = by_phase
                            .get(name)
                            .filter(|_| host.role == Role::Etcd)
                            .into_iter()
                            .flatten()
                            .filter(|task| role(**task) == Some(Role::ControlPlane));
                        needs_ended.extend(of_control_planes.copied());
                    }
                    Need::PreviousControlPlane(name) => {
                        if host.role == Role::ControlPlane {
                            in_turn.push((tasks.len(), *name));
                        }
                    }
                    Need::WorkersEnded(name) => {
                        let is_worker =
                            |task: &usize| workers.contains(&tasks[*task].host.as_str());
                        let ended = by_phase.get(name).into_iter().flatten().copied();
                        needs_ended.extend(ended.filter(is_worker));
                    }
                }
            }
            let task = tasks.len();
            let (host_name, parts) = (host.name.clone(), parts.clone());
            tasks.push(Task {
                phase,
                host: host_name,
                left_out,
                parts,
                needs,
                needs_ended,
                batch: 0,
            });
            index.insert((phase.name, host.name.as_str()), task);
            by_phase.entry(phase.name).or_default().push(task);
        }
    }
    for (task, name) in in_turn {
        let is_before = |other: &&usize| {
            let place = |name: &str| hosts.iter().position(|host| host.name == name);
            place(&tasks[**other].host) < place(&tasks[task].host)
        };
        let previous = by_phase.get(name).into_iter().flatten().rfind(is_before).copied();
        tasks[task].needs.extend(previous);
    }
    tasks
}
