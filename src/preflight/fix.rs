//! Safe remedies for what was found: what to change on a host, and how to put it back. Plans only; never does I/O.
//!
//! A remedy is safe when it takes nothing away that somebody may rely on and can be undone by a line that is shown. What
//! needs a decision, such as a firewall, an address or a disk, is not among them.

use super::fleet::{LIMITS, TIME_SERVICES, not_at_boot};
use super::result::CheckResult;
use crate::inventory::ClusterSection;
use crate::node::facts::{Facts, InitKind};
use crate::report::{Severity, printable_line};

/// Sysctls that stay, one `KEY = VALUE` a line.
pub const SYSCTL_FILE: &str = "/etc/sysctl.d/90-fleetadm.conf";
/// Modules that are loaded at every boot, one a line.
pub const MODULES_FILE: &str = "/etc/modules-load.d/90-fleetadm.conf";
/// Put before lines of /etc/fstab that are no longer to have an effect.
pub const FSTAB_MARK: &str = "#fleetadm# ";

/// The module that bridged packets go through iptables by; without it, those sysctls do not exist.
const BRIDGE_MODULE: &str = "br_netfilter";
const BRIDGE: &str = "net/bridge/";
/// Sysctls that kubeadm wants to be 1. Forwarding by default concerns interfaces yet to come, so that no address or
/// route that the host has by router advertisement gets lost.
const SWITCHES: [&str; 4] = [
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/default/forwarding",
];

/// One change on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// Load a kernel module, and keep it in [`MODULES_FILE`].
    LoadModule(&'static str),
    /// Set a sysctl, and keep it in [`SYSCTL_FILE`].
    SetSysctl {
        /// With slashes, as under /proc/sys.
        key: &'static str,
        /// What it is to be.
        value: u64,
        /// What it was, as the host said; `None` when it did not exist.
        before: Option<String>,
    },
    /// Turn swap off, and put [`FSTAB_MARK`] before every line of /etc/fstab whose type is `swap`.
    SwapOff {
        /// Devices and files in use, as the host said.
        devices: Vec<String>,
    },
    /// Have a service start at boot.
    EnableService {
        /// Its name, without a suffix.
        name: &'static str,
        /// Who starts it.
        init: InitKind,
    },
    /// Start a service.
    StartService {
        /// Its name, without a suffix.
        name: &'static str,
        /// Who starts it.
        init: InitKind,
    },
}

impl Fix {
    /// What is going to be done, in one line. Carries what the host said, made fit to show.
    pub fn describe(&self) -> String {
        match self {
            Self::LoadModule(name) => {
                format!("load the module {name} now, and at every boot by {MODULES_FILE}")
            }
            Self::SetSysctl { key, value, before } => {
                let before = before.as_deref().map(|value| printable_line(value, 40));
                let before = before.map_or_else(String::new, |value| format!(" (it is {value})"));
                let key = dotted(key);
                format!("set {key} to {value}{before} now, and at every boot by {SYSCTL_FILE}")
            }
            Self::SwapOff { devices } => format!(
                "turn swap off ({}), and take it out of /etc/fstab",
                printable_line(&devices.join(", "), 200)
            ),
            Self::EnableService { name, .. } => format!("have {name} start at boot"),
            Self::StartService { name, .. } => format!("start {name}"),
        }
    }

    /// Command lines that put back what was. Words of the host are in them only where they are plain.
    pub fn undo(&self) -> String {
        match self {
            Self::LoadModule(name) => {
                format!("sed -i '/^{name}$/d' {MODULES_FILE}; modprobe -r {name}")
            }
            Self::SetSysctl { key, before, .. } => {
                let key = dotted(key);
                let forget = format!("sed -i '/^{} *=/d' {SYSCTL_FILE}", key.replace('.', "\\."));
                let number = |value: &&String| !value.is_empty() && value.bytes().all(is_digit);
                match before.as_ref().filter(number) {
                    Some(before) => format!("{forget}; sysctl -w {key}={before}"),
                    None => forget,
                }
            }
            Self::SwapOff { devices } => {
                let plain = devices.iter().filter(|device| is_plain_path(device));
                let on = plain.map(|device| format!("; swapon {device}"));
                format!("sed -i 's/^{FSTAB_MARK}//' /etc/fstab{}", on.collect::<String>())
            }
            Self::EnableService { name, init: InitKind::Openrc } => {
                format!("rc-update del {name} default")
            }
            Self::EnableService { name, .. } => format!("systemctl disable {name}"),
            Self::StartService { name, init: InitKind::Openrc } => {
                format!("rc-service {name} stop")
            }
            Self::StartService { name, .. } => format!("systemctl stop {name}"),
        }
    }
}

