//! The resolved desired state: what the inventory's `[cluster]` means for one Kubernetes release. Derives
//! addresses and URLs; never decides anything about a host.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::cluster::patches::Patches;
use crate::cluster::release::{Release, UnsupportedRelease};
use crate::inventory::{ClusterSection, EtcdManager, EtcdOwner, KubernetesVersion, Role};
use crate::node::facts::PathState;
use crate::pki;

/// Where certificates and keys live on a control-plane node.
pub const CERTIFICATES_DIRECTORY: &str = "/etc/kubernetes/pki";
/// Where the kubelet looks for static pods.
pub const MANIFESTS_DIRECTORY: &str = "/etc/kubernetes/manifests";
/// etcd's authority, on every host that has to do with etcd.
pub const ETCD_CA_FILE: &str = "/etc/kubernetes/pki/etcd/ca.crt";
/// Who a control plane's API server is to etcd.
pub const ETCD_CLIENT_CERTIFICATE_FILE: &str = "/etc/kubernetes/pki/apiserver-etcd-client.crt";
/// The key to it.
pub const ETCD_CLIENT_KEY_FILE: &str = "/etc/kubernetes/pki/apiserver-etcd-client.key";
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
    /// The release's kubeadm cannot make such keys, so that its renewals would make others.
    #[error(
        "encryption_algorithm {} is not for Kubernetes {version}; use {}", .algorithm.as_str(),
        .known.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", ")
    )]
    EncryptionAlgorithm {
        /// What was asked for.
        algorithm: pki::Algorithm,
        /// The release.
        version: KubernetesVersion,
        /// What it knows.
        known: &'static [pki::Algorithm],
    },
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
    /// What the operator changes in what is written; none until somebody reads them from the workstation.
    pub patches: Patches,
}

/// How API servers reach an etcd that is not on the control planes. The files are where kubeadm's documentation has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiServerEtcd<'a> {
    /// URLs.
    pub endpoints: &'a [String],
    /// etcd's authority, on a control plane.
    pub ca_file: Option<&'static str>,
    /// The API server's client certificate and its key, on a control plane.
    pub client_files: Option<(&'static str, &'static str)>,
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
    /// The key of the cluster's authority is elsewhere, so that nothing in the cluster signs certificates.
    pub external_ca: bool,
}

