//! Roles, by the names that inventories for kubeadm and kubespray give their groups.

use std::collections::BTreeSet;

use super::ansible::{GroupId, Inventory};
use crate::inventory::Role;

/// Names of groups whose hosts run the control plane, with `_` for `-`.
const CONTROL_PLANE: [&str; 17] = [
    "control_plane",
    "control_planes",
    "controlplane",
    "controlplanes",
    "control_plane_nodes",
    "k8s_control_plane",
    "k8s_master",
    "k8s_masters",
    "kube_control_plane",
    "kube_control_planes",
    "kube_master",
    "kube_masters",
    "kubernetes_control_plane",
    "kubernetes_master",
    "kubernetes_masters",
    "master",
    "masters",
];

/// Names of groups whose hosts run etcd.
const ETCD: [&str; 3] = ["etcd", "etcds", "etcd_nodes"];

/// Names of groups whose hosts run what users run.
const WORKER: [&str; 16] = [
    "agents",
    "k8s_node",
    "k8s_nodes",
    "k8s_worker",
    "k8s_workers",
    "kube_node",
    "kube_nodes",
    "kube_worker",
    "kube_workers",
    "kubernetes_node",
    "kubernetes_nodes",
    "node",
    "nodes",
    "worker",
    "worker_nodes",
    "workers",
];

/// What a group's name says about its hosts.
fn of_group(name: &str) -> Option<Role> {
    let name = name.to_lowercase().replace(['-', '.'], "_");
    let says = |names: &[&str]| names.contains(&name.as_str());
    if says(&CONTROL_PLANE) {
        Some(Role::ControlPlane)
    } else if says(&ETCD) {
        Some(Role::Etcd)
    } else if says(&WORKER) {
        Some(Role::Worker)
    } else {
        None
    }
}

/// What a host's groups say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Roles {
    /// The one role it gets, if any group gives one.
    pub(super) role: Option<Role>,
    /// Whether it loses another one.
    pub(super) several: bool,
}

/// The role of a host of these groups: control planes first, then etcd.
pub(super) fn of_host(inventory: &Inventory, groups: &[GroupId]) -> Roles {
    let words: BTreeSet<&str> = groups
        .iter()
        .filter_map(|group| of_group(&inventory.groups[*group].name))
        .map(Role::as_str)
        .collect();
    let ranked = [Role::ControlPlane, Role::Etcd, Role::Worker];
    let role = ranked.into_iter().find(|role| words.contains(role.as_str()));
    Roles { role, several: words.len() > 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_say_roles() {
        for (name, role) in [
            ("kube_control_plane", Some(Role::ControlPlane)),
            ("kube-master", Some(Role::ControlPlane)),
            ("Masters", Some(Role::ControlPlane)),
            ("etcd", Some(Role::Etcd)),
            ("kube-node", Some(Role::Worker)),
            ("k8s.workers", Some(Role::Worker)),
            ("k8s_cluster", None),
            ("etcd_backup", None),
            ("node_exporter", None),
        ] {
            assert_eq!(of_group(name), role, "{name}");
        }
    }

    #[test]
    fn tables_are_searched_as_they_are_written() {
        for name in CONTROL_PLANE.iter().chain(&ETCD).chain(&WORKER) {
            assert!(of_group(name).is_some(), "{name}");
        }
    }
}