/// What can safely be changed for checks that did not pass, in the order it has to be done. `results` are all of the
/// host's. Plans nothing where the host is as wanted, so that a second run has nothing to do.
pub fn fixes(
    results: &[&CheckResult],
    facts: &Facts,
    cluster: Option<&ClusterSection>,
) -> Vec<Fix> {
    let failed = |name: &str| {
        results.iter().any(|result| {
            result.name.eq_ignore_ascii_case(name) && result.severity > Severity::Passed
        })
    };
    let mut fixes = sysctls(&failed, facts);
    if failed("Swap") && !facts.swaps.is_empty() && !swap_is_wanted(cluster) {
        fixes.push(Fix::SwapOff { devices: facts.swaps.clone() });
    }
    fixes.extend(services(&failed, facts));
    fixes
}

fn sysctls(failed: &impl Fn(&str) -> bool, facts: &Facts) -> Vec<Fix> {
    let set = |key: &'static str, value| {
        let before = facts.sysctls.get(key).cloned();
        Fix::SetSysctl { key, value, before }
    };
    let is_on = |key: &str| facts.sysctls.get(key).is_some_and(|value| value.starts_with('1'));
    let off = SWITCHES.into_iter().filter(|key| failed(&check_of(key)) && !is_on(key));
    let off: Vec<&'static str> = off.collect();
    let mut fixes = Vec::new();
    if off.iter().any(|key| key.starts_with(BRIDGE)) && !facts.modules.contains(BRIDGE_MODULE) {
        fixes.push(Fix::LoadModule(BRIDGE_MODULE));
    }
    fixes.extend(off.into_iter().map(|key| set(key, 1)));
    if failed("FileLimits") {
        let low = LIMITS.iter().filter(|limit| limit.too_low(facts).is_some());
        fixes.extend(low.filter_map(|limit| Some(set(limit.key, limit.better?))));
    }
    fixes
}

/// kubeadm's name for the check of a sysctl.
fn check_of(key: &str) -> String {
    format!("FileContent--proc-sys-{}", key.replace('/', "-"))
}

/// The kubelet has been told to live with it.
fn swap_is_wanted(cluster: Option<&ClusterSection>) -> bool {
    cluster.is_some_and(|cluster| {
        cluster.kubelet_configuration.get("failSwapOn") == Some(&serde_json::Value::Bool(false))
    })
}

fn services(failed: &impl Fn(&str) -> bool, facts: &Facts) -> Vec<Fix> {
    let init = facts.init.kind;
    if init == InitKind::None {
        return Vec::new();
    }
    let state = |name: &str| facts.init.services.get(name).filter(|state| state.exists);
    let mut fixes = Vec::new();
    // Both checks want a kubelet that is there to start at boot; what it runs comes with joining.
    let kubelet = failed("Service-Kubelet");
    if kubelet || failed("BootServices") {
        let names = not_at_boot(facts, kubelet);
        fixes.extend(names.into_iter().map(|name| Fix::EnableService { name, init }));
    }
    let keepers = || TIME_SERVICES.into_iter().filter_map(|name| Some((name, state(name)?)));
    // The one that somebody has chosen, else the first.
    let keeper = keepers().find(|(_, state)| state.enabled).or_else(|| keepers().next());
    if let Some((name, state)) = keeper.filter(|_| failed("TimeSync")) {
        fixes.extend((!state.enabled).then_some(Fix::EnableService { name, init }));
        fixes.extend((!state.active).then_some(Fix::StartService { name, init }));
    }
    fixes
}

