//! The workflows: which phases, on which hosts, and what each waits for.
//!
//! Phases of the same host run at the same time unless one needs the other: where kubeadm goes through its
//! list one by one, only real dependencies are kept here. A phase stands behind those it needs.

use super::phase::{Need, Phase, Scope};
use crate::phases::{cluster, init, join, prepare, reset};

use Need::{EverywhereEnded, FirstControlPlane, Here, HereEnded};

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
    JOIN_PREFLIGHT = "join/preflight", "Check whether the host can become a worker",
        Workers, [], join::preflight::run;

    BINARIES = "prepare/binaries", "Install kubelet and kubectl from [artifacts], with the kubelet's unit",
        EveryHost, [Here("init/preflight"), Here("join/preflight"), FirstControlPlane("init/preflight")], prepare::binaries::run;
    IMAGES = "prepare/images", "Import the images of the host's role, or pull what the control plane lacks",
        EveryHost, [Here("init/preflight"), Here("join/preflight"), Here("prepare/files")], prepare::images::run;
    FILES = "prepare/files", "Put [[files]] on the host",
        EveryHost, [Here("init/preflight"), Here("join/preflight"), FirstControlPlane("init/preflight")], prepare::files::run;

    CERTS = "init/certs", "Make the certificate authorities, certificates and keys",
        FirstControlPlane, [Here("init/preflight")], init::certs::run, parts ["ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client",
            "etcd-ca", "etcd-server", "etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client", "sa"];
    KUBECONFIG = "init/kubeconfig", "Make the kubeconfig files of the administrator and the components",
        FirstControlPlane, [Here("init/certs")], init::kubeconfig::run, parts ["admin", "super-admin", "kubelet", "controller-manager", "scheduler"];
    ETCD = "init/etcd", "Make the data directory and the static pod of the local etcd",
        FirstControlPlane, [Here("init/certs")], init::etcd::run, parts ["local"];
    CONTROL_PLANE = "init/control-plane", "Make the static pods of the control plane",
        FirstControlPlane, [Here("init/certs"), Here("init/kubeconfig")], init::control_plane::run, parts ["apiserver", "controller-manager", "scheduler"];
    KUBELET_START = "init/kubelet-start", "Write the kubelet's configuration and start it",
        FirstControlPlane,
        [Here("prepare/binaries"), Here("prepare/images"), Here("prepare/files"), Here("init/kubeconfig"),
            Here("init/etcd"), Here("init/control-plane")],
        init::kubelet_start::run;
    WAIT_CONTROL_PLANE = "init/wait-control-plane", "Wait until the kubelet and the control plane are healthy",
        FirstControlPlane, [Here("init/kubelet-start")], init::wait_control_plane::run;
    UPLOAD_CONFIG = "init/upload-config", "Store kubeadm's and the kubelet's configuration in the cluster",
        FirstControlPlane, [Here("init/wait-control-plane")], init::upload_config::run, parts ["kubeadm", "kubelet"];
    UPLOAD_CERTS = "init/upload-certs", "Store the encrypted control-plane certificates in the cluster",
        FirstControlPlane, [Here("init/wait-control-plane")], init::upload_certs::run;
    MARK_CONTROL_PLANE = "init/mark-control-plane", "Label and taint the node as a control plane",
        FirstControlPlane, [Here("init/wait-control-plane")], init::mark_control_plane::run;
    BOOTSTRAP_TOKEN = "init/bootstrap-token", "Let nodes join: cluster-info and the bootstrappers' permissions",
        FirstControlPlane, [Here("init/wait-control-plane")], init::bootstrap_token::run;
    KUBELET_FINALIZE = "init/kubelet-finalize", "Point the kubelet at its rotated client certificate",
        FirstControlPlane, [Here("init/mark-control-plane")], init::kubelet_finalize::run, parts ["enable-client-cert-rotation"];
    COREDNS = "init/addon/coredns", "Install CoreDNS",
        FirstControlPlane, [Here("init/wait-control-plane")], init::addon::coredns;
    KUBE_PROXY = "init/addon/kube-proxy", "Install kube-proxy",
        FirstControlPlane, [Here("init/wait-control-plane")], init::addon::kube_proxy;
    SHOW_JOIN_COMMAND = "init/show-join-command", "Say how the cluster is used and joined by hand",
        FirstControlPlane, [Here("init/bootstrap-token"), Here("init/upload-certs")],
        init::show_join_command::run;

    JOIN_KUBELET_START = "join/kubelet-start", "Write the kubelet's configuration and start it",
        Workers,
        [Here("join/preflight"), Here("prepare/binaries"), Here("prepare/images"), Here("prepare/files"),
            FirstControlPlane("init/bootstrap-token"), FirstControlPlane("init/upload-config")],
        join::kubelet_start::run;
    KUBELET_WAIT_BOOTSTRAP = "join/kubelet-wait-bootstrap",
        "Wait until the kubelet has its own credentials and the node is registered",
        Workers, [Here("join/kubelet-start")], join::kubelet_wait_bootstrap::run;

    NODE_LABELS = "cluster/node-labels", "Set the labels of the inventory on the node",
        EveryHost, [Here("init/mark-control-plane"), Here("join/kubelet-wait-bootstrap")],
        cluster::node_labels::run;
    MANIFESTS = "cluster/manifests", "Apply [[manifests]]",
        FirstControlPlane, [Here("init/wait-control-plane")], cluster::manifests::run;

    RESET_PREFLIGHT = "reset/preflight", "Check whether the host can be reset",
        EveryHost, [], reset::preflight::run;
    DELETE_NODE = "reset/delete-node", "Delete the worker from the cluster",
        Workers, [], reset::delete_node::run;
    REMOVE_ETCD_MEMBER = "reset/remove-etcd-member", "Take the host's etcd member out and empty its data",
        FirstControlPlane, [Here("reset/preflight"), EverywhereEnded("reset/delete-node")],
        reset::remove_etcd_member::run;
    CLEANUP_NODE = "reset/cleanup-node", "Stop the kubelet, remove pods, mounts and kubeadm's files",
        EveryHost,
        [Here("reset/preflight"), Here("reset/remove-etcd-member"), HereEnded("reset/delete-node")],
        reset::cleanup_node::run;
}

