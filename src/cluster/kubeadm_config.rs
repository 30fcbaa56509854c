//! The ConfigMap `kubeadm-config`: what the cluster remembers of its own configuration, in the words of the
//! kubeadm release that would read it.

mod check;
pub mod defaults;
mod documents;
mod fields;
mod inventory;
mod migrate;
mod nodes;
mod rules;
mod schema;
mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::cluster::release::ConfigApi;
use crate::cluster::spec::{CERTIFICATES_DIRECTORY, Cluster};
use crate::cluster::static_pods::kube_apiserver;
use crate::cluster::yaml::{self, YamlError};
use crate::inventory::{
    Addon, EncryptionAlgorithm, ExtraArgs, ExtraVolume, Extras, KubernetesVersion,
};

pub use documents::{Document, Documents, Kind};
pub use migrate::{MigrateError, Migrated};

/// Name of the ConfigMap, in kube-system.
pub const CONFIG_MAP: &str = "kubeadm-config";
/// Its key with the ClusterConfiguration.
pub const CLUSTER_CONFIGURATION_KEY: &str = "ClusterConfiguration";
/// Its key with the ClusterStatus, until 1.21.
pub const CLUSTER_STATUS_KEY: &str = "ClusterStatus";

/// Why a stored configuration tells no version.
#[derive(Debug, thiserror::Error)]
pub enum RunningVersionError {
    /// It is not YAML, or lacks the field.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// The field holds no version.
    #[error(
        "configmap kubeadm-config says kubernetesVersion {0:?}, expected something like \"v1.36.2\""
    )]
    NotAVersion(String),
}

/// Renders the ClusterConfiguration.
pub fn cluster_configuration_yaml(cluster: &Cluster) -> Result<String, YamlError> {
    yaml::write("ClusterConfiguration", &configuration(cluster, true))
}

/// The ClusterConfiguration, with what releases work out before they store it, or without.
fn configuration(cluster: &Cluster, worked_out: bool) -> Fields {
    let section = &cluster.section;
    let api = cluster.release.config.api;
    let networking = &section.networking;

    let mut networks = Fields::default();
    networks.set("dnsDomain", networking.dns_domain.as_str());
    networks.set("serviceSubnet", cluster.service_subnets());
    let pods = cluster.pod_subnets();
    networks.set_some("podSubnet", (!pods.is_empty()).then_some(pods));

    let component = |args, extras| {
        let mut fields = Fields::default();
        fields.set_args("extraArgs", api, args);
        fields.set_extras(extras);
        fields
    };
    let extras = &section.extras;
    let mut fields = Fields::default();
    fields.set("apiServer", api_server(cluster, worked_out));
    fields.set("apiVersion", api.as_str());
    fields.set("certificatesDir", CERTIFICATES_DIRECTORY);
    fields.set("clusterName", section.name.as_str());
    fields.set_some("controlPlaneEndpoint", cluster.control_plane_endpoint());
    fields.set(
        "controllerManager",
        component(&section.controller_manager, &extras.controller_manager),
    );
    fields.set("dns", addon(api, &section.dns));
    fields.set("etcd", etcd(cluster));
    fields.set("imageRepository", cluster.image_repository());
    fields.set("kind", "ClusterConfiguration");
    fields.set("kubernetesVersion", cluster.version_tag());
    fields.set("networking", networks);
    fields.set("scheduler", component(&section.scheduler, &extras.scheduler));
    if api != ConfigApi::V1Beta4 && section.encryption_algorithm == EncryptionAlgorithm::EcdsaP256 {
        // What these releases have for it.
        fields.set("featureGates", json!({ "PublicKeysECDSA": true }));
    }
    match api {
        ConfigApi::V1Beta2 => {
            fields.merge(json!({ "dns": { "type": "CoreDNS" } }));
        }
        ConfigApi::V1Beta3 => {}
        ConfigApi::V1Beta4 => {
            let (ca, leaf) =
                (section.ca_certificate_validity_period, section.certificate_validity_period);
            fields.set("caCertificateValidityPeriod", go_duration(ca));
            fields.set("certificateValidityPeriod", go_duration(leaf));
            fields.set("encryptionAlgorithm", section.encryption_algorithm.as_str());
            let proxy = Addon { disabled: section.proxy.disabled, ..Addon::default() };
            fields.set("proxy", addon(api, &proxy));
        }
    }
    fields
}

