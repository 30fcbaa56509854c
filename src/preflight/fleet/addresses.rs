//! The address the cluster uses: whether it is the host's, and one that others can use.

use std::net::IpAddr;

use super::groups::list;
use super::reachability::Tally;
use super::words::count;
use super::{Checks, FleetHost};
use crate::inventory::{ClusterSection, Role};
use crate::preflight::result::Findings;
use crate::report::Severity;

impl Checks<'_> {
    pub(super) fn addresses(&mut self) {
        let hosts = self.hosts;
        let shared = self.shared("advertise address", Severity::Error, |host| {
            hosts[host].advertised().map(|address| address.to_string())
        });
        let findings = shared.into_iter().enumerate().map(|(index, shared)| {
            let host = &hosts[index];
            let findings = match (host.advertised(), shared) {
                (Some(address), Some(findings)) => {
                    address_of(self.cluster, host, address, findings)
                }
                // Without addresses, nothing is known of the host's network.
                _ if host.facts.addresses.is_empty() => return None,
                _ => Findings::error(format!(
                    "there is no default route, and no advertise_address says which address the \
                     cluster is to use: {}",
                    has(host)
                )),
            };
            Some(self.tried(index, findings))
        });
        let findings: Vec<_> = findings.collect();
        self.push("AdvertiseAddress", findings);
    }

    /// How others fared with it. What failed is for the check of reachability to say.
    fn tried(&self, host: usize, findings: Findings) -> Findings {
        let Tally { connected, failed, .. } = self.tally(host);
        match connected + failed {
            0 => findings,
            all => findings
                .saw("reached there", format!("{connected} of {}", count(all, "connection"))),
        }
    }
}

fn address_of(
    cluster: Option<&ClusterSection>,
    host: &FleetHost<'_>,
    address: IpAddr,
    mut findings: Findings,
) -> Findings {
    if let Some(why) = unusable(address) {
        findings.add(Severity::Error, format!("{address} is {why}: no other host can reach it"));
    }
    let addresses = &host.facts.addresses;
    if !addresses.is_empty() && !addresses.contains(&address) {
        findings.add(Severity::Error, format!("{address} is not on the host: {}", has(host)));
    }
    // The API server refuses to start then.
    let services = cluster.and_then(|cluster| cluster.networking.service_subnet.first());
    if let Some(services) = services.filter(|_| host.role == Role::ControlPlane)
        && services.addr().is_ipv4() != address.is_ipv4()
    {
        findings.add(
            Severity::Error,
            format!(
                "{address} is not of the family of {services}, the first service network, as the \
                 API server wants it"
            ),
        );
    }
    match host.cluster_interface() {
        Some(interface) => findings.saw("interface", &interface.name),
        None => findings,
    }
}

fn unusable(address: IpAddr) -> Option<&'static str> {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    match address {
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_unspecified() => Some("no address at all"),
        _ if address.is_multicast() => Some("a multicast address"),
        _ if link_local => Some("a link-local address"),
        _ => None,
    }
}

fn has(host: &FleetHost<'_>) -> String {
    let useful = host.facts.addresses.iter().filter(|address| unusable(**address).is_none());
    match list(useful.map(ToString::to_string)) {
        none if none.is_empty() => "it has none that others can reach".to_owned(),
        some => format!("it has {some}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::preflight::fleet::testing::{Fleet, found};

    #[test]
    fn it_has_to_be_there_once_and_usable() {
        let mut fleet = Fleet::healthy(1, 5);
        fleet.advertise("node-1", "10.9.9.9");
        fleet.advertise("node-2", "127.0.0.1");
        fleet.advertise("node-3", "169.254.1.1");
        fleet.host("node-4", |facts| facts.default_addresses.clear());
        fleet.host("node-5", |facts| facts.default_addresses = vec!["10.0.0.11".parse().unwrap()]);
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 error AdvertiseAddress: advertise address 10.0.0.11: the same on cp-1,node-5
        node-1 error AdvertiseAddress: 10.9.9.9 is not on the host: it has 10.0.1.1
        node-2 error AdvertiseAddress: 127.0.0.1 is a loopback address: no other host can reach it
        node-3 error AdvertiseAddress: 169.254.1.1 is a link-local address: no other host can reach it
        node-3 error AdvertiseAddress: 169.254.1.1 is not on the host: it has 10.0.1.3
        node-4 error AdvertiseAddress: there is no default route, and no advertise_address says which address the cluster is to use: it has 10.0.1.4
        node-5 error AdvertiseAddress: advertise address 10.0.0.11: the same on cp-1,node-5
        node-5 error AdvertiseAddress: 10.0.0.11 is not on the host: it has 10.0.1.5
        ");
    }

    #[test]
    fn one_of_several_interfaces_may_have_it() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.host("node-1", |facts| {
            facts.addresses.push("192.168.7.1".parse().unwrap());
            facts.interfaces[1].addresses.push("192.168.7.1".parse().unwrap());
        });
        fleet.advertise("node-1", "192.168.7.1");
        assert_eq!(found(&fleet), "");
    }

    #[test]
    fn the_api_server_wants_the_family_of_the_services() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.all(|facts| facts.addresses.push("fd00::1".parse().unwrap()));
        fleet.advertise("cp-1", "fd00::1");
        insta::assert_snapshot!(found(&fleet), @"cp-1 error AdvertiseAddress: fd00::1 is not of the family of 10.96.0.0/12, the first service network, as the API server wants it");
    }

    #[test]
    fn a_host_that_tells_nothing_of_its_network_is_left_alone() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.host("node-1", |facts| {
            facts.default_addresses.clear();
            facts.addresses.clear();
        });
        assert!(!fleet.has("node-1", "AdvertiseAddress"));
        fleet.advertise("node-1", "10.9.9.9");
        assert_eq!(found(&fleet), "");
    }
}
