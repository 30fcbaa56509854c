//! The resolved inventory: what every other layer works from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::error::Mistakes;
use super::ssh::{JumpHost, SshSettings};

/// A resolved inventory: every host with its settings, and the cluster they form.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// The directory relative paths in the document refer to.
    pub directory: PathBuf,
    /// `kubeadm_config`: absolute path of a file of kubeadm's documents that takes the place of `[cluster]`.
    pub kubeadm_config: Option<PathBuf>,
    /// `[cluster]`; absent when the inventory is only used for `exec` and the like.
    pub cluster: Option<ClusterSection>,
    /// Hosts in document order, ranges expanded. Names are unique, and so are addresses together with
    /// the SSH port, and advertise addresses.
    pub hosts: Vec<Arc<Host>>,
    /// `[jump_hosts.NAME]`, by name.
    pub jump_hosts: BTreeMap<String, JumpHost>,
    /// `[artifacts]`.
    pub artifacts: Artifacts,
    /// `[registries.NAME]`, by name.
    pub registries: Vec<RegistrySection>,
    /// `[[files]]`.
    pub files: Vec<FileSection>,
    /// `[[manifests]]`: paths of YAML files, absolute.
    pub manifests: Vec<PathBuf>,
    /// `[[hooks]]`.
    pub hooks: Vec<HookSection>,
    /// `[preflight] ignore`: check names, lower-cased; `all` stands alone.
    pub preflight_ignore: Vec<String>,
    /// What of the document is right, and more than the workflows that change hosts can do yet.
    pub not_yet: Option<Arc<Mistakes>>,
}

/// One host, with group and default settings folded in.
#[derive(Debug, Clone)]
pub struct Host {
    /// Inventory name; also the Kubernetes node name (DNS-1123 subdomain, lower case).
    pub name: String,
    /// Where SSH connects: an IP address or a DNS name.
    pub address: String,
    /// The address the cluster uses; default is the host's own default-route address, and for a host of role `etcd`
    /// the address that SSH connects to, where that is one.
    pub advertise_address: Option<IpAddr>,
    /// The host's one role.
    pub role: Role,
    /// Groups the host belongs to, in document order.
    pub groups: Vec<String>,
    /// Node labels (groups first, host wins).
    pub labels: BTreeMap<String, String>,
    /// Node taints: the host's own if it has any list, else those of all its groups. `None` means the
    /// role's default (kubeadm: nil versus empty differ).
    pub taints: Option<Vec<Taint>>,
    /// Extra kubelet flags, by name without dashes.
    pub kubelet_extra_args: BTreeMap<String, String>,
    /// How to reach the host, as far as the inventory says. Hosts of which it says the same share it.
    pub ssh: Arc<SshSettings>,
    /// Free variables for templates (groups first, host wins).
    pub vars: Map<String, Value>,
}

impl Host {
    /// [`Host::ssh`], to be changed for this host alone.
    pub fn ssh_mut(&mut self) -> &mut SshSettings {
        Arc::make_mut(&mut self.ssh)
    }

    /// Whether it cannot be a member of etcd for want of an address that others know.
    pub fn is_etcd_without_address(&self) -> bool {
        self.role == Role::Etcd && self.advertise_address.is_none()
    }
}

/// A host's one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Runs the control plane.
    ControlPlane,
    /// Runs workloads.
    Worker,
    /// A member of an external etcd.
    Etcd,
}

impl Role {
    /// The word used in inventories: `control-plane`, `worker`, `etcd`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
            Self::Etcd => "etcd",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A node taint as in the core/v1 API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// Qualified key.
    pub key: String,
    /// Value, possibly empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A Kubernetes version `major.minor.patch`, printed without a leading `v`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KubernetesVersion {
    /// 1.
    pub major: u16,
    /// 20 to 36.
    pub minor: u16,
    /// Patch level.
    pub patch: u16,
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// `host` or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// DNS name or IP address (IPv6 without brackets).
    pub host: String,
    /// TCP port; `None` means the API server's bind port.
    pub port: Option<u16>,
}