/// A duration as Go writes it: `8760h0m0s`. Whole seconds.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn etcd(cluster: &Cluster) -> Value {
    let (etcd, config) = (&cluster.section.etcd, &cluster.release.config);
    if let Some(external) = cluster.external_etcd() {
        let (certificate, key) = external.client_files.unwrap_or_default();
        let mut fields = Fields::default();
        fields.set("endpoints", external.endpoints);
        // Without TLS the paths are there all the same, and empty.
        fields.set("caFile", external.ca_file.unwrap_or_default());
        fields.set("certFile", certificate);
        fields.set("keyFile", key);
        if config.etcd_http_endpoints {
            fields.set("httpEndpoints", external.endpoints);
        }
        return json!({ "external": fields });
    }
    let mut fields = Fields::default();
    fields.set("dataDir", etcd.data_dir.as_str());
    fields.set_some("imageRepository", etcd.image_repository.as_deref());
    fields.set_some("imageTag", etcd.image_tag.as_deref());
    fields.set_args("extraArgs", config.api, &etcd.extra_args);
    fields.set_extras(&cluster.section.extras.etcd);
    fields.set_list("serverCertSANs", &etcd.server_cert_sans);
    fields.set_list("peerCertSANs", &etcd.peer_cert_sans);
    json!({ "local": fields })
}

fn api_server(cluster: &Cluster, worked_out: bool) -> Fields {
    let api_server = &cluster.section.api_server;
    let api = cluster.release.config.api;
    let mut fields = Fields::default();
    if api == ConfigApi::V1Beta4 {
        fields.set_args("extraArgs", api, &api_server.extra_args);
    } else {
        // These releases also store the authorization modes they worked out.
        let mut args = api_server.extra_args.clone();
        if worked_out {
            args.extend(kube_apiserver::authorization_mode(&args));
        }
        fields.set_args("extraArgs", api, &args);
        fields.set("timeoutForControlPlane", "4m0s");
    }
    fields.set_list("certSANs", &api_server.cert_sans);
    fields.set_extras(&cluster.section.extras.api_server);
    fields
}

fn addon(api: ConfigApi, addon: &Addon) -> Fields {
    let mut fields = Fields::default();
    fields.set_some("imageRepository", addon.image_repository.as_deref());
    fields.set_some("imageTag", addon.image_tag.as_deref());
    // Older APIs have no word for it; their add-on phases are simply not run.
    fields.set_some("disabled", (addon.disabled && api == ConfigApi::V1Beta4).then_some(true));
    fields
}

/// Fields of a mapping, of which empty ones are left out.
#[derive(Default, Serialize)]
#[serde(transparent)]
struct Fields(Map<String, Value>);

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}

impl Fields {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn set_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn set_list(&mut self, name: &str, items: &[String]) {
        if !items.is_empty() {
            self.set(name, items);
        }
    }

    fn set_args(&mut self, name: &str, api: ConfigApi, args: &ExtraArgs) {
        if args.is_empty() {
            return;
        }
        if api == ConfigApi::V1Beta4 {
            let item = |(name, value): &(String, String)| json!({ "name": name, "value": value });
            self.set(name, args.iter().map(item).collect::<Vec<_>>());
        } else {
            let fields = args.iter().map(|(name, value)| (name.clone(), json!(value)));
            self.set(name, fields.collect::<Map<_, _>>());
        }
    }

    fn set_extras(&mut self, extras: &Extras) {
        let volume = |volume: &ExtraVolume| {
            let mut fields = Fields::default();
            fields.set("name", volume.name.as_str());
            fields.set("hostPath", volume.host_path.as_str());
            fields.set("mountPath", volume.mount_path.as_str());
            fields.set_some("readOnly", volume.read_only.then_some(true));
            fields.set_some("pathType", Some(&*volume.path_type).filter(|it| !it.is_empty()));
            Value::from(fields)
        };
        let volumes: Vec<Value> = extras.volumes.iter().map(volume).collect();
        self.set_some("extraVolumes", (!volumes.is_empty()).then_some(volumes));
        let env = |(name, value): &(String, String)| json!({ "name": name, "value": value });
        let envs: Vec<Value> = extras.envs.iter().map(env).collect();
        self.set_some("extraEnvs", (!envs.is_empty()).then_some(envs));
    }

