//! Which hosts have to reach which ports of which others, and which of that is tried. Tries nothing itself.

use crate::inventory::Role;

pub use crate::fleet::LinkState;

const KUBELET: u16 = 10250;
const ETCD_CLIENT: u16 = 2379;
const ETCD_PEER: u16 = 2380;

/// Up to so many hosts every pair is tried.
pub const ALL_PAIRS: usize = 50;
/// Beyond, so many workers take part unless every host shall.
const WORKERS: usize = 200;

/// Who takes part where not every pair is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// Control planes, etcd hosts, and workers from all over the inventory.
    Sample,
    /// Every host.
    EveryHost,
}

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
pub fn plan(roles: &[Role], api: u16, coverage: Coverage) -> LinkPlan {
    let count = roles.len();
    if count <= ALL_PAIRS {
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        return LinkPlan { links: links(roles, api, pairs), sample: None };
    }
    let of = |workers: bool| -> Vec<usize> {
        (0..count).filter(|index| (roles[*index] == Role::Worker) == workers).collect()
    };
    let (core, all) = (of(false), of(true));
    let taken = match coverage {
        Coverage::Sample => all.len().min(WORKERS),
        Coverage::EveryHost => all.len(),
    };
    // Evenly, so that a rack or a batch that is different is met.
    let workers: Vec<usize> = (0..taken).map(|at| all[at * all.len() / taken]).collect();
    let planes: Vec<usize> =
        core.iter().copied().filter(|index| roles[*index] == Role::ControlPlane).collect();
    let mut pairs = Vec::new();
    for (at, from) in core.iter().enumerate() {
        // Round and round, and never more than all of them.
        let others = core.iter().cycle().skip(at + 1).take(core.len().min(ALL_PAIRS) - 1);
        pairs.extend(others.map(|to| (*from, *to)));
    }
    for (at, worker) in workers.iter().enumerate() {
        if let Some(plane) = planes.get(at % planes.len().max(1)) {
            pairs.extend([(*worker, *plane), (*plane, *worker)]);
        }
        pairs.push((*worker, workers[(at + 1) % workers.len()]));
    }
    let who = match taken == all.len() {
        true => "every worker".to_owned(),
        false => format!("{taken} of {} workers, from all over the inventory,", all.len()),
    };
    let sample = format!(
        "{count} hosts are more than {ALL_PAIRS}: control planes and etcd hosts tried each other; {who} tried a \
         control plane and another worker, and back"
    );
    LinkPlan { links: links(roles, api, pairs), sample: Some(sample) }
}

/// What is needed between these pairs of hosts, by source and target.
fn links(roles: &[Role], api: u16, pairs: impl IntoIterator<Item = (usize, usize)>) -> Vec<Link> {
    let mut links: Vec<Link> = pairs
        .into_iter()
        .filter(|(from, to)| from != to)
        .flat_map(|(from, to)| {
            let ports = needed(roles[from], roles[to], api).into_iter();
            ports.map(move |(port, purpose)| Link { from, to, port, purpose })
        })
        .collect();
    // Stable, so that ports stay in the order of their weight.
    links.sort_by_key(|link| (link.from, link.to));
    links
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
        let LinkPlan { links, sample } = plan(&fleet(1, 2), 6443, Coverage::Sample);
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
        let pairs: BTreeSet<_> = plan(&fleet(3, 47), 6443, Coverage::Sample)
            .links
            .iter()
            .map(|link| (link.from, link.to))
            .collect();
        assert_eq!(pairs.len(), 50 * 49);
    }

    #[test]
    fn members_of_etcd_reach_each_other() {
        let links = plan(&[Role::ControlPlane, Role::ControlPlane], 6443, Coverage::Sample).links;
        let ports = |from| links.iter().filter(move |l| l.from == from).map(|l| l.port);
        assert!(ports(0).eq([6443, 10250, 2379, 2380]));
        let links =
            plan(&[Role::ControlPlane, Role::Etcd, Role::Etcd], 6443, Coverage::Sample).links;
        let ports: Vec<_> = links.iter().map(|link| (link.from, link.to, link.port)).collect();
        assert_eq!(ports, [(0, 1, 2379), (0, 2, 2379), (1, 2, 2380), (2, 1, 2380)]);
    }

    #[test]
    fn a_sample_comes_from_everywhere() {
        let LinkPlan { links, sample } = plan(&fleet(3, 997), 6443, Coverage::Sample);
        assert!(sample.is_some_and(|text| text.contains("200 of 997 workers")));
        let hosts: BTreeSet<_> = links.iter().map(|link| link.to).collect();
        assert_eq!(hosts.len(), 203);
        let hosts: Vec<_> = hosts.into_iter().collect();
        assert!(hosts.windows(2).all(|pair| pair[1] - pair[0] <= 5), "{hosts:?}");
        assert!(links.len() < 1000);
    }

    #[test]
    fn every_host_of_a_large_fleet_can_take_part() {
        let roles = fleet(3, 997);
        let LinkPlan { links, sample } = plan(&roles, 6443, Coverage::EveryHost);
        assert!(sample.is_some_and(|text| text.contains("1000 hosts")));
        let pairs: BTreeSet<_> = links.iter().map(|link| (link.from, link.to)).collect();
        for worker in 3..1000 {
            let tries = pairs.iter().filter(|(from, _)| *from == worker).map(|(_, to)| *to);
            let tried = pairs.iter().filter(|(_, to)| *to == worker).map(|(from, _)| *from);
            for others in [tries.collect::<Vec<_>>(), tried.collect()] {
                assert_eq!(others.len(), 2, "{worker}: {others:?}");
                assert_eq!(others.iter().filter(|other| **other < 3).count(), 1, "{worker}");
            }
        }
        assert!((0..3).all(|from| (0..3).all(|to| from == to || pairs.contains(&(from, to)))));
        // What the API server does first to a new node.
        let kubelets = links.iter().filter(|link| link.from < 3 && link.port == KUBELET);
        assert!(kubelets.count() > 997);
        assert!(links.len() < 4100, "{}", links.len());
    }

    #[test]
    fn odd_large_fleets() {
        assert_eq!(plan(&fleet(0, 60), 6443, Coverage::Sample).links.len(), 60);
        let planes = plan(&fleet(60, 0), 6443, Coverage::Sample).links;
        assert!(planes.iter().all(|link| link.from != link.to));
        assert_eq!(planes.len(), 60 * 49 * 4);
        assert_eq!(plan(&fleet(50, 1), 6443, Coverage::Sample).links.len(), 50 * 49 * 4 + 2 + 1);
        assert!(
            plan(&[Role::Etcd; 51], 6443, Coverage::Sample)
                .links
                .iter()
                .all(|link| link.port == ETCD_PEER)
        );
    }
}
