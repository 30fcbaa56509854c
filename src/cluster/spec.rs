//! The resolved desired state: what the inventory's `[cluster]` means for one Kubernetes release. Derives
//! addresses and URLs; never decides anything about a host.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::cluster::release::{Release, UnsupportedRelease};
use crate::inventory::ClusterSection;
use crate::node::facts::PathState;

/// Where certificates and keys live on a control-plane node.
pub const CERTIFICATES_DIRECTORY: &str = "/etc/kubernetes/pki";
/// Where the kubelet looks for static pods.
pub const MANIFESTS_DIRECTORY: &str = "/etc/kubernetes/manifests";
/// What kubeadm appoints as etcd's client port.
pub const ETCD_CLIENT_PORT: u16 = 2379;
/// What kubeadm appoints as etcd's peer port.
pub const ETCD_PEER_PORT: u16 = 2380;

/// A cluster section that no cluster can be made of.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The version is out of range.
    #[error(transparent)]
    Release(#[from] UnsupportedRelease),
    /// There is no service network.
    #[error("service_subnet is empty; set it, for example to \"10.96.0.0/12\"")]
    NoServiceSubnet,
    /// The service network cannot hold the DNS service.
    #[error(
        "service_subnet {0} is too small for address number 10, the DNS service; use a wider one"
    )]
    ServiceSubnetTooSmall(IpNet),
}

/// The desired state of the cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// What the operator asked for.
    pub section: ClusterSection,
    /// What the release makes of it.
    pub release: Release,
    /// Address of the DNS service: the tenth of the service network.
    pub dns_ip: IpAddr,
    /// Address of the `kubernetes` service: the first of the service network.
    pub api_service_ip: IpAddr,
}

/// What is special about one control-plane node.
#[derive(Debug, Clone)]
pub struct ControlPlaneNode {
    /// Node name.
    pub name: String,
    /// The address the API server and etcd advertise.
    pub advertise_address: IpAddr,
    /// The release's extra CA directories that exist on the host; see [`extra_ca_directories`].
    pub extra_ca_directories: Vec<String>,
    /// The host's proxy variables.
    pub proxy_environment: BTreeMap<String, String>,
}

impl Cluster {
    /// Resolves the section for its release.
    pub fn resolve(section: &ClusterSection) -> Result<Self, ClusterError> {
        let release = Release::of(section.kubernetes_version)?;
        let services = section.networking.service_subnet.first();
        let services = *services.ok_or(ClusterError::NoServiceSubnet)?;
        let address = |number| {
            nth_address(services, number).ok_or(ClusterError::ServiceSubnetTooSmall(services))
        };
        Ok(Self {
            section: section.clone(),
            release,
            dns_ip: address(10)?,
            api_service_ip: address(1)?,
        })
    }

    /// The version as images and configuration spell it: with its `v`.
    pub fn version_tag(&self) -> String {
        format!("v{}", self.release.version)
    }

    /// The registry for everything that has none of its own.
    pub fn image_repository(&self) -> &str {
        self.section.image_repository.as_deref().unwrap_or(self.release.images.repository)
    }

    /// `host:port` of the shared endpoint, where one is set; IPv6 addresses in brackets.
    pub fn control_plane_endpoint(&self) -> Option<String> {
        let endpoint = self.section.control_plane_endpoint.as_ref()?;
        let port = endpoint.port.unwrap_or(self.section.api_server.bind_port);
        Some(host_port(&endpoint.host, port))
    }

    /// URL of one node's own API server.
    pub fn local_endpoint_url(&self, advertise_address: IpAddr) -> String {
        let port = self.section.api_server.bind_port;
        format!("https://{}", SocketAddr::new(advertise_address, port))
    }

    /// URL clients outside the node use: the shared endpoint, or else the given control plane's own.
    pub fn control_plane_url(&self, advertise_address: IpAddr) -> String {
        match self.control_plane_endpoint() {
            Some(endpoint) => format!("https://{endpoint}"),
            None => self.local_endpoint_url(advertise_address),
        }
    }

    /// Issuer of service account tokens.
    pub fn service_account_issuer(&self) -> String {
        format!("https://kubernetes.default.svc.{}", self.section.networking.dns_domain)
    }

    /// The service networks, joined by commas.
    pub fn service_subnets(&self) -> String {
        join(&self.section.networking.service_subnet)
    }

    /// The pod networks, joined by commas; empty when none is set.
    pub fn pod_subnets(&self) -> String {
        join(&self.section.networking.pod_subnet)
    }
}

/// Which of the release's extra CA directories a host has. `paths` is what the host's facts say of them.
pub fn extra_ca_directories(release: &Release, paths: &BTreeMap<String, PathState>) -> Vec<String> {
    let is_directory = |path: &&&str| {
        matches!(paths.get(**path), Some(PathState::Directory | PathState::EmptyDirectory))
    };
    let candidates = release.static_pods.extra_ca_directories.iter();
    candidates.filter(is_directory).map(|path| (*path).to_owned()).collect()
}