    fn merge(&mut self, over: Value) {
        if let Value::Object(over) = over {
            yaml::merge(&mut self.0, &over);
        }
    }
}

/// The version a cluster runs, from its stored ClusterConfiguration.
pub fn running_version(
    cluster_configuration: &str,
) -> Result<KubernetesVersion, RunningVersionError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stored {
        kubernetes_version: String,
    }
    let stored: Stored = yaml::read("ClusterConfiguration", cluster_configuration)?;
    parse_version(&stored.kubernetes_version)
        .ok_or(RunningVersionError::NotAVersion(stored.kubernetes_version))
}

fn parse_version(text: &str) -> Option<KubernetesVersion> {
    let mut parts = text.strip_prefix('v').unwrap_or(text).split('.').map(|part| {
        // `u16::from_str` would also take a plus sign.
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    });
    let version =
        KubernetesVersion { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
    parts.next().is_none().then_some(version)
}

/// Which control planes there are, as releases until 1.21 remember it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// By node name.
    #[serde(default)]
    pub api_endpoints: BTreeMap<String, ApiEndpoint>,
    api_version: String,
    kind: String,
}

/// Where one control plane's API server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiEndpoint {
    /// Advertise address.
    pub advertise_address: IpAddr,
    /// Port.
    pub bind_port: u16,
}

impl Default for ClusterStatus {
    fn default() -> Self {
        Self {
            api_endpoints: BTreeMap::new(),
            api_version: ConfigApi::V1Beta2.as_str().to_owned(),
            kind: CLUSTER_STATUS_KEY.to_owned(),
        }
    }
}

impl ClusterStatus {
    /// Reads what the ConfigMap has.
    pub fn from_yaml(text: &str) -> Result<Self, YamlError> {
        yaml::read(CLUSTER_STATUS_KEY, text)
    }

