//! Preflight over a whole fleet: the facts of every host at once, what hosts find when they try each other, and every
//! check. The result is data; nothing on a host is changed.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::fleet::{Dial, Place, Step, StepError, try_links};
use crate::inventory::{ClusterSection, Host, Role};
use crate::node::facts::Facts;
use crate::phases::{PhaseError, Run};
use crate::preflight::fleet::{FleetHost, evaluate};
use crate::preflight::links::{self, Coverage, Link, LinkPlan, LinkState};
use crate::preflight::{CheckResult, Workflow, ignore};
use crate::report::Severity;

/// More names than this are not asked for: each costs the host a process.
const NAMES: usize = 20;

/// What was found.
pub struct Survey {
    /// By host, in the order of the run.
    pub hosts: Vec<SurveyedHost>,
    /// The connections between hosts that were tried; indices are those of `hosts`.
    pub links: Vec<(Link, LinkState)>,
    /// How links were chosen, where not every pair was tried.
    pub sample: Option<String>,
}

/// What was found on one host.
pub struct SurveyedHost {
    /// The host.
    pub host: Arc<Host>,
    /// Whether it could be looked at.
    pub state: State,
}

/// Whether a host could be looked at.
pub enum State {
    /// It could.
    Checked(Box<Checked>),
    /// It could not be reached.
    Unreachable(String),
    /// It did not say what was asked, or not sensibly.
    Failed(String),
    /// The run ended before it began there.
    NotStarted,
}

impl State {
    fn of(error: &PhaseError) -> Self {
        match error.unreachable() {
            true => Self::Unreachable(error.to_string()),
            false => Self::Failed(error.to_string()),
        }
    }
}

/// A host that was looked at.
pub struct Checked {
    /// What it said.
    pub facts: Arc<Facts>,
    /// kubeadm's checks.
    pub kubeadm: Vec<CheckResult>,
    /// The fleet's.
    pub fleet: Vec<CheckResult>,
}

impl Checked {
    /// None of kubeadm's checks found an error.
    pub fn passed_kubeadm(&self) -> bool {
        self.kubeadm.iter().all(|result| result.severity < Severity::Error)
    }
}

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// For this workflow on every host; `None` for what apply would do with each.
    pub workflow: Option<Workflow>,
    /// Which hosts try each other's ports; `None` for none.
    pub links: Option<Coverage>,
}

impl Scope {
    /// What would happen on this host. `first` is the control plane that others join.
    fn workflow_of(self, host: &Host, first: Option<&str>) -> Workflow {
        self.workflow.unwrap_or(match host.role {
            Role::ControlPlane if first == Some(&host.name) => Workflow::Init,
            Role::ControlPlane => Workflow::JoinControlPlane,
            Role::Worker => Workflow::JoinWorker,
            Role::Etcd => Workflow::EtcdMember,
        })
    }

    /// What hosts try on each other.
    fn plan(self, run: &Run, hosts: &[Arc<Host>]) -> LinkPlan {
        let Some(coverage) = self.links.filter(|_| self.covers_fleet()) else {
            return LinkPlan::default();
        };
        let roles: Vec<Role> = hosts.iter().map(|host| host.role).collect();
        links::plan(&roles, run.cluster().section.api_server.bind_port, coverage)
    }

    /// A host that leaves needs no fleet around it.
    fn covers_fleet(self) -> bool {
        self.workflow != Some(Workflow::Reset)
    }
}

impl StepError for PhaseError {
    fn is_unreachable(&self) -> bool {
        self.unreachable()
    }
}

/// Look at `hosts`, which are those of the run, and make every check. `step` says how fast, and is told how it goes.
pub async fn survey(run: &Arc<Run>, hosts: &[Arc<Host>], step: &Step, scope: Scope) -> Survey {
    let first = run.inventory().hosts.iter().find(|host| host.role == Role::ControlPlane);
    let first = first.map(|host| host.name.as_str());
    let plan = scope.plan(run, hosts);
    let ends = plan.links.iter().flat_map(|link| [link.from, link.to]);
    let needed_again: HashSet<usize> = ends.collect();
    let found = step.run(hosts, |task| {
        let (run, phase) = (run.clone(), step.name);
        let workflow = scope.workflow_of(&task.host, first);
        let needed_again = needed_again.contains(&task.place);
        async move {
            let result = look(&run, &task.host.name, phase, workflow).await;
            // A large fleet need not be held open for nothing.
            if !needed_again {
                run.fleet().disconnect(&task.host).await;
            }
            result
        }
    });
    let state = |found| match found {
        Some(Ok(checked)) => State::Checked(Box::new(checked)),
        Some(Err(error)) => State::of(&error),
        None => State::NotStarted,
    };
    let found = hosts.iter().zip(found.await);
    let hosts = found.map(|(host, found)| SurveyedHost { host: host.clone(), state: state(found) });
    let mut survey = Survey { hosts: hosts.collect(), links: Vec::new(), sample: None };
    if scope.covers_fleet() {
        survey.try_links(run, step, plan).await;
        survey.check_fleet(run);
    }
    survey.ignore(&run.options().ignore);
    survey
}

