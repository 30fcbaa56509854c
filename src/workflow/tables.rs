//! The workflows: which phases, on which hosts, and what each waits for.
//!
//! Phases of the same host run at the same time unless one needs the other: where kubeadm goes through its
//! list one by one, only real dependencies are kept here. A phase stands behind those it needs.

use super::phase::{Need, Phase, Scope};
use crate::phases::{cluster, etcd_hosts, init, join, load_balancer, prepare, reset};

use Need::{
    ControlPlanesEnded, EtcdHostsEnded, FirstControlPlane, FirstEtcdHost, Here,
    PreviousControlPlane, WorkersEnded,
};

macro_rules! phases {
    ($($constant:ident = $name:literal, $summary:literal, $scope:ident, [$($need:expr),*],
        $run:path $(, parts [$($part:literal),*])?;)*) => {
        $(static $constant: Phase = Phase {
            name: $name,
            summary: $summary,
            scope: Scope::$scope,
            needs: &[$($need),*],
            parts: &[$($($part),*)?],
            run: |context| Box::pin($run(context)),
        };)*
    };
}

phases! {
    INIT_PREFLIGHT = "init/preflight", "Check whether the host can become the control plane",
        FirstControlPlane, [], init::preflight::run;
    JOIN_PREFLIGHT = "join/preflight", "Check whether the host can join",
        Joining, [], join::preflight::run;

    ETCD_PREFLIGHT = "etcd/preflight", "Check whether the host can become a member of etcd",
        EtcdHosts, [], etcd_hosts::preflight::run;

    BINARIES = "prepare/binaries", "Install kubelet and kubectl from [artifacts], with the kubelet's unit",
        EveryHost, [Here("init/preflight"), Here("join/preflight"), Here("etcd/preflight"), FirstControlPlane("init/preflight")],
        prepare::binaries::run;
    IMAGES = "prepare/images", "Import the images of the host's role, or pull what the control plane lacks",
        EveryHost, [Here("init/preflight"), Here("join/preflight"), Here("etcd/preflight"), Here("prepare/files"), Here("prepare/registries")],
        prepare::images::run;
    REGISTRIES = "prepare/registries", "Have containerd ask the mirrors of [registries] first",
        EveryHost, [Here("init/preflight"), Here("join/preflight"), Here("etcd/preflight"), FirstControlPlane("init/preflight")],
        prepare::registries::run;
    FILES = "prepare/files", "Put [[files]] on the host",
        EveryHost, [Here("init/preflight"), Here("join/preflight"), Here("etcd/preflight"), FirstControlPlane("init/preflight")],
        prepare::files::run;

    ETCD_CERTS = "etcd/certs", "Make the certificate authority of etcd on its own hosts, and the first member's certificates",
        FirstEtcdHost, [Here("etcd/preflight")], etcd_hosts::certs::first;
    ETCD_MEMBER_CERTS = "etcd/member-certs", "Make the other members' certificates and keys",
        JoiningEtcdHosts, [Here("etcd/preflight"), FirstEtcdHost("etcd/certs")],
        etcd_hosts::certs::joining;
    ETCD_KUBELET_START = "etcd/kubelet-start", "Start a kubelet that runs etcd and knows no API server",
        EtcdHosts, [Here("prepare/binaries"), Here("prepare/images"), Here("prepare/files"), Here("etcd/certs"), Here("etcd/member-certs")],
        etcd_hosts::kubelet_start::run;
    ETCD_INIT = "etcd/init", "Start the first member of etcd",
        FirstEtcdHost, [Here("etcd/kubelet-start")], etcd_hosts::members::first;
    ETCD_MEMBER_JOIN = "etcd/join", "Add the host's etcd as a learner, and promote it",
        JoiningEtcdHosts, [Here("etcd/kubelet-start"), FirstEtcdHost("etcd/init")],
        etcd_hosts::members::joining;
    ETCD_CLIENT_CERTS = "etcd/client-certs", "Give the API server its certificate for an etcd that is not on the control planes",
        ControlPlanes, [Here("init/preflight"), Here("join/preflight"), FirstEtcdHost("etcd/certs")],
        etcd_hosts::client_certs::run;

    HAPROXY = "load-balancer/haproxy", "Have haproxy lead from the control plane's endpoint to the API servers",
        EveryHost, [Here("init/preflight"), Here("join/preflight"), Here("etcd/preflight"), FirstControlPlane("init/preflight")],
        load_balancer::haproxy::run;
    KEEPALIVED = "load-balancer/keepalived", "Have keepalived put the endpoint's address on one of haproxy's hosts",
        EveryHost, [Here("load-balancer/haproxy")], load_balancer::keepalived::run;

    CERTS = "init/certs", "Make the certificate authorities, certificates and keys",
        FirstControlPlane, [Here("init/preflight")], init::certs::run, parts ["ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client",
            "etcd-ca", "etcd-server", "etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client", "sa"];
    KUBECONFIG = "init/kubeconfig", "Make the kubeconfig files of the administrator and the components",
        FirstControlPlane, [Here("init/certs")], init::kubeconfig::run, parts ["admin", "super-admin", "kubelet", "controller-manager", "scheduler"];
    ETCD = "init/etcd", "Make the data directory and the static pod of the local etcd",
        FirstControlPlane, [Here("init/certs")], init::etcd::run, parts ["local"];
    CONTROL_PLANE = "init/control-plane", "Make the static pods of the control plane",
        FirstControlPlane, [Here("init/certs"), Here("init/kubeconfig"), Here("etcd/client-certs"),
            FirstEtcdHost("etcd/init"), EtcdHostsEnded("etcd/join")], init::control_plane::run, parts ["apiserver", "controller-manager", "scheduler"];
    KUBELET_START = "init/kubelet-start", "Write the kubelet's configuration and start it",
        FirstControlPlane,
        [Here("prepare/binaries"), Here("prepare/images"), Here("prepare/files"), Here("init/kubeconfig"),
            Here("init/etcd"), Here("init/control-plane")],
        init::kubelet_start::run;
    WAIT_CONTROL_PLANE = "init/wait-control-plane", "Wait until the kubelet and the control plane are healthy",
        FirstControlPlane, [Here("init/kubelet-start")], init::wait_control_plane::run;
    // Who goes by the endpoint finds the cluster behind it, or is told of the endpoint rather than of what it broke.
    ENDPOINT = "cluster/endpoint", "See the API server answer at the control plane's endpoint",
        Nodes, [Here("init/wait-control-plane"), Here("join/preflight"),
            FirstControlPlane("init/wait-control-plane"), Here("load-balancer/keepalived")],
        cluster::endpoint::run;
    UPLOAD_CONFIG = "init/upload-config", "Store kubeadm's and the kubelet's configuration in the cluster",
        FirstControlPlane, [Here("init/wait-control-plane")], init::upload_config::run, parts ["kubeadm", "kubelet"];
    UPLOAD_CERTS = "init/upload-certs", "Store the encrypted control-plane certificates in the cluster",
        FirstControlPlane, [Here("init/wait-control-plane")], init::upload_certs::run;
    MARK_CONTROL_PLANE = "init/mark-control-plane", "Label and taint the node as a control plane",
        FirstControlPlane, [Here("init/wait-control-plane")], init::mark_control_plane::run;
    BOOTSTRAP_TOKEN = "init/bootstrap-token", "Let nodes join: cluster-info and the bootstrappers' permissions",
        FirstControlPlane, [Here("init/wait-control-plane")], init::bootstrap_token::run;
    KUBELET_FINALIZE = "init/kubelet-finalize", "Point the kubelet at its rotated client certificate",
        FirstControlPlane, [Here("init/mark-control-plane"), Here("cluster/endpoint")], init::kubelet_finalize::run, parts ["enable-client-cert-rotation"];
    COREDNS = "init/addon/coredns", "Install CoreDNS",
        FirstControlPlane, [Here("init/wait-control-plane")], init::addon::coredns;
    KUBE_PROXY = "init/addon/kube-proxy", "Install kube-proxy",
        FirstControlPlane, [Here("init/wait-control-plane"), Here("cluster/endpoint")], init::addon::kube_proxy;
    SHOW_JOIN_COMMAND = "init/show-join-command", "Say how the cluster is used and joined by hand",
        FirstControlPlane, [Here("init/bootstrap-token"), Here("init/upload-certs")],
        init::show_join_command::run;

    DOWNLOAD_CERTS = "join/control-plane-prepare/download-certs",
        "Carry the authorities and the service account key from the first control plane",
        JoiningControlPlanes, [Here("join/preflight"), FirstControlPlane("init/certs")],
        join::control_plane_prepare::download_certs;
    JOIN_CERTS = "join/control-plane-prepare/certs", "Make the host's own certificates and keys",
        JoiningControlPlanes, [Here("join/control-plane-prepare/download-certs")],
        join::control_plane_prepare::certs;
    JOIN_KUBECONFIG = "join/control-plane-prepare/kubeconfig",
        "Make the kubeconfig files of the administrator and the components",
        JoiningControlPlanes, [Here("join/control-plane-prepare/certs")],
        join::control_plane_prepare::kubeconfig;
    CHECK_ETCD = "join/check-etcd", "Check that etcd is healthy enough to take another member",
        JoiningControlPlanes, [Here("join/preflight"), FirstControlPlane("init/kubelet-start")],
        join::check_etcd::run;
    // A control plane has all that its kubelet needs, and its etcd can join before there is an API server. Its certificates
    // come first: a host that has them counts as one that was cut short.
    CONTROL_PLANE_KUBELET_START = "join/kubelet-start", "Write the kubelet's files on a control plane and start it",
        JoiningControlPlanes,
        [Here("join/preflight"), Here("prepare/binaries"), Here("prepare/images"), Here("prepare/files"),
            Here("join/control-plane-prepare/certs"), FirstControlPlane("init/kubeconfig")],
        join::kubelet_start::run;
    WORKER_KUBELET_START = "join/kubelet-start", "Write the kubelet's files on a worker and start it",
        Workers,
        [Here("join/preflight"), Here("prepare/binaries"), Here("prepare/images"), Here("prepare/files"),
            Here("cluster/endpoint"), FirstControlPlane("init/wait-control-plane")],
        join::kubelet_start::run;
    ETCD_JOIN = "join/etcd-join", "Add the host's etcd as a learner, and promote it",
        JoiningControlPlanes, [Here("join/kubelet-start"), Here("join/check-etcd")],
        join::etcd_join::run;
    KUBE_VIP = "load-balancer/kube-vip", "Make the static pod of kube-vip, which has the endpoint's address",
        ControlPlanes, [Here("prepare/images"), Here("init/kubeconfig"), Here("join/etcd-join")],
        load_balancer::kube_vip::run;
    // The API server would only crash, and be held back by the kubelet, before its etcd takes part.
    JOIN_CONTROL_PLANE = "join/control-plane-prepare/control-plane",
        "Make the static pods of the control plane",
        JoiningControlPlanes, [Here("join/control-plane-prepare/kubeconfig"), Here("join/etcd-join"),
            Here("etcd/client-certs"), FirstEtcdHost("etcd/init"), EtcdHostsEnded("etcd/join")],
        join::control_plane_prepare::control_plane;
    KUBELET_WAIT_BOOTSTRAP = "join/kubelet-wait-bootstrap",
        "Wait until the kubelet has its own credentials and the node is registered",
        Joining, [Here("join/kubelet-start"), Here("join/control-plane-prepare/control-plane"), Here("cluster/endpoint"),
            FirstControlPlane("init/upload-config")],
        join::kubelet_wait_bootstrap::run;
    UPDATE_STATUS = "join/control-plane-join/update-status",
        "Add the control plane to the ClusterStatus of releases up to 1.21",
        JoiningControlPlanes, [Here("join/kubelet-wait-bootstrap")],
        join::control_plane_join::update_status;
    JOIN_MARK_CONTROL_PLANE = "join/control-plane-join/mark-control-plane",
        "Label and taint the node as a control plane",
        JoiningControlPlanes, [Here("join/kubelet-wait-bootstrap")],
        init::mark_control_plane::run;
    JOIN_WAIT_CONTROL_PLANE = "join/wait-control-plane", "Wait until the host's control plane is healthy",
        JoiningControlPlanes, [Here("join/control-plane-prepare/control-plane")],
        init::wait_control_plane::run;

    NODE_LABELS = "cluster/node-labels", "Set the labels of the inventory on the node",
        Nodes, [Here("init/mark-control-plane"), Here("join/control-plane-join/mark-control-plane"),
            Here("join/kubelet-wait-bootstrap")],
        cluster::node_labels::run;
    MANIFESTS = "cluster/manifests", "Apply [[manifests]]",
        FirstControlPlane, [Here("init/wait-control-plane")], cluster::manifests::run;

    RESET_PREFLIGHT = "reset/preflight", "Check whether the host can be reset",
        EveryHost, [], reset::preflight::run;
    PRUNE = "reset/prune", "Name Nodes and etcd members of no host; remove dead ones where --prune is given",
        EveryHost, [Here("reset/preflight")], reset::prune::run;
    DRAIN = "reset/drain", "Move the node's pods away, within their disruption budgets",
        EveryHost, [Here("reset/preflight"), PreviousControlPlane("reset/check-cluster")], reset::drain::run;
    REMOVE_ETCD_MEMBER = "reset/remove-etcd-member", "Take the host's etcd member out and empty its data",
        EtcdMembers,
        [Here("reset/preflight"), WorkersEnded("reset/preflight"), ControlPlanesEnded("reset/preflight"), Here("reset/prune"),
            Here("reset/drain")],
        reset::remove_etcd_member::run;
    UPDATE_CLUSTER_STATUS = "reset/update-cluster-status", "Take the host off the ClusterStatus of releases until 1.21",
        ControlPlanes, [Here("reset/remove-etcd-member")], reset::update_cluster_status::run;
    CLEANUP_NODE = "reset/cleanup-node", "Stop the kubelet, remove pods, mounts and kubeadm's files",
        EveryHost,
        [Here("reset/preflight"), Here("reset/drain"), Here("reset/remove-etcd-member"), Here("reset/update-cluster-status")],
        reset::cleanup_node::run;
    DELETE_NODE = "reset/delete-node", "Delete the Node from the cluster that stays",
        EveryHost, [Here("reset/cleanup-node")], reset::delete_node::run;
    CHECK_CLUSTER = "reset/check-cluster", "See that the cluster goes on without the control plane",
        ControlPlanes, [Here("reset/delete-node")], reset::check_cluster::run;
    CLEANUP_LEFTOVERS = "reset/cleanup-leftovers", "Remove what --cleanup names and kubeadm leaves",
        EveryHost, [Here("reset/cleanup-node")], reset::cleanup_leftovers::run;
}