/// `[cluster.load_balancer]`: what serves the control plane's endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    /// `kind`, and what belongs to it.
    pub kind: LoadBalancerKind,
    /// `address`: the virtual address, which one of the hosts has at a time.
    pub address: Option<IpAddr>,
    /// `interface`: the one that gets the virtual address; `None` means detect.
    pub interface: Option<String>,
    /// `hosts`: names of the hosts that serve it (a selection, already resolved), never empty.
    pub hosts: Vec<String>,
}

/// `kind` in `[cluster.load_balancer]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadBalancerKind {
    /// `haproxy`, with keepalived where there is a virtual address.
    Haproxy {
        /// `virtual_router_id`: what tells keepalived's group from others in the network; default 51.
        virtual_router_id: u8,
    },
    /// `kube-vip`, a static pod on every control plane.
    KubeVip {
        /// `image`.
        image: String,
    },
}

/// `[cluster]`: what kubeadm's ClusterConfiguration carries, in snake_case, defaults filled in.
#[derive(Debug, Clone)]
pub struct ClusterSection {
    /// `name`, kubeadm's clusterName; default `kubernetes`.
    pub name: String,
    /// `kubernetes_version`, required.
    pub kubernetes_version: KubernetesVersion,
    /// `control_plane_endpoint`.
    pub control_plane_endpoint: Option<Endpoint>,
    /// `[cluster.load_balancer]`: what serves the endpoint, where that is not somebody else's business.
    pub load_balancer: Option<LoadBalancer>,
    /// `image_repository`; `None` means the release's default.
    pub image_repository: Option<String>,
    /// `cri_socket`, used for every host; `None` means detect.
    pub cri_socket: Option<String>,
    /// `encryption_algorithm`, of the keys that are made; default RSA-2048.
    pub encryption_algorithm: EncryptionAlgorithm,
    /// `certificate_validity_period`; default a year (8760 hours).
    pub certificate_validity_period: Duration,
    /// `ca_certificate_validity_period`; default ten years (87600 hours).
    pub ca_certificate_validity_period: Duration,
    /// `[cluster.pki] directory`: an absolute directory on the workstation with authorities, certificates and keys; no
    /// key in it can be read by others.
    pub pki_directory: Option<PathBuf>,
    /// `[cluster.networking]`.
    pub networking: Networking,
    /// `[cluster.api_server]`.
    pub api_server: ApiServer,
    /// `[cluster.controller_manager] extra_args`.
    pub controller_manager: ExtraArgs,
    /// `[cluster.scheduler] extra_args`.
    pub scheduler: ExtraArgs,
    /// `[cluster.etcd]`.
    pub etcd: Etcd,
    /// `extra_volumes` and `extra_envs` of the components.
    pub extras: ComponentExtras,
    /// `[cluster.dns]`.
    pub dns: Addon,
    /// `[cluster.proxy]` (only `disabled`).
    pub proxy: Addon,
    /// `[cluster.timeouts]`.
    pub timeouts: Timeouts,
    /// `[cluster.kubelet_configuration]`, verbatim KubeletConfiguration fields (camelCase).
    pub kubelet_configuration: Map<String, Value>,
    /// `[cluster.kube_proxy_configuration]`, verbatim KubeProxyConfiguration fields.
    pub kube_proxy_configuration: Map<String, Value>,
    /// `patches`: an absolute directory on the workstation with patches as kubeadm has them.
    pub patches: Option<PathBuf>,
}

/// kubeadm's `encryptionAlgorithm`: what private keys are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum EncryptionAlgorithm {
    /// `RSA-2048`, the default.
    #[default]
    Rsa2048,
    /// `RSA-3072`.
    Rsa3072,
    /// `RSA-4096`.
    Rsa4096,
    /// `ECDSA-P256`.
    EcdsaP256,
    /// `ECDSA-P384`.
    EcdsaP384,
}

