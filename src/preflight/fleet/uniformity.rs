//! What is better the same everywhere. None of it is wrong in itself: most hosts are right, and the others are told.

use super::{Checks, FleetHost};
use crate::inventory::Role;
use crate::preflight::result::Findings;

impl Checks<'_> {
    pub(super) fn uniformity(&mut self) {
        let hosts = self.hosts;
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let machines = self.mixed("architecture", |host| text(&hosts[host].facts.machine));
        self.push("MixedArchitectures", machines);
        self.mixed_in_roles("MixedOS", "operating system", operating_system);
        self.mixed_in_roles("MixedKernels", "kernel", |host| series(&host.facts.kernel_release));
        let cgroups = self.mixed("cgroup version", |host| {
            let version = hosts[host].facts.cgroup_version;
            (version > 0).then(|| version.to_string())
        });
        self.push("MixedCgroups", cgroups);
        let runtimes =
            self.mixed("container runtime", |host| text(&hosts[host].facts.runtime.as_ref()?.name));
        self.push("MixedRuntimes", runtimes);
        self.mixed_runtime_versions();
    }

    /// Hosts are compared with those of their role: other machines for other work are no accident.
    fn mixed_in_roles(
        &mut self,
        name: &'static str,
        what: &'static str,
        value: impl Fn(&FleetHost<'_>) -> Option<String>,
    ) {
        let hosts = self.hosts;
        for role in [Role::ControlPlane, Role::Worker, Role::Etcd] {
            let of_role = |host: usize| hosts[host].role == role;
            let findings = self.mixed_within(what, of_role, |host| value(&hosts[host]));
            self.push(name, findings);
        }
    }

    /// Versions are compared between hosts with the same runtime.
    fn mixed_runtime_versions(&mut self) {
        let hosts = self.hosts;
        let runtime = |host: usize| hosts[host].facts.runtime.as_ref();
        let mut names: Vec<&str> =
            (0..hosts.len()).filter_map(runtime).map(|runtime| runtime.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut found: Vec<Option<Findings>> = hosts.iter().map(|_| None).collect();
        for name in names.into_iter().take(RUNTIMES) {
            let of_name = |host| runtime(host).filter(|runtime| runtime.name == name);
            let findings = self
                .mixed("version of the container runtime", |host| series(&of_name(host)?.version));
            for (all, some) in found.iter_mut().zip(findings) {
                *all = all.take().or(some);
            }
        }
        self.push("MixedRuntimeVersions", found);
    }
}

/// There are not more runtimes than this; hosts that make names up are not compared any more.
const RUNTIMES: usize = 8;

/// Major and minor number of a version: `6.1` of `6.1.0-18-amd64`.
fn series(version: &str) -> Option<String> {
    let mut parts = version.split(['.', '-', '+']);
    let (major, minor) = (parts.next()?, parts.next()?);
    let numbers = [major, minor].iter().all(|part| part.parse::<u32>().is_ok());
    numbers.then(|| format!("{major}.{minor}"))
}

/// The distribution and its release, without point releases: `rocky 9` of `rocky 9.4`.
fn operating_system(host: &FleetHost<'_>) -> Option<String> {
    let os = &host.facts.os;
    // Ubuntu's releases have a dot of their own.
    let release = match os.id.as_str() {
        "ubuntu" => os.version.as_str(),
        _ => os.version.split('.').next().unwrap_or_default(),
    };
    (!os.id.is_empty()).then(|| format!("{} {release}", os.id).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::facts::Os;
    use crate::preflight::fleet::testing::{Fleet, found};

    #[test]
    fn the_odd_ones_out_are_told() {
        let mut fleet = Fleet::healthy(1, 6);
        fleet.host("node-1", |facts| facts.machine = "aarch64".to_owned());
        fleet.host("node-2", |facts| facts.kernel_release = "5.10.0-28-amd64".to_owned());
        fleet.host("node-3", |facts| facts.cgroup_version = 1);
        fleet.host("node-4", |facts| {
            facts.runtime.as_mut().unwrap().name = "cri-o".to_owned();
            facts.runtime.as_mut().unwrap().version = "1.30.2".to_owned();
        });
        fleet.host("node-5", |facts| facts.runtime.as_mut().unwrap().version = "2.0.0".to_owned());
        fleet.host("node-6", |facts| {
            facts.os = Os { id: "ubuntu".to_owned(), version: "24.04".to_owned() };
        });
        insta::assert_snapshot!(found(&fleet), @r"
        node-1 warning MixedArchitectures: architecture: x86_64 on cp-1,node-[2-6]; aarch64 on node-1
        node-2 warning MixedKernels: kernel: 6.1 on node-[1,3-6]; 5.10 on node-2
        node-3 warning MixedCgroups: cgroup version: 2 on cp-1,node-[1-2,4-6]; 1 on node-3
        node-4 warning MixedRuntimes: container runtime: containerd on cp-1,node-[1-3,5-6]; cri-o on node-4
        node-5 warning MixedRuntimeVersions: version of the container runtime: 1.7 on cp-1,node-[1-3,6]; 2.0 on node-5
        node-6 warning MixedOS: operating system: debian 12 on node-[1-5]; ubuntu 24.04 on node-6
        ");
    }

    #[test]
    fn the_fleet_decides_between_two() {
        let mut fleet = Fleet::healthy(1, 2);
        fleet.host("node-2", |facts| facts.kernel_release = "5.10.0-28-amd64".to_owned());
        insta::assert_snapshot!(found(&fleet), @"node-2 warning MixedKernels: kernel: 5.10 on node-2; 6.1 on node-1");
    }

    #[test]
    fn roles_and_point_releases_may_differ() {
        let mut fleet = Fleet::healthy(1, 2);
        fleet.host("cp-1", |facts| {
            facts.kernel_release = "5.14.0-427.el9.x86_64".to_owned();
            facts.os = Os { id: "rocky".to_owned(), version: "9.4".to_owned() };
        });
        fleet.host("node-1", |facts| facts.kernel_release = "6.1.0-22-amd64".to_owned());
        fleet.host("node-2", |facts| facts.os.version = "12.5".to_owned());
        assert_eq!(found(&fleet), "");
    }

    #[test]
    fn versions() {
        let series = |text| series(text).unwrap_or_default();
        assert_eq!(
            ["6.1.0-18-amd64", "2.1.4", "6.12-rc1", "v1", "6"].map(series),
            ["6.1", "2.1", "6.12", "", ""]
        );
        let mut facts = crate::node::facts::Facts::default();
        for (id, version, shown) in
            [("rocky", "9.4", "rocky 9"), ("ubuntu", "24.04", "ubuntu 24.04"), ("arch", "", "arch")]
        {
            facts.os = Os { id: id.to_owned(), version: version.to_owned() };
            let host = Fleet::host_of(&facts);
            assert_eq!(operating_system(&host).unwrap(), shown);
        }
    }
}
