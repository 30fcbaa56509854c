//! The kubeconfigs kubeadm keeps in /etc/kubernetes: which there are, what is in them, and when an
//! existing one is kept.
//!
//! Never contacts a cluster, and never replaces a file that exists.

mod document;

use std::collections::BTreeMap;

use secrecy::SecretString;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

pub use document::{
    Cluster, Context, Kubeconfig, NamedCluster, NamedContext, NamedUser, Preferences, Secret, User,
};

use crate::pki::{self, Authority, Certificate, ClientCertificate, KeyPool, validity_warning};

/// Permission bits of every kubeconfig.
pub const MODE: u32 = 0o600;
/// Where the kubelet keeps the client certificate and key it rotates.
pub const KUBELET_CLIENT_FILE: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// File name of the kubeconfig a kubelet joins with.
pub const BOOTSTRAP_KUBELET: &str = "bootstrap-kubelet.conf";
/// User entry of [`BOOTSTRAP_KUBELET`].
const BOOTSTRAP_USER: &str = "tls-bootstrap-token-user";
/// The authority's own file, which a kubeconfig may name in place of embedding it.
const CA_FILE: &str = "/etc/kubernetes/pki/ca.crt";

/// What differs from one release to the next. `cluster::release` fills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Organization of the client certificate in admin.conf.
    pub admin_organization: &'static str,
    /// There is a super-admin.conf.
    pub super_admin: bool,
    /// kubelet.conf names the host's own API server rather than the control-plane endpoint.
    pub kubelet_local_server: bool,
    /// An empty `preferences` is written.
    pub preferences: bool,
}

impl Profile {
    /// Kubernetes 1.20.
    pub const V1_20: Self = Self {
        admin_organization: "system:masters",
        super_admin: false,
        kubelet_local_server: false,
        preferences: true,
    };

    /// Kubernetes 1.36.
    pub const V1_36: Self = Self {
        admin_organization: "kubeadm:cluster-admins",
        super_admin: true,
        kubelet_local_server: true,
        preferences: false,
    };
}

/// Which API server a kubeconfig names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The control-plane endpoint, or the first control plane where there is none.
    ControlPlane,
    /// The API server on the same host.
    Local,
}

/// Which workflow writes the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workflow {
    /// The first control plane.
    Init,
    /// A further control plane.
    Join,
}

/// One kubeconfig with a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// kubeadm's subphase of `kubeconfig`.
    pub phase: &'static str,
    /// File name in /etc/kubernetes.
    pub file: &'static str,
    /// User entry, and common name of the client certificate.
    pub user: String,
    /// Organization of the client certificate.
    pub organization: Option<&'static str>,
    /// The server it names.
    pub server: Server,
}

/// The kubeconfigs of a control plane, in kubeadm's order.
pub fn specs(profile: &Profile, workflow: Workflow, node_name: &str) -> Vec<Spec> {
    let spec = |phase, file, user: &str, organization, server| Spec {
        phase,
        file,
        user: user.to_owned(),
        organization,
        server,
    };
    let admin = spec(
        "admin",
        "admin.conf",
        "kubernetes-admin",
        Some(profile.admin_organization),
        Server::ControlPlane,
    );
    let super_admin = spec(
        "super-admin",
        "super-admin.conf",
        "kubernetes-super-admin",
        Some("system:masters"),
        Server::ControlPlane,
    );
    let kubelet_server =
        if profile.kubelet_local_server { Server::Local } else { Server::ControlPlane };
    let kubelet = spec(
        "kubelet",
        "kubelet.conf",
        &format!("system:node:{node_name}"),
        Some("system:nodes"),
        kubelet_server,
    );
    let init = workflow == Workflow::Init;
    let mut specs = vec![admin];
    specs.extend((init && profile.super_admin).then_some(super_admin));
    specs.extend(init.then_some(kubelet));
    for (phase, file, user) in [
        ("controller-manager", "controller-manager.conf", "system:kube-controller-manager"),
        ("scheduler", "scheduler.conf", "system:kube-scheduler"),
    ] {
        specs.push(spec(phase, file, user, None, Server::Local));
    }
    specs
}

/// What one control-plane host's kubeconfigs must be.
#[derive(Debug, Clone)]
pub struct Requirements {
    /// kubeadm's clusterName.
    pub cluster_name: String,
    /// The node's name.
    pub node_name: String,
    /// URL of the control-plane endpoint.
    pub control_plane_url: String,
    /// URL of the host's own API server.
    pub local_url: String,
    /// Which files there are.
    pub workflow: Workflow,
    /// The release's kubeconfigs.
    pub profile: Profile,
    /// The release's certificates.
    pub pki: pki::Profile,
    /// Validity of client certificates: [`pki::LEAF_VALIDITY`].
    pub validity: Duration,
    /// Now.
    pub now: OffsetDateTime,
}

impl Requirements {
    /// The URL a kubeconfig names.
    pub fn url(&self, server: Server) -> &str {
        match server {
            Server::ControlPlane => &self.control_plane_url,
            Server::Local => &self.local_url,
        }
    }
}

/// One kubeconfig; its mode is [`MODE`], and all of it is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KubeconfigFile {
    /// kubeadm's subphase of `kubeconfig`.
    pub phase: &'static str,
    /// File name in /etc/kubernetes.
    pub name: &'static str,
    /// What it holds.
    pub content: Zeroizing<Vec<u8>>,
    /// Made now, rather than found.
    pub created: bool,
}

impl std::fmt::Debug for KubeconfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeconfigFile")
            .field("name", &self.name)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// Every kubeconfig of a host, and what the operator should know.
