//! The kubeconfigs kubeadm keeps in /etc/kubernetes: which there are, what is in them, and when an
//! existing one is kept.
//!
//! Never contacts a cluster. Of a file that exists, nothing is replaced but the server it names.

mod document;
mod merge;
mod model;

use std::collections::BTreeMap;

use secrecy::SecretString;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

pub use document::MAX_BYTES;
pub use merge::{Conflict, Merge, OperatorsFile};
pub use model::{
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
/// `authority` is the Kubernetes one. A file that exists is kept when it trusts `authority`; an expired certificate in it
/// is only worth a warning. An administrator's is led to the server that it should name; that of a component, which would
/// have to be restarted, is only warned of, and the kubelet's is the kubelet's phases' to change. A file of the other
/// workflow is looked at where it exists.
pub fn ensure(
    existing: &BTreeMap<String, Zeroizing<Vec<u8>>>,
    authority: &Authority,
    requirements: &Requirements,
    pool: &mut KeyPool,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome { files: Vec::new(), warnings: Vec::new() };
    let own = specs(&requirements.profile, requirements.workflow, &requirements.node_name);
    for spec in specs(&requirements.profile, Workflow::Init, &requirements.node_name) {
        let (content, created) = match existing.get(spec.file) {
            Some(content) => {
                let now = requirements.now;
                outcome.warnings.extend(check(spec.file, content, &authority.certificate, now)?);
                let url = requirements.url(spec.server);
                let content = match spec.phase {
                    "kubelet" => content.clone(),
                    "admin" | "super-admin" => {
                        led_to(spec.file, content, url, &mut outcome.warnings)
                    }
                    _ => {
                        let server = Kubeconfig::parse(content).ok();
                        let server = server.as_ref().and_then(Kubeconfig::current_cluster);
                        if server.is_some_and(|cluster| cluster.server != url) {
                            outcome.warnings.push(kept(
                                spec.file,
                                url,
                                "its component would have to be restarted",
                            ));
                        }
                        content.clone()
                    }
                };
                (content, false)
            }
            None if !own.contains(&spec) => continue,
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
    // The kubelet's certificate may be a file of its own, which it renews itself.
    if let Some(pem) = config.current_user().and_then(User::certificate_pem) {
        let chain = Certificate::from_pem(&pem)
            .map_err(|_| unreadable("its client certificate is damaged"))?;
        warnings
            .extend(chain.first().and_then(|certificate| validity_warning(file, certificate, now)));
    }
    Ok(warnings)
}

/// An existing file with this server for the cluster in use, which is the file itself where it names that one already. A
/// file that cannot be changed without losing something of it is kept, with a warning.
pub fn led_to(
    file: &str,
    content: &Zeroizing<Vec<u8>>,
    server: &str,
    warnings: &mut Vec<String>,
) -> Zeroizing<Vec<u8>> {
    match document::with_server(content, server) {
        Ok(changed) => changed.unwrap_or_else(|| content.clone()),
        Err(reason) => {
            warnings.push(kept(file, server, reason));
            content.clone()
        }
    }
}

fn kept(file: &str, server: &str, reason: &str) -> String {
    format!("{file} is kept although its server is not {server}: {reason}")
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
        organizations: spec.organization.as_slice(),
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
    let user = fresh_user(client, authority, profile, now, pool)?;
    let ca = authority.certificate.pem();
    Ok(Kubeconfig::new(cluster_name, server, ca.as_bytes(), client.common_name, user))
}

fn fresh_user(
    client: &ClientCertificate<'_>,
    authority: &Authority,
    profile: &pki::Profile,
    now: OffsetDateTime,
    pool: &mut KeyPool,
) -> Result<User, pki::Error> {
    let key = pool.take()?;
    let certificate = pki::issue_client(client, &key, authority, profile, now)?;
    Ok(User::certificate(&certificate.pem(), key.pem()))
}

/// The kubeconfig of a kubelet with a fresh client certificate, in the form in which the kubelet itself writes it after it
/// has asked the cluster for one.
pub fn kubelet_client(
    node_name: &str,
    server: &str,
    authority: &Authority,
    validity: Duration,
    profile: &pki::Profile,
    now: OffsetDateTime,
    pool: &mut KeyPool,
) -> Result<Kubeconfig, pki::Error> {
    let name = format!("system:node:{node_name}");
    let client =
        ClientCertificate { common_name: &name, organizations: &["system:nodes"], validity };
    let user = fresh_user(&client, authority, profile, now, pool)?;
    let ca = authority.certificate.pem();
    let mut config =
        Kubeconfig::new("default-cluster", server, ca.as_bytes(), "default-auth", user);
    "default-context".clone_into(&mut config.current_context);
    for context in &mut config.contexts {
        context.name.clone_from(&config.current_context);
        context.context.namespace = Some("default".to_owned());
    }
    Ok(config)
}

/// Whether a user still has what `client` describes: a certificate of `authority` with this name and these groups, its
/// key, and at least half of the validity left but no more than that.
pub fn is_fresh(
    user: &User,
    client: &ClientCertificate<'_>,
    authority: &Certificate,
    now: OffsetDateTime,
) -> bool {
    let chain = user.certificate_pem().and_then(|pem| Certificate::from_pem(&pem).ok());
    let Some(certificate) = chain.and_then(|chain| chain.into_iter().next()) else { return false };
    let mut groups: Vec<&str> = certificate.organizations.iter().map(String::as_str).collect();
    let mut wanted = client.organizations.to_vec();
    groups.sort_unstable();
    wanted.sort_unstable();
    let left = certificate.not_after - now;
    certificate.common_name == client.common_name
        && groups == wanted
        && (client.validity / 2..=client.validity).contains(&left)
        && certificate.is_signed_by(authority)
        && user
            .key_pem()
            .and_then(|key| pki::PrivateKey::from_pem(&key).ok())
            .is_some_and(|key| key.belongs_to(&certificate))
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
