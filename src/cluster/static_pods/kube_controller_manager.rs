//! The kube-controller-manager manifest.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use super::probes::{self, Paths};
use super::volumes::{self, Mount};
use super::{Blueprint, Component, command, environment};
use crate::cluster::images::Image;
use crate::cluster::spec::{CERTIFICATES_DIRECTORY, Cluster, ControlPlaneNode};

const KUBECONFIG: &str = "/etc/kubernetes/controller-manager.conf";
const FLEXVOLUME: &str = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec";

/// The pod that runs on a control-plane node.
pub fn manifest(cluster: &Cluster, node: &ControlPlaneNode) -> Pod {
    let release = &cluster.release;
    let component = Component::KubeControllerManager;
    let extra = &cluster.section.controller_manager;
    let command = command::assemble(component.as_str(), defaults(cluster, node), extra, release);
    let mut mounts = vec![Mount::kubeconfig(KUBECONFIG)];
    if release.static_pods.flexvolume {
        let path = command::extra(extra, "flex-volume-plugin-dir").unwrap_or(FLEXVOLUME);
        mounts.push(Mount::directory("flexvolume-dir", path));
    }
    let extras = &cluster.section.extras.controller_manager;
    let blueprint = Blueprint {
        component,
        image: cluster.image(Image::ControllerManager),
        annotations: BTreeMap::new(),
        address: probes::address(component, &command),
        command,
        environment: environment(&node.proxy_environment, &extras.envs),
        mounts: volumes::with_extra(volumes::with_certificates(node, mounts), &extras.volumes),
        paths: Paths { live: "/healthz", ready: None, start: "/healthz" },
        requests: &[("cpu", "200m")],
    };
    blueprint.pod(release)
}

fn defaults(cluster: &Cluster, node: &ControlPlaneNode) -> command::Defaults {
    let pki = |file| format!("{CERTIFICATES_DIRECTORY}/{file}");
    let signing = |file| if node.external_ca { String::new() } else { pki(file) };
    let mut defaults = command::defaults([
        ("authentication-kubeconfig", KUBECONFIG.to_owned()),
        ("authorization-kubeconfig", KUBECONFIG.to_owned()),
        ("bind-address", "127.0.0.1".to_owned()),
        ("client-ca-file", pki("ca.crt")),
        ("cluster-name", cluster.section.name.clone()),
        ("cluster-signing-cert-file", signing("ca.crt")),
        ("cluster-signing-key-file", signing("ca.key")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{cluster, node};

    #[test]
    fn nothing_is_signed_for_an_external_authority() {
        let signing = |external_ca| {
            let node = ControlPlaneNode { external_ca, ..node() };
            let pod = manifest(&cluster(36, 2), &node);
            let command = pod.spec.unwrap().containers.remove(0).command.unwrap();
            let wanted = command.into_iter().filter(|it| it.starts_with("--cluster-signing-"));
            wanted.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(signing(true), @r"
        --cluster-signing-cert-file=
        --cluster-signing-key-file=
        ");
        insta::assert_snapshot!(signing(false), @r"
        --cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt
        --cluster-signing-key-file=/etc/kubernetes/pki/ca.key
        ");
    }
}
