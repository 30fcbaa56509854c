//! The kubelet's files: `config.yaml`, the ConfigMap it stems from, `instance-config.yaml` and `kubeadm-flags.env`.
//! Renders text; writes nothing to a host.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cluster::component_config::{
    ComponentConfig, ComponentConfigError, Defaults, Deviation,
};
use crate::cluster::images::Image;
use crate::cluster::node_flags::taints_flag;
use crate::cluster::patches::Target;
use crate::cluster::release::{PodInfraImage, Release};
use crate::cluster::spec::{CERTIFICATES_DIRECTORY, Cluster, MANIFESTS_DIRECTORY};
use crate::cluster::yaml::{self, YamlError};
use crate::inventory::Taint;

/// The kubelet's configuration on a node.
pub const CONFIG_PATH: &str = "/var/lib/kubelet/config.yaml";
/// The node's own part of it.
pub const INSTANCE_CONFIG_PATH: &str = "/var/lib/kubelet/instance-config.yaml";
/// Flags the kubelet's unit reads.
pub const FLAGS_PATH: &str = "/var/lib/kubelet/kubeadm-flags.env";
/// Mode of all three.
pub const FILE_MODE: u32 = 0o644;
/// Key of the configuration in its ConfigMap.
pub const CONFIG_MAP_KEY: &str = "kubelet";

pub(super) const KIND: &str = "KubeletConfiguration";
pub(super) const RESOLVED_CONF: &str = "/run/systemd/resolve/resolv.conf";

/// What the kubelet's files on one node depend on.
#[derive(Debug, Clone)]
pub struct KubeletNode<'a> {
    /// Node name.
    pub name: &'a str,
    /// What the kernel calls the host; another node name must be passed on.
    pub hostname: &'a str,
    /// The runtime's endpoint.
    pub runtime_endpoint: &'a str,
    /// Whether systemd-resolved runs there.
    pub systemd_resolved: bool,
    /// Taints the kubelet registers with: a worker's, none for a control-plane node.
    pub register_with_taints: &'a [Taint],
    /// The operator's flags, by name without dashes.
    pub extra_args: &'a BTreeMap<String, String>,
}

/// What goes into the ConfigMap. `systemd_resolved` tells of the first control plane; releases from 1.31 ignore it
/// here.
pub fn config_map_yaml(
    cluster: &Cluster,
    systemd_resolved: bool,
) -> Result<ComponentConfig, YamlError> {
    let resolved = systemd_resolved && !cluster.release.kubelet.resolv_conf_local_only;
    let (fields, deviations) = fields(cluster, resolved);
    Ok(ComponentConfig { yaml: yaml::write(KIND, &fields)?, deviations })
}

/// `/var/lib/kubelet/config.yaml` of a node: the cluster's, with the operator's patches, and above all the node's own part.
///
/// # Errors
/// The patches do not fit.
pub fn config_yaml(
    cluster: &Cluster,
    node: &KubeletNode<'_>,
) -> Result<ComponentConfig, ComponentConfigError> {
    let release = &cluster.release;
    let (fields, mut deviations) = fields(cluster, node.systemd_resolved);
    let mut document = Value::Object(fields);
    cluster.patches.apply(Target::KubeletConfiguration, &mut document)?;
    let Value::Object(mut fields) = document else {
        let reason = "it is no mapping";
        return Err(cluster.patches.spoiled(Target::KubeletConfiguration, KIND, reason).into());
    };
    if release.kubelet.instance_config {
        let mut own = Defaults::new(KIND, &mut fields);
        let endpoint = json!(release.runtime_endpoint(node.runtime_endpoint));
        own.force(&["containerRuntimeEndpoint"], endpoint);
        deviations.extend(own.finish());
    }
    Ok(ComponentConfig { yaml: yaml::write(KIND, &fields)?, deviations })
}