async fn look(
    run: &Arc<Run>,
    host: &str,
    phase: &'static str,
    workflow: Workflow,
) -> Result<Checked, PhaseError> {
    let context = run
        .context(host, phase, None)
        .ok_or_else(|| PhaseError::State(format!("{host} is not part of this run")))?;
    let kubeadm = super::examine(&context, workflow).await?;
    Ok(Checked { facts: context.facts().await?.clone(), kubeadm, fleet: Vec::new() })
}

impl Survey {
    /// The hosts that could be looked at, with their place in the list.
    fn checked(&self) -> impl Iterator<Item = (usize, &Host, &Checked)> {
        self.hosts.iter().enumerate().filter_map(|(index, surveyed)| match &surveyed.state {
            State::Checked(checked) => Some((index, &*surveyed.host, &**checked)),
            _ => None,
        })
    }

    /// Where each host is among those that could be looked at.
    fn positions(&self) -> Vec<Option<usize>> {
        let mut positions = vec![None; self.hosts.len()];
        for (position, (index, ..)) in self.checked().enumerate() {
            positions[index] = Some(position);
        }
        positions
    }

    async fn try_links(&mut self, run: &Run, step: &Step, plan: LinkPlan) {
        let position = self.positions();
        let places: Vec<Place<'_>> =
            self.checked().map(|(_, host, checked)| place(host, &checked.facts)).collect();
        let dial = |link: &Link| {
            Some(Dial { from: position[link.from]?, to: position[link.to]?, port: link.port })
        };
        // Who did not answer has been told about already.
        let answered = plan.links.into_iter().filter_map(|link| {
            let dial = dial(&link)?;
            Some((link, dial))
        });
        let (links, dials): (Vec<Link>, Vec<Dial>) = answered.unzip();
        let (parallel, cancel) = (step.pace.parallel, &step.cancel);
        let states = try_links(run.fleet(), &places, &dials, parallel, cancel).await;
        // An interrupted run claims nothing about what it has not come to.
        let untried =
            |state: &LinkState| cancel.is_cancelled() && matches!(state, LinkState::Untested(_));
        let found = links.into_iter().zip(states).filter(|(_, state)| !untried(state));
        self.links = found.collect();
        self.sample = plan.sample;
    }

    fn check_fleet(&mut self, run: &Run) {
        let everyone: Vec<Role> = run.inventory().hosts.iter().map(|host| host.role).collect();
        let position = self.positions();
        let hosts = self.checked().map(|(_, host, checked)| FleetHost {
            name: &host.name,
            address: &host.address,
            role: host.role,
            advertise: host.advertise_address,
            already: super::membership(host.role, &checked.facts),
            facts: &checked.facts,
        });
        let hosts: Vec<FleetHost<'_>> = hosts.collect();
        let links = self.links.iter().filter_map(|(link, state)| {
            let (from, to) = (position[link.from]?, position[link.to]?);
            Some((Link { from, to, ..link.clone() }, state.clone()))
        });
        let links: Vec<(Link, LinkState)> = links.collect();
        let mut results =
            evaluate(Some(&run.cluster().section), &everyone, &hosts, &links).into_iter();
        for surveyed in &mut self.hosts {
            if let State::Checked(checked) = &mut surveyed.state {
                checked.fleet = results.next().unwrap_or_default();
            }
        }
    }

    fn ignore(&mut self, names: &[String]) {
        for surveyed in &mut self.hosts {
            if let State::Checked(checked) = &mut surveyed.state {
                ignore(&mut checked.kubeadm, names);
                ignore(&mut checked.fleet, names);
            }
        }
    }
}

/// Where others reach a host, and how large its packets are.
fn place<'a>(host: &'a Host, facts: &Facts) -> Place<'a> {
    let address = facts.address_or(host.advertise_address);
    let interface = address.and_then(|address| facts.interface_with(address));
    let mtu = interface.map_or(1500, |interface| interface.mtu);
    Place { host, address, mtu }
}

/// The names that a host is asked for in any case: kubeadm looks the node's up, which need not be the host's own, and the
/// node goes by the endpoint's.
pub(in crate::phases) fn own_names(cluster: &ClusterSection, own: &str) -> Vec<String> {
    names(cluster, &[], own)
}

/// The names a host is asked for: the endpoint's, its own, and those of the first others of the inventory.
pub(in crate::phases) fn names(
    cluster: &ClusterSection,
    all: &[Arc<Host>],
    own: &str,
) -> Vec<String> {
    let endpoint = cluster.control_plane_endpoint.iter().map(|endpoint| endpoint.host.as_str());
    let others = all.iter().map(|host| host.name.as_str()).filter(|name| *name != own);
    let names = endpoint.chain([own]).chain(others.take(NAMES));
    names.filter(|name| name.parse::<IpAddr>().is_err()).map(str::to_owned).collect()
}
