//! What kubeadm's documents mean for an inventory: they take the place of `[cluster]`. Fields become the inventory's keys
//! and are held against its rules; a field that has no counterpart is an error, unless it says what happens anyway.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::duration;
use super::documents::{Documents, Kind};
use super::fields::{goes_without_saying, table};
use super::nodes::Mapping;
use super::values::is_version_label;
use crate::cluster::release::NEWEST_MINOR;
use crate::cluster::yaml::located::{Entry, Node};
use crate::inventory::{
    ClusterSection, Fault, Inventory, KubernetesVersion, Mistakes, Problem, Problems,
    cluster_section, use_etcd_hosts,
};

/// Holds a ClusterConfiguration against the rules that `[cluster]` has too.
pub(super) fn hold_against_rules(body: &Node, problems: &mut Problems) {
    let mut table = table(body, false);
    let version = table.0.get("kubernetes_version").and_then(|value| value.get_ref().as_str());
    if version.is_none_or(is_version_label) {
        // Another release is looked up by kubeadm; what follows does not depend on it.
        let key = Spanned::new(0..0, Cow::Borrowed("kubernetes_version"));
        let newest = format!("1.{NEWEST_MINOR}.0");
        table.0.insert(key, Spanned::new(0..0, DeValue::String(Cow::Owned(newest))));
    }
    cluster_section(Spanned::new(body.span.clone(), table.0), problems);
}

/// The section of a release with nothing but defaults.
pub(super) fn default_section(version: KubernetesVersion) -> Option<ClusterSection> {
    let key = Spanned::new(0..0, Cow::Borrowed("kubernetes_version"));
    let version = DeValue::String(Cow::Owned(version.to_string()));
    let mut table = DeTable::new();
    table.insert(key, Spanned::new(0..0, version));
    cluster_section(Spanned::new(0..0, table), &mut Problems::default())
}

impl Documents {
    /// Has the file take the place of `[cluster]` in an inventory that has none. InitConfiguration's `nodeRegistration`
    /// holds for every control plane, JoinConfiguration's for workers, or for further control planes where it has
    /// `controlPlane`; what a host says itself is stronger. Relative paths start at `directory`.
    ///
    /// # Errors
    /// Every value that is wrong, and every field that has no counterpart in an inventory, with its place.
    pub fn describe(
        &self,
        inventory: &mut Inventory,
        directory: &Path,
    ) -> Result<(), Box<Mistakes>> {
        let mut problems = self.values(true);
        let section = match self.of(Kind::Cluster) {
            Some(document) => whole_section(&document.body, &mut problems),
            None => {
                let fault = Fault::new(
                    "the file has no ClusterConfiguration",
                    "it is to take the place of the inventory's `[cluster]`",
                );
                problems.push(fault.at(0..0));
                None
            }
        };
        // What depends on it is looked at all the same; its mistakes are told already.
        let newest = KubernetesVersion { major: 1, minor: NEWEST_MINOR, patch: 0 };
        let Some(section) = section.or_else(|| default_section(newest)) else {
            return self.verdict(problems);
        };
        let mut mapping = Mapping { inventory, section, directory, problems };
        mapping.documents(self);
        let roles = mapping.roles(self);
        let Mapping { mut section, problems, .. } = mapping;
        self.verdict(problems)?;
        // Only workflows need them, as where the section is the inventory's own.
        let not_yet = self.verdict(roles).err().map(|mistakes| Arc::new(*mistakes));
        inventory.not_yet = inventory.not_yet.take().or(not_yet);
        use_etcd_hosts(&mut section.etcd, &inventory.hosts);
        inventory.cluster = Some(section);
        Ok(())
    }
}

