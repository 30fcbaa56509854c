//! kube-proxy's configuration, the `config.conf` of its ConfigMap. The add-on's objects are made elsewhere.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::cluster::component_config::{ComponentConfig, Defaults};
use crate::cluster::kubelet::logging_zero_values;
use crate::cluster::release::Release;
use crate::cluster::spec::Cluster;
use crate::cluster::yaml::{self, YamlError};

const KIND: &str = "KubeProxyConfiguration";

/// Renders `config.conf`. The first control plane's advertise address decides the address family. The text
/// has no newline at its end, as in the ConfigMap kubeadm makes.
pub fn config_yaml(
    cluster: &Cluster,
    advertise_address: IpAddr,
) -> Result<ComponentConfig, YamlError> {
    let mut fields = zero_values(&cluster.release);
    yaml::merge(&mut fields, &cluster.section.kube_proxy_configuration);
    let mut defaults = Defaults::new(KIND, &mut fields);
    defaults.force(&["apiVersion"], json!("kubeproxy.config.k8s.io/v1alpha1"));
    defaults.force(&["kind"], json!(KIND));
    let any = if advertise_address.is_ipv6() { "::" } else { "0.0.0.0" };
    defaults.fill(&["bindAddress"], json!(any));
    let pods = cluster.pod_subnets();
    if !pods.is_empty() {
        defaults.fill(&["clusterCIDR"], json!(pods));
    }
    let kubeconfig = json!("/var/lib/kube-proxy/kubeconfig.conf");
    defaults.fill(&["clientConnection", "kubeconfig"], kubeconfig);
    let deviations = defaults.finish();
    let yaml = yaml::write(KIND, &fields)?.trim_end().to_owned();
    Ok(ComponentConfig { yaml, deviations })
}

/// The fields a Go program writes even when nobody set them.
fn zero_values(release: &Release) -> Map<String, Value> {
    let facts = &release.kube_proxy;
    let packet_filter = |more: &[&str]| {
        let mut fields = object(json!({
            "masqueradeAll": false, "masqueradeBit": null, "minSyncPeriod": "0s", "syncPeriod": "0s",
        }));
        fields.extend(more.iter().map(|name| ((*name).to_owned(), Value::Null)));
        fields
    };
    let mut fields = object(json!({
        "bindAddress": "",
        "bindAddressHardFail": false,
        "clientConnection": {
            "acceptContentTypes": "", "burst": 0, "contentType": "", "kubeconfig": "", "qps": 0,
        },
        "clusterCIDR": "",
        "configSyncPeriod": "0s",
        "conntrack": {
            "maxPerCore": null, "min": null, "tcpCloseWaitTimeout": null, "tcpEstablishedTimeout": null,
        },
        "detectLocalMode": "",
        "enableProfiling": false,
        "healthzBindAddress": "",
        "hostnameOverride": "",
        "iptables": packet_filter(if facts.localhost_node_ports { &["localhostNodePorts"] } else { &[] }),
        "ipvs": {
            "excludeCIDRs": null, "minSyncPeriod": "0s", "scheduler": "", "strictARP": false,
            "syncPeriod": "0s", "tcpFinTimeout": "0s", "tcpTimeout": "0s", "udpTimeout": "0s",
        },
        "metricsBindAddress": "",
        "mode": "",
        "nodePortAddresses": null,
        "oomScoreAdj": null,
        "portRange": "",
        "showHiddenMetricsForVersion": "",
        "winkernel": { "enableDSR": false, "networkName": "", "sourceVip": "" },
    }));
    let mut newer = Map::new();
    if facts.udp_idle_timeout {
        newer.extend(object(json!({ "udpIdleTimeout": "0s" })));
    }
    if facts.detect_local {
        newer.extend(object(json!({
            "detectLocal": { "bridgeInterface": "", "interfaceNamePrefix": "" },
            "winkernel": { "forwardHealthCheckVip": false, "rootHnsEndpointName": "" },
        })));
    }
    if facts.logging {
        newer.insert("logging".to_owned(), logging_zero_values(release));
    }
    if facts.nftables {
        newer.extend(object(json!({
            "conntrack": { "tcpBeLiberal": false, "udpStreamTimeout": "0s", "udpTimeout": "0s" },
            "nftables": packet_filter(&[]),
        })));
    }
    yaml::merge(&mut fields, &newer);
    fields
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{cluster, section};

    fn config(cluster: &Cluster, advertise: &str) -> (Value, Vec<String>) {
        let config = config_yaml(cluster, advertise.parse().unwrap()).unwrap();
        let told = config.deviations.iter().map(ToString::to_string).collect();
        (yaml::read("test", &config.yaml).unwrap(), told)
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let mut section = section(30, 0);
        section.kube_proxy_configuration = object(json!({
            "mode": "ipvs", "ipvs": { "strictARP": true }, "clusterCIDR": "10.0.0.0/8", "kind": "Other",
        }));
        let (config, told) = config(&Cluster::resolve(&section).unwrap(), "10.0.0.1");
        assert_eq!(config["mode"], "ipvs");
        assert_eq!(config["ipvs"]["strictARP"], true);
        assert_eq!(config["ipvs"]["syncPeriod"], "0s");
        assert_eq!(config["clusterCIDR"], "10.0.0.0/8");
        assert_eq!(config["kind"], KIND);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("\"Other\", which is overruled"), "{told:?}");
        assert!(told[1].contains("\"10.0.0.0/8\", which is kept"), "{told:?}");
    }

    #[test]
    fn the_bind_address_follows_the_family() {
        let (config, told) = config(&cluster(36, 2), "fd00::1");
        assert_eq!(config["bindAddress"], "::");
        assert!(told.is_empty());
    }

    #[test]
    fn fields_come_and_go_with_the_release() {
        let has =
            |minor, field: &str| config(&cluster(minor, 0), "10.0.0.1").0.get(field).is_some();
        assert!(has(25, "udpIdleTimeout") && !has(26, "udpIdleTimeout"));
        assert!(!has(23, "detectLocal") && has(24, "detectLocal"));
        assert!(!has(27, "logging") && has(28, "logging"));
        assert!(!has(28, "nftables") && has(29, "nftables"));
    }
}