#[derive(Debug)]
pub struct Outcome {
    /// The files in kubeadm's order.
    pub files: Vec<KubeconfigFile>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// Why a kubeconfig cannot be used or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is no kubeconfig.
    #[error(
        "{file} cannot be used: {reason}; restore it from a backup, or remove it to have it \
         made anew"
    )]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is for another cluster.
    #[error(
        "{file} trusts another certificate authority than this cluster's ca.crt; remove it \
         to have it made anew, or reset the host if it belongs to another cluster"
    )]
    OtherAuthority {
        /// The file.
        file: String,
    },
    /// Only the owner of an external authority can make the file.
    #[error(
        "{file} is missing, and so is ca.key, which could sign its client certificate; put \
         the file in place (external authority), or restore ca.key"
    )]
    ExternalAuthority {
        /// The file.
        file: String,
    },
    /// A certificate or key could not be made.
    #[error(transparent)]
    Pki(#[from] pki::Error),
}

/// The kubeconfigs that `existing` (by file name) becomes under `requirements`.
///
/// `authority` is the Kubernetes one. A file that exists is kept when it trusts `authority`; another server
/// or an expired certificate in it is only worth a warning.
pub fn ensure(
    existing: &BTreeMap<String, Zeroizing<Vec<u8>>>,
    authority: &Authority,
    requirements: &Requirements,
    pool: &mut KeyPool,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome { files: Vec::new(), warnings: Vec::new() };
    for spec in specs(&requirements.profile, requirements.workflow, &requirements.node_name) {
        let (content, created) = match existing.get(spec.file) {
            Some(content) => {
                let warnings = check(
                    spec.file,
                    content,
                    &authority.certificate,
                    requirements.url(spec.server),
                    requirements.now,
                )?;
                outcome.warnings.extend(warnings);
                (content.clone(), false)
            }
            None => (create(&spec, authority, requirements, pool)?, true),
        };
        outcome.files.push(KubeconfigFile { phase: spec.phase, name: spec.file, content, created });
    }
    Ok(outcome)
}

/// How many keys [`ensure`] will take from its pool.
pub fn keys_needed(
    existing: &BTreeMap<String, Zeroizing<Vec<u8>>>,
    requirements: &Requirements,
) -> usize {
    specs(&requirements.profile, requirements.workflow, &requirements.node_name)
        .iter()
        .filter(|spec| !existing.contains_key(spec.file))
        .count()
}

/// Whether an existing file may stay: the warnings it is worth, or why not.
pub fn check(
    file: &str,
    content: &[u8],
    authority: &Certificate,
    server: &str,
    now: OffsetDateTime,
) -> Result<Vec<String>, Error> {
    let unreadable = |reason| Error::Unreadable { file: file.to_owned(), reason };
    let config = Kubeconfig::parse(content).map_err(unreadable)?;
    let cluster = config
        .current_cluster()
        .ok_or_else(|| unreadable("its current context names no cluster in it"))?;
    let trusted = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(_), _) => cluster
            .ca_pem()
            .is_some_and(|pem| pem.trim_ascii() == authority.pem().as_bytes().trim_ascii()),
        (None, Some(path)) => path == CA_FILE,
        (None, None) => false,
    };
    if !trusted {
        return Err(Error::OtherAuthority { file: file.to_owned() });
    }
    let mut warnings = Vec::new();
    if cluster.server != server {
        warnings.push(format!("{file} is kept although its server is not {server}"));
    }
    // The kubelet's certificate may be a file of its own, which it renews itself.
    if let Some(pem) = config.current_user().and_then(User::certificate_pem) {
        let chain = Certificate::from_pem(&pem)
            .map_err(|_| unreadable("its client certificate is damaged"))?;
        warnings
            .extend(chain.first().and_then(|certificate| validity_warning(file, certificate, now)));
    }
    Ok(warnings)
}

fn create(
    spec: &Spec,
    authority: &Authority,
    requirements: &Requirements,
    pool: &mut KeyPool,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    if authority.key.is_none() {
        return Err(Error::ExternalAuthority { file: spec.file.to_owned() });
    }
    let client = ClientCertificate {
        common_name: &spec.user,
        organization: spec.organization,
        validity: requirements.validity,
    };
    let url = requirements.url(spec.server);
    let mut config = client_config(
        &requirements.cluster_name,
        url,
        &client,
        authority,
        &requirements.pki,
        requirements.now,
        pool,
    )?;
    config.preferences = requirements.profile.preferences.then_some(Preferences {});
    config.render().map_err(|reason| Error::Unreadable { file: spec.file.to_owned(), reason })
}

/// A kubeconfig with a fresh client certificate; for named users too.
pub fn client_config(
    cluster_name: &str,
    server: &str,
    client: &ClientCertificate<'_>,
    authority: &Authority,
    profile: &pki::Profile,
    now: OffsetDateTime,
    pool: &mut KeyPool,
) -> Result<Kubeconfig, pki::Error> {
    let key = pool.take()?;
    let certificate = pki::issue_client(client, &key, authority, profile, now)?;
    let user = User::certificate(&certificate.pem(), key.pem());
    let ca = authority.certificate.pem();
    Ok(Kubeconfig::new(cluster_name, server, ca.as_bytes(), client.common_name, user))
}

/// What a joining kubelet asks for its certificate with.
pub fn bootstrap(
    cluster_name: &str,
    server: &str,
    ca_pem: &[u8],
    token: SecretString,
) -> Kubeconfig {
    Kubeconfig::new(cluster_name, server, ca_pem, BOOTSTRAP_USER, User::token(token))
}

#[cfg(test)]
mod tests;
