//! The document as it is written: every key there is, nothing folded in, every value with its place.
//!
//! These types only say what may stand where. Whether a value makes sense is for `resolve` to say,
//! so everything is optional here, and words and numbers stay as they were typed.

mod values;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

pub(super) use values::{Arg, Number, OneOrMany, Scalar, Verbatim};

/// A value that may be left out.
pub(super) type Opt<T> = Option<Spanned<T>>;
/// A text that may be left out.
pub(super) type Text = Opt<String>;
/// One text or a list of them.
pub(super) type Texts = Opt<OneOrMany>;
/// A key of the design that does not work yet, whatever its value.
pub(super) type Unsupported = Opt<IgnoredAny>;
/// A table with free keys.
pub(super) type Entries<T> = BTreeMap<Spanned<String>, Spanned<T>>;

/// The keys of that kind, wherever they stand: known, but nothing to recommend.
pub(super) const UNSUPPORTED: [&str; 3] = ["certificates_dir", "feature_gates", "value_from"];

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Document {
    pub(super) kubeadm_config: Text,
    pub(super) cluster: Opt<Cluster>,
    pub(super) ssh: Ssh,
    pub(super) jump_hosts: Entries<JumpHostEntry>,
    pub(super) groups: Entries<Group>,
    pub(super) hosts: Vec<Spanned<HostEntry>>,
    pub(super) artifacts: ArtifactsEntry,
    pub(super) registries: Entries<RegistryEntry>,
    pub(super) files: Vec<Spanned<FileEntry>>,
    pub(super) manifests: Vec<Spanned<ManifestEntry>>,
    pub(super) hooks: Vec<Spanned<HookEntry>>,
    pub(super) preflight: Preflight,
}

/// `[cluster]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Cluster {
    pub(super) name: Text,
    pub(super) kubernetes_version: Text,
    pub(super) control_plane_endpoint: Text,
    pub(super) load_balancer: Opt<LoadBalancerEntry>,
    pub(super) image_repository: Text,
    pub(super) cri_socket: Text,
    pub(super) pki: PkiEntry,
    pub(super) networking: NetworkingEntry,
    pub(super) api_server: ApiServerEntry,
    pub(super) controller_manager: Component,
    pub(super) scheduler: Component,
    pub(super) etcd: EtcdEntry,
    pub(super) dns: DnsEntry,
    pub(super) proxy: ProxyEntry,
    pub(super) timeouts: TimeoutsEntry,
    pub(super) kubelet_configuration: Entries<Verbatim>,
    pub(super) kube_proxy_configuration: Entries<Verbatim>,
    pub(super) patches: Text,
    pub(super) certificates_dir: Unsupported,
    pub(super) feature_gates: Unsupported,
    pub(super) encryption_algorithm: Text,
    pub(super) certificate_validity_period: Opt<Number>,
    pub(super) ca_certificate_validity_period: Opt<Number>,
}

/// `[cluster.pki]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct PkiEntry {
    pub(super) directory: Text,
}

/// `[cluster.load_balancer]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct LoadBalancerEntry {
    pub(super) kind: Text,
    pub(super) address: Text,
    pub(super) interface: Text,
    pub(super) image: Text,
    pub(super) hosts: Texts,
    pub(super) virtual_router_id: Opt<i64>,
}

/// `[cluster.networking]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct NetworkingEntry {
    pub(super) pod_subnet: Texts,
    pub(super) service_subnet: Texts,
    pub(super) dns_domain: Text,
}

/// `[cluster.api_server]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct ApiServerEntry {
    pub(super) bind_port: Opt<i64>,
    pub(super) extra_args: Entries<Arg>,
    pub(super) cert_sans: Texts,
    pub(super) extra_volumes: Vec<Spanned<VolumeEntry>>,
    pub(super) extra_envs: Vec<Spanned<EnvEntry>>,
}

/// `[cluster.controller_manager]`, `[cluster.scheduler]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Component {
    pub(super) extra_args: Entries<Arg>,
    pub(super) extra_volumes: Vec<Spanned<VolumeEntry>>,
    pub(super) extra_envs: Vec<Spanned<EnvEntry>>,
}

/// One of `extra_volumes`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct VolumeEntry {
    pub(super) name: Text,
    pub(super) host_path: Text,
    pub(super) mount_path: Text,
    pub(super) read_only: bool,
    pub(super) path_type: Text,
}

