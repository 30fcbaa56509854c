//! The kube-scheduler manifest.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use super::probes::{self, Paths};
use super::volumes::{self, Mount};
use super::{Blueprint, Component, command, environment};
use crate::cluster::images::Image;
use crate::cluster::spec::{Cluster, ControlPlaneNode};

const KUBECONFIG: &str = "/etc/kubernetes/scheduler.conf";

/// The pod that runs on a control-plane node.
pub fn manifest(cluster: &Cluster, node: &ControlPlaneNode) -> Pod {
    let release = &cluster.release;
    let component = Component::KubeScheduler;
    let mut defaults = command::defaults([
        ("authentication-kubeconfig", KUBECONFIG.to_owned()),
        ("authorization-kubeconfig", KUBECONFIG.to_owned()),
        ("bind-address", "127.0.0.1".to_owned()),
        ("kubeconfig", KUBECONFIG.to_owned()),
        ("leader-elect", "true".to_owned()),
    ]);
    if release.static_pods.port_zero {
        defaults.extend(command::defaults([("port", "0".to_owned())]));
    }
    let extra = &cluster.section.scheduler;
    let command = command::assemble(component.as_str(), defaults, extra, release);
    let extras = &cluster.section.extras.scheduler;
    let blueprint = Blueprint {
        component,
        image: cluster.image(Image::Scheduler),
        annotations: BTreeMap::new(),
        address: probes::address(component, &command),
        command,
        environment: environment(&node.proxy_environment, &extras.envs),
        mounts: volumes::with_extra(vec![Mount::kubeconfig(KUBECONFIG)], &extras.volumes),
        paths: if release.static_pods.scheduler_livez {
            Paths { live: "/livez", ready: Some("/readyz"), start: "/livez" }
        } else {
            Paths { live: "/healthz", ready: None, start: "/healthz" }
        },
        requests: &[("cpu", "100m")],
    };
    blueprint.pod(release)
}
