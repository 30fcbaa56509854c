//! The kube-controller-manager manifest.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use super::probes::{self, Paths};
use super::volumes::{self, Mount};
use super::{Blueprint, Component, command, proxy_environment};
use crate::cluster::images::Image;
use crate::cluster::spec::{CERTIFICATES_DIRECTORY, Cluster, ControlPlaneNode};

const KUBECONFIG: &str = "/etc/kubernetes/controller-manager.conf";
const FLEXVOLUME: &str = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec";

/// The pod that runs on a control-plane node.
pub fn manifest(cluster: &Cluster, node: &ControlPlaneNode) -> Pod {
    let release = &cluster.release;
    let component = Component::KubeControllerManager;
    let extra = &cluster.section.controller_manager;
    let command = command::assemble(component.as_str(), defaults(cluster), extra, release);
    let mut mounts = vec![Mount::kubeconfig(KUBECONFIG)];
    if release.static_pods.flexvolume {
        let path = command::extra(extra, "flex-volume-plugin-dir").unwrap_or(FLEXVOLUME);
        mounts.push(Mount::directory("flexvolume-dir", path));
    }
    let blueprint = Blueprint {
        component,
        image: cluster.image(Image::ControllerManager),
        annotations: BTreeMap::new(),
        address: probes::address(component, &command),
        command,
        environment: proxy_environment(node),
        mounts: volumes::with_certificates(node, mounts),
        paths: Paths { live: "/healthz", ready: None, start: "/healthz" },
        requests: &[("cpu", "200m")],
    };
    blueprint.pod(release)
}

fn defaults(cluster: &Cluster) -> command::Defaults {
    let pki = |file| format!("{CERTIFICATES_DIRECTORY}/{file}");
    let mut defaults = command::defaults([
        ("authentication-kubeconfig", KUBECONFIG.to_owned()),
        ("authorization-kubeconfig", KUBECONFIG.to_owned()),
        ("bind-address", "127.0.0.1".to_owned()),
        ("client-ca-file", pki("ca.crt")),
        ("cluster-name", cluster.section.name.clone()),
        ("cluster-signing-cert-file", pki("ca.crt")),
        ("cluster-signing-key-file", pki("ca.key")),
        ("controllers", "*,bootstrapsigner,tokencleaner".to_owned()),
        ("kubeconfig", KUBECONFIG.to_owned()),
        ("leader-elect", "true".to_owned()),
        ("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
        ("root-ca-file", pki("ca.crt")),
        ("service-account-private-key-file", pki("sa.key")),
        ("use-service-account-credentials", "true".to_owned()),
    ]);
    // Nodes get pod networks only when there is a network to take them from.
    let pods = cluster.pod_subnets();
    if !pods.is_empty() {
        defaults.extend(command::defaults([("allocate-node-cidrs", "true".to_owned())]));
        defaults.extend(command::defaults([("cluster-cidr", pods)]));
        defaults
            .extend(command::defaults([("service-cluster-ip-range", cluster.service_subnets())]));
    }
    if cluster.release.static_pods.port_zero {
        defaults.extend(command::defaults([("port", "0".to_owned())]));
    }
    defaults
}
