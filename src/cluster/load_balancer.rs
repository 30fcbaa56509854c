//! What serves the control plane's endpoint: the configuration of haproxy and keepalived, and kube-vip's static pod.
//! Renders them; decides nothing about hosts and puts nothing on one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use serde::Serialize;

use super::spec::{Cluster, MANIFESTS_DIRECTORY};
use super::template::render;
use crate::node::facts::Facts;

/// Where haproxy's and keepalived's configuration is, apart from the operator's own in their packages' directories.
pub const DIRECTORY: &str = "/etc/kubernetes-load-balancer";
/// Where haproxy answers on the host's own loopback whether it answers.
pub const MONITOR_PORT: u16 = 16442;
/// The path it answers that at.
pub const MONITOR_PATH: &str = "/healthz";
/// The first line of everything that is written here ends with this, so that it can be told from what others wrote.
const OWN: &str = "Written by fleetadm";

const HAPROXY: &str = include_str!("../../templates/load-balancer/haproxy.cfg");
const KEEPALIVED: &str = include_str!("../../templates/load-balancer/keepalived.conf");
const CHECK_HAPROXY: &str = include_str!("../../templates/load-balancer/check-haproxy");
const KUBE_VIP: &str = include_str!("../../templates/load-balancer/kube-vip.yaml");

/// keepalived's priority of the host that stands first.
const FIRST_PRIORITY: u8 = 200;

/// A daemon of the host's distribution that runs as a service of our own, beside the package's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// Leads connections to API servers.
    Haproxy,
    /// Has the virtual address on one of the hosts.
    Keepalived,
}

impl Daemon {
    /// Both, in the order they are started in.
    pub const ALL: [Self; 2] = [Self::Haproxy, Self::Keepalived];

    /// Its package and its command.
    pub fn package(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Keepalived => "keepalived",
        }
    }

    /// The service.
    pub fn service(self) -> &'static str {
        match self {
            Self::Haproxy => "kubernetes-haproxy",
            Self::Keepalived => "kubernetes-keepalived",
        }
    }

    /// Where the service's unit is.
    pub fn unit_path(self) -> String {
        format!("/etc/systemd/system/{}.service", self.service())
    }

    /// The unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Haproxy => {
                include_str!("../../templates/load-balancer/kubernetes-haproxy.service")
            }
            Self::Keepalived => {
                include_str!("../../templates/load-balancer/kubernetes-keepalived.service")
            }
        }
    }

    /// Where its configuration is.
    pub fn config_path(self) -> String {
        format!("{DIRECTORY}/{}", self.config_name())
    }

    /// Where the service keeps what it has read of it.
    pub fn loaded_path(self) -> String {
        format!("/run/{}/{}", self.service(), self.config_name())
    }

    fn config_name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy.cfg",
            Self::Keepalived => "keepalived.conf",
        }
    }
}

/// Where keepalived's check of haproxy is.
pub fn check_path() -> String {
    format!("{DIRECTORY}/check-haproxy")
}

/// Where kube-vip's manifest is.
pub fn kube_vip_path() -> String {
    format!("{MANIFESTS_DIRECTORY}/kube-vip.yaml")
}

/// Whether a file on a host was written here, and not by the operator.
pub fn is_own(content: &[u8]) -> bool {
    let front = &content[..content.len().min(1024)];
    String::from_utf8_lossy(front).lines().take(3).any(|line| line.contains(OWN))
}

/// A control plane that haproxy leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiServer {
    /// Its host's name.
    pub name: String,
    /// Its host's address.
    pub address: IpAddr,
}

/// haproxy's configuration: it leads from the endpoint's port to these.
///
/// # Errors
/// A fault of the template.
pub fn haproxy(cluster: &Cluster, servers: &[ApiServer]) -> Result<String, minijinja::Error> {
    #[derive(Serialize)]
    struct Server<'a> {
        name: &'a str,
        address: SocketAddr,
    }
    #[derive(Serialize)]
    struct Values<'a> {
        port: u16,
        monitor_port: u16,
        servers: Vec<Server<'a>>,
    }
    let bind_port = cluster.section.api_server.bind_port;
    let servers = servers.iter().map(|server| Server {
        name: &server.name,
        address: SocketAddr::new(server.address, bind_port),
    });
    let values = Values {
        port: cluster.endpoint_port(),
        monitor_port: MONITOR_PORT,
        servers: servers.collect(),
    };
    render("haproxy.cfg", HAPROXY, &values)
}

