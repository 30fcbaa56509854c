//! What one round trip tells about a host. Untrusted input, parsed strictly and bounded in size.

mod gather;
mod parse;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

pub use gather::FactsRequest;
pub use parse::{FactsError, parse};

/// Facts about one host, gathered by the payload in one round trip.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Facts {
    /// `uname -n`, as the kernel says it.
    pub hostname: String,
    /// Effective user id the payload ran with.
    pub euid: u32,
    /// `uname -s`, for example `Linux`.
    pub kernel_name: String,
    /// `uname -r`.
    pub kernel_release: String,
    /// `uname -m` as the kernel says it, for example `x86_64`.
    pub machine: String,
    /// `ID` and `VERSION_ID` of os-release; empty when unknown.
    pub os: Os,
    /// Logical CPUs.
    pub cpus: u32,
    /// MemTotal in MB (1024 * 1024 bytes).
    pub memory_mb: u64,
    /// Address of the default-route interface that the kernel would use as source; IPv4 first.
    pub default_addresses: Vec<IpAddr>,
    /// All addresses on the host's interfaces.
    pub addresses: Vec<IpAddr>,
    /// Whether the hostname resolves locally (`getent hosts`): addresses found.
    pub hostname_addresses: Vec<String>,
    /// TCP ports (IPv4 or IPv6) in LISTEN state on any address.
    pub listening_tcp_ports: Vec<u16>,
    /// Devices in /proc/swaps, without the header.
    pub swaps: Vec<String>,
    /// Paths of commands found in PATH, by name (conntrack, crictl, ctr, ip, iptables, mount, nsenter,
    /// ebtables, ethtool, socat, tc, touch, losetup, cp, kubelet, kubectl, containerd, crio, docker).
    pub commands: BTreeMap<String, String>,
    /// First line of files under /proc/sys that checks look at; a missing key means unreadable:
    /// `net/ipv4/ip_forward`, `net/ipv6/conf/default/forwarding`, `net/bridge/bridge-nf-call-iptables`,
    /// `net/bridge/bridge-nf-call-ip6tables`.
    pub sysctls: BTreeMap<String, String>,
    /// Kernel build options without `CONFIG_` (value `y`, `m` or text) that SystemVerification asks for;
    /// `None` when no kernel config file was found.
    pub kernel_config: Option<BTreeMap<String, String>>,
    /// 1 or 2; 0 when no cgroup file system is mounted.
    pub cgroup_version: u8,
    /// Enabled cgroup controllers.
    pub cgroup_controllers: Vec<String>,
    /// The init system, and what it says of the services that matter.
    pub init: Init,
    /// `kubelet --version` without the leading `Kubernetes v`; empty when there is no kubelet.
    pub kubelet_version: String,
    /// Container runtime endpoints whose sockets exist, in kubeadm's order
    /// (`unix:///var/run/containerd/containerd.sock`, crio, cri-dockerd).
    pub cri_sockets: Vec<String>,
    /// Whether the runtime answers, and what it calls itself.
    pub runtime: Option<Runtime>,
    /// Environment variables whose name ends in `_proxy` (any case), as root's login environment has them.
    pub proxy_environment: BTreeMap<String, String>,
    /// What exists under the paths kubeadm owns, keyed by path; see [`PathState`]. Asked for: every file of
    /// /etc/kubernetes (confs, manifests, pki), /var/lib/kubelet/{config.yaml,instance-config.yaml,
    /// kubeadm-flags.env,pki/kubelet-client-current.pem}, /var/lib/etcd, and the CA directories of kubeadm
    /// section 6 (/etc/pki/ca-trust, /etc/pki/tls/certs, /etc/pki, /etc/ca-certificates,
    /// /usr/share/ca-certificates, /usr/local/share/ca-certificates).
    pub paths: BTreeMap<String, PathState>,
    /// Free space in MB on /, /var and /etc, by path.
    pub free_mb: BTreeMap<String, u64>,
    /// Seconds since the epoch on the host's clock.
    pub clock: u64,
    /// /etc/machine-id.
    pub machine_id: String,
}

/// `ID` and `VERSION_ID` of os-release.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Os {
    /// For example `debian`.
    pub id: String,
    /// For example `12`.
    pub version: String,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PathState {
    /// A regular file (or anything that is neither of the others).
    File,
    /// A directory without entries.
    EmptyDirectory,
    /// A directory with entries.
    Directory,
}

/// The init system and its services.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Init {
    /// Which one.
    pub kind: InitKind,
    /// State by service name: kubelet, containerd, crio, docker, firewalld, systemd-resolved.
    pub services: BTreeMap<String, ServiceState>,
}

/// kubeadm's choice: systemd when `systemctl` is in PATH, else OpenRC when `openrc` is, else none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InitKind {
    /// systemd.
    Systemd,
    /// OpenRC.
    Openrc,
    /// Neither.
    #[default]
    None,
}

/// State of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ServiceState {
    /// The unit is known to the init system.
    pub exists: bool,
    /// Starts at boot.
    pub enabled: bool,
    /// Active or activating.
    pub active: bool,
}

/// The container runtime behind the chosen socket.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Runtime {
    /// Its endpoint.
    pub socket: String,
    /// `containerd`, `cri-o`, ...
    pub name: String,
    /// Its version.
    pub version: String,
    /// CRI says RuntimeReady.
    pub ready: bool,
    /// Why not ready, as the tool said it.
    pub error: String,
}
