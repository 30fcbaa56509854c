//! What kubeadm's documents mean for an inventory: they take the place of `[cluster]`. Fields become the inventory's keys
//! and are held against its rules; a field that has no counterpart is an error, unless it says what happens anyway.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::check::duration;
use super::documents::{Documents, Kind};
use super::nodes::Mapping;
use super::rules::is_version_label;
use crate::cluster::release::NEWEST_MINOR;
use crate::cluster::yaml::located::{Content, Entry, Node, Span};
use crate::inventory::{
    ClusterSection, Fault, Inventory, KubernetesVersion, Mistakes, Problem, Problems,
    cluster_section, use_etcd_hosts,
};

/// What becomes of a field.
#[derive(Clone, Copy)]
enum To {
    /// The key of the inventory that says the same.
    Key(&'static str),
    /// The same; looked at only where the file describes an inventory's cluster, for the key may be refused as such.
    Known(&'static str),
    /// The same for a duration, of which the inventory has other spellings.
    Period(&'static str),
    /// A table of the inventory, and what becomes of its fields.
    Table(&'static str, &'static [(&'static str, To)]),
    /// Arguments of a component.
    Arguments,
    /// Nothing; it is looked at elsewhere.
    Elsewhere,
}

use To::{Arguments, Elsewhere, Key, Known, Period, Table};

const COMPONENT: &[(&str, To)] = &[
    ("extraArgs", Arguments),
    ("extraVolumes", Known("extra_volumes")),
    ("extraEnvs", Known("extra_envs")),
];

const API_SERVER: &[(&str, To)] = &[
    ("extraArgs", Arguments),
    ("extraVolumes", Known("extra_volumes")),
    ("extraEnvs", Known("extra_envs")),
    ("certSANs", Key("cert_sans")),
    ("timeoutForControlPlane", Elsewhere),
];

const LOCAL_ETCD: &[(&str, To)] = &[
    ("imageRepository", Key("image_repository")),
    ("imageTag", Key("image_tag")),
    ("dataDir", Key("data_dir")),
    ("extraArgs", Arguments),
    ("extraEnvs", Known("extra_envs")),
    ("serverCertSANs", Key("server_cert_sans")),
    ("peerCertSANs", Key("peer_cert_sans")),
];

const NETWORKING: &[(&str, To)] = &[
    ("podSubnet", Key("pod_subnet")),
    ("serviceSubnet", Key("service_subnet")),
    ("dnsDomain", Key("dns_domain")),
];

const DNS: &[(&str, To)] = &[
    ("type", Elsewhere),
    ("imageRepository", Key("image_repository")),
    ("imageTag", Key("image_tag")),
    ("disabled", Key("disabled")),
];

const CLUSTER: &[(&str, To)] = &[
    ("clusterName", Key("name")),
    ("kubernetesVersion", Key("kubernetes_version")),
    ("controlPlaneEndpoint", Key("control_plane_endpoint")),
    ("imageRepository", Key("image_repository")),
    ("networking", Table("networking", NETWORKING)),
    ("apiServer", Table("api_server", API_SERVER)),
    ("controllerManager", Table("controller_manager", COMPONENT)),
    ("scheduler", Table("scheduler", COMPONENT)),
    ("etcd", Elsewhere),
    ("dns", Table("dns", DNS)),
    ("proxy", Table("proxy", &[("disabled", Key("disabled"))])),
    ("certificatesDir", Known("certificates_dir")),
    ("featureGates", Known("feature_gates")),
    ("encryptionAlgorithm", Known("encryption_algorithm")),
    ("certificateValidityPeriod", Period("certificate_validity_period")),
    ("caCertificateValidityPeriod", Period("ca_certificate_validity_period")),
    ("useHyperKubeImage", Elsewhere),
];

/// What happens anyway. Fields that say nothing else need no counterpart.
const ANYWAY: [(&str, &str); 11] = [
    ("certificatesDir", "/etc/kubernetes/pki"),
    ("encryptionAlgorithm", "RSA-2048"),
    ("certificateValidityPeriod", "8760h0m0s"),
    ("caCertificateValidityPeriod", "87600h0m0s"),
    ("caCertPath", "/etc/kubernetes/pki/ca.crt"),
    ("imagePullPolicy", "IfNotPresent"),
    ("imagePullSerial", "true"),
    ("kubernetesAPICall", "1m0s"),
    ("upgradeManifests", "5m0s"),
    ("type", "CoreDNS"),
    ("useHyperKubeImage", "false"),
];

/// Whether a field says nothing, or what happens anyway.
pub(super) fn goes_without_saying(entry: &Entry) -> bool {
    let same = |said: &str| {
        ANYWAY.iter().any(|(name, usual)| {
            *name == entry.key
                && (*usual == said
                    || duration(usual).is_some() && duration(usual) == duration(said))
        })
    };
    match &entry.node.value {
        Content::Null => true,
        Content::Text(text) => text.is_empty() || same(text),
        Content::Bool(truth) => !truth || same("true"),
        Content::Number(_) => false,
        Content::List(items) => items.is_empty(),
        Content::Map(entries) => entries.iter().all(goes_without_saying),
    }
}

/// A table in the making, with places in a kubeadm file.
#[derive(Default)]
struct Builder(DeTable<'static>);

impl Builder {
    fn set(&mut self, key: &'static str, entry: &Entry, value: DeValue<'static>) {
        let key = Spanned::new(entry.key_span.clone(), Cow::Borrowed(key));
        self.0.insert(key, Spanned::new(entry.node.span.clone(), value));
    }

    /// What a mapping says, by a list of fields. `whole` is set where the file describes an inventory's cluster.
    fn fields(&mut self, node: &Node, fields: &[(&str, To)], whole: bool) {
        for entry in node.entries().iter().filter(|entry| !says_nothing(&entry.node)) {
            let to = fields.iter().find(|(name, _)| *name == entry.key).map(|(_, to)| *to);
            match to {
                Some(Key(key)) => self.set(key, entry, scalar_or_list(&entry.node)),
                Some(Known(key)) if whole && !goes_without_saying(entry) => {
                    self.set(key, entry, scalar_or_list(&entry.node));
                }
                Some(Period(key)) if whole && !goes_without_saying(entry) => {
                    let nanoseconds = entry.node.text().and_then(duration).unwrap_or_default();
                    let period = format!("{}s", nanoseconds / 1_000_000_000);
                    self.set(key, entry, DeValue::String(Cow::Owned(period)));
                }
                Some(Table(key, fields)) => {
                    let mut below = Self::default();
                    below.fields(&entry.node, fields, whole);
                    self.set(key, entry, DeValue::Table(below.0));
                }
                Some(Arguments) => self.set("extra_args", entry, arguments(&entry.node)),
                Some(Known(_) | Period(_) | Elsewhere) | None => {}
            }
        }
    }
}

fn says_nothing(node: &Node) -> bool {
    match &node.value {
        Content::Null => true,
        Content::Text(text) => text.is_empty(),
        Content::List(items) => items.is_empty(),
        _ => false,
    }
}

/// A value as TOML has it.
fn scalar_or_list(node: &Node) -> DeValue<'static> {
    match &node.value {
        Content::Null => DeValue::String(Cow::Borrowed("")),
        Content::Bool(truth) => DeValue::Boolean(*truth),
        // No field of a ClusterConfiguration is a number.
        Content::Number(number) => DeValue::String(Cow::Owned(number.to_string())),
        Content::Text(text) => DeValue::String(Cow::Owned(text.clone())),
        Content::List(items) => {
            let mut list = DeArray::new();
            for item in items {
                list.push(Spanned::new(item.span.clone(), scalar_or_list(item)));
            }
            DeValue::Array(list)
        }
        Content::Map(entries) => {
            let mut table = DeTable::new();
            for entry in entries.iter().filter(|entry| !entry.node.is_null()) {
                let key = Spanned::new(entry.key_span.clone(), Cow::Owned(snake_case(&entry.key)));
                table.insert(
                    key,
                    Spanned::new(entry.node.span.clone(), scalar_or_list(&entry.node)),
                );
            }
            DeValue::Table(table)
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// What a ClusterConfiguration says, as `[cluster]` would say it.
fn table(body: &Node, whole: bool) -> Builder {
    let mut table = Builder::default();
    table.fields(body, CLUSTER, whole);
    let Some(etcd) = body.entry("etcd") else { return table };
    let mut below = Builder::default();
    if let Some(local) = etcd.node.entry("local") {
        below.fields(&local.node, LOCAL_ETCD, whole);
    }
    table.set("etcd", etcd, DeValue::Table(below.0));
    table
}

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

/// Names and values of arguments, a map or a list, in the order of the file.
pub(super) fn pairs(node: &Node) -> Vec<(&str, &str, Span)> {
    match &node.value {
        Content::Map(entries) => entries
            .iter()
            .filter_map(|entry| Some((&*entry.key, entry.node.text()?, entry.key_span.clone())))
            .collect(),
        _ => node
            .items()
            .iter()
            .filter_map(|item| {
                let name = item.entry("name")?;
                let value = item.at(&["value"]).and_then(Node::text).unwrap_or_default();
                Some((name.node.text()?, value, name.node.span.clone()))
            })
            .collect(),
    }
}

/// Arguments as the inventory has them: a table, in which an array repeats one.
fn arguments(node: &Node) -> DeValue<'static> {
    let mut table = DeTable::new();
    for (name, value, place) in pairs(node) {
        let key = Spanned::new(place.clone(), Cow::Owned(name.to_owned()));
        let value = Spanned::new(place.clone(), DeValue::String(Cow::Owned(value.to_owned())));
        match table.get_mut(&key).map(Spanned::get_mut) {
            None => {
                table.insert(key, value);
            }
            Some(DeValue::Array(list)) => list.push(value),
            Some(single) => {
                let first = std::mem::replace(single, DeValue::Boolean(false));
                let mut list = DeArray::new();
                list.push(Spanned::new(place.clone(), first));
                list.push(value);
                *single = DeValue::Array(list);
            }
        }
    }
    DeValue::Table(table)
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