fn whole_section(body: &Node, problems: &mut Problems) -> Option<ClusterSection> {
    match body.entry("kubernetesVersion") {
        None => {
            let label = "expected `kubernetesVersion`; no release is looked up";
            problems.push(Fault::new("no version of Kubernetes", label).at(body.span.clone()));
            return None;
        }
        Some(entry) if entry.node.text().is_some_and(is_version_label) => {
            let label = "expected a release such as `v1.36.2`; labels are not looked up";
            problems.push(Fault::new("the label of a release", label).at(entry.node.span.clone()));
            return None;
        }
        Some(_) => {}
    }
    // Its files are a node's, where an inventory names those of the workstation.
    if let Some(external) = body.at(&["etcd"]).and_then(|etcd| etcd.entry("external")) {
        let advice =
            "describe the cluster in `[cluster]`, and its etcd in `[cluster.etcd.external]`";
        problems.push(no_counterpart(external, advice));
    }
    for (path, name) in [(&["dns"][..], "type"), (&[], "useHyperKubeImage")] {
        let entry = body.at(path).and_then(|node| node.entry(name));
        if let Some(entry) = entry.filter(|entry| !goes_without_saying(entry)) {
            problems.push(no_counterpart(entry, "leave it out"));
        }
    }
    let mut section =
        cluster_section(Spanned::new(body.span.clone(), table(body, true).0), problems)?;
    if let Some(node) = body.at(&["apiServer", "timeoutForControlPlane"]) {
        set_duration(&mut section.timeouts.control_plane_component_health_check, node);
    }
    Some(section)
}

pub(super) fn no_counterpart(entry: &Entry, advice: &str) -> Problem {
    let title = format!("`{}` has no counterpart in an inventory", entry.key);
    Fault::new(title, advice).at(entry.key_span.clone())
}

