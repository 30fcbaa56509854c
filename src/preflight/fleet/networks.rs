//! Pod and service networks against what the hosts reach already, and against how many hosts there are. That the two do
//! not overlap each other, and that nodes' networks fit in at all, the inventory has seen to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::groups::{list, shown};
use super::words::count;
use super::{Checks, FleetHost};
use crate::inventory::{ClusterSection, Role};
use crate::preflight::result::Findings;
use crate::report::Severity;

impl Checks<'_> {
    pub(super) fn networks(&mut self) {
        let Some(cluster) = self.cluster else { return };
        let networking = &cluster.networking;
        let named = |nets: &[IpNet], what| nets.iter().map(move |net| (*net, what)).collect();
        let mut networks: Vec<(IpNet, &str)> = named(&networking.pod_subnet, "pod");
        networks.extend::<Vec<_>>(named(&networking.service_subnet, "service"));
        self.each("NetworkOverlap", |host| Some(overlap(&networks, host)));
        let nodes = self.everyone.iter().filter(|role| **role != Role::Etcd).count();
        self.each("PodCapacity", |host| host.is_node().then(|| capacity(cluster, nodes)).flatten());
    }
}

fn overlap(networks: &[(IpNet, &str)], host: &FleetHost<'_>) -> Findings {
    let mut findings = Findings::default();
    for (network, what) in networks {
        if let Some(address) = host.advertised().filter(|address| network.contains(address)) {
            findings.add(
                Severity::Error,
                format!(
                    "{address}, the address the cluster uses, is in the {what} network {network}"
                ),
            );
        }
        let taken = taken(*network, host);
        for (device, (routes, severity)) in &taken {
            findings.add(
                *severity,
                format!(
                    "the {what} network {network} overlaps what is reached by {}: {}",
                    shown(device),
                    list(routes)
                ),
            );
        }
    }
    let networks = networks.iter().map(|(network, what)| format!("{network} ({what}s)"));
    let looked_at = host.facts.routes.len();
    findings
        .saw("networks", list(networks))
        .saw("looked at", format!("{}, {}", count(looked_at, "route"), addresses(host)))
}

fn addresses(host: &FleetHost<'_>) -> String {
    let number = host.facts.interfaces.iter().map(|interface| interface.addresses.len()).sum();
    match number {
        1 => "1 address".to_owned(),
        number => format!("{number} addresses"),
    }
}

/// What the host reaches of a network already, by interface.
fn taken<'a>(
    network: IpNet,
    host: &'a FleetHost<'_>,
) -> BTreeMap<&'a str, (Vec<String>, Severity)> {
    let mut taken: BTreeMap<&str, (Vec<String>, Severity)> = BTreeMap::new();
    let mut add = |device: &'a str, text: String, severity: Severity| {
        let (texts, worst) = taken.entry(device).or_insert((Vec::new(), Severity::Passed));
        texts.push(text);
        *worst = severity.max(*worst);
    };
    // On a member, the network is in use: routes into it lead to pods, and virtual interfaces have addresses of it.
    let in_use = host.is_member();
    let overlaps = |other: &IpNet| {
        network.contains(other) || (other.contains(&network) && !is_default(*other))
    };
    let routes =
        host.facts.routes.iter().filter(|route| {
            overlaps(&route.network) && !(in_use && network.contains(&route.network))
        });
    for route in routes {
        // A wider network behind a router need not have anything in this one.
        let elsewhere =
            route.gateway.is_some() && route.network.prefix_len() < network.prefix_len();
        let severity = if elsewhere { Severity::Warning } else { Severity::Error };
        add(&route.device, route.network.to_string(), severity);
    }
    let advertised = host.advertised();
    for interface in host.facts.interfaces.iter().filter(|card| card.physical || !in_use) {
        // The route that comes with an address says more.
        let routed = |address: &IpAddr| {
            let routes = &mut host.facts.routes.iter();
            routes.any(|route| route.device == interface.name && route.network.contains(address))
        };
        for address in &interface.addresses {
            if network.contains(address) && Some(*address) != advertised && !routed(address) {
                add(&interface.name, address.to_string(), Severity::Error);
            }
        }
    }
    taken
}

/// The default route, or one of two halves of it as VPNs make them.
fn is_default(network: IpNet) -> bool {
    network.prefix_len() <= 1
}