impl EncryptionAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::EcdsaP256, Self::EcdsaP384];

    /// kubeadm's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::Rsa4096 => "RSA-4096",
            Self::EcdsaP256 => "ECDSA-P256",
            Self::EcdsaP384 => "ECDSA-P384",
        }
    }
}

/// `[cluster.timeouts]`: how long is waited for what, kubeadm's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// `control_plane_component_health_check`: the API server, controller manager and scheduler; 4 minutes.
    pub control_plane_component_health_check: Duration,
    /// `kubelet_health_check`: the kubelet's healthz; 4 minutes.
    pub kubelet_health_check: Duration,
    /// `discovery`: the controller manager's signature under cluster-info; 5 minutes.
    pub discovery: Duration,
    /// `tls_bootstrap`: a joining kubelet's certificate and Node; 5 minutes.
    pub tls_bootstrap: Duration,
    /// `etcd_api_call`: a change of etcd's members, and a member that is to become healthy; 2 minutes.
    pub etcd_api_call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            control_plane_component_health_check: Duration::from_secs(240),
            kubelet_health_check: Duration::from_secs(240),
            discovery: Duration::from_secs(300),
            tls_bootstrap: Duration::from_secs(300),
            etcd_api_call: Duration::from_secs(120),
        }
    }
}

/// What the containers of the control plane get besides arguments.
#[derive(Debug, Clone, Default)]
pub struct ComponentExtras {
    /// `[cluster.api_server]`.
    pub api_server: Extras,
    /// `[cluster.controller_manager]`.
    pub controller_manager: Extras,
    /// `[cluster.scheduler]`.
    pub scheduler: Extras,
    /// `[cluster.etcd]`, which has no volumes.
    pub etcd: Extras,
}

/// What one component's container gets besides arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extras {
    /// `extra_volumes`, names unique.
    pub volumes: Vec<ExtraVolume>,
    /// `extra_envs`: names and values, names unique.
    pub envs: Vec<(String, String)>,
}

/// A host path that is mounted into a component's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraVolume {
    /// `name`; that of one of kubeadm's own volumes takes its place.
    pub name: String,
    /// `host_path`, absolute.
    pub host_path: String,
    /// `mount_path`, absolute.
    pub mount_path: String,
    /// `read_only`.
    pub read_only: bool,
    /// `path_type`, as `DirectoryOrCreate`; empty when nothing is checked or made.
    pub path_type: String,
}

/// Command-line arguments of a control-plane component, in document order, names without dashes.
pub type ExtraArgs = Vec<(String, String)>;

/// `[cluster.networking]`.
#[derive(Debug, Clone)]
pub struct Networking {
    /// One network, or two of different families; empty when not set.
    pub pod_subnet: Vec<IpNet>,
    /// One network, or two of different families; default 10.96.0.0/12.
    pub service_subnet: Vec<IpNet>,
    /// Default `cluster.local`.
    pub dns_domain: String,
}

/// `[cluster.api_server]`.
#[derive(Debug, Clone)]
pub struct ApiServer {
    /// `bind_port`, default 6443.
    pub bind_port: u16,
    /// `extra_args`.
    pub extra_args: ExtraArgs,
    /// `cert_sans`: more names and addresses for the serving certificate.
    pub cert_sans: Vec<String>,
}

/// `[cluster.etcd]`.
#[derive(Debug, Clone)]
pub struct Etcd {
    /// `data_dir`, default `/var/lib/etcd`.
    pub data_dir: String,
    /// `extra_args`.
    pub extra_args: ExtraArgs,
    /// `image_repository`.
    pub image_repository: Option<String>,
    /// `image_tag`.
    pub image_tag: Option<String>,
    /// `server_cert_sans`.
    pub server_cert_sans: Vec<String>,
    /// `peer_cert_sans`.
    pub peer_cert_sans: Vec<String>,
    /// `manager`: what runs the members on hosts of role `etcd`.
    pub manager: EtcdManager,
    /// An etcd that does not run on the control planes; `None` for one that does.
    pub external: Option<ExternalEtcd>,
}