impl Cluster {
    /// Resolves the section for its release.
    pub fn resolve(section: &ClusterSection) -> Result<Self, ClusterError> {
        let release = Release::of(section.kubernetes_version)?;
        let (algorithm, known) = (section.encryption_algorithm, release.pki.encryption_algorithms);
        if !known.contains(&algorithm) {
            let version = release.version;
            return Err(ClusterError::EncryptionAlgorithm { algorithm, version, known });
        }
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
            patches: Patches::default(),
        })
    }

    /// Whether every control plane runs a member of etcd.
    pub fn has_stacked_etcd(&self) -> bool {
        self.section.etcd.external.is_none()
    }

    /// Whether etcd runs on hosts of the inventory that are nothing else.
    pub fn has_etcd_hosts(&self) -> bool {
        let external = self.section.etcd.external.as_ref();
        external.is_some_and(|external| external.owner == EtcdOwner::Inventory)
    }

    /// Whether a host of this role runs containers.
    pub fn runs_containers(&self, role: Role) -> bool {
        role != Role::Etcd || self.section.etcd.manager == EtcdManager::Kubelet
    }

    /// How API servers reach an etcd that is not on the control planes; `None` where it is.
    pub fn external_etcd(&self) -> Option<ApiServerEtcd<'_>> {
        let external = self.section.etcd.external.as_ref()?;
        let (ca, client) = match &external.owner {
            EtcdOwner::Inventory => (true, true),
            EtcdOwner::SomebodyElse(files) => (files.ca.is_some(), files.client.is_some()),
        };
        Some(ApiServerEtcd {
            endpoints: &external.endpoints,
            ca_file: ca.then_some(ETCD_CA_FILE),
            client_files: client.then_some((ETCD_CLIENT_CERTIFICATE_FILE, ETCD_CLIENT_KEY_FILE)),
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
        Some(host_port(&endpoint.host, self.endpoint_port()))
    }

    /// Port of the shared endpoint: the API servers' own where none is set.
    pub fn endpoint_port(&self) -> u16 {
        let endpoint = self.section.control_plane_endpoint.as_ref();
        endpoint.and_then(|endpoint| endpoint.port).unwrap_or(self.section.api_server.bind_port)
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

    /// How long leaf certificates are valid.
    pub fn certificate_validity(&self) -> time::Duration {
        validity(self.section.certificate_validity_period, pki::LEAF_VALIDITY)
    }

    /// How long certificates of authorities are valid.
    pub fn ca_certificate_validity(&self) -> time::Duration {
        validity(self.section.ca_certificate_validity_period, pki::CA_VALIDITY)
    }

    /// What is odd, but allowed, about how long certificates are valid: what kubeadm warns of, too.
    pub fn validity_warnings(&self) -> Vec<String> {
        let (leaf, ca) = (self.certificate_validity(), self.ca_certificate_validity());
        let (leaf_name, ca_name) =
            ("certificate_validity_period", "ca_certificate_validity_period");
        let longer = |name, period: time::Duration, default: time::Duration| {
            let hours = default.whole_hours();
            (period > default).then(|| format!("{name} is longer than kubeadm's {hours} hours"))
        };
        let outlives = (leaf > ca).then(|| {
            format!("{leaf_name} is longer than {ca_name}: certificates end with their authority")
        });
        [
            longer(leaf_name, leaf, pki::LEAF_VALIDITY),
            longer(ca_name, ca, pki::CA_VALIDITY),
            outlives,
        ]
        .into_iter()
        .flatten()
        .collect()
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

/// The inventory allows no period that does not fit.
fn validity(period: std::time::Duration, default: time::Duration) -> time::Duration {
    time::Duration::try_from(period).unwrap_or(default)
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
    use std::time::Duration;

    use super::*;
    use crate::inventory::{
        Addon, ApiServer, ComponentExtras, Endpoint, Etcd, EtcdClientFiles, ExternalEtcd,
        Networking, Timeouts,
    };

    /// A section with nothing but defaults.
    pub(crate) fn section(minor: u16, patch: u16) -> ClusterSection {
        ClusterSection {
            name: "kubernetes".to_owned(),
            kubernetes_version: KubernetesVersion { major: 1, minor, patch },
            control_plane_endpoint: None,
            load_balancer: None,
            image_repository: None,
            cri_socket: None,
            encryption_algorithm: pki::Algorithm::Rsa2048,
            pki_directory: None,
            certificate_validity_period: Duration::from_secs(8760 * 3600),
            ca_certificate_validity_period: Duration::from_secs(87_600 * 3600),
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
                manager: EtcdManager::default(),
                external: None,
            },
            extras: ComponentExtras::default(),
            dns: Addon::default(),
            proxy: Addon::default(),
            timeouts: Timeouts::default(),
            kubelet_configuration: serde_json::Map::new(),
            kube_proxy_configuration: serde_json::Map::new(),
            patches: None,
        }
    }

    /// The cluster of [`section`].
    pub(crate) fn cluster(minor: u16, patch: u16) -> Cluster {
        Cluster::resolve(&section(minor, patch)).unwrap()
    }

    /// A section whose etcd is on three hosts of its own.
    pub(crate) fn section_with_etcd_hosts(minor: u16, patch: u16) -> ClusterSection {
        let mut section = section(minor, patch);
        section.etcd.external = Some(ExternalEtcd {
            endpoints: (1..=3).map(|host| format!("https://10.0.1.{host}:2379")).collect(),
            owner: EtcdOwner::Inventory,
        });
        section
    }

    /// A control-plane node with nothing special.
    pub(crate) fn node() -> ControlPlaneNode {
        ControlPlaneNode {
            name: "cp-1".to_owned(),
            advertise_address: "10.0.0.11".parse().unwrap(),
            extra_ca_directories: Vec::new(),
            proxy_environment: BTreeMap::new(),
            external_ca: false,
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
    fn keys_are_of_a_kind_that_the_release_knows() {
        let resolve = |minor, algorithm| {
            let mut section = section(minor, 0);
            section.encryption_algorithm = algorithm;
            Cluster::resolve(&section).err().map(|error| error.to_string())
        };
        use pki::Algorithm::{EcdsaP256, EcdsaP384, Rsa4096};
        for (minor, algorithm) in [(20, EcdsaP256), (31, Rsa4096), (34, EcdsaP384)] {
            assert_eq!(resolve(minor, algorithm), None);
        }
        let reason = |minor, algorithm| resolve(minor, algorithm).unwrap();
        insta::assert_snapshot!(reason(30, Rsa4096), @"encryption_algorithm RSA-4096 is not for Kubernetes 1.30.0; use RSA-2048, ECDSA-P256");
        insta::assert_snapshot!(reason(33, EcdsaP384), @"encryption_algorithm ECDSA-P384 is not for Kubernetes 1.33.0; use RSA-2048, RSA-3072, RSA-4096, ECDSA-P256");
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
    fn an_external_etcd_is_let_in_by_what_files_there_are() {
        let mut section = section_with_etcd_hosts(30, 0);
        let ours = Cluster::resolve(&section).unwrap();
        assert!(ours.has_etcd_hosts() && !ours.has_stacked_etcd());
        assert_eq!(ours.external_etcd().unwrap().ca_file, Some(ETCD_CA_FILE));
        assert!(ours.runs_containers(Role::Etcd));
        let files = EtcdClientFiles { ca: Some("/ca.crt".into()), client: None };
        section.etcd.external.as_mut().unwrap().owner = EtcdOwner::SomebodyElse(files);
        section.etcd.manager = EtcdManager::Systemd;
        let other = Cluster::resolve(&section).unwrap();
        assert!(!other.has_etcd_hosts() && !other.runs_containers(Role::Etcd));
        let access = other.external_etcd().unwrap();
        assert_eq!((access.ca_file, access.client_files), (Some(ETCD_CA_FILE), None));
        assert_eq!(cluster(30, 0).external_etcd(), None);
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