/// One host of those that share the virtual address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualRouter<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its place among them.
    pub index: usize,
    /// Its own address.
    pub own: IpAddr,
    /// The others' addresses.
    pub peers: Vec<IpAddr>,
    /// The virtual address.
    pub address: IpAddr,
    /// The interface that gets it.
    pub interface: &'a str,
    /// What tells this group from others in the network.
    pub virtual_router_id: u8,
}

/// keepalived's configuration.
///
/// # Errors
/// A fault of the template.
pub fn keepalived(router: &VirtualRouter<'_>) -> Result<String, minijinja::Error> {
    #[derive(Serialize)]
    struct Values<'a> {
        address: IpAddr,
        prefix: u8,
        router_id: &'a str,
        directory: &'a str,
        interface: &'a str,
        virtual_router_id: u8,
        priority: u8,
        own: IpAddr,
        peers: &'a [IpAddr],
    }
    let index = u8::try_from(router.index).unwrap_or(u8::MAX);
    let values = Values {
        address: router.address,
        prefix: host_prefix(router.address),
        router_id: router.name,
        directory: DIRECTORY,
        interface: router.interface,
        virtual_router_id: router.virtual_router_id,
        // 0 means that a router has left, 255 that the address is its own.
        priority: FIRST_PRIORITY.saturating_sub(index).max(1),
        own: router.own,
        peers: &router.peers,
    };
    render("keepalived.conf", KEEPALIVED, &values)
}

/// The script by which keepalived sees whether haproxy answers.
///
/// # Errors
/// A fault of the template.
pub fn check_haproxy() -> Result<String, minijinja::Error> {
    #[derive(Serialize)]
    struct Values {
        monitor_port: u16,
    }
    render("check-haproxy", CHECK_HAPROXY, &Values { monitor_port: MONITOR_PORT })
}

/// kube-vip's static pod on one control plane.
///
/// # Errors
/// A fault of the template.
pub fn kube_vip(
    cluster: &Cluster,
    image: &str,
    address: IpAddr,
    interface: &str,
) -> Result<String, minijinja::Error> {
    #[derive(Serialize)]
    struct Values<'a> {
        image: &'a str,
        address: IpAddr,
        prefix: u8,
        port: u16,
        interface: &'a str,
        loopback: IpAddr,
    }
    let loopback = match cluster.api_service_ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let values = Values {
        image,
        address,
        prefix: host_prefix(address),
        port: cluster.section.api_server.bind_port,
        interface,
        loopback,
    };
    render("kube-vip.yaml", KUBE_VIP, &values)
}

/// The interface that gets the virtual address, where the inventory names none: the one whose network it is in, else the
/// one that has the host's own address.
pub fn interface_for(facts: &Facts, address: IpAddr, own: IpAddr) -> Option<&str> {
    let direct = facts.routes.iter().filter(|route| route.gateway.is_none());
    let leads = |network: &IpNet| network.prefix_len() > 0 && network.contains(&address);
    let nearest = direct
        .filter(|route| leads(&route.network))
        .max_by_key(|route| route.network.prefix_len())
        .map(|route| route.device.as_str());
    nearest.or_else(|| facts.interface_with(own).map(|interface| interface.name.as_str()))
}