/// What the controller manager cuts nodes' networks from. `None` where it does not, or from something else.
fn capacity(cluster: &ClusterSection, nodes: usize) -> Option<Findings> {
    let argument = |name: &str| {
        let arguments = cluster.controller_manager.iter();
        arguments.rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    };
    let pods = &cluster.networking.pod_subnet;
    if pods.is_empty()
        || argument("allocate-node-cidrs") == Some("false")
        || argument("cluster-cidr").is_some()
    {
        return None;
    }
    let max_pods = cluster.kubelet_configuration.get("maxPods").and_then(serde_json::Value::as_u64);
    let max_pods = max_pods.unwrap_or(MAX_PODS);
    let mut findings = Findings::default();
    for network in pods {
        let (own, default) = match network {
            IpNet::V4(_) => ("node-cidr-mask-size-ipv4", 24),
            IpNet::V6(_) => ("node-cidr-mask-size-ipv6", 64),
        };
        let mask = argument(own).or_else(|| argument("node-cidr-mask-size"));
        let mask: u8 = mask.and_then(|text| text.parse().ok()).unwrap_or(default);
        let room = power(mask.saturating_sub(network.prefix_len()));
        if (nodes as u64) > room {
            findings.add(
                Severity::Error,
                format!(
                    "the pod network {network} can be cut into {room} node networks (/{mask}), \
                     and there are {nodes} nodes"
                ),
            );
        }
        let addresses = power(network.max_prefix_len().saturating_sub(mask));
        let usable = addresses.saturating_sub(RESERVED);
        if max_pods > usable {
            findings.add(
                Severity::Warning,
                format!(
                    "a node's /{mask} of the pod network {network} has addresses for {usable} \
                     pods, fewer than the {max_pods} that a kubelet runs (maxPods)"
                ),
            );
        }
        findings =
            findings.saw(format!("nodes that {network} has room for"), room).saw("nodes", nodes);
    }
    Some(findings)
}

/// The kubelet's default.
const MAX_PODS: u64 = 110;
/// Addresses of a node's network that no pod gets: the network's, the broadcast, and the gateway's.
const RESERVED: u64 = 3;

