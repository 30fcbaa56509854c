//! What differs in the checks from one Kubernetes release to the next, all of it.

use crate::inventory::KubernetesVersion;
use crate::report::Severity;

/// One release's rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// First minor release these rules hold for.
    since: u16,
    /// What enabled swap is.
    pub(super) swap: Severity,
    /// Joining looks at the manifests directory as a whole.
    pub(super) manifests_directory_on_join: bool,
    /// Commands looked for, and what a missing one is.
    pub(super) commands: &'static [(&'static str, Severity)],
    /// Bridged packets must go through iptables.
    pub(super) bridge_filter: bool,
    /// IPv4 forwarding is looked at only where there is IPv4; before, always.
    pub(super) forwarding_by_family: bool,
    /// How many minor releases the kubelet may be behind.
    pub(super) kubelet_skew: u16,
    /// Which kernels are known to work.
    pub(super) kernels: Kernels,
    /// What the check of the kubelet's service is called.
    pub(super) kubelet_service: &'static str,
    /// What any other kernel is.
    pub(super) other_kernel: Severity,
    /// The container runtime should answer the call RuntimeConfig.
    pub(super) asks_runtime_config: bool,
    /// The oldest etcd of somebody else's that API servers work with.
    pub(super) lowest_external_etcd: &'static str,
    /// What a plugin or option of the Corefile is that its migration does not know.
    pub(super) unknown_plugins: Severity,
}

/// Kernel releases known to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernels {
    /// 3.10 and later.
    Since3_10,
    /// The long-term ones, 5.4, 5.10 and 5.15, and 6.0 and later.
    LongTerm,
}

/// Minor release from which on the kubelet refuses cgroup v1.
pub(super) const CGROUP_V1_REFUSED: u16 = 35;
/// Minor release from which on cgroup v1 is warned of.
pub(super) const CGROUP_V1_DISCOURAGED: u16 = 31;
/// The newest minor release these checks were written for.
pub(super) const NEWEST: u16 = 36;

use Severity::{Error, Warning};

const V1_20: Rules = Rules {
    since: 0,
    kubelet_service: "Service-Kubelet",
    swap: Error,
    manifests_directory_on_join: true,
    commands: &[
        ("conntrack", Error),
        ("ip", Error),
        ("iptables", Error),
        ("mount", Error),
        ("nsenter", Error),
        ("ebtables", Warning),
        ("ethtool", Warning),
        ("socat", Warning),
        ("tc", Warning),
        ("touch", Warning),
    ],
    bridge_filter: true,
    forwarding_by_family: false,
    kubelet_skew: 1,
    kernels: Kernels::Since3_10,
    other_kernel: Error,
    asks_runtime_config: false,
    lowest_external_etcd: "3.2.18",
    unknown_plugins: Error,
};

const V1_23: Rules =
    Rules { since: 23, swap: Warning, manifests_directory_on_join: false, ..V1_20 };

const V1_27: Rules =
    Rules { since: 27, forwarding_by_family: true, unknown_plugins: Warning, ..V1_23 };

const V1_29: Rules = Rules { since: 29, kubelet_skew: 3, ..V1_27 };

const V1_30: Rules = Rules { since: 30, bridge_filter: false, ..V1_29 };

const V1_32: Rules = Rules {
    since: 32,
    commands: &[
        ("ip", Error),
        ("iptables", Error),
        ("mount", Error),
        ("nsenter", Error),
        ("ethtool", Warning),
        ("tc", Warning),
        ("touch", Warning),
    ],
    kernels: Kernels::LongTerm,
    lowest_external_etcd: "3.5.11-0",
    ..V1_30
};

const V1_33: Rules =
    Rules { since: 33, commands: &[("losetup", Error), ("mount", Error), ("cp", Error)], ..V1_32 };

const V1_34: Rules =
    Rules { since: 34, other_kernel: Warning, lowest_external_etcd: "3.5.24-0", ..V1_33 };

const V1_35: Rules = Rules { since: 35, asks_runtime_config: true, ..V1_34 };

/// The name was seen with a capital up to 1.32, and without one from a kubeadm of 1.36.
const V1_36: Rules = Rules { since: 36, kubelet_service: "Service-kubelet", ..V1_35 };

/// Newest first.
static RELEASES: [Rules; 10] =
    [V1_36, V1_35, V1_34, V1_33, V1_32, V1_30, V1_29, V1_27, V1_23, V1_20];

/// The last release whose kubeadm calls crictl.
const LAST_WITH_CRICTL: u16 = 30;

impl Rules {
    /// The rules of a release.
    pub(super) fn of(version: KubernetesVersion) -> &'static Self {
        let [.., oldest] = &RELEASES;
        RELEASES.iter().find(|rules| rules.since <= version.minor).unwrap_or(oldest)
    }
}

/// Whether kubeadm of this release calls crictl.
pub(super) fn calls_crictl(version: KubernetesVersion) -> bool {
    version.minor <= LAST_WITH_CRICTL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_finds_its_rules() {
        assert!(RELEASES.is_sorted_by(|newer, older| newer.since > older.since));
        let of = |minor| Rules::of(KubernetesVersion { major: 1, minor, patch: 0 }).since;
        assert_eq!(
            [20, 22, 23, 26, 28, 29, 31, 32, 33, 36].map(of),
            [0, 0, 23, 23, 27, 29, 30, 32, 33, 36]
        );
    }
}