/// `fleetadm apply`.
pub static APPLY: &[&Phase] = &[
    &INIT_PREFLIGHT,
    &JOIN_PREFLIGHT,
    &BINARIES,
    &FILES,
    &IMAGES,
    &CERTS,
    &KUBECONFIG,
    &ETCD,
    &CONTROL_PLANE,
    &KUBELET_START,
    &WAIT_CONTROL_PLANE,
    &UPLOAD_CONFIG,
    &UPLOAD_CERTS,
    &MARK_CONTROL_PLANE,
    &BOOTSTRAP_TOKEN,
    &KUBELET_FINALIZE,
    &COREDNS,
    &KUBE_PROXY,
    &SHOW_JOIN_COMMAND,
    &JOIN_KUBELET_START,
    &KUBELET_WAIT_BOOTSTRAP,
    &NODE_LABELS,
    &MANIFESTS,
];

/// `fleetadm init`: what apply does on the control plane.
pub fn init() -> Vec<&'static Phase> {
    APPLY.iter().filter(|phase| phase.scope != Scope::Workers).copied().collect()
}

/// `fleetadm join`: what apply does on workers.
pub fn join() -> Vec<&'static Phase> {
    APPLY.iter().filter(|phase| phase.scope != Scope::FirstControlPlane).copied().collect()
}

/// `fleetadm reset`.
pub static RESET: &[&Phase] = &[&RESET_PREFLIGHT, &DELETE_NODE, &REMOVE_ETCD_MEMBER, &CLEANUP_NODE];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{APPLY, RESET, init, join};

    #[test]
    fn every_phase_stands_behind_those_it_needs_and_needs_only_real_ones() {
        let every: HashSet<&str> =
            [APPLY, RESET].into_iter().flatten().map(|phase| phase.name).collect();
        for workflow in [init(), join(), APPLY.to_vec(), RESET.to_vec()] {
            let all: HashSet<&str> = workflow.iter().map(|phase| phase.name).collect();
            let mut seen = HashSet::new();
            for phase in &workflow {
                for need in phase.needs {
                    let name = need.phase();
                    assert!(every.contains(name), "{} needs {name}", phase.name);
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
}