/// What runs etcd on a host of role `etcd`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EtcdManager {
    /// A kubelet that knows no API server, as a static pod: kubeadm's documented way.
    #[default]
    Kubelet,
    /// systemd, as a service; no container runtime is needed.
    Systemd,
}

impl EtcdManager {
    /// The word used in inventories.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Systemd => "systemd",
        }
    }
}

/// An etcd that does not run on the control planes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalEtcd {
    /// Where API servers reach it: `https://host:port`, in order.
    pub endpoints: Vec<String>,
    /// Whose it is.
    pub owner: EtcdOwner,
}

/// Who looks after an external etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtcdOwner {
    /// fleetadm: its members are the inventory's hosts of role `etcd`.
    Inventory,
    /// Somebody else: `[cluster.etcd.external]`, with what API servers need to be let in.
    SomebodyElse(EtcdClientFiles),
}

/// Absolute paths on the workstation; all `None` for an etcd without TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcdClientFiles {
    /// `ca_file`: the authority of its servers.
    pub ca: Option<PathBuf>,
    /// `cert_file` and `key_file`: who the API servers are to it.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// `[cluster.dns]`, `[cluster.proxy]`.
#[derive(Debug, Clone, Default)]
pub struct Addon {
    /// `disabled`: the add-on is not installed.
    pub disabled: bool,
    /// `image_repository`.
    pub image_repository: Option<String>,
    /// `image_tag`.
    pub image_tag: Option<String>,
}

/// `[artifacts]`.
#[derive(Debug, Clone, Default)]
pub struct Artifacts {
    /// Where `kubelet` and `kubectl` come from, and etcd.
    pub binaries: Option<Binaries>,
    /// `images`: an absolute directory on the workstation, which holds `*.tar` images.
    pub images: Option<PathBuf>,
}

/// Where hosts get binaries from.
#[derive(Debug, Clone)]
pub enum Binaries {
    /// `binaries`: an absolute directory on the workstation.
    Directory(PathBuf),
    /// `url`: a mirror that hosts ask themselves.
    Mirror {
        /// What the names of the binaries are put behind, with a slash.
        url: String,
        /// `checksums`: SHA-256 in lower-case hex by name; `kubelet` and `kubectl` are among them.
        sha256: BTreeMap<String, String>,
    },
}

/// One `[registries.NAME]` table: where else containerd looks for a registry's images.
#[derive(Debug, Clone)]
pub struct RegistrySection {
    /// As it stands in names of images, `HOST` or `HOST:PORT`; `_default` means those that have no table of their own.
    pub name: String,
    /// URLs in the order in which they are asked, before the registry itself. There is at least one.
    pub mirrors: Vec<String>,
    /// `ca_file`: the authority of the mirrors' certificates; absolute path on the workstation.
    pub ca_file: Option<PathBuf>,
}

/// One `[[files]]` entry.
#[derive(Debug, Clone)]
pub struct FileSection {
    /// Absolute path on the workstation.
    pub source: PathBuf,
    /// Absolute path on the hosts; may itself be a template when `template` is set.
    pub dest: String,
    /// Permission bits, default 0o644.
    pub mode: u32,
    /// Names of the hosts that get it (a selection, already resolved).
    pub hosts: Vec<String>,
    /// Render through minijinja with `host`, `facts`, `vars`, `hosts`, `cluster`.
    pub template: bool,
}

/// One `[[hooks]]` entry: a local script run on hosts before or after a phase.
#[derive(Debug, Clone)]
pub struct HookSection {
    /// Absolute path of the script on the workstation.
    pub script: PathBuf,
    /// Whether it runs before or after the phase.
    pub when: HookWhen,
    /// `workflow/phase`, for example `init/kubelet-start` or `join/kubelet-start`.
    pub phase: String,
    /// Names of the hosts it runs on (a selection, already resolved).
    pub hosts: Vec<String>,
}

/// Before or after the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookWhen {
    /// Ahead of the phase.
    Before,
    /// Once the phase is done.
    After,
}