/// One of `extra_envs`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct EnvEntry {
    pub(super) name: Text,
    pub(super) value: Opt<Scalar>,
    pub(super) value_from: Unsupported,
}

/// `[cluster.etcd]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct EtcdEntry {
    pub(super) data_dir: Text,
    pub(super) extra_args: Entries<Arg>,
    pub(super) image_repository: Text,
    pub(super) image_tag: Text,
    pub(super) server_cert_sans: Texts,
    pub(super) peer_cert_sans: Texts,
    pub(super) manager: Text,
    pub(super) external: Opt<ExternalEtcdEntry>,
    pub(super) extra_envs: Vec<Spanned<EnvEntry>>,
}

/// `[cluster.etcd.external]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct ExternalEtcdEntry {
    pub(super) endpoints: Texts,
    pub(super) ca_file: Text,
    pub(super) cert_file: Text,
    pub(super) key_file: Text,
}

/// `[cluster.dns]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct DnsEntry {
    pub(super) disabled: bool,
    pub(super) image_repository: Text,
    pub(super) image_tag: Text,
}

/// `[cluster.timeouts]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct TimeoutsEntry {
    pub(super) control_plane_component_health_check: Opt<Number>,
    pub(super) kubelet_health_check: Opt<Number>,
    pub(super) discovery: Opt<Number>,
    pub(super) tls_bootstrap: Opt<Number>,
    pub(super) etcd_api_call: Opt<Number>,
}

/// `[cluster.proxy]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct ProxyEntry {
    pub(super) disabled: bool,
}

/// `[ssh]`, `[groups.NAME.ssh]`, `[jump_hosts.NAME.ssh]`, a host's `ssh`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Ssh {
    pub(super) user: Text,
    pub(super) port: Opt<i64>,
    pub(super) identity_file: Texts,
    pub(super) certificate_file: Texts,
    pub(super) identities_only: Opt<bool>,
    pub(super) identity_agent: Text,
    pub(super) known_hosts: Texts,
    pub(super) host_key_alias: Text,
    pub(super) host_key_policy: Text,
    pub(super) jump: Texts,
    pub(super) connect_timeout: Opt<Number>,
    pub(super) command_timeout: Opt<Number>,
    pub(super) keepalive: Opt<Number>,
    #[serde(rename = "become")]
    pub(super) become_root: Text,
    pub(super) become_user: Text,
    pub(super) password_command: Text,
    pub(super) become_password_command: Text,
}

/// `[jump_hosts.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct JumpHostEntry {
    pub(super) address: Text,
    pub(super) ssh: Ssh,
}

/// `[groups.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Group {
    pub(super) labels: Entries<Scalar>,
    pub(super) taints: Texts,
    pub(super) vars: Entries<Verbatim>,
    pub(super) ssh: Ssh,
    pub(super) kubelet_extra_args: Entries<Scalar>,
}

/// `[[hosts]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct HostEntry {
    pub(super) name: Text,
    pub(super) address: Text,
    pub(super) advertise_address: Text,
    pub(super) role: Text,
    pub(super) groups: Texts,
    pub(super) labels: Entries<Scalar>,
    pub(super) taints: Texts,
    pub(super) vars: Entries<Verbatim>,
    pub(super) ssh: Ssh,
    pub(super) kubelet_extra_args: Entries<Scalar>,
}

/// `[artifacts]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct ArtifactsEntry {
    pub(super) binaries: Text,
    pub(super) url: Text,
    pub(super) checksums: Text,
    pub(super) images: Text,
}

/// `[registries.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct RegistryEntry {
    pub(super) mirrors: Texts,
    pub(super) ca_file: Text,
}

/// `[[files]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct FileEntry {
    pub(super) source: Text,
    pub(super) dest: Text,
    pub(super) mode: Opt<Number>,
    pub(super) hosts: Texts,
    pub(super) template: bool,
}

/// `[[manifests]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct ManifestEntry {
    pub(super) path: Text,
}

/// `[[hooks]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct HookEntry {
    pub(super) script: Text,
    pub(super) before: Text,
    pub(super) after: Text,
    pub(super) hosts: Texts,
}

/// `[preflight]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Preflight {
    pub(super) ignore: Texts,
}