/// `host:port`, an IPv6 address in brackets.
pub fn host_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

fn join(networks: &[IpNet]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn nth_address(network: IpNet, number: u32) -> Option<IpAddr> {
    let address = match network.network() {
        IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from_bits(first.to_bits().checked_add(number)?)),
        IpAddr::V6(first) => {
            IpAddr::V6(Ipv6Addr::from_bits(first.to_bits().checked_add(u128::from(number))?))
        }
    };
    network.contains(&address).then_some(address)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::inventory::{
        Addon, ApiServer, Endpoint, Etcd, KubernetesVersion, Networking, Timeouts,
    };

    /// A section with nothing but defaults.
    pub(crate) fn section(minor: u16, patch: u16) -> ClusterSection {
        ClusterSection {
            name: "kubernetes".to_owned(),
            kubernetes_version: KubernetesVersion { major: 1, minor, patch },
            control_plane_endpoint: None,
            image_repository: None,
            cri_socket: None,
            networking: Networking {
                pod_subnet: vec!["10.244.0.0/16".parse().unwrap()],
                service_subnet: vec!["10.96.0.0/12".parse().unwrap()],
                dns_domain: "cluster.local".to_owned(),
            },
            api_server: ApiServer {
                bind_port: 6443,
                extra_args: Vec::new(),
                cert_sans: Vec::new(),
            },
            controller_manager: Vec::new(),
            scheduler: Vec::new(),
            etcd: Etcd {
                data_dir: "/var/lib/etcd".to_owned(),
                extra_args: Vec::new(),
                image_repository: None,
                image_tag: None,
                server_cert_sans: Vec::new(),
                peer_cert_sans: Vec::new(),
            },
            dns: Addon::default(),
            proxy: Addon::default(),
            timeouts: Timeouts::default(),
            kubelet_configuration: serde_json::Map::new(),
            kube_proxy_configuration: serde_json::Map::new(),
        }
    }

    /// The cluster of [`section`].
    pub(crate) fn cluster(minor: u16, patch: u16) -> Cluster {
        Cluster::resolve(&section(minor, patch)).unwrap()
    }

    /// A control-plane node with nothing special.
    pub(crate) fn node() -> ControlPlaneNode {
        ControlPlaneNode {
            name: "cp-1".to_owned(),
            advertise_address: "10.0.0.11".parse().unwrap(),
            extra_ca_directories: Vec::new(),
            proxy_environment: BTreeMap::new(),
        }
    }

    #[test]
    fn service_addresses_count_from_the_network() {
        let cluster = cluster(36, 2);
        assert_eq!(cluster.dns_ip.to_string(), "10.96.0.10");
        assert_eq!(cluster.api_service_ip.to_string(), "10.96.0.1");
        let mut six = section(36, 2);
        six.networking.service_subnet = vec!["fd00::/108".parse().unwrap()];
        assert_eq!(Cluster::resolve(&six).unwrap().dns_ip.to_string(), "fd00::a");
    }

    #[test]
    fn too_small_and_missing_service_networks_are_refused() {
        let mut section = section(36, 2);
        section.networking.service_subnet = vec!["10.0.0.0/30".parse().unwrap()];
        let error = Cluster::resolve(&section).unwrap_err();
        assert!(error.to_string().contains("10.0.0.0/30"), "{error}");
        section.networking.service_subnet.clear();
        assert!(matches!(Cluster::resolve(&section), Err(ClusterError::NoServiceSubnet)));
    }

    #[test]
    fn the_shared_endpoint_takes_the_bind_port() {
        let advertise: IpAddr = "fd00::1".parse().unwrap();
        let mut cluster = cluster(36, 2);
        assert_eq!(cluster.control_plane_url(advertise), "https://[fd00::1]:6443");
        cluster.section.control_plane_endpoint =
            Some(Endpoint { host: "k8s.example.com".to_owned(), port: None });
        assert_eq!(cluster.control_plane_url(advertise), "https://k8s.example.com:6443");
        assert_eq!(cluster.local_endpoint_url(advertise), "https://[fd00::1]:6443");
        cluster.section.control_plane_endpoint =
            Some(Endpoint { host: "fd00::9".to_owned(), port: Some(443) });
        assert_eq!(cluster.control_plane_endpoint().unwrap(), "[fd00::9]:443");
    }

    #[test]
    fn only_directories_on_the_host_are_mounted() {
        let paths = BTreeMap::from([
            ("/etc/pki".to_owned(), PathState::Directory),
            ("/etc/pki/tls/certs".to_owned(), PathState::EmptyDirectory),
            ("/etc/ca-certificates".to_owned(), PathState::File),
        ]);
        assert_eq!(extra_ca_directories(&cluster(30, 0).release, &paths), ["/etc/pki"]);
        assert_eq!(extra_ca_directories(&cluster(31, 0).release, &paths), ["/etc/pki/tls/certs"]);
    }
}
