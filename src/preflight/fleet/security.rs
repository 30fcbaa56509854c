//! SELinux and AppArmor: whether containers can start under them.

use super::{Checks, FleetHost};
use crate::preflight::result::Findings;
use crate::report::Severity;

impl Checks<'_> {
    pub(super) fn security(&mut self) {
        self.each("SELinux", selinux);
        self.each("AppArmor", apparmor);
    }
}

fn selinux(host: &FleetHost<'_>) -> Option<Findings> {
    let facts = host.facts;
    if facts.selinux.is_empty() || !host.is_node() {
        return None;
    }
    let bare = facts.selinux == "enforcing" && !facts.selinux_container_policy;
    let findings = Findings::warning_if(bare, || {
        "SELinux enforces, but there is no policy for containers: they would be denied what they \
         need"
            .to_owned()
    });
    Some(findings.saw("SELinux", &facts.selinux))
}

/// containerd loads a profile for every container with this command, wherever the kernel enforces profiles; CRI-O goes
/// without. In a container containerd does not try.
fn apparmor(host: &FleetHost<'_>) -> Option<Findings> {
    let facts = host.facts;
    if !facts.apparmor || !host.is_node() || host.is_container() {
        return None;
    }
    let mut findings = Findings::default();
    match facts.commands.get("apparmor_parser") {
        Some(path) => findings = findings.saw("apparmor_parser", path),
        None => {
            let name = facts.runtime.as_ref().map(|runtime| runtime.name.as_str());
            let goes_without = name.is_some_and(|name| name.eq_ignore_ascii_case("cri-o"));
            let (severity, runtime) = match name {
                Some(_) if goes_without => (Severity::Warning, "containers run without profiles"),
                _ => (Severity::Error, "containerd cannot start containers"),
            };
            findings.add(
                severity,
                format!(
                    "the kernel enforces AppArmor profiles, but apparmor_parser is missing: \
                     {runtime}"
                ),
            );
        }
    }
    Some(findings)
}

#[cfg(test)]
mod tests {
    use crate::preflight::fleet::testing::{Fleet, found};

    #[test]
    fn selinux_needs_a_policy_for_containers() {
        let mut fleet = Fleet::healthy(1, 3);
        fleet.all(|facts| facts.selinux = "enforcing".to_owned());
        fleet.host("cp-1", |facts| facts.selinux_container_policy = true);
        fleet.host("node-1", |facts| facts.selinux = "permissive".to_owned());
        fleet.host("node-2", |facts| facts.selinux.clear());
        insta::assert_snapshot!(found(&fleet), @"node-3 warning SELinux: SELinux enforces, but there is no policy for containers: they would be denied what they need");
        assert!(!fleet.has("node-2", "SELinux"));
    }

    #[test]
    fn apparmor_needs_its_parser() {
        let mut fleet = Fleet::healthy(1, 3);
        fleet.all(|facts| {
            facts.apparmor = true;
            facts.commands.remove("apparmor_parser");
        });
        fleet.host("cp-1", |facts| {
            facts.commands.insert("apparmor_parser".to_owned(), "/sbin/apparmor_parser".to_owned());
        });
        fleet.host("node-1", |facts| facts.virtualization = "docker".to_owned());
        fleet.host("node-2", |facts| {
            let runtime = facts.runtime.as_mut().unwrap();
            runtime.name = "cri-o".to_owned();
        });
        insta::assert_snapshot!(fleet.only("AppArmor"), @r"
        node-2 warning AppArmor: the kernel enforces AppArmor profiles, but apparmor_parser is missing: containers run without profiles
        node-3 error AppArmor: the kernel enforces AppArmor profiles, but apparmor_parser is missing: containerd cannot start containers
        ");
    }
}
