//! Which name servers pods inherit from their host.

use std::net::IpAddr;

use super::groups::{list, shown};
use super::{Checks, FleetHost};
use crate::inventory::ClusterSection;
use crate::preflight::result::Findings;
use crate::report::Severity;

const USUAL: &str = "/etc/resolv.conf";
/// What systemd-resolved asks itself; the kubelet is told to use it where that runs, as kubeadm does.
const BEHIND_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// What the C library and the kubelet look at; the rest is dropped.
const MOST: usize = 3;

impl Checks<'_> {
    pub(super) fn resolvers(&mut self) {
        let cluster = self.cluster;
        self.each("ResolverLoop", |host| resolver(cluster, host));
    }
}

fn resolver(cluster: Option<&ClusterSection>, host: &FleetHost<'_>) -> Option<Findings> {
    let facts = host.facts;
    let resolved = facts.init.services.get("systemd-resolved").is_some_and(|state| state.active);
    let asked_for = cluster.and_then(|cluster| cluster.kubelet_configuration.get("resolvConf"));
    let file = match asked_for.and_then(serde_json::Value::as_str) {
        Some(file) => file,
        None if resolved => BEHIND_RESOLVED,
        None => USUAL,
    };
    // No other file is looked at; and a host that does not say its name says nothing at all.
    if !host.is_node() || ![USUAL, BEHIND_RESOLVED].contains(&file) || facts.hostname.is_empty() {
        return None;
    }
    let servers = facts.name_servers.get(file).map(Vec::as_slice).unwrap_or_default();
    let loops: Vec<&String> = servers.iter().filter(|server| is_loopback(server)).collect();
    let mut findings = Findings::default();
    if !loops.is_empty() {
        // On a member, CoreDNS runs already, or has been told better.
        let dns = cluster.is_none_or(|cluster| !cluster.dns.disabled);
        let severity = if dns && !host.is_member() { Severity::Error } else { Severity::Warning };
        findings.add(
            severity,
            format!(
                "{file} names {}, which in a pod is the pod itself: CoreDNS would ask itself \
                 and stop",
                list(loops)
            ),
        );
    }
    match servers.len() {
        0 => findings.add(
            Severity::Warning,
            format!("{file} has no name server: CoreDNS has nobody to ask"),
        ),
        number if number > MOST => findings.add(
            Severity::Warning,
            format!("{file} has {number} name servers: all after the first {MOST} are dropped"),
        ),
        _ => {}
    }
    Some(findings.saw(shown(file), list(servers)))
}

fn is_loopback(server: &str) -> bool {
    // IPv6 addresses may carry the name of an interface.
    let address = server.split('%').next().and_then(|address| address.parse::<IpAddr>().ok());
    address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::node::facts::ServiceState;
    use crate::preflight::Membership;
    use crate::preflight::fleet::testing::{Fleet, found};

    fn servers(fleet: &mut Fleet, host: &str, file: &str, servers: &[&str]) {
        let servers = servers.iter().map(|server| (*server).to_owned()).collect();
        fleet.host(host, |facts| {
            facts.name_servers.insert(file.to_owned(), servers);
        });
    }

    #[test]
    fn pods_would_ask_themselves() {
        let mut fleet = Fleet::healthy(1, 3);
        servers(&mut fleet, "cp-1", "/etc/resolv.conf", &["127.0.0.53"]);
        servers(&mut fleet, "node-1", "/etc/resolv.conf", &["::1", "10.0.0.1"]);
        fleet.member("node-1", Membership::Worker);
        servers(&mut fleet, "node-2", "/etc/resolv.conf", &["10.0.0.1"; 4]);
        servers(&mut fleet, "node-3", "/etc/resolv.conf", &[]);
        insta::assert_snapshot!(fleet.only("ResolverLoop"), @r"
        cp-1 error ResolverLoop: /etc/resolv.conf names 127.0.0.53, which in a pod is the pod itself: CoreDNS would ask itself and stop
        node-1 warning ResolverLoop: /etc/resolv.conf names ::1, which in a pod is the pod itself: CoreDNS would ask itself and stop
        node-2 warning ResolverLoop: /etc/resolv.conf has 4 name servers: all after the first 3 are dropped
        node-3 warning ResolverLoop: /etc/resolv.conf has no name server: CoreDNS has nobody to ask
        ");
        fleet.cluster.kubelet_configuration.insert("resolvConf".to_owned(), json!("/etc/mine"));
        assert_eq!(fleet.only("ResolverLoop"), "");
    }

    #[test]
    fn systemd_resolved_is_looked_behind() {
        let mut fleet = Fleet::healthy(1, 1);
        servers(&mut fleet, "node-1", "/etc/resolv.conf", &["127.0.0.53"]);
        servers(&mut fleet, "node-1", "/run/systemd/resolve/resolv.conf", &["10.0.0.1"]);
        fleet.host("node-1", |facts| {
            let active = ServiceState { exists: true, enabled: true, active: true };
            facts.init.services.insert("systemd-resolved".to_owned(), active);
        });
        assert_eq!(found(&fleet), "");
    }
}
