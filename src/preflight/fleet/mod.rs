//! Checks that only somebody who sees every host can make, and those of a host that kubeadm lacks. Pure functions over
//! facts, linear in the number of hosts; never does I/O.
//!
//! What a host does not tell is never held against it: a check is left out where the fact it needs is missing, and no
//! claim is made. Hosts that have the same trouble are told so in the same words, so that a report can fold them.
//!
//! | module | what it looks at |
//! |---|---|
//! | `identity` | what must differ from host to host, and does not where a machine was cloned |
//! | `addresses` | the address the cluster uses |
//! | `clock` | clocks, and what keeps them right |
//! | `names` | what names resolve to |
//! | `resolver` | which name servers pods inherit |
//! | `reachability` | whether hosts reach each other's ports, with packets of any size |
//! | `networks` | pod and service networks against what the hosts reach already |
//! | `uniformity` | what is better the same everywhere |
//! | `quorum` | how many members etcd has |
//! | `disks` | how fast, how full, and how they are mounted |
//! | `security` | SELinux and AppArmor |
//! | `firewall` | what filters incoming packets |
//! | `leftovers` | what an earlier cluster left |
//! | `services` | what has to start at boot |
//! | `limits` | limits of the kernel |
//! | `groups` | which hosts have something in common |
//! | `words` | numbers for people |

mod addresses;
mod clock;
mod disks;
mod firewall;
mod groups;
mod identity;
mod leftovers;
mod limits;
mod names;
mod networks;
mod quorum;
mod reachability;
mod resolver;
mod security;
mod services;
mod uniformity;
mod words;

use std::net::IpAddr;

pub(super) use clock::TIME_SERVICES;
pub(super) use limits::LIMITS;
pub use quorum::even_members;
pub(super) use services::not_at_boot;

use super::kubeadm::Membership;
use super::links::{Link, LinkState};
use super::result::{CheckResult, Findings};
use crate::inventory::{ClusterSection, Role, fold_hosts};
use crate::node::facts::{Facts, Interface};

/// The API server's port, where the inventory has no cluster that says otherwise.
const API_PORT: u16 = 6443;

/// One host of the fleet.
#[derive(Debug, Clone, Copy)]
pub struct FleetHost<'a> {
    /// Inventory name, and name of the node.
    pub name: &'a str,
    /// Where SSH connects: an address or a name.
    pub address: &'a str,
    /// What it is for.
    pub role: Role,
    /// The address the cluster uses, where the inventory gives one.
    pub advertise: Option<IpAddr>,
    /// What it is already.
    pub already: Membership,
    /// What it said.
    pub facts: &'a Facts,
}

impl FleetHost<'_> {
    /// The address the cluster uses; `None` when the host has no default route and the inventory says nothing.
    pub fn advertised(&self) -> Option<IpAddr> {
        self.facts.address_or(self.advertise)
    }

    /// The interface that has the address the cluster uses.
    fn cluster_interface(&self) -> Option<&Interface> {
        self.facts.interface_with(self.advertised()?)
    }

    /// It runs a kubelet, or will.
    fn is_node(&self) -> bool {
        self.role != Role::Etcd
    }

    fn is_member(&self) -> bool {
        self.already != Membership::None
    }

    /// It shares the kernel with others, so much is not its own: the clock, the mainboard, security modules. The names
    /// are those of systemd-detect-virt.
    fn is_container(&self) -> bool {
        const CONTAINERS: &[&str] = &[
            "container-other",
            "docker",
            "lxc",
            "lxc-libvirt",
            "openvz",
            "podman",
            "pouch",
            "proot",
            "rkt",
            "systemd-nspawn",
            "wsl",
        ];
        CONTAINERS.contains(&self.facts.virtualization.as_str())
    }
}

/// Makes every fleet check. The results are in the order of `hosts`; each host has every check that concerns it.
///
/// `everyone` has the roles of all hosts of the inventory, also of those that are not selected or did not answer: how
/// many members a cluster will have does not depend on who answers today. `links` are the connections that were tried,
/// by index into `hosts`. Without a cluster in the inventory, checks that need one are left out.
pub fn evaluate(
    cluster: Option<&ClusterSection>,
    everyone: &[Role],
    hosts: &[FleetHost<'_>],
    links: &[(Link, LinkState)],
) -> Vec<Vec<CheckResult>> {
    let mut links_to = vec![Vec::new(); hosts.len()];
    for link in links {
        links_to[link.0.to].push(link);
    }
    let results = hosts.iter().map(|_| Vec::new()).collect();
    let mut checks = Checks { cluster, everyone, hosts, links, links_to, results };
    checks.identity();
    checks.addresses();
    checks.clocks();
    checks.names();
    checks.resolvers();
    checks.reachability();
    checks.networks();
    checks.uniformity();
    checks.quorum();
    checks.disks();
    checks.security();
    checks.firewalls();
    checks.leftovers();
    checks.services();
    checks.limits();
    checks.results
}

/// The fleet, and what was found so far.
struct Checks<'a> {
    cluster: Option<&'a ClusterSection>,
    everyone: &'a [Role],
    hosts: &'a [FleetHost<'a>],
    links: &'a [(Link, LinkState)],
    /// The links to each host.
    links_to: Vec<Vec<&'a (Link, LinkState)>>,
    results: Vec<Vec<CheckResult>>,
}

impl<'a> Checks<'a> {
    /// One check's findings, host by host; `None` where it does not concern the host.
    fn push(&mut self, name: &'static str, findings: impl IntoIterator<Item = Option<Findings>>) {
        for (results, findings) in self.results.iter_mut().zip(findings) {
            results.extend(findings.map(|findings| CheckResult::new(name, findings)));
        }
    }

    /// A check that looks at one host at a time.
    fn each(
        &mut self,
        name: &'static str,
        check: impl FnMut(&'a FleetHost<'a>) -> Option<Findings>,
    ) {
        self.push(name, self.hosts.iter().map(check));
    }

    /// Whether etcd runs on the control planes.
    fn stacked_etcd(&self) -> bool {
        !self.everyone.contains(&Role::Etcd)
    }

    /// Names of hosts, folded; of many that do not fold, the first few and how many more there are.
    fn named(&self, hosts: &[usize]) -> String {
        const LONGEST: usize = 200;
        const FEW: usize = 10;
        let names: Vec<&str> = hosts.iter().map(|host| self.hosts[*host].name).collect();
        let folded = fold_hosts(&names);
        if names.len() <= FEW || folded.len() <= LONGEST {
            return folded;
        }
        format!("{} and {} more", fold_hosts(&names[..FEW]), names.len() - FEW)
    }
}

/// Whether a host with this role is a member of etcd.
fn runs_etcd(role: Role, stacked: bool) -> bool {
    role == if stacked { Role::ControlPlane } else { Role::Etcd }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