/// `/var/lib/kubelet/instance-config.yaml` of a node; `None` before 1.34.
pub fn instance_config_yaml(cluster: &Cluster, node: &KubeletNode<'_>) -> Option<String> {
    let endpoint = Value::from(cluster.release.runtime_endpoint(node.runtime_endpoint));
    // A JSON string is a YAML string too, and the quotes are kubeadm's.
    cluster
        .release
        .kubelet
        .instance_config
        .then(|| format!("containerRuntimeEndpoint: {endpoint}\n"))
}

/// `/var/lib/kubelet/kubeadm-flags.env` of a node.
pub fn flags_env(cluster: &Cluster, node: &KubeletNode<'_>) -> String {
    let flags = flags(cluster, node);
    let flags: Vec<_> = flags.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    // Quotes and backslashes in values are escaped, as systemd reads them.
    format!("KUBELET_KUBEADM_ARGS={:?}\n", flags.join(" "))
}

fn flags(cluster: &Cluster, node: &KubeletNode<'_>) -> Vec<(String, String)> {
    let facts = &cluster.release.kubelet;
    let endpoint = cluster.release.runtime_endpoint(node.runtime_endpoint);
    let docker = facts.dockershim && endpoint.ends_with("/dockershim.sock");
    let mut defaults = BTreeMap::new();
    let mut set = |name: &str, value: String| defaults.insert(name.to_owned(), value);
    if docker {
        set("network-plugin", "cni".to_owned());
    } else if !facts.instance_config {
        if facts.container_runtime_flag {
            set("container-runtime", "remote".to_owned());
        }
        set("container-runtime-endpoint", endpoint);
    }
    let pause = match facts.pod_infra_image {
        PodInfraImage::Docker => docker,
        PodInfraImage::Always => true,
        PodInfraImage::Never => false,
    };
    if pause {
        set("pod-infra-container-image", cluster.image(Image::Pause));
    }
    if !node.register_with_taints.is_empty() {
        set("register-with-taints", taints_flag(node.register_with_taints));
    }
    // Left alone, the kubelet registers under the host's name in lower case.
    if node.name != node.hostname.trim().to_lowercase() {
        set("hostname-override", node.name.to_owned());
    }
    let extra = node.extra_args.iter().map(|(name, value)| (name.clone(), value.clone()));
    if cluster.release.config.ordered_extra_args {
        defaults.retain(|name, _| !node.extra_args.contains_key(name));
        defaults.into_iter().chain(extra).collect()
    } else {
        defaults.extend(extra);
        defaults.into_iter().collect()
    }
}

/// The configuration, and where the operator's wishes differ from kubeadm's.
fn fields(cluster: &Cluster, systemd_resolved: bool) -> (Map<String, Value>, Vec<Deviation>) {
    let release = &cluster.release;
    let mut fields = zero_values(release);
    yaml::merge(&mut fields, &cluster.section.kubelet_configuration);
    let mut defaults = Defaults::new(KIND, &mut fields);
    defaults.force(&["apiVersion"], json!("kubelet.config.k8s.io/v1beta1"));
    defaults.force(&["kind"], json!(KIND));
    defaults.fill(&["staticPodPath"], json!(MANIFESTS_DIRECTORY));
    defaults.fill(&["clusterDNS"], json!([cluster.dns_ip]));
    defaults.fill(&["clusterDomain"], json!(cluster.section.networking.dns_domain));
    let ca = format!("{CERTIFICATES_DIRECTORY}/ca.crt");
    defaults.fill(&["authentication", "x509", "clientCAFile"], json!(ca));
    defaults.fill(&["authentication", "anonymous", "enabled"], json!(false));
    defaults.fill(&["authentication", "webhook", "enabled"], json!(true));
    defaults.fill(&["authorization", "mode"], json!("Webhook"));
    defaults.fill(&["healthzBindAddress"], json!("127.0.0.1"));
    defaults.fill(&["healthzPort"], json!(10248));
    defaults.expect("readOnlyPort", &json!(0));
    if let Some(driver) = release.kubelet.cgroup_driver {
        defaults.fill(&["cgroupDriver"], json!(driver));
    }
    if systemd_resolved {
        defaults.fill(&["resolvConf"], json!(RESOLVED_CONF));
    }
    // Without rotation the node's client certificate would run out in a year.
    defaults.force(&["rotateCertificates"], json!(true));
    let deviations = defaults.finish();
    (fields, deviations)
}

