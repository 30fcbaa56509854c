//! The kubelet of a host that runs etcd and nothing else: one that knows no API server, as kubeadm's documentation has
//! it. Renders text; writes nothing to a host.

use serde_json::json;

use crate::cluster::component_config::is_unset;
use crate::cluster::kubelet::{KIND, KubeletNode, RESOLVED_CONF};
use crate::cluster::spec::{Cluster, MANIFESTS_DIRECTORY};
use crate::cluster::yaml::{self, YamlError};

/// Where the unit's drop-in is: it comes after kubeadm's own, whichever package brought that.
pub const DROP_IN_PATH: &str = "/etc/systemd/system/kubelet.service.d/20-etcd-service-manager.conf";
/// What is in it: the kubelet without kubeconfigs.
pub const DROP_IN: &str = include_str!("../../templates/etcd/20-etcd-service-manager.conf");

/// Mode of the drop-in.
pub const DROP_IN_MODE: u32 = 0o644;

/// Fields that mean something only where there is an API server.
const OF_NODES: [&str; 7] = [
    "clusterDNS",
    "clusterDomain",
    "providerID",
    "registerNode",
    "registerWithTaints",
    "serverTLSBootstrap",
    "tlsCertFile",
];

/// `/var/lib/kubelet/config.yaml` of such a host. What the operator wants of kubelets holds here too, as far as it is not
/// about the cluster.
pub fn config_yaml(cluster: &Cluster, node: &KubeletNode<'_>) -> Result<String, YamlError> {
    let release = &cluster.release;
    let mut fields = cluster.section.kubelet_configuration.clone();
    fields.retain(|name, _| !OF_NODES.contains(&name.as_str()));
    if fields.get("cgroupDriver").is_none_or(is_unset) {
        fields.insert("cgroupDriver".to_owned(), json!("systemd"));
    }
    let mut set = |name: &str, value| fields.insert(name.to_owned(), value);
    set("apiVersion", json!("kubelet.config.k8s.io/v1beta1"));
    set("kind", json!(KIND));
    // There is nobody to ask who may do what, so nobody but the host itself is let in.
    set("address", json!("127.0.0.1"));
    set(
        "authentication",
        json!({ "anonymous": { "enabled": false }, "webhook": { "enabled": false } }),
    );
    set("authorization", json!({ "mode": "AlwaysAllow" }));
    set("readOnlyPort", json!(0));
    set("rotateCertificates", json!(false));
    set("staticPodPath", json!(MANIFESTS_DIRECTORY));
    if release.kubelet.instance_config {
        let endpoint = release.runtime_endpoint(node.runtime_endpoint);
        set("containerRuntimeEndpoint", json!(endpoint));
    }
    if node.systemd_resolved && !fields.contains_key("resolvConf") {
        fields.insert("resolvConf".to_owned(), json!(RESOLVED_CONF));
    }
    yaml::write(KIND, &fields)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::spec::tests::section_with_etcd_hosts;

    fn config(minor: u16, wanted: serde_json::Value) -> String {
        let mut section = section_with_etcd_hosts(minor, 0);
        section.kubelet_configuration = wanted.as_object().unwrap().clone();
        let none = BTreeMap::new();
        let node = KubeletNode {
            name: "etcd-1",
            hostname: "etcd-1",
            runtime_endpoint: "unix:///run/containerd/containerd.sock",
            systemd_resolved: false,
            register_with_taints: &[],
            extra_args: &none,
        };
        config_yaml(&Cluster::resolve(&section).unwrap(), &node).unwrap()
    }

    #[test]
    fn it_listens_to_nobody_but_its_host() {
        insta::assert_snapshot!(config(36, json!({})), @r"
        address: 127.0.0.1
        apiVersion: kubelet.config.k8s.io/v1beta1
        authentication:
          anonymous:
            enabled: false
          webhook:
            enabled: false
        authorization:
          mode: AlwaysAllow
        cgroupDriver: systemd
        containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
        kind: KubeletConfiguration
        readOnlyPort: 0
        rotateCertificates: false
        staticPodPath: /etc/kubernetes/manifests
        ");
    }

    #[test]
    fn what_is_about_the_cluster_stays_out() {
        let wanted = json!({
            "clusterDNS": ["10.96.0.10"], "serverTLSBootstrap": true, "cgroupDriver": "cgroupfs", "failCgroupV1": false,
            "address": "0.0.0.0", "authorization": { "mode": "Webhook" },
        });
        let text = config(30, wanted);
        for kept in ["cgroupDriver: cgroupfs", "failCgroupV1: false", "mode: AlwaysAllow"] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
        for gone in ["clusterDNS", "serverTLSBootstrap", "0.0.0.0", "containerRuntimeEndpoint"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
    }
}