    /// Renders it for the ConfigMap.
    pub fn to_yaml(&self) -> Result<String, YamlError> {
        yaml::write(CLUSTER_STATUS_KEY, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{cluster, section, section_with_etcd_hosts};
    use crate::inventory::{ClusterSection, EtcdClientFiles, EtcdOwner, ExternalEtcd};

    #[test]
    fn arguments_are_a_map_before_1_31_and_a_list_since() {
        let render = |minor| {
            let mut section = section(minor, 0);
            section.networking.pod_subnet.clear();
            section.scheduler = vec![("v".to_owned(), "4".to_owned())];
            section.dns.disabled = true;
            section.api_server.cert_sans = vec!["k8s.example.com".to_owned()];
            cluster_configuration_yaml(&Cluster::resolve(&section).unwrap()).unwrap()
        };
        insta::assert_snapshot!(render(24), @r#"
        apiServer:
          certSANs:
          - k8s.example.com
          extraArgs:
            authorization-mode: Node,RBAC
          timeoutForControlPlane: 4m0s
        apiVersion: kubeadm.k8s.io/v1beta3
        certificatesDir: /etc/kubernetes/pki
        clusterName: kubernetes
        controllerManager: {}
        dns: {}
        etcd:
          local:
            dataDir: /var/lib/etcd
        imageRepository: k8s.gcr.io
        kind: ClusterConfiguration
        kubernetesVersion: v1.24.0
        networking:
          dnsDomain: cluster.local
          serviceSubnet: 10.96.0.0/12
        scheduler:
          extraArgs:
            v: "4"
        "#);
        insta::assert_snapshot!(render(31), @r#"
        apiServer:
          certSANs:
          - k8s.example.com
        apiVersion: kubeadm.k8s.io/v1beta4
        caCertificateValidityPeriod: 87600h0m0s
        certificateValidityPeriod: 8760h0m0s
        certificatesDir: /etc/kubernetes/pki
        clusterName: kubernetes
        controllerManager: {}
        dns:
          disabled: true
        encryptionAlgorithm: RSA-2048
        etcd:
          local:
            dataDir: /var/lib/etcd
        imageRepository: registry.k8s.io
        kind: ClusterConfiguration
        kubernetesVersion: v1.31.0
        networking:
          dnsDomain: cluster.local
          serviceSubnet: 10.96.0.0/12
        proxy: {}
        scheduler:
          extraArgs:
          - name: v
            value: "4"
        "#);
    }

    #[test]
    fn an_external_etcd_is_named_with_its_files() {
        let etcd = |section: &ClusterSection| {
            let text = cluster_configuration_yaml(&Cluster::resolve(section).unwrap()).unwrap();
            let fields: Value = yaml::read("test", &text).unwrap();
            fields["etcd"].to_string()
        };
        let mut ours = section_with_etcd_hosts(20, 2);
        let pki = "/etc/kubernetes/pki";
        let files = format!(
            "\"caFile\":\"{pki}/etcd/ca.crt\",\"certFile\":\"{pki}/apiserver-etcd-client.crt\""
        );
        assert!(etcd(&ours).starts_with(&format!("{{\"external\":{{{files}")), "{}", etcd(&ours));
        assert!(!etcd(&ours).contains("httpEndpoints"));
        let newest = section_with_etcd_hosts(36, 2);
        assert!(etcd(&newest).contains("\"httpEndpoints\":[\"https://10.0.1.1:2379\""));
        ours.etcd.external = Some(ExternalEtcd {
            endpoints: vec!["http://10.0.0.9:2379".to_owned()],
            owner: EtcdOwner::SomebodyElse(EtcdClientFiles::default()),
        });
        assert_eq!(
            etcd(&ours),
            r#"{"external":{"caFile":"","certFile":"","endpoints":["http://10.0.0.9:2379"],"keyFile":""}}"#
        );
    }

    #[test]
    fn keys_and_validity_are_said_in_the_words_of_the_release() {
        let render = |minor| {
            let mut section = section(minor, 0);
            section.encryption_algorithm = EncryptionAlgorithm::EcdsaP256;
            section.certificate_validity_period = Duration::from_secs(90);
            section.ca_certificate_validity_period = Duration::from_secs(45);
            let text = cluster_configuration_yaml(&Cluster::resolve(&section).unwrap()).unwrap();
            let wanted = |line: &&str| {
                ["Validity", "encryption", "featureGates", "ECDSA"].iter().any(|w| line.contains(w))
            };
            text.lines().filter(wanted).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(render(30), @r"
        featureGates:
          PublicKeysECDSA: true
        ");
        insta::assert_snapshot!(render(36), @r"
        caCertificateValidityPeriod: 45s
        certificateValidityPeriod: 1m30s
        encryptionAlgorithm: ECDSA-P256
        ");
    }

    #[test]
    fn the_running_version_is_read_back() {
        for minor in [20, 24, 36] {
            let cluster = cluster(minor, 7);
            let text = cluster_configuration_yaml(&cluster).unwrap();
            assert_eq!(running_version(&text).unwrap(), cluster.release.version);
        }
        for bad in ["v1.30", "v1.30.0-rc.1", "stable", "v1.30.1.2", "v1.+3.0", "v1..0", ""] {
            let error = running_version(&format!("kubernetesVersion: {bad:?}\n")).unwrap_err();
            assert!(matches!(error, RunningVersionError::NotAVersion(_)), "{bad}: {error}");
        }
        assert!(matches!(running_version("kind: X\n"), Err(RunningVersionError::Yaml(_))));
    }

    #[test]
    fn a_joining_control_plane_is_added_to_the_status() {
        let mut status = ClusterStatus::default();
        let endpoint =
            |text: &str| ApiEndpoint { advertise_address: text.parse().unwrap(), bind_port: 6443 };
        status.api_endpoints.insert("cp-1".to_owned(), endpoint("10.0.0.11"));
        let mut status = ClusterStatus::from_yaml(&status.to_yaml().unwrap()).unwrap();
        status.api_endpoints.insert("cp-2".to_owned(), endpoint("10.0.0.12"));
        insta::assert_snapshot!(status.to_yaml().unwrap(), @r#"
        apiEndpoints:
          cp-1:
            advertiseAddress: 10.0.0.11
            bindPort: 6443
          cp-2:
            advertiseAddress: 10.0.0.12
            bindPort: 6443
        apiVersion: kubeadm.k8s.io/v1beta2
        kind: ClusterStatus
        "#);
    }
}
