//! Which hosts have to reach which ports of which others, and which of that is tried. Tries nothing itself.

use crate::inventory::Role;

pub use crate::fleet::LinkState;

const KUBELET: u16 = 10250;
const ETCD_CLIENT: u16 = 2379;
const ETCD_PEER: u16 = 2380;

/// Up to so many hosts every pair is tried.
pub const ALL_PAIRS: usize = 50;
/// Beyond, so many others of each role are tried from each host.
const SAMPLE: usize = 3;

/// A port of one host that another has to reach. Hosts are indices into the list they were planned for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// From this host.
    pub from: usize,
    /// To this one.
    pub to: usize,
    /// To this TCP port of its advertise address.
    pub port: u16,
    /// Who talks there.
    pub purpose: &'static str,
}

/// The links to be tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkPlan {
    /// By source and target.
    pub links: Vec<Link>,
    /// How they were chosen, where not every pair is tried.
    pub sample: Option<String>,
}

/// What is tried between hosts of these roles. `api` is the port of the API server.
///
/// The ports are kubeadm's: every host talks to the API servers, these to every kubelet and to etcd, members of etcd
/// to each other, and whoever collects metrics, from anywhere, to every kubelet.
pub fn plan(roles: &[Role], api: u16) -> LinkPlan {
    let all = roles.len() <= ALL_PAIRS;
    let mut links = Vec::new();
    for from in 0..roles.len() {
        let mut add = |to: usize| {
            for (port, purpose) in needed(roles[from], roles[to], api) {
                links.push(Link { from, to, port, purpose });
            }
        };
        if all {
            (0..roles.len()).filter(|to| *to != from).for_each(&mut add);
        } else {
            for role in [Role::ControlPlane, Role::Worker, Role::Etcd] {
                following(roles, from, role).take(SAMPLE).for_each(&mut add);
            }
        }
    }
    let sample = (!all).then(|| {
        format!(
            "{} hosts are more than {ALL_PAIRS}: each tried the next {SAMPLE} of every role, in \
             the inventory's order",
            roles.len()
        )
    });
    LinkPlan { links, sample }
}

/// The hosts of a role that come after `from`, round and round, without itself.
fn following(roles: &[Role], from: usize, role: Role) -> impl Iterator<Item = usize> + '_ {
    let count = roles.len();
    (1..count).map(move |step| (from + step) % count).filter(move |to| roles[*to] == role)
}

fn needed(from: Role, to: Role, api: u16) -> Vec<(u16, &'static str)> {
    use Role::{ControlPlane, Etcd, Worker};
    let mut ports = Vec::new();
    if to == ControlPlane && from != Etcd {
        ports.push((api, "API server"));
    }
    if to != Etcd && from == ControlPlane {
        ports.push((KUBELET, "kubelet, from the API server"));
    }
    if to != Etcd && from == Worker {
        ports.push((KUBELET, "kubelet, from whoever collects metrics"));
    }
    match (from, to) {
        (ControlPlane, ControlPlane) => {
            ports
                .extend([(ETCD_CLIENT, "etcd, from members that join"), (ETCD_PEER, "etcd peers")]);
        }
        (ControlPlane, Etcd) => ports.push((ETCD_CLIENT, "etcd, from the API server")),
        (Etcd, Etcd) => ports.push((ETCD_PEER, "etcd peers")),
        _ => {}
    }
    ports
}

/// The ports that others reach on a host of this role.
pub fn ports_of(role: Role, api: u16, stacked_etcd: bool) -> Vec<u16> {
    match role {
        Role::ControlPlane if stacked_etcd => vec![api, KUBELET, ETCD_CLIENT, ETCD_PEER],
        Role::ControlPlane => vec![api, KUBELET],
        Role::Worker => vec![KUBELET],
        Role::Etcd => vec![ETCD_CLIENT, ETCD_PEER],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn fleet(control_planes: usize, workers: usize) -> Vec<Role> {
        let mut roles = vec![Role::ControlPlane; control_planes];
        roles.extend(vec![Role::Worker; workers]);
        roles
    }

    #[test]
    fn a_small_fleet_is_tried_in_full() {
        let LinkPlan { links, sample } = plan(&fleet(1, 2), 6443);
        assert_eq!(sample, None);
        let ports: Vec<_> = links.iter().map(|link| (link.from, link.to, link.port)).collect();
        assert_eq!(
            ports,
            [
                (0, 1, 10250),
                (0, 2, 10250),
                (1, 0, 6443),
                (1, 0, 10250),
                (1, 2, 10250),
                (2, 0, 6443),
                (2, 0, 10250),
                (2, 1, 10250)
            ]
        );
        let pairs: BTreeSet<_> =
            plan(&fleet(3, 47), 6443).links.iter().map(|link| (link.from, link.to)).collect();
        assert_eq!(pairs.len(), 50 * 49);
    }

    #[test]
    fn members_of_etcd_reach_each_other() {
        let links = plan(&[Role::ControlPlane, Role::ControlPlane], 6443).links;
        let ports = |from| links.iter().filter(move |l| l.from == from).map(|l| l.port);
        assert!(ports(0).eq([6443, 10250, 2379, 2380]));
        let links = plan(&[Role::ControlPlane, Role::Etcd, Role::Etcd], 6443).links;
        let ports: Vec<_> = links.iter().map(|link| (link.from, link.to, link.port)).collect();
        assert_eq!(ports, [(0, 1, 2379), (0, 2, 2379), (1, 2, 2380), (2, 1, 2380)]);
    }

    #[test]
    fn a_large_fleet_is_sampled_evenly() {
        let roles = fleet(3, 997);
        let LinkPlan { links, sample } = plan(&roles, 6443);
        assert!(sample.is_some_and(|text| text.contains("1000 hosts")));
        for (index, role) in roles.iter().enumerate() {
            let targets: BTreeSet<_> =
                links.iter().filter(|link| link.from == index).map(|link| link.to).collect();
            // The other control planes, or all three of them, and three workers.
            assert_eq!(targets.len(), if *role == Role::ControlPlane { 5 } else { 6 });
            assert!(links.iter().any(|link| link.to == index), "nobody tries {index}");
        }
        assert!(links.len() < 10_000, "{}", links.len());
    }
}
