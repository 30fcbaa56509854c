//! SystemVerification: the kernel, how it was built, and its control groups.
//!
//! Kernel options that are only good to have (AUFS_FS, BLK_DEV_DM and others) are no findings: kubeadm, too, only
//! lists them in the report of a failure.

use super::kubelet::minor_of;
use super::rules::{CGROUP_V1_DISCOURAGED, CGROUP_V1_REFUSED, Kernels};
use super::{Checks, Findings, Workflow};
use crate::report::Severity;

/// Options the kernel must be built with; of alternatives, one.
const REQUIRED: &[&[&str]] = &[
    &["NAMESPACES"],
    &["NET_NS"],
    &["PID_NS"],
    &["IPC_NS"],
    &["UTS_NS"],
    &["CPUSETS"],
    &["MEMCG"],
    &["INET"],
    &["EXT4_FS"],
    &["PROC_FS"],
    &["NETFILTER_XT_TARGET_REDIRECT", "IP_NF_TARGET_REDIRECT"],
    &["NETFILTER_XT_MATCH_COMMENT"],
    &["FAIR_GROUP_SCHED"],
];
const REQUIRED_V1: &[&[&str]] = &[
    &["CGROUPS"],
    &["CGROUP_CPUACCT"],
    &["CGROUP_DEVICE"],
    &["CGROUP_FREEZER"],
    &["CGROUP_PIDS"],
    &["CGROUP_SCHED"],
];
const REQUIRED_V2: &[&[&str]] =
    &[&["CGROUPS"], &["CGROUP_BPF"], &["CGROUP_PIDS"], &["CGROUP_SCHED"]];

const CONTROLLERS_V1: Controllers = Controllers {
    required: &["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"],
    optional: &["hugetlb", "blkio"],
};
/// `devices` and `freezer` have no file to be seen by, and are always there.
const CONTROLLERS_V2: Controllers =
    Controllers { required: &["cpu", "cpuset", "memory", "pids"], optional: &["hugetlb", "io"] };

/// Control group controllers: without the required ones nothing runs.
struct Controllers {
    required: &'static [&'static str],
    optional: &'static [&'static str],
}

impl Checks<'_> {
    pub(super) fn system_verification(&mut self) {
        let mut findings = Findings::default();
        self.operating_system(&mut findings);
        self.kernel(&mut findings);
        self.kernel_options(&mut findings);
        self.cgroups(&mut findings);
        let facts = self.facts;
        let config = if facts.kernel_config.is_some() { "found" } else { "not found" };
        let cgroups = match facts.cgroup_version {
            version @ 1..=2 => format!("v{version}"),
            _ => "none".to_owned(),
        };
        let findings = findings
            .saw("operating system", &facts.kernel_name)
            .saw("kernel release", &facts.kernel_release)
            .saw("kernel config", config)
            .saw("cgroups", cgroups)
            .saw("controllers", facts.cgroup_controllers.join(" "));
        self.push("SystemVerification", findings);
    }

    fn operating_system(&self, findings: &mut Findings) {
        let name = &self.facts.kernel_name;
        if name != "Linux" {
            findings.add(Severity::Error, format!("unsupported operating system: {name}"));
        }
    }

    fn kernel(&self, findings: &mut Findings) {
        let release = &self.facts.kernel_release;
        if !is_known(self.rules.kernels, release) {
            let wanted = match self.rules.kernels {
                Kernels::Since3_10 => "3.10 or later",
                Kernels::LongTerm => "5.4, 5.10, 5.15, or 6.0 or later",
            };
            findings.add(
                self.rules.other_kernel,
                format!("kernel release {release} is unsupported; use {wanted}"),
            );
        }
    }

    fn kernel_options(&self, findings: &mut Findings) {
        let Some(options) = &self.facts.kernel_config else {
            return findings.add(
                Severity::Warning,
                "how the kernel was built cannot be told: no kernel config file was found",
            );
        };
        let for_cgroups = match self.facts.cgroup_version {
            2 => REQUIRED_V2,
            _ => REQUIRED_V1,
        };
        let is_set = |option: &&str| {
            options.get(*option).is_some_and(|value| matches!(value.as_str(), "y" | "m"))
        };
        for alternatives in REQUIRED.iter().chain(for_cgroups) {
            if !alternatives.iter().any(is_set) {
                let names: Vec<_> =
                    alternatives.iter().map(|option| format!("CONFIG_{option}")).collect();
                let names = names.join(" or ");
                findings.add(Severity::Error, format!("the kernel is built without {names}"));
            }
        }
    }

    fn cgroups(&self, findings: &mut Findings) {
        let controllers = match self.facts.cgroup_version {
            1 => CONTROLLERS_V1,
            2 => CONTROLLERS_V2,
            _ => return findings.add(Severity::Error, "no cgroup file system is mounted"),
        };
        for (severity, word, names) in [
            (Severity::Error, "required", controllers.required),
            (Severity::Warning, "optional", controllers.optional),
        ] {
            let enabled =
                |name: &str| self.facts.cgroup_controllers.iter().any(|have| have == name);
            let missing: Vec<_> = names.iter().copied().filter(|name| !enabled(name)).collect();
            if !missing.is_empty() {
                findings.add(severity, format!("missing {word} cgroups: {}", missing.join(" ")));
            }
        }
        if self.facts.cgroup_version == 1 {
            self.cgroup_v1(findings);
        }
    }

    /// What cgroup v1 means is the kubelet's choice.
    fn cgroup_v1(&self, findings: &mut Findings) {
        let kubelet = match &self.target.kubelet_version_override {
            Some(coming) => minor_of(coming),
            // An upgrade takes the kubelet that is there to the next minor release.
            None if self.workflow == Workflow::Upgrade => {
                minor_of(&self.facts.kubelet_version).map(|minor| minor.saturating_add(1))
            }
            None => minor_of(&self.facts.kubelet_version),
        };
        let kubelet = kubelet.unwrap_or(self.target.version.minor);
        // The warning came with kubeadm, the refusal depends on the kubelet.
        if kubelet >= CGROUP_V1_REFUSED {
            findings.add(
                Severity::Error,
                "cgroups v1 support is deprecated: a kubelet of 1.35 or later starts only with \
                 its option failCgroupV1 set to false; please migrate to cgroups v2",
            );
        } else if self.target.version.minor >= CGROUP_V1_DISCOURAGED {
            findings.add(
                Severity::Warning,
                "cgroups v1 support is in maintenance mode; please migrate to cgroups v2",
            );
        }
    }
}

fn is_known(kernels: Kernels, release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return false };
    match kernels {
        Kernels::Since3_10 => (major, minor) >= (3, 10),
        Kernels::LongTerm => major >= 6 || (major == 5 && [4, 10, 15].contains(&minor)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels() {
        for release in ["6.18.44-fc-v657", "5.15.0-91-generic", "5.4.0", "10.0.1", "6.1"] {
            assert!(is_known(Kernels::LongTerm, release), "{release}");
        }
        for release in ["5.14.0-427.el9", "4.19.0", "3.10.0", "", "x", "6"] {
            assert!(!is_known(Kernels::LongTerm, release), "{release}");
        }
        assert!(is_known(Kernels::Since3_10, "3.10.0-1160.el7"));
        assert!(!is_known(Kernels::Since3_10, "3.2.0"));
    }
}