/// `fleetadm apply`.
pub static APPLY: &[&Phase] = &[
    &INIT_PREFLIGHT,
    &JOIN_PREFLIGHT,
    &ETCD_PREFLIGHT,
    &BINARIES,
    &FILES,
    &REGISTRIES,
    &IMAGES,
    &ETCD_CERTS,
    &ETCD_MEMBER_CERTS,
    &ETCD_KUBELET_START,
    &ETCD_INIT,
    &ETCD_MEMBER_JOIN,
    &ETCD_CLIENT_CERTS,
    &HAPROXY,
    &KEEPALIVED,
    &CERTS,
    &KUBECONFIG,
    &ETCD,
    &CONTROL_PLANE,
    &KUBELET_START,
    &WAIT_CONTROL_PLANE,
    &ENDPOINT,
    &UPLOAD_CONFIG,
    &UPLOAD_CERTS,
    &MARK_CONTROL_PLANE,
    &BOOTSTRAP_TOKEN,
    &KUBELET_FINALIZE,
    &COREDNS,
    &KUBE_PROXY,
    &SHOW_JOIN_COMMAND,
    &DOWNLOAD_CERTS,
    &JOIN_CERTS,
    &JOIN_KUBECONFIG,
    &CHECK_ETCD,
    &CONTROL_PLANE_KUBELET_START,
    &WORKER_KUBELET_START,
    &ETCD_JOIN,
    &KUBE_VIP,
    &JOIN_CONTROL_PLANE,
    &KUBELET_WAIT_BOOTSTRAP,
    &UPDATE_STATUS,
    &JOIN_MARK_CONTROL_PLANE,
    &JOIN_WAIT_CONTROL_PLANE,
    &NODE_LABELS,
    &MANIFESTS,
];