/// The fields a Go program writes even when nobody set them. Unknown fields would make an older kubelet complain,
/// so each is tied to the release that brought it.
fn zero_values(release: &Release) -> Map<String, Value> {
    const DURATIONS: [&str; 13] = [
        "cpuManagerReconcilePeriod",
        "evictionPressureTransitionPeriod",
        "fileCheckFrequency",
        "httpCheckFrequency",
        "imageMinimumGCAge",
        "nodeStatusReportFrequency",
        "nodeStatusUpdateFrequency",
        "runtimeRequestTimeout",
        "shutdownGracePeriod",
        "shutdownGracePeriodCriticalPods",
        "streamingConnectionIdleTimeout",
        "syncFrequency",
        "volumeStatsAggPeriod",
    ];
    let facts = &release.kubelet;
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    for name in DURATIONS {
        set(name, json!("0s"));
    }
    set("authentication", json!({ "webhook": { "cacheTTL": "0s" } }));
    set(
        "authorization",
        json!({ "webhook": { "cacheAuthorizedTTL": "0s", "cacheUnauthorizedTTL": "0s" } }),
    );
    set("logging", logging_zero_values(release));
    if facts.field_memory_swap {
        set("memorySwap", json!({}));
    }
    if facts.field_container_runtime_endpoint {
        set("containerRuntimeEndpoint", json!(""));
    }
    if facts.field_image_maximum_gc_age {
        set("imageMaximumGCAge", json!("0s"));
    }
    if facts.field_crash_loop_back_off {
        set("crashLoopBackOff", json!({}));
    }
    fields
}

