//! What has to start at boot for a node to come back.

use super::{Checks, FleetHost};
use crate::node::facts::{Facts, InitKind};
use crate::preflight::result::Findings;
use crate::report::Severity;

impl Checks<'_> {
    pub(super) fn services(&mut self) {
        self.each("BootServices", boot_services);
    }
}

/// Services that are there but do not start at boot, though the node needs them.
pub(in crate::preflight) fn not_at_boot(facts: &Facts, member: bool) -> Vec<&'static str> {
    // Joining enables the kubelet; before, it has nothing to run.
    let needed = runtime_service(facts).into_iter().chain(member.then_some("kubelet"));
    needed
        .filter(|name| facts.init.services.get(*name).is_some_and(|s| s.exists && !s.enabled))
        .collect()
}

/// The service of the runtime in use.
fn runtime_service(facts: &Facts) -> Option<&'static str> {
    let name = facts.runtime.as_ref()?.name.to_ascii_lowercase();
    [("containerd", "containerd"), ("cri-o", "crio"), ("docker", "docker")]
        .into_iter()
        .find(|(runtime, _)| name == *runtime)
        .map(|(_, service)| service)
}

fn boot_services(host: &FleetHost<'_>) -> Option<Findings> {
    let facts = host.facts;
    if !host.is_node() || facts.init.kind == InitKind::None {
        return None;
    }
    let mut findings = Findings::default();
    for service in not_at_boot(facts, host.is_member()) {
        findings.add(Severity::Warning, format!("{service} does not start at boot"));
    }
    for service in runtime_service(facts).into_iter().chain(["kubelet"]) {
        if let Some(state) = facts.init.services.get(service).filter(|state| state.exists) {
            findings = findings.saw(service, if state.enabled { "enabled" } else { "disabled" });
        }
    }
    Some(findings)
}

#[cfg(test)]
mod tests {
    use crate::node::facts::{InitKind, ServiceState};
    use crate::preflight::Membership;
    use crate::preflight::fleet::testing::{Fleet, found};

    #[test]
    fn a_node_comes_back() {
        let mut fleet = Fleet::healthy(1, 3);
        let disabled = ServiceState { exists: true, enabled: false, active: true };
        let disable = |fleet: &mut Fleet, host: &str, service: &str| {
            fleet.host(host, |facts| {
                facts.init.services.insert(service.to_owned(), disabled);
            });
        };
        disable(&mut fleet, "node-1", "containerd");
        for host in ["node-2", "node-3"] {
            disable(&mut fleet, host, "kubelet");
        }
        // A runtime that is not in use may rest.
        disable(&mut fleet, "node-3", "crio");
        fleet.member("cp-1", Membership::ControlPlane);
        fleet.member("node-2", Membership::Worker);
        insta::assert_snapshot!(found(&fleet), @r"
        node-1 warning BootServices: containerd does not start at boot
        node-2 warning BootServices: kubelet does not start at boot
        ");
        fleet.all(|facts| facts.init.kind = InitKind::None);
        assert_eq!(found(&fleet), "");
    }
}
