//! Checks of the host itself: its size, ports, files, commands and services.

use std::net::IpAddr;

use super::rules::{self, NEWEST};
use super::{Checks, Findings};
use crate::node::facts::{InitKind, PathState};
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
        let findings = match self.facts.euid {
            0 => Findings::default(),
            _ => Findings::error("user is not running as root"),
        };
        self.push("IsPrivilegedUser", findings);
    }

    /// What only a control plane needs.
    pub(super) fn control_plane(&mut self) {
        let (target, facts) = (self.target, self.facts);
        let cpus = facts.cpus;
        self.push(
            "NumCPU",
            Findings::error_if(cpus < MINIMUM_CPUS, || {
                format!(
                    "the number of available CPUs {cpus} is less than the required {MINIMUM_CPUS}"
                )
            }),
        );
        let memory = facts.memory_mb;
        self.push(
            "Mem",
            Findings::error_if(memory < MINIMUM_MEMORY_MB, || {
                format!(
                    "the system RAM ({memory} MB) is less than the minimum {MINIMUM_MEMORY_MB} MB"
                )
            }),
        );
        let version = target.version;
        self.push(
            "KubernetesVersion",
            Findings::warning_if(version.minor > NEWEST, || {
                format!(
                    "Kubernetes {version} is newer than the newest release known here, 1.{NEWEST}"
                )
            }),
        );
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

    pub(super) fn file_available(&mut self, path: &str) {
        let exists = self.facts.paths.contains_key(path);
        let findings = Findings::error_if(exists, || format!("{path} already exists"));
        self.push(format!("FileAvailable-{}", dashed(path)), findings);
    }

    fn directory_available(&mut self, path: &str) {
        let findings = match self.facts.paths.get(path) {
            None | Some(PathState::EmptyDirectory) => Findings::default(),
            Some(PathState::Directory) => Findings::error(format!("{path} is not empty")),
            Some(PathState::File) => Findings::error(format!("{path} is not a directory")),
        };
        self.push(format!("DirAvailable-{}", dashed(path)), findings);
    }

    fn port(&mut self, port: u16) {
        let used = self.facts.listening_tcp_ports.contains(&port);
        self.push(
            format!("Port-{port}"),
            Findings::error_if(used, || format!("port {port} is in use")),
        );
    }

    fn command(&mut self, name: &'static str, missing: Severity) {
        let mut findings = Findings::default();
        if !self.facts.commands.contains_key(name) {
            findings.add(missing, format!("{name} not found in system path"));
        }
        self.push(format!("FileExisting-{name}"), findings);
    }

    fn sysctl(&mut self, key: &'static str) {
        let path = format!("/proc/sys/{key}");
        let findings = match self.facts.sysctls.get(key) {
            None => Findings::error(format!("{path} does not exist")),
            // kubeadm compares as many bytes as it wants to see: one.
            Some(value) if value.starts_with('1') => Findings::default(),
            Some(_) => Findings::error(format!("{path} contents are not set to 1")),
        };
        self.push(format!("FileContent-{}", dashed(&path)), findings);
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
        self.push("Swap", findings);
    }

    fn container_runtime(&mut self) {
        let findings = match &self.facts.runtime {
            Some(runtime) if runtime.ready => Findings::default(),
            Some(runtime) => {
                let reason = match runtime.error.as_str() {
                    "" => "it does not say that it is ready",
                    error => error,
                };
                Findings::error(format!(
                    "container runtime at {} is not running: {reason}",
                    runtime.socket
                ))
            }
            None => match self.facts.cri_sockets.as_slice() {
                [] => Findings::error("no container runtime listens on any known socket"),
                sockets => Findings::error(format!(
                    "none of several container runtimes was chosen: {}; set cri_socket in the \
                     inventory",
                    sockets.join(", ")
                )),
            },
        };
        self.push("CRI", findings);
    }

    fn firewalld(&mut self) {
        let active =
            self.facts.init.services.get("firewalld").is_some_and(|s| s.exists && s.active);
        let port = self.target.bind_port;
        self.push(
            "Firewalld",
            Findings::warning_if(active, || {
                format!(
                    "firewalld is active, please ensure ports [{port} {KUBELET_PORT}] are open or \
             your cluster may not function correctly"
                )
            }),
        );
    }

    fn kubelet_service(&mut self) {
        let state = self.facts.init.services.get("kubelet").copied().unwrap_or_default();
        let enable = match self.facts.init.kind {
            InitKind::Systemd => "systemctl enable kubelet.service",
            InitKind::Openrc => "rc-update add kubelet default",
            InitKind::None => {
                let findings = Findings::warning(
                    "no supported init system detected: the kubelet must be started by other means",
                );
                return self.push("Service-Kubelet", findings);
            }
        };
        let findings = match (state.exists, state.enabled) {
            (true, true) => Findings::default(),
            (true, false) => {
                Findings::warning(format!("kubelet service is not enabled, please run '{enable}'"))
            }
            // It comes with the kubelet that will be installed.
            (false, _) if self.target.kubelet_version_override.is_some() => Findings::default(),
            (false, _) => Findings::warning("kubelet service does not exist"),
        };
        self.push("Service-Kubelet", findings);
    }

    fn kubelet_version(&mut self) {
        let version = match &self.target.kubelet_version_override {
            Some(version) => version,
            None => &self.facts.kubelet_version,
        };
        let control_plane = self.target.version;
        let lowest = control_plane.minor.saturating_sub(self.rules.kubelet_skew);
        let findings = match minor_of(version) {
            None if version.is_empty() => Findings::error(
                "couldn't get kubelet version: there is no kubelet in the system path",
            ),
            None => Findings::error(format!("couldn't get kubelet version: `{version}` is none")),
            Some(minor) if minor < lowest => Findings::error(format!(
                "kubelet {version} is older than 1.{lowest}, the oldest that works with \
                 Kubernetes {control_plane}; please upgrade it"
            )),
            Some(minor) if minor > control_plane.minor => Findings::error(format!(
                "kubelet {version} is newer than the control plane, {control_plane}; this is not \
                 a supported version skew"
            )),
            Some(_) => Findings::default(),
        };
        self.push("KubeletVersion", findings);
    }

    fn hostname(&mut self) {
        let name = &self.target.node_name;
        let mut findings = Findings::default();
        if !is_qualified_name(name) {
            findings.add(
                Severity::Warning,
                format!(
                    "invalid node name format \"{name}\": at most 63 letters, digits, '-', '_' or \
                 '.', starting and ending with a letter or digit"
                ),
            );
        }
        // Facts only tell how the host's own name resolves.
        if name.eq_ignore_ascii_case(&self.facts.hostname)
            && self.facts.hostname_addresses.is_empty()
        {
            findings.add(Severity::Warning, format!("hostname \"{name}\" could not be reached"));
        }
        self.push("Hostname", findings);
    }
}

/// The minor version of a 1.x release, with or without a leading `v`.
pub(super) fn minor_of(version: &str) -> Option<u16> {
    version.trim_start_matches('v').strip_prefix("1.")?.split(['.', '-', '+']).next()?.parse().ok()
}

/// The API's rule for the name part of label keys, which kubeadm holds node names against.
fn is_qualified_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    name.len() <= 63
        && name.bytes().all(inner)
        && ends(name.bytes().next())
        && ends(name.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minors() {
        for (text, minor) in [
            ("1.36.2", Some(36)),
            ("v1.20.5+really1.20.2", Some(20)),
            ("2.0.0", None),
            ("", None),
            ("1.x", None),
        ] {
            assert_eq!(minor_of(text), minor, "{text}");
        }
    }

    #[test]
    fn names() {
        assert!(is_qualified_name("n1.example_x.com"));
        for bad in ["", "-a", "a-", "a b", &"a".repeat(64)] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
    }
}
