//! Checks of the host itself: its size, ports, files, commands and kernel settings; and what each kind of node needs.

use std::net::IpAddr;

use super::rules::{self, NEWEST};
use super::{Checks, Findings};
use crate::node::facts::PathState;
use crate::report::Severity;

const MINIMUM_CPUS: u32 = 2;
const MINIMUM_MEMORY_MB: u64 = 1700;
const KUBELET_PORT: u16 = 10250;
const SCHEDULER_PORT: u16 = 10259;
const CONTROLLER_MANAGER_PORT: u16 = 10257;
const ETCD_CLIENT_PORT: u16 = 2379;
const ETCD_PEER_PORT: u16 = 2380;
const MANIFESTS: &str = "/etc/kubernetes/manifests";

/// Check names carry paths with dashes for slashes.
fn dashed(path: &str) -> String {
    path.replace('/', "-")
}

impl Checks<'_> {
    pub(super) fn privileged_user(&mut self) {
        let euid = self.facts.euid;
        let findings = Findings::error_if(euid != 0, || "user is not running as root".to_owned());
        self.push("IsPrivilegedUser", findings.saw("effective user id", euid));
    }

    /// What only a control plane needs.
    pub(super) fn control_plane(&mut self) {
        let (target, facts) = (self.target, self.facts);
        let cpus = facts.cpus;
        let findings = Findings::error_if(cpus < MINIMUM_CPUS, || {
            format!("the number of available CPUs {cpus} is less than the required {MINIMUM_CPUS}")
        });
        self.push("NumCPU", findings.saw("cpus", cpus).saw("required", MINIMUM_CPUS));
        let memory = facts.memory_mb;
        let findings = Findings::error_if(memory < MINIMUM_MEMORY_MB, || {
            format!("the system RAM ({memory} MB) is less than the minimum {MINIMUM_MEMORY_MB} MB")
        });
        let mb = |amount: u64| format!("{amount} MB");
        self.push("Mem", findings.saw("memory", mb(memory)).saw("required", mb(MINIMUM_MEMORY_MB)));
        let version = target.version;
        let findings = Findings::warning_if(version.minor > NEWEST, || {
            format!("Kubernetes {version} is newer than the newest release known here, 1.{NEWEST}")
        });
        let findings = findings.saw("version", version).saw("newest known", format!("1.{NEWEST}"));
        self.push("KubernetesVersion", findings);
        self.firewalld();
        for port in [target.bind_port, SCHEDULER_PORT, CONTROLLER_MANAGER_PORT] {
            self.port(port);
        }
        for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"] {
            self.file_available(&format!("{MANIFESTS}/{component}.yaml"));
        }
        if let Some(advertise) = self.advertise() {
            self.http_proxy(&advertise.to_string());
        }
        for network in target.service_subnets.iter().chain(&target.pod_subnets) {
            self.http_proxy_cidr(*network);
        }
    }

    /// What every node needs.
    pub(super) fn common(&mut self) {
        self.container_runtime();
        self.container_runtime_version();
        if rules::calls_crictl(self.target.version) {
            self.command("crictl", Severity::Warning);
        }
        if self.rules.bridge_filter {
            self.sysctl("net/bridge/bridge-nf-call-iptables");
        }
        if !self.rules.forwarding_by_family {
            self.sysctl("net/ipv4/ip_forward");
        }
        self.swap();
        for (command, severity) in self.rules.commands {
            self.command(command, *severity);
        }
        self.system_verification();
        self.hostname();
        self.kubelet_version();
        self.kubelet_service();
        self.port(KUBELET_PORT);
    }

    /// Whether the kernel forwards what the cluster's networks need forwarded.
    pub(super) fn forwarding_for_networks(&mut self) {
        let target = self.target;
        let advertise = self.advertise();
        let networks = || target.service_subnets.iter().chain(&target.pod_subnets);
        let by_family = self.rules.forwarding_by_family;
        if by_family
            && (networks().any(|n| n.addr().is_ipv4()) || advertise.is_some_and(|a| a.is_ipv4()))
        {
            self.forwarding(true);
        }
        let has_ipv6 = by_family && networks().any(|n| n.addr().is_ipv6());
        if has_ipv6 || advertise.is_some_and(|a| a.is_ipv6()) {
            self.forwarding(false);
        }
    }

    fn forwarding(&mut self, ipv4: bool) {
        if ipv4 {
            // Earlier releases have looked at it already, whatever the family.
            if self.rules.forwarding_by_family {
                self.sysctl("net/ipv4/ip_forward");
            }
            return;
        }
        if self.rules.bridge_filter {
            self.sysctl("net/bridge/bridge-nf-call-ip6tables");
        }
        self.sysctl("net/ipv6/conf/default/forwarding");
    }

    /// What a joining host reaches the control plane through.
    pub(super) fn endpoint(&mut self) {
        let Some(host) = &self.target.endpoint_host else { return };
        self.http_proxy(host);
        if let Ok(address) = host.parse::<IpAddr>() {
            self.forwarding(address.is_ipv4());
        }
    }

    pub(super) fn etcd(&mut self) {
        let Some(directory) = &self.target.etcd_data_dir else { return };
        self.port(ETCD_CLIENT_PORT);
        self.port(ETCD_PEER_PORT);
        self.directory_available(directory);
    }

    /// A host that joins must not be a node yet.
    pub(super) fn unused_by_kubelet(&mut self) {
        if self.rules.manifests_directory_on_join {
            self.directory_available(MANIFESTS);
        }
        self.file_available("/etc/kubernetes/kubelet.conf");
        self.file_available("/etc/kubernetes/bootstrap-kubelet.conf");
    }

    /// An upgrade replaces the manifests of a control plane, so they have to be there.
    pub(super) fn static_pod_manifests(&mut self) {
        let mut findings = Findings::default();
        for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
            let path = format!("{MANIFESTS}/{component}.yaml");
            let state = self.facts.paths.get(&path);
            if state.is_none() {
                findings.add(Severity::Error, format!("{path} does not exist"));
            }
            findings = findings.saw(path, path_state(state));
        }
        self.push("StaticPodManifest", findings);
    }

    pub(super) fn file_available(&mut self, path: &str) {
        let state = self.facts.paths.get(path);
        let findings = Findings::error_if(state.is_some(), || format!("{path} already exists"));
        let findings = findings.saw(path.to_owned(), path_state(state));
        self.push(format!("FileAvailable-{}", dashed(path)), findings);
    }

    fn directory_available(&mut self, path: &str) {
        let state = self.facts.paths.get(path);
        let findings = match state {
            None | Some(PathState::EmptyDirectory) => Findings::default(),
            Some(PathState::Directory) => Findings::error(format!("{path} is not empty")),
            Some(PathState::File) => Findings::error(format!("{path} is not a directory")),
        };
        let findings = findings.saw(path.to_owned(), path_state(state));
        self.push(format!("DirAvailable-{}", dashed(path)), findings);
    }

    fn port(&mut self, port: u16) {
        let used = self.facts.listening_tcp_ports.contains(&port);
        let findings = Findings::error_if(used, || format!("port {port} is in use"));
        let state = if used { "something listens" } else { "nothing listens" };
        self.push(format!("Port-{port}"), findings.saw(format!("TCP port {port}"), state));
    }

    fn command(&mut self, name: &'static str, missing: Severity) {
        let mut findings = Findings::default();
        let path = self.facts.commands.get(name);
        if path.is_none() {
            findings.add(missing, format!("{name} not found in system path"));
        }
        let findings = findings.saw(name, path.map_or("not in PATH", String::as_str));
        self.push(format!("FileExisting-{name}"), findings);
    }

    fn sysctl(&mut self, key: &'static str) {
        let path = format!("/proc/sys/{key}");
        let value = self.facts.sysctls.get(key);
        let findings = match value {
            None => Findings::error(format!("{path} does not exist")),
            // kubeadm compares as many bytes as it wants to see: one.
            Some(value) if value.starts_with('1') => Findings::default(),
            Some(_) => Findings::error(format!("{path} contents are not set to 1")),
        };
        let name = format!("FileContent-{}", dashed(&path));
        let value = value.map_or("cannot be read", String::as_str);
        self.push(name, findings.saw(path, value).saw("required", 1));
    }

    fn swap(&mut self) {
        let mut findings = Findings::default();
        if !self.facts.swaps.is_empty() {
            let text = match self.rules.swap {
                Severity::Error => "running with swap on is not supported, please disable swap",
                _ => "swap is on: the kubelet must be configured for it, or swap be turned off",
            };
            findings.add(self.rules.swap, text);
        }
        let devices = match self.facts.swaps.as_slice() {
            [] => "none".to_owned(),
            devices => devices.join(", "),
        };
        self.push("Swap", findings.saw("swap devices", devices));
    }

    fn firewalld(&mut self) {
        let state = self.facts.init.services.get("firewalld").filter(|state| state.exists);
        let port = self.target.bind_port;
        let findings = Findings::warning_if(state.is_some_and(|state| state.active), || {
            format!(
                "firewalld is active, please ensure ports [{port} {KUBELET_PORT}] are open or \
                 your cluster may not function correctly"
            )
        });
        let state = match state {
            None => "not installed",
            Some(state) if state.active => "active",
            Some(_) => "not active",
        };
        self.push("Firewalld", findings.saw("firewalld", state));
    }
}

fn path_state(state: Option<&PathState>) -> &'static str {
    match state {
        None => "missing",
        Some(PathState::File) => "a file",
        Some(PathState::EmptyDirectory) => "an empty directory",
        Some(PathState::Directory) => "a directory with entries",
    }
}
