//! addon/coredns: cluster DNS.

use std::net::IpAddr;

use serde::Serialize;

use super::template::{TemplateError, objects as render};
use crate::kubernetes::object::{Kind, Object, Ownership};

const TEMPLATE: &str = include_str!("../../../templates/addons/coredns.yaml");

/// What goes into the add-on. The last group differs by release.
#[derive(Debug, Clone, Serialize)]
pub struct CoreDnsOptions {
    /// Full image name.
    pub image: String,
    /// The cluster's DNS domain.
    pub dns_domain: String,
    /// The Service's address: the tenth of the service subnet.
    pub dns_ip: IpAddr,
    /// Pods of a new Deployment; an existing one keeps its count.
    pub replicas: u32,
    /// The release's shape of the objects.
    pub release: CoreDnsRelease,
}

/// How the objects of one Kubernetes release differ from another's.
#[derive(Debug, Clone, Serialize)]
pub struct CoreDnsRelease {
    /// Pods prefer different nodes (1.25 and later).
    pub anti_affinity: bool,
    /// Probes use ports by name (1.34 and later).
    pub named_probe_ports: bool,
    /// Answers about the cluster itself are not cached (1.32 and later).
    pub no_cache_for_domain: bool,
    /// May read EndpointSlices (1.21 and later).
    pub endpoint_slices: bool,
    /// May get Nodes (1.20).
    pub get_nodes: bool,
    /// Keys of the control plane's taints: of `master`, `control-plane` those the release uses.
    pub control_plane_taints: Vec<String>,
    /// `kubernetes.io/name` of the Service: `KubeDNS` in 1.20, `CoreDNS` later.
    pub service_name: String,
    /// How "all capabilities" is spelled: `all` in old releases, `ALL` in new ones.
    pub drop_capabilities: String,
}

/// ConfigMap, ClusterRole, ClusterRoleBinding, ServiceAccount, Deployment and Service, in this order.
///
/// The Corefile is only created, never changed: operators edit it in place.
pub fn objects(options: &CoreDnsOptions) -> Result<Vec<Object>, TemplateError> {
    let objects = render("coredns", TEMPLATE, options)?;
    Ok(objects
        .into_iter()
        .map(|object| match object.key().kind {
            Kind::ConfigMap => object.owned(Ownership::Existence),
            _ => object,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> CoreDnsOptions {
        CoreDnsOptions {
            image: "registry.example/coredns:v1".into(),
            dns_domain: "cluster.local".into(),
            dns_ip: "10.96.0.10".parse().unwrap(),
            replicas: 2,
            release: CoreDnsRelease {
                anti_affinity: true,
                named_probe_ports: true,
                no_cache_for_domain: false,
                endpoint_slices: true,
                get_nodes: false,
                control_plane_taints: vec!["node-role.kubernetes.io/control-plane".into()],
                service_name: "CoreDNS".into(),
                drop_capabilities: "ALL".into(),
            },
        }
    }

    #[test]
    fn gives_the_six_objects_in_order() {
        let keys: Vec<_> =
            objects(&options()).unwrap().iter().map(|object| object.key().to_string()).collect();
        assert_eq!(
            keys,
            [
                "ConfigMap kube-system/coredns",
                "ClusterRole system:coredns",
                "ClusterRoleBinding system:coredns",
                "ServiceAccount kube-system/coredns",
                "Deployment kube-system/coredns",
                "Service kube-system/kube-dns",
            ]
        );
    }

    #[test]
    fn values_stay_values() {
        let mut hostile = options();
        hostile.image = "x\"\nkind: Secret # {{ y }}".into();
        let objects = objects(&hostile).unwrap();
        let image = objects[4].body().pointer("/spec/template/spec/containers/0/image").unwrap();
        assert_eq!(image, &hostile.image);
    }
}