fn dotted(key: &str) -> String {
    key.replace('/', ".")
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// Nothing in it means anything to a shell.
fn is_plain_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    path.starts_with('/') && path.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::section;
    use crate::inventory::Role;
    use crate::node::facts::{Init, Runtime, ServiceState};
    use crate::preflight::fleet::{self, FleetHost};
    use crate::preflight::{Membership, Target, Workflow, evaluate};

    fn service(exists: bool, enabled: bool, active: bool) -> ServiceState {
        ServiceState { exists, enabled, active }
    }

    /// A host where all that can be fixed is wrong.
    fn host() -> Facts {
        Facts {
            hostname: "n1".to_owned(),
            swaps: vec!["/dev/sda2".to_owned(), "/swap;reboot".to_owned()],
            sysctls: [
                ("net/ipv4/ip_forward", "0"),
                ("net/ipv6/conf/default/forwarding", "0\u{1b}[31m"),
                ("fs/inotify/max_user_instances", "64"),
                ("fs/inotify/max_user_watches", "8192"),
                ("fs/file-max", "1000"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
            init: Init {
                kind: InitKind::Systemd,
                services: [
                    ("kubelet", service(true, false, false)),
                    ("containerd", service(true, false, true)),
                    ("chrony", service(true, false, false)),
                    ("systemd-timesyncd", service(false, false, false)),
                ]
                .map(|(name, state)| (name.to_owned(), state))
                .into(),
            },
            runtime: Some(Runtime { name: "containerd".to_owned(), ..Runtime::default() }),
            ..Facts::default()
        }
    }

    fn planned(facts: &Facts, minor: u16, cluster: &ClusterSection) -> Vec<Fix> {
        let networks = |text: &str| text.split(',').map(|net| net.parse().unwrap()).collect();
        let target = Target {
            version: section(minor, 2).kubernetes_version,
            node_name: "n1".to_owned(),
            bind_port: 6443,
            advertise: None,
            endpoint_host: None,
            service_subnets: networks("10.96.0.0/12,fd00::/108"),
            pod_subnets: Vec::new(),
            etcd_data_dir: None,
            etcd_in_a_container: true,
            external_etcd: None,
            kubelet_version_override: None,
            already: Membership::None,
            cluster: None,
        };
        let member = FleetHost {
            name: "n1",
            address: "n1",
            role: Role::ControlPlane,
            advertise: None,
            already: Membership::ControlPlane,
            facts,
        };
        let mut results = evaluate(Workflow::Init, &target, facts);
        let of_fleet = fleet::evaluate(Some(cluster), &[member.role], &[member], &[]);
        results.extend(of_fleet.into_iter().flatten());
        fixes(&results.iter().collect::<Vec<_>>(), facts, Some(cluster))
    }

    fn told(fixes: &[Fix]) -> String {
        let line = |fix: &Fix| format!("{}\n    {}", fix.describe(), fix.undo());
        fixes.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_change_is_told_with_its_way_back() {
        insta::assert_snapshot!(told(&planned(&host(), 28, &section(28, 2))), @r"
        load the module br_netfilter now, and at every boot by /etc/modules-load.d/90-fleetadm.conf
            sed -i '/^br_netfilter$/d' /etc/modules-load.d/90-fleetadm.conf; modprobe -r br_netfilter
        set net.bridge.bridge-nf-call-iptables to 1 now, and at every boot by /etc/sysctl.d/90-fleetadm.conf
            sed -i '/^net\.bridge\.bridge-nf-call-iptables *=/d' /etc/sysctl.d/90-fleetadm.conf
        set net.bridge.bridge-nf-call-ip6tables to 1 now, and at every boot by /etc/sysctl.d/90-fleetadm.conf
            sed -i '/^net\.bridge\.bridge-nf-call-ip6tables *=/d' /etc/sysctl.d/90-fleetadm.conf
        set net.ipv4.ip_forward to 1 (it is 0) now, and at every boot by /etc/sysctl.d/90-fleetadm.conf
            sed -i '/^net\.ipv4\.ip_forward *=/d' /etc/sysctl.d/90-fleetadm.conf; sysctl -w net.ipv4.ip_forward=0
        set net.ipv6.conf.default.forwarding to 1 (it is 0) now, and at every boot by /etc/sysctl.d/90-fleetadm.conf
            sed -i '/^net\.ipv6\.conf\.default\.forwarding *=/d' /etc/sysctl.d/90-fleetadm.conf
        set fs.inotify.max_user_instances to 1024 (it is 64) now, and at every boot by /etc/sysctl.d/90-fleetadm.conf
            sed -i '/^fs\.inotify\.max_user_instances *=/d' /etc/sysctl.d/90-fleetadm.conf; sysctl -w fs.inotify.max_user_instances=64
        turn swap off (/dev/sda2, /swap;reboot), and take it out of /etc/fstab
            sed -i 's/^#fleetadm# //' /etc/fstab; swapon /dev/sda2
        have containerd start at boot
            systemctl disable containerd
        have kubelet start at boot
            systemctl disable kubelet
        have chrony start at boot
            systemctl disable chrony
        start chrony
            systemctl stop chrony
        ");
        // Bridges are nobody's business any more.
        let newer = planned(&host(), 36, &section(36, 2));
        assert!(!told(&newer).contains("bridge"), "{newer:?}");
    }

    #[test]
    fn another_init_system_has_other_commands() {
        let mut facts = host();
        facts.init.kind = InitKind::Openrc;
        facts.swaps.clear();
        facts.sysctls.clear();
        insta::assert_snapshot!(told(&planned(&facts, 36, &section(36, 2))), @r"
        set net.ipv4.ip_forward to 1 now, and at every boot by /etc/sysctl.d/90-fleetadm.conf
            sed -i '/^net\.ipv4\.ip_forward *=/d' /etc/sysctl.d/90-fleetadm.conf
        set net.ipv6.conf.default.forwarding to 1 now, and at every boot by /etc/sysctl.d/90-fleetadm.conf
            sed -i '/^net\.ipv6\.conf\.default\.forwarding *=/d' /etc/sysctl.d/90-fleetadm.conf
        have containerd start at boot
            rc-update del containerd default
        have kubelet start at boot
            rc-update del kubelet default
        have chrony start at boot
            rc-update del chrony default
        start chrony
            rc-service chrony stop
        ");
        facts.init.kind = InitKind::None;
        assert_eq!(told(&planned(&facts, 36, &section(36, 2))).matches("start").count(), 0);
    }

    #[test]
    fn the_second_time_there_is_nothing_to_do() {
        let mut facts = host();
        for fix in planned(&facts, 28, &section(28, 2)) {
            match fix {
                Fix::LoadModule(name) => _ = facts.modules.insert(name.to_owned()),
                Fix::SetSysctl { key, value, .. } => {
                    _ = facts.sysctls.insert(key.to_owned(), value.to_string());
                }
                Fix::SwapOff { .. } => facts.swaps.clear(),
                Fix::EnableService { name, .. } => {
                    facts.init.services.get_mut(name).unwrap().enabled = true;
                }
                Fix::StartService { name, .. } => {
                    facts.init.services.get_mut(name).unwrap().active = true;
                }
            }
        }
        assert_eq!(planned(&facts, 28, &section(28, 2)), []);
    }

    #[test]
    fn swap_that_the_kubelet_may_use_stays() {
        let mut cluster = section(36, 2);
        cluster.kubelet_configuration.insert("failSwapOn".to_owned(), false.into());
        let fixes = planned(&host(), 36, &cluster);
        assert!(!fixes.iter().any(|fix| matches!(fix, Fix::SwapOff { .. })), "{fixes:?}");
    }

    #[test]
    fn the_chosen_time_service_comes_first() {
        let mut facts = host();
        facts.init.services.insert("ntpsec".to_owned(), service(true, true, false));
        let fixes = planned(&facts, 36, &section(36, 2));
        let start = Fix::StartService { name: "ntpsec", init: InitKind::Systemd };
        assert!(fixes.contains(&start) && !format!("{fixes:?}").contains("chrony"), "{fixes:?}");
    }
}
