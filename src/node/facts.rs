//! What one round trip tells about a host. Untrusted input, parsed strictly and bounded in size.

mod disks;
mod gather;
mod network;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

pub use gather::FactsRequest;
pub use parse::{Asked, FactsError, parse};

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
    /// What the host runs in or on, as `systemd-detect-virt` calls it (`docker`, `kvm`, `none`); empty when unknown.
    pub virtualization: String,
    /// Seconds since the kernel started.
    pub uptime: u64,
    /// Address of the default-route interface that the kernel would use as source; IPv4 first.
    pub default_addresses: Vec<IpAddr>,
    /// All addresses on the host's interfaces.
    pub addresses: Vec<IpAddr>,
    /// Network interfaces, in the kernel's order. Without `ip` on the host, none has an address.
    pub interfaces: Vec<Interface>,
    /// Routes of the main table, the first few hundred; those to single local addresses are left out.
    pub routes: Vec<Route>,
    /// Whether the hostname resolves locally (`getent hosts`): addresses found.
    pub hostname_addresses: Vec<String>,
    /// The other names that were asked for, with the addresses the host's own resolver gives; none for a name that
    /// it does not know. Missing: not asked, or no answer in time.
    pub resolved: BTreeMap<String, Vec<IpAddr>>,
    /// Name servers by file: /etc/resolv.conf and /run/systemd/resolve/resolv.conf.
    pub name_servers: BTreeMap<String, Vec<String>>,
    /// TCP ports (IPv4 or IPv6) in LISTEN state on any address.
    pub listening_tcp_ports: Vec<u16>,
    /// Devices in /proc/swaps, without the header.
    pub swaps: Vec<String>,
    /// Paths of commands found in PATH, by name (conntrack, crictl, ctr, ip, iptables, mount, nsenter,
    /// ebtables, etcd, ethtool, socat, tc, touch, losetup, cp, kubelet, kubectl, containerd, crio, docker,
    /// apparmor_parser).
    pub commands: BTreeMap<String, String>,
    /// First line of files under /proc/sys that checks look at; a missing key means unreadable:
    /// `net/ipv4/ip_forward`, `net/ipv6/conf/default/forwarding`, `net/bridge/bridge-nf-call-iptables`,
    /// `net/bridge/bridge-nf-call-ip6tables`, `net/ipv4/conf/all/rp_filter`, `net/netfilter/nf_conntrack_max`,
    /// `fs/file-max`, `fs/nr_open`, `fs/inotify/max_user_instances`, `fs/inotify/max_user_watches`,
    /// `kernel/random/entropy_avail`.
    pub sysctls: BTreeMap<String, String>,
    /// Those of the modules `br_netfilter`, `ip_vs`, `nf_conntrack` and `overlay` that are loaded or built in.
    pub modules: BTreeSet<String>,
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
    /// What was there before, and since when.
    pub leftovers: Leftovers,
    /// The file systems behind /, /etc, /var, /var/log, /var/lib/kubelet, /var/lib/containerd, /var/lib/containers and
    /// the further paths asked for, by that path; of one that does not exist, its nearest parent's.
    pub disks: BTreeMap<String, Disk>,
    /// How fast a disk makes small writes permanent, where that was asked for and could be measured.
    pub fsync: Option<Fsync>,
    /// Seconds since the epoch on the host's clock.
    pub clock: u64,
    /// How far that is from the workstation's; `None` in facts that no host was asked for.
    pub clock_offset: Option<ClockOffset>,
    /// /etc/machine-id.
    pub machine_id: String,
    /// The mainboard's UUID (/sys/class/dmi/id/product_uuid), in lower case; empty when it has none.
    pub product_uuid: String,
    /// SSH host keys (/etc/ssh/ssh_host_*_key.pub): type and base64.
    pub ssh_host_keys: Vec<(String, String)>,
    /// `enforcing`, `permissive` or `disabled`.
    pub selinux: String,
    /// A policy for containers is installed, where SELinux is not disabled.
    pub selinux_container_policy: bool,
    /// The kernel enforces AppArmor profiles.
    pub apparmor: bool,
    /// What filters incoming packets: `firewalld`, `ufw`, or a chain with the policy to drop, as `nftables inet filter
    /// input` or `iptables INPUT`.
    pub firewalls: Vec<String>,
}

impl Facts {
    /// The address others reach the host by: the one that is configured, else its default one.
    pub fn address_or(&self, configured: Option<IpAddr>) -> Option<IpAddr> {
        configured.or_else(|| self.default_addresses.first().copied())
    }

    /// The interface that has this address.
    pub fn interface_with(&self, address: IpAddr) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.addresses.contains(&address))
    }
}

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// For example `eth0`.
    pub name: String,
    /// Hardware address; empty when it has none.
    pub mac: String,
    /// Bytes in the largest packet.
    pub mtu: u32,
    /// The kernel's word for its state: `up`, `down`, `unknown`.
    pub state: String,
    /// There is a device behind it.
    pub physical: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Where it leads; the default route's is of length 0.
    pub network: IpNet,
    /// By which interface.
    pub device: String,
    /// By which router; `None` for what is reached directly.
    pub gateway: Option<IpAddr>,
}

/// The file system behind a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount_point: String,
    /// For example `ext4`; empty when unknown.
    pub file_system: String,
    /// Mount options.
    pub options: Vec<String>,
    /// MB (1024 * 1024 bytes) in all.
    pub size_mb: u64,
    /// MB that are free.
    pub free_mb: u64,
    /// Inodes in all; 0 where they are made as needed.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
}

/// Small synchronous writes, one after the other, as etcd makes them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Fsync {
    /// In which directory.
    pub directory: String,
    /// How many there were.
    pub writes: u32,
    /// Seconds for one, on average.
    pub seconds: f64,
}

/// The host's clock against the workstation's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ClockOffset {
    /// Seconds it is ahead, negative when behind: the middle of what is possible.
    pub seconds: f64,
    /// Half of what is possible: the clock was read between the question and the first answer.
    pub uncertainty: f64,
}

/// What an earlier cluster left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Leftovers {
    /// When files were last changed, in seconds since the epoch: /etc/kubernetes/{pki/ca.crt,admin.conf,kubelet.conf},
    /// /var/lib/kubelet/config.yaml, etcd's data, and every file in /etc/cni/net.d.
    pub changed: BTreeMap<String, u64>,
    /// Servers that kubeconfig files name, by file.
    pub servers: BTreeMap<String, String>,
    /// SHA-256 of the first certificate in /etc/kubernetes/pki/ca.crt, as text, in hexadecimal; empty when there is none.
    pub ca_sha256: String,
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
    /// State by service name: kubelet, containerd, crio, docker, firewalld, ufw, systemd-resolved, and what keeps the
    /// time (chrony, chronyd, ntp, ntpd, ntpsec, openntpd, systemd-timesyncd).
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