/// The `logging` block when nobody set it.
pub(super) fn logging_zero_values(release: &Release) -> Value {
    let size = json!({ "infoBufferSize": "0" });
    let options = match (release.kubelet.field_logging_json, release.kubelet.field_logging_text) {
        (false, _) => return json!({}),
        (true, false) => json!({ "json": size }),
        (true, true) => json!({ "json": size, "text": size }),
    };
    json!({ "flushFrequency": 0, "options": options, "verbosity": 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{cluster, section};

    const SOCKET: &str = "unix:///run/containerd/containerd.sock";

    fn node(extra_args: &BTreeMap<String, String>) -> KubeletNode<'_> {
        KubeletNode {
            name: "node-1",
            hostname: "node-1",
            runtime_endpoint: SOCKET,
            systemd_resolved: false,
            register_with_taints: &[],
            extra_args,
        }
    }

    #[test]
    fn flags_follow_the_release() {
        let none = BTreeMap::new();
        let env = |minor| flags_env(&cluster(minor, 0), &node(&none));
        insta::assert_snapshot!(env(24), @r#"KUBELET_KUBEADM_ARGS="--container-runtime=remote --container-runtime-endpoint=unix:///run/containerd/containerd.sock --pod-infra-container-image=k8s.gcr.io/pause:3.7""#);
        insta::assert_snapshot!(env(30), @r#"KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/containerd/containerd.sock --pod-infra-container-image=registry.k8s.io/pause:3.9""#);
        insta::assert_snapshot!(env(34), @r#"KUBELET_KUBEADM_ARGS="--pod-infra-container-image=registry.k8s.io/pause:3.10.1""#);
        insta::assert_snapshot!(env(35), @r#"KUBELET_KUBEADM_ARGS="""#);
    }

    #[test]
    fn a_worker_may_register_tainted_and_under_another_name() {
        let extra = BTreeMap::from([
            ("node-ip".to_owned(), "10.0.0.1".to_owned()),
            ("container-runtime-endpoint".to_owned(), "unix:///mine.sock".to_owned()),
        ]);
        let taints = [Taint {
            key: "gpu".to_owned(),
            value: "yes".to_owned(),
            effect: "NoExecute".to_owned(),
        }];
        let node = KubeletNode { hostname: "box", register_with_taints: &taints, ..node(&extra) };
        insta::assert_snapshot!(flags_env(&cluster(30, 0), &node), @r#"KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///mine.sock --hostname-override=node-1 --node-ip=10.0.0.1 --pod-infra-container-image=registry.k8s.io/pause:3.9 --register-with-taints=gpu=yes:NoExecute""#);
        insta::assert_snapshot!(flags_env(&cluster(33, 0), &node), @r#"KUBELET_KUBEADM_ARGS="--hostname-override=node-1 --pod-infra-container-image=registry.k8s.io/pause:3.10 --register-with-taints=gpu=yes:NoExecute --container-runtime-endpoint=unix:///mine.sock --node-ip=10.0.0.1""#);
    }

    #[test]
    fn dockershim_is_told_about_networks() {
        let none = BTreeMap::new();
        let node = KubeletNode { runtime_endpoint: "/var/run/dockershim.sock", ..node(&none) };
        insta::assert_snapshot!(flags_env(&cluster(20, 2), &node), @r#"KUBELET_KUBEADM_ARGS="--network-plugin=cni --pod-infra-container-image=k8s.gcr.io/pause:3.2""#);
    }

    #[test]
    fn resolved_stays_local_since_1_31() {
        let none = BTreeMap::new();
        let node = KubeletNode { systemd_resolved: true, ..node(&none) };
        for (minor, in_map) in [(30, true), (31, false)] {
            let cluster = cluster(minor, 0);
            let map = config_map_yaml(&cluster, true).unwrap().yaml;
            assert_eq!(map.contains(RESOLVED_CONF), in_map, "1.{minor}");
            assert!(config_yaml(&cluster, &node).unwrap().yaml.contains(RESOLVED_CONF));
        }
    }

    #[test]
    fn the_operator_is_heard_except_on_rotation() {
        let mut section = section(30, 0);
        let wanted = json!({
            "rotateCertificates": false, "cgroupDriver": "cgroupfs", "readOnlyPort": 10255,
            "evictionHard": { "memory.available": "1Gi" }, "authentication": { "anonymous": { "enabled": true } },
        });
        section.kubelet_configuration = wanted.as_object().unwrap().clone();
        let config = config_map_yaml(&Cluster::resolve(&section).unwrap(), false).unwrap();
        let fields: Value = yaml::read("test", &config.yaml).unwrap();
        assert_eq!(fields["rotateCertificates"], true);
        assert_eq!(fields["evictionHard"]["memory.available"], "1Gi");
        assert_eq!(fields["authentication"]["webhook"]["enabled"], true);
        let told: Vec<_> = config.deviations.iter().map(|d| d.path.as_str()).collect();
        assert_eq!(
            told,
            [
                "authentication.anonymous.enabled",
                "readOnlyPort",
                "cgroupDriver",
                "rotateCertificates",
            ]
        );
    }

    #[test]
    fn the_endpoint_moves_into_files_in_1_34() {
        let none = BTreeMap::new();
        assert_eq!(instance_config_yaml(&cluster(33, 0), &node(&none)), None);
        assert_eq!(
            instance_config_yaml(&cluster(34, 0), &node(&none)).unwrap(),
            "containerRuntimeEndpoint: \"unix:///run/containerd/containerd.sock\"\n"
        );
        let local = config_yaml(&cluster(33, 0), &node(&none)).unwrap().yaml;
        assert!(local.contains("containerRuntimeEndpoint: \"\""), "{local}");
        let local = config_yaml(&cluster(26, 0), &node(&none)).unwrap().yaml;
        assert!(!local.contains("containerRuntimeEndpoint"), "{local}");
    }
}