pub(super) fn set_duration(timeout: &mut Duration, node: &Node) {
    let nanoseconds = node.text().and_then(duration).and_then(|it| u64::try_from(it).ok());
    if let Some(nanoseconds) = nanoseconds.filter(|it| *it > 0) {
        *timeout = Duration::from_nanos(nanoseconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory;

    const FLEET: &str = r#"
        [[hosts]]
        name = "cp-1"
        address = "192.0.2.1"
        role = "control-plane"
        [[hosts]]
        name = "cp-2"
        address = "192.0.2.2"
        role = "control-plane"
        taints = ["own=1:NoSchedule"]
        [[hosts]]
        name = "node-1"
        address = "192.0.2.3"
        kubelet_extra_args = { v = "1" }
    "#;

    const FILE: &str = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.33.1
clusterName: prod
certificatesDir: /etc/kubernetes/pki
controlPlaneEndpoint: k8s.example.com:6443
networking: {podSubnet: 10.244.0.0/16}
apiServer:
  certSANs: [K8s.example.com]
  extraArgs:
  - {name: v, value: \"4\"}
  - {name: audit-log-maxage, value: \"7\"}
  - {name: v, value: \"5\"}
etcd: {local: {dataDir: /data/etcd}}
dns: {imageTag: v1.2.3}
proxy: {disabled: true}
encryptionAlgorithm: ECDSA-P256
certificateValidityPeriod: 720h0m0s
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 192.0.2.10, bindPort: 7443}
nodeRegistration:
  name: cp-1
  criSocket: /run/crio/crio.sock
  taints: []
  ignorePreflightErrors: [Swap]
timeouts: {kubeletHealthCheck: 90s, etcdAPICall: 2m}
patches: {directory: patches}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
nodeRegistration:
  kubeletExtraArgs: [{name: v, value: \"9\"}, {name: max-pods, value: \"50\"}]
  taints: [{key: gpu, value: a, effect: NoExecute}]
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 99
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
conntrack: {min: null}
";

    fn describe(file: &str) -> Result<Inventory, String> {
        let mut inventory = inventory::parse(FLEET, Path::new("/"), "fleet.toml").unwrap();
        let documents = Documents::read(file, "kubeadm.yaml").map_err(|it| it.to_string())?;
        let described = documents.describe(&mut inventory, Path::new("/dir"));
        described.map(|()| inventory).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_file_says_what_the_section_would() {
        let inventory = describe(FILE).unwrap();
        let section = inventory.cluster.as_ref().unwrap();
        assert_eq!(section.name, "prod");
        assert_eq!(section.kubernetes_version.to_string(), "1.33.1");
        assert_eq!(section.control_plane_endpoint.as_ref().unwrap().host, "k8s.example.com");
        assert_eq!(section.networking.pod_subnet[0].to_string(), "10.244.0.0/16");
        assert_eq!(section.api_server.bind_port, 7443);
        assert_eq!(section.api_server.cert_sans, ["k8s.example.com"]);
        let arguments = section.api_server.extra_args.iter();
        let arguments: Vec<_> = arguments.map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(arguments, ["v=4", "v=5", "audit-log-maxage=7"]);
        assert_eq!(section.etcd.data_dir, "/data/etcd");
        assert_eq!(section.dns.image_tag.as_deref(), Some("v1.2.3"));
        assert!(section.proxy.disabled);
        assert_eq!(section.encryption_algorithm.as_str(), "ECDSA-P256");
        assert_eq!(section.certificate_validity_period.as_secs(), 720 * 3600);
        assert_eq!(section.cri_socket.as_deref(), Some("unix:///run/crio/crio.sock"));
        assert_eq!(section.timeouts.kubelet_health_check.as_secs(), 90);
        assert_eq!(section.patches.as_deref(), Some(Path::new("/dir/patches")));
        assert_eq!(section.kubelet_configuration["maxPods"], 99);
        assert!(section.kube_proxy_configuration["conntrack"]["min"].is_null());
        assert_eq!(inventory.preflight_ignore, ["swap"]);

        let [first, second, worker] = inventory.hosts.as_slice() else { panic!() };
        assert_eq!(first.advertise_address, Some("192.0.2.10".parse().unwrap()));
        assert_eq!(first.taints.as_deref(), Some(&[][..]));
        assert_eq!(second.taints.as_ref().unwrap()[0].key, "own");
        assert_eq!(worker.taints.as_ref().unwrap()[0].key, "gpu");
        let arguments: Vec<_> = worker.kubelet_extra_args.values().map(String::as_str).collect();
        assert_eq!(arguments, ["50", "1"]);
        assert!(first.kubelet_extra_args.is_empty());
    }

    #[test]
    fn what_has_no_counterpart_is_an_error_with_its_place() {
        let file = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: stable-1.33
networking: {podSubnet: 192.0.0.0/16}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens: [{token: abcdef.0123456789abcdef}]
certificateKey: \"\"
skipPhases: [addon/kube-proxy]
nodeRegistration:
  name: other
  imagePullPolicy: Never
timeouts: {kubernetesAPICall: 5m}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery: {file: {kubeConfigPath: /a}}
nodeRegistration:
  kubeletExtraArgs: [{name: v, value: a}, {name: v, value: b}]
";
        let mistakes = describe(file).unwrap_err();
        let titles: Vec<_> = mistakes
            .lines()
            .filter(|line| line.starts_with("error") || line.contains("-->"))
            .map(str::trim)
            .collect();
        insta::assert_snapshot!(titles.join("\n"), @r#"
        error: the label of a release
        --> kubeadm.yaml:3:20
        error: `bootstrapTokens` has no counterpart in an inventory
        --> kubeadm.yaml:8:1
        error: `skipPhases` has no counterpart in an inventory
        --> kubeadm.yaml:10:1
        error: `name` has no counterpart in an inventory
        --> kubeadm.yaml:12:3
        error: `imagePullPolicy` has no counterpart in an inventory
        --> kubeadm.yaml:13:3
        error: `kubernetesAPICall` has no counterpart in an inventory
        --> kubeadm.yaml:14:12
        error: `discovery` has no counterpart in an inventory
        --> kubeadm.yaml:18:1
        error: the kubelet's argument `v` is given twice
        --> kubeadm.yaml:20:50
        "#);
        // Workflows need an endpoint for two control planes; FILE has one.
        let bare = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: 1.33.0\n";
        let not_yet = describe(bare).unwrap().not_yet.unwrap().to_string();
        assert!(
            not_yet.contains("several control planes need `controlPlaneEndpoint`"),
            "{not_yet}"
        );
        assert!(describe(FILE).unwrap().not_yet.is_none());
        let version = file.replace("stable-1.33", "v1.33.0");
        let mistakes = describe(&version).unwrap_err();
        assert!(mistakes.contains("192.0.2.1 inside 192.0.0.0/16"), "{mistakes}");
        assert!(
            describe("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n")
                .is_err()
        );
    }
}
