//! Which files a PKI consists of: kubeadm's certificates as a table, in the order of its subphases.

use std::net::IpAddr;

use time::{Duration, OffsetDateTime};

use super::profile::Profile;
use super::sans::AltNames;

/// Validity of certificate authorities: kubeadm's 87600 hours.
pub const CA_VALIDITY: Duration = Duration::hours(87_600);
/// Validity of everything else: kubeadm's 8760 hours.
pub const LEAF_VALIDITY: Duration = Duration::hours(8_760);

/// One of the three authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthorityName {
    /// `ca`: the cluster's.
    Kubernetes,
    /// `front-proxy-ca`: of the aggregation layer.
    FrontProxy,
    /// `etcd/ca`.
    Etcd,
}

impl AuthorityName {
    /// Its file base.
    pub fn base(self) -> &'static str {
        match self {
            Self::Kubernetes => "ca",
            Self::FrontProxy => "front-proxy-ca",
            Self::Etcd => "etcd/ca",
        }
    }
}

/// Extended key usage of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Server authentication.
    Server,
    /// Client authentication.
    Client,
    /// Both, in this order.
    ServerAndClient,
}

/// Which rule makes a leaf's subject alternative names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sans {
    /// None.
    None,
    /// kube-apiserver's.
    ApiServer,
    /// etcd's, towards clients.
    EtcdServer,
    /// etcd's, among members.
    EtcdPeer,
}

/// What a row of the table makes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A self-signed authority.
    Authority {
        /// Its common name.
        common_name: &'static str,
    },
    /// A certificate signed by the row's authority.
    Leaf {
        /// Its common name; `None` means the node's name.
        common_name: Option<&'static str>,
        /// Its organization in a release.
        organization: fn(&Profile) -> Option<&'static str>,
        /// Its extended key usage.
        usage: Usage,
        /// Its subject alternative names.
        sans: Sans,
    },
}

/// One row: a certificate and its key.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// kubeadm's name of the subphase of `certs`.
    pub phase: &'static str,
    /// Path under the PKI directory without extension.
    pub base: &'static str,
    /// The authority it is, or is signed by.
    pub authority: AuthorityName,
    /// What it is.
    pub kind: Kind,
}

const fn authority(
    phase: &'static str,
    authority: AuthorityName,
    base: &'static str,
    common_name: &'static str,
) -> Spec {
    Spec { phase, base, authority, kind: Kind::Authority { common_name } }
}

fn no_organization(_: &Profile) -> Option<&'static str> {
    None
}

/// kubeadm's certificates in the order of its subphases; the `sa` key pair comes after them.
pub const CERTIFICATES: [Spec; 10] = [
    authority("ca", AuthorityName::Kubernetes, "ca", "kubernetes"),
    Spec {
        phase: "apiserver",
        base: "apiserver",
        authority: AuthorityName::Kubernetes,
        kind: Kind::Leaf {
            common_name: Some("kube-apiserver"),
            organization: no_organization,
            usage: Usage::Server,
            sans: Sans::ApiServer,
        },
    },
    Spec {
        phase: "apiserver-kubelet-client",
        base: "apiserver-kubelet-client",
        authority: AuthorityName::Kubernetes,
        kind: Kind::Leaf {
            common_name: Some("kube-apiserver-kubelet-client"),
            organization: |profile| profile.kubelet_client_organization,
            usage: Usage::Client,
            sans: Sans::None,
        },
    },
    authority("front-proxy-ca", AuthorityName::FrontProxy, "front-proxy-ca", "front-proxy-ca"),
    Spec {
        phase: "front-proxy-client",
        base: "front-proxy-client",
        authority: AuthorityName::FrontProxy,
        kind: Kind::Leaf {
            common_name: Some("front-proxy-client"),
            organization: no_organization,
            usage: Usage::Client,
            sans: Sans::None,
        },
    },
    authority("etcd-ca", AuthorityName::Etcd, "etcd/ca", "etcd-ca"),
    Spec {
        phase: "etcd-server",
        base: "etcd/server",
        authority: AuthorityName::Etcd,
        kind: Kind::Leaf {
            common_name: None,
            organization: no_organization,
            usage: Usage::ServerAndClient,
            sans: Sans::EtcdServer,
        },
    },
    Spec {
        phase: "etcd-peer",
        base: "etcd/peer",
        authority: AuthorityName::Etcd,
        kind: Kind::Leaf {
            common_name: None,
            organization: no_organization,
            usage: Usage::ServerAndClient,
            sans: Sans::EtcdPeer,
        },
    },
    Spec {
        phase: "etcd-healthcheck-client",
        base: "etcd/healthcheck-client",
        authority: AuthorityName::Etcd,
        kind: Kind::Leaf {
            common_name: Some("kube-etcd-healthcheck-client"),
            organization: |profile| profile.etcd_client_organization,
            usage: Usage::Client,
            sans: Sans::None,
        },
    },
    Spec {
        phase: "apiserver-etcd-client",
        base: API_SERVER_ETCD_CLIENT,
        authority: AuthorityName::Etcd,
        kind: Kind::Leaf {
            common_name: Some("kube-apiserver-etcd-client"),
            organization: |profile| profile.etcd_client_organization,
            usage: Usage::Client,
            sans: Sans::None,
        },
    },
];