/// 2 to that power, or as much as fits.
fn power(bits: u8) -> u64 {
    1_u64.checked_shl(u32::from(bits)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::node::facts::{Interface, Route};
    use crate::preflight::Membership;
    use crate::preflight::fleet::testing::{Fleet, found};

    fn route(network: &str, device: &str, gateway: Option<&str>) -> Route {
        Route {
            network: network.parse().unwrap(),
            device: device.to_owned(),
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        }
    }

    #[test]
    fn what_hosts_reach_already_is_no_network_for_pods() {
        let mut fleet = Fleet::healthy(1, 4);
        fleet.host("cp-1", |facts| facts.routes.push(route("10.244.3.0/24", "tun0", None)));
        fleet.host("node-1", |facts| {
            facts.routes.push(route("10.244.0.0/16", "eth0", Some("10.0.0.254")));
            facts.routes.push(route("10.96.0.0/16", "eth0", Some("10.0.0.254")));
        });
        // A company's network, behind a router, is wide; a network of the host itself is in the way.
        fleet.host("node-2", |facts| {
            facts.routes.push(route("10.128.0.0/9", "wg0", Some("10.0.0.254")));
            facts.routes.push(route("0.0.0.0/1", "wg0", Some("10.0.0.254")));
        });
        fleet.host("node-3", |facts| facts.routes.push(route("10.128.0.0/9", "eth1", None)));
        fleet.host("node-4", |facts| {
            facts.interfaces[1].addresses.push("10.244.9.9".parse().unwrap());
        });
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 error NetworkOverlap: the pod network 10.244.0.0/16 overlaps what is reached by tun0: 10.244.3.0/24
        node-1 error NetworkOverlap: the pod network 10.244.0.0/16 overlaps what is reached by eth0: 10.244.0.0/16
        node-1 error NetworkOverlap: the service network 10.96.0.0/12 overlaps what is reached by eth0: 10.96.0.0/16
        node-2 warning NetworkOverlap: the pod network 10.244.0.0/16 overlaps what is reached by wg0: 10.128.0.0/9
        node-3 error NetworkOverlap: the pod network 10.244.0.0/16 overlaps what is reached by eth1: 10.128.0.0/9
        ");
    }

    #[test]
    fn the_address_of_a_host_is_not_a_pods() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.cluster.networking.pod_subnet = vec!["10.0.1.0/24".parse().unwrap()];
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 error NetworkOverlap: the pod network 10.0.1.0/24 overlaps what is reached by eth0: 10.0.0.0/22
        cp-1 error PodCapacity: the pod network 10.0.1.0/24 can be cut into 1 node networks (/24), and there are 2 nodes
        node-1 error NetworkOverlap: 10.0.1.1, the address the cluster uses, is in the pod network 10.0.1.0/24
        node-1 error NetworkOverlap: the pod network 10.0.1.0/24 overlaps what is reached by eth0: 10.0.0.0/22
        node-1 error PodCapacity: the pod network 10.0.1.0/24 can be cut into 1 node networks (/24), and there are 2 nodes
        ");
    }

    #[test]
    fn a_members_pods_are_where_they_should_be() {
        let mut fleet = Fleet::healthy(1, 2);
        fleet.all(|facts| {
            facts.routes.extend([
                route("10.244.1.0/24", "cni0", None),
                route("10.244.2.0/24", "flannel.1", Some("10.244.2.0")),
                // Routed by the hosts themselves; unreachable ones.
                route("10.244.3.0/24", "eth0", Some("10.0.1.2")),
                route("10.244.4.0/26", "*", None),
            ]);
            let addresses = vec!["10.244.1.1".parse().unwrap(), "10.96.0.10".parse().unwrap()];
            let name = "veth1a2b3c4d".to_owned();
            facts.interfaces.push(Interface { name, addresses, ..Interface::default() });
        });
        assert_eq!(fleet.only("NetworkOverlap").matches("error").count(), 3 * 6);
        for host in ["cp-1", "node-1", "node-2"] {
            fleet.member(host, Membership::Worker);
        }
        assert_eq!(found(&fleet), "");
        fleet.host("node-2", |facts| facts.routes.push(route("10.240.0.0/12", "docker0", None)));
        insta::assert_snapshot!(found(&fleet), @"node-2 error NetworkOverlap: the pod network 10.244.0.0/16 overlaps what is reached by docker0: 10.240.0.0/12");
    }

    #[test]
    fn every_node_gets_a_network() {
        let mut fleet = Fleet::healthy(1, 2);
        fleet.silent = vec![Role::Worker; 254];
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 error PodCapacity: the pod network 10.244.0.0/16 can be cut into 256 node networks (/24), and there are 257 nodes
        node-1 error PodCapacity: the pod network 10.244.0.0/16 can be cut into 256 node networks (/24), and there are 257 nodes
        node-2 error PodCapacity: the pod network 10.244.0.0/16 can be cut into 256 node networks (/24), and there are 257 nodes
        ");
        fleet.silent.pop();
        assert_eq!(found(&fleet), "");
        fleet.silent.push(Role::Etcd);
        fleet.cluster.controller_manager =
            vec![("node-cidr-mask-size".to_owned(), "25".to_owned())];
        assert_eq!(fleet.only("PodCapacity"), "");
        fleet.cluster.kubelet_configuration.insert("maxPods".to_owned(), json!(250));
        insta::assert_snapshot!(fleet.only("PodCapacity"), @r"
        cp-1 warning PodCapacity: a node's /25 of the pod network 10.244.0.0/16 has addresses for 125 pods, fewer than the 250 that a kubelet runs (maxPods)
        node-1 warning PodCapacity: a node's /25 of the pod network 10.244.0.0/16 has addresses for 125 pods, fewer than the 250 that a kubelet runs (maxPods)
        node-2 warning PodCapacity: a node's /25 of the pod network 10.244.0.0/16 has addresses for 125 pods, fewer than the 250 that a kubelet runs (maxPods)
        ");
        fleet.cluster.controller_manager =
            vec![("allocate-node-cidrs".to_owned(), "false".to_owned())];
        assert_eq!(fleet.only("PodCapacity"), "");
    }

    #[test]
    fn two_families_have_room_each() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.cluster.networking.pod_subnet =
            vec!["10.244.0.0/16".parse().unwrap(), "fd00:1::/64".parse().unwrap()];
        insta::assert_snapshot!(fleet.only("PodCapacity"), @r"
        cp-1 error PodCapacity: the pod network fd00:1::/64 can be cut into 1 node networks (/64), and there are 2 nodes
        node-1 error PodCapacity: the pod network fd00:1::/64 can be cut into 1 node networks (/64), and there are 2 nodes
        ");
        fleet.cluster.networking.pod_subnet[1] = "fd00:1::/56".parse().unwrap();
        assert_eq!(fleet.only("PodCapacity"), "");
    }
}