/// `fleetadm init`: what apply does on the first control plane, and on hosts of etcd.
pub fn init() -> Vec<&'static Phase> {
    let joins = |scope| matches!(scope, Scope::Joining | Scope::JoiningControlPlanes);
    APPLY.iter().filter(|phase| !joins(phase.scope)).copied().collect()
}

/// `fleetadm join`: what apply does on all other hosts.
pub fn join() -> Vec<&'static Phase> {
    let begins = |scope| {
        matches!(
            scope,
            Scope::FirstControlPlane
                | Scope::EtcdHosts
                | Scope::FirstEtcdHost
                | Scope::JoiningEtcdHosts
        )
    };
    APPLY.iter().filter(|phase| !begins(phase.scope)).copied().collect()
}

/// `fleetadm reset`.
pub static RESET: &[&Phase] = &[
    &RESET_PREFLIGHT,
    &PRUNE,
    &DRAIN,
    &REMOVE_ETCD_MEMBER,
    &UPDATE_CLUSTER_STATUS,
    &CLEANUP_NODE,
    &DELETE_NODE,
    &CHECK_CLUSTER,
    &CLEANUP_LEFTOVERS,
];

/// `fleetadm reset` of every host: nobody stays to be careful with.
pub fn reset_whole() -> Vec<&'static Phase> {
    const ALL: [&str; 4] = [
        "reset/preflight",
        "reset/remove-etcd-member",
        "reset/cleanup-node",
        "reset/cleanup-leftovers",
    ];
    RESET.iter().filter(|phase| ALL.contains(&phase.name)).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{APPLY, Need, RESET, init, join, reset_whole};

    #[test]
    fn every_phase_stands_behind_those_it_needs_and_needs_only_real_ones() {
        let every: HashSet<&str> =
            [APPLY, RESET].into_iter().flatten().map(|phase| phase.name).collect();
        for workflow in [init(), join(), APPLY.to_vec(), RESET.to_vec(), reset_whole()] {
            let all: HashSet<&str> = workflow.iter().map(|phase| phase.name).collect();
            let mut seen = HashSet::new();
            for phase in &workflow {
                for need in phase.needs {
                    let name = need.phase();
                    assert!(every.contains(name), "{} needs {name}", phase.name);
                    if matches!(need, Need::PreviousControlPlane(_)) {
                        continue;
                    }
                    assert!(
                        !all.contains(name) || seen.contains(name),
                        "{} before {name}",
                        phase.name
                    );
                }
                seen.insert(phase.name);
            }
        }
    }

    #[test]
    fn what_waits_for_more_than_the_first_control_planes_checks_ends_with_it() {
        for phase in APPLY {
            let builds = phase.needs.iter().any(
                |need| matches!(need, Need::FirstControlPlane(name) if *name != "init/preflight"),
            );
            assert!(!builds || phase.scope.builds_on_first(), "{}", phase.name);
            // What prepares a host goes on.
            assert!(!phase.name.starts_with("prepare/") || !phase.scope.builds_on_first());
        }
    }
}
