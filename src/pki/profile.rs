//! What differs in a PKI from one Kubernetes release to the next.

use time::Duration;

/// How a certificate authority's subject key identifier is derived from its public key. It follows the
/// Go release kubeadm was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyIdentifier {
    /// SHA-1 of the public key (Go up to 1.24).
    Sha1,
    /// The first 20 bytes of SHA-256 of the public key (Go 1.25 and later).
    TruncatedSha256,
}

/// One release's PKI. `cluster::release` fills it; nothing here knows a release's number.
///
/// The two constants are the ends that were compared with what kubeadm left on hosts; a release between
/// them is one of them with fields replaced: `Profile { backdate: None, ..Profile::V1_36 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// How long before now a certificate starts. `None` (before 1.28): an authority starts now, and what
    /// it signs starts when the authority does.
    pub backdate: Option<Duration>,
    /// Authorities carry their common name as a DNS name too.
    pub ca_dns_san: bool,
    /// Authorities have a random serial number; otherwise 0.
    pub ca_random_serial: bool,
    /// Leaves carry basic constraints (CA:FALSE); otherwise none.
    pub leaf_basic_constraints: bool,
    /// Subject key identifier of authorities.
    pub key_identifier: KeyIdentifier,
    /// Organization of apiserver-kubelet-client.
    pub kubelet_client_organization: Option<&'static str>,
    /// Organization of etcd/healthcheck-client and apiserver-etcd-client.
    pub etcd_client_organization: Option<&'static str>,
}

impl Profile {
    /// How far kubeadm dates certificates back, where it does.
    pub const BACKDATE: Duration = Duration::minutes(5);

    /// Kubernetes 1.20.
    pub const V1_20: Self = Self {
        backdate: None,
        ca_dns_san: false,
        ca_random_serial: false,
        leaf_basic_constraints: false,
        key_identifier: KeyIdentifier::Sha1,
        kubelet_client_organization: Some("system:masters"),
        etcd_client_organization: Some("system:masters"),
    };

    /// Kubernetes 1.36.
    pub const V1_36: Self = Self {
        backdate: Some(Self::BACKDATE),
        ca_dns_san: true,
        ca_random_serial: true,
        leaf_basic_constraints: true,
        key_identifier: KeyIdentifier::TruncatedSha256,
        kubelet_client_organization: None,
        etcd_client_organization: None,
    };
}