/// What a PKI is for, which decides the rows it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A control plane with a member of etcd: every row, and the service account key.
    ControlPlane,
    /// A control plane whose etcd is elsewhere: nothing of etcd's.
    ControlPlaneOfExternalEtcd,
    /// A host that is a member of etcd and nothing else: nothing of Kubernetes'.
    EtcdMember,
    /// An API server that is a client of such members.
    EtcdClient,
}

impl Purpose {
    fn covers(self, spec: &Spec) -> bool {
        let of_etcd = spec.authority == AuthorityName::Etcd;
        let is_authority = matches!(spec.kind, Kind::Authority { .. });
        let is_api_servers = spec.base == API_SERVER_ETCD_CLIENT;
        match self {
            Self::ControlPlane => true,
            Self::ControlPlaneOfExternalEtcd => !of_etcd,
            Self::EtcdMember => of_etcd && !is_api_servers,
            Self::EtcdClient => of_etcd && (is_authority || is_api_servers),
        }
    }

    /// Whether the service account key pair belongs to it.
    pub(super) fn has_service_account(self) -> bool {
        matches!(self, Self::ControlPlane | Self::ControlPlaneOfExternalEtcd)
    }
}

/// File base of what an API server shows to etcd.
const API_SERVER_ETCD_CLIENT: &str = "apiserver-etcd-client";

/// What one host's PKI must be.
#[derive(Debug, Clone)]
pub struct Requirements {
    /// The node's name.
    pub node_name: String,
    /// The address this host's API server and etcd announce.
    pub advertise_address: IpAddr,
    /// The first address of the (first) service network: the `kubernetes` service.
    pub service_address: IpAddr,
    /// The cluster's DNS domain.
    pub dns_domain: String,
    /// Host part of the control-plane endpoint, a name or an address.
    pub control_plane_host: Option<String>,
    /// More names and addresses for kube-apiserver.
    pub api_server_sans: Vec<String>,
    /// More names and addresses for etcd, towards clients.
    pub etcd_server_sans: Vec<String>,
    /// More names and addresses for etcd, among members.
    pub etcd_peer_sans: Vec<String>,
    /// What it is for.
    pub purpose: Purpose,
    /// The release.
    pub profile: Profile,
    /// Now. One value for a whole run: it is kubeadm's start time.
    pub now: OffsetDateTime,
    /// Validity of authorities: [`CA_VALIDITY`].
    pub ca_validity: Duration,
    /// Validity of leaves: [`LEAF_VALIDITY`].
    pub leaf_validity: Duration,
}

impl Requirements {
    /// The rows this PKI has.
    pub fn certificates(&self) -> impl Iterator<Item = &'static Spec> + use<> {
        let purpose = self.purpose;
        CERTIFICATES.iter().filter(move |spec| purpose.covers(spec))
    }

    /// A leaf's names, and the requested ones that are no name and no address.
    pub fn alt_names(&self, sans: Sans) -> (AltNames, Vec<String>) {
        let mut names = AltNames::default();
        let mut rejected = Vec::new();
        let extra: &[String] = match sans {
            Sans::None => return (names, rejected),
            Sans::ApiServer => {
                names.dns = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
                    .map(str::to_owned)
                    .into();
                names.dns.insert(format!("kubernetes.default.svc.{}", self.dns_domain));
                names.push_ip(self.service_address);
                names.push_ip(self.advertise_address);
                rejected.extend(
                    self.control_plane_host.iter().filter(|host| !names.push(host)).cloned(),
                );
                &self.api_server_sans
            }
            Sans::EtcdServer | Sans::EtcdPeer => {
                names.dns.insert("localhost".to_owned());
                names.push_ip(self.advertise_address);
                names.push_ip(IpAddr::from([127, 0, 0, 1]));
                names.push_ip(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
                match sans {
                    Sans::EtcdPeer => &self.etcd_peer_sans,
                    _ => &self.etcd_server_sans,
                }
            }
        };
        names.dns.insert(self.node_name.clone());
        rejected.extend(extra.iter().filter(|name| !names.push(name)).cloned());
        (names, rejected)
    }
}