/// A network of this one address: what others are in its network is for the interface's own address to say.
fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::cluster::spec::tests::cluster;
    use crate::inventory::Endpoint;
    use crate::node::facts::{Interface, Route};

    fn with_endpoint() -> Cluster {
        let mut cluster = cluster(36, 2);
        cluster.section.control_plane_endpoint =
            Some(Endpoint { host: "10.0.0.10".to_owned(), port: Some(8443) });
        cluster
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn haproxy_leads_to_every_api_server() {
        let server = |name: &str, address: &str| ApiServer {
            name: name.to_owned(),
            address: address.parse().unwrap(),
        };
        let servers = [server("cp-1", "10.0.0.11"), server("cp-2", "fd00::12")];
        assert_snapshot!(haproxy(&with_endpoint(), &servers).unwrap());
    }

    #[test]
    fn keepalived_knows_its_peers() {
        let router = VirtualRouter {
            name: "cp-2",
            index: 1,
            own: "10.0.0.12".parse().unwrap(),
            peers: addresses(&["10.0.0.11", "10.0.0.13"]),
            address: "10.0.0.10".parse().unwrap(),
            interface: "eth0",
            virtual_router_id: 51,
        };
        assert_snapshot!(keepalived(&router).unwrap());
        let alone = VirtualRouter { peers: Vec::new(), index: 999, ..router };
        let text = keepalived(&alone).unwrap();
        assert!(!text.contains("unicast") && text.contains("priority 1\n"), "{text}");
    }

    #[test]
    fn kube_vip_is_a_static_pod() {
        let mut cluster = cluster(36, 2);
        let address = "10.0.0.10".parse().unwrap();
        let text = kube_vip(&cluster, "ghcr.io/kube-vip/kube-vip:v1.0.0", address, "eth0").unwrap();
        assert_snapshot!(text);
        let pod = crate::cluster::static_pods::from_yaml(&text).unwrap();
        assert_eq!(pod.metadata.name.unwrap(), "kube-vip");
        cluster.api_service_ip = "fd00::1".parse().unwrap();
        let text = kube_vip(&cluster, "a/b:c", "fd00::9".parse().unwrap(), "eth0").unwrap();
        assert!(text.contains("ip: \"::1\"") && text.contains("\"128\""), "{text}");
    }

    #[test]
    fn what_is_written_here_can_be_told_from_what_others_wrote() {
        let script = check_haproxy().unwrap();
        for text in [HAPROXY, KEEPALIVED, KUBE_VIP, &script] {
            assert!(is_own(text.as_bytes()), "{text}");
        }
        for daemon in Daemon::ALL {
            assert!(is_own(daemon.unit().as_bytes()));
            // Units are no templates, so what they name is spelled out.
            for path in [daemon.config_path(), daemon.loaded_path()] {
                assert!(daemon.unit().contains(&path), "{path}");
            }
        }
        assert!(!is_own(b"apiVersion: v1\nkind: Pod\n") && !is_own(b""));
    }

    #[test]
    fn the_virtual_address_goes_where_its_network_is() {
        let route = |network: &str, device: &str, gateway: Option<&str>| Route {
            network: network.parse().unwrap(),
            device: device.to_owned(),
            gateway: gateway.map(|text| text.parse().unwrap()),
        };
        let interface = Interface {
            name: "eth0".to_owned(),
            addresses: addresses(&["10.0.0.11"]),
            ..Interface::default()
        };
        let facts = Facts {
            interfaces: vec![interface],
            routes: vec![
                route("0.0.0.0/0", "eth0", Some("10.0.0.1")),
                route("10.0.0.0/24", "eth0", None),
                route("192.168.0.0/16", "eth1", None),
                route("192.168.7.0/24", "eth2", Some("192.168.0.1")),
            ],
            ..Facts::default()
        };
        let found = |address: &str| {
            interface_for(&facts, address.parse().unwrap(), "10.0.0.11".parse().unwrap())
        };
        assert_eq!(found("10.0.0.10"), Some("eth0"));
        assert_eq!(found("192.168.7.9"), Some("eth1"));
        // Somewhere else: a router has to lead there.
        assert_eq!(found("172.16.0.1"), Some("eth0"));
        assert_eq!(
            interface_for(&facts, "172.16.0.1".parse().unwrap(), "10.9.9.9".parse().unwrap()),
            None
        );
    }
}
