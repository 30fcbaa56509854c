//! Which certificates of a host are to be renewed, and what becomes of their files. Pure.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::cluster::kubeconfig::{self, Kubeconfig, User};
use crate::inventory::Role;
use crate::node::{NodeFile, RemoteFile};
use crate::phases::PhaseError;
use crate::phases::certs::places::{self, Form, Place};
use crate::pki::{
    Authority, AuthorityName, CERTIFICATES, Certificate, Kind, PrivateKey, Profile, reissue,
};

/// Organizations that kubeadm has given certificates and may have stopped giving them since.
const FORMER_ORGANIZATIONS: [&str; 2] = ["system:masters", "kubeadm:cluster-admins"];

/// How certificates are renewed.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The release's certificates.
    pub profile: Profile,
    /// Now.
    pub now: OffsetDateTime,
    /// How long a certificate will be valid.
    pub validity: Duration,
    /// Only what expires within this time.
    pub within: Option<Duration>,
}

impl Rules {
    /// Whether a certificate is to be renewed.
    pub fn is_due(&self, certificate: &Certificate) -> bool {
        self.within.is_none_or(|within| certificate.not_after - self.now <= within)
    }
}

/// A certificate that is to be renewed.
#[derive(Debug)]
pub struct Target {
    /// kubeadm's name of it.
    pub name: &'static str,
    /// Who signs it.
    pub authority: AuthorityName,
    /// As it is.
    pub present: Certificate,
    /// Certificates that follow it in its file.
    pub intermediates: Vec<Certificate>,
    /// Whether the new one keeps the organization.
    pub keep_organization: bool,
    /// Where it is.
    pub wrapping: Wrapping,
}

/// How a certificate and its key are kept.
#[derive(Debug)]
pub enum Wrapping {
    /// A file each: path and mode.
    Pair {
        /// The certificate.
        certificate: (String, u32),
        /// The key.
        key: (String, u32),
    },
    /// One file, the certificate first.
    Together(String, u32),
    /// In a kubeconfig.
    Kubeconfig {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
        /// All of it.
        content: Zeroizing<Vec<u8>>,
    },
}

impl Target {
    /// The files with a new certificate for `key`, signed by `authority`.
    ///
    /// # Errors
    /// The present certificate is none of kubeadm's, or the kubeconfig cannot be changed without losing some of it.
    pub fn renew(
        &self,
        authority: &Authority,
        rules: &Rules,
        key: &PrivateKey,
    ) -> Result<Vec<NodeFile>, PhaseError> {
        let Rules { profile, now, validity, .. } = rules;
        let keep = self.keep_organization;
        let certificate = reissue(&self.present, keep, key, authority, profile, *now, *validity)?;
        let chain = [&certificate].into_iter().chain(&self.intermediates);
        let chain: String = chain.map(Certificate::pem).collect();
        let key_file = |(path, mode): &(String, u32)| {
            NodeFile::secret(path, Zeroizing::new(key.pem().as_bytes().to_vec()), *mode)
        };
        // Public, but a dry run's difference between two certificates in Base64 would say nothing.
        let certificate_file = |path: &String, mode: u32| {
            NodeFile::secret(path, Zeroizing::new(chain.clone().into_bytes()), mode)
        };
        Ok(match &self.wrapping {
            // The key first, as everywhere: a certificate without one would look like an external authority's.
            Wrapping::Pair { certificate: (path, mode), key } => {
                vec![key_file(key), certificate_file(path, *mode)]
            }
            Wrapping::Together(path, mode) => {
                let mut content = Zeroizing::new(Vec::with_capacity(chain.len() + key.pem().len()));
                content.extend(chain.as_bytes());
                content.extend(key.pem().as_bytes());
                vec![NodeFile::secret(path, content, *mode)]
            }
            Wrapping::Kubeconfig { path, mode, content } => {
                let content = Kubeconfig::with_client(content, &chain, key.pem())
                    .map_err(|reason| unusable(path, reason))?;
                vec![NodeFile::secret(path, content, *mode)]
            }
        })
    }
}

fn unusable(path: &str, reason: &'static str) -> PhaseError {
    PhaseError::Kubeconfig(kubeconfig::Error::Unreadable { file: path.to_owned(), reason })
}

/// The files to look at, keys included.
pub fn to_read(role: Role) -> Vec<String> {
    let mut paths = Vec::new();
    for place in places::of_components(role) {
        if let Some(base) = place.path.strip_suffix(".crt") {
            paths.push(format!("{base}.key"));
        }
        paths.push(place.path);
    }
    paths
}

/// The certificates among `wanted` that are there and due, in kubeadm's order. A pair that is none counts as due.
///
/// # Errors
/// A file that is there cannot be read.
pub fn targets(
    role: Role,
    files: &BTreeMap<String, RemoteFile>,
    wanted: &[&str],
    rules: &Rules,
) -> Result<Vec<Target>, PhaseError> {
    let mut targets = Vec::new();
    let places = places::of_components(role).into_iter();
    for place in places.filter(|place| wanted.contains(&place.name)) {
        let (Some(file), Some(authority)) = (files.get(&place.path), place.authority) else {
            continue;
        };
        let target = match place.form {
            Form::Authority => continue,
            Form::Leaf => leaf(&place, authority, file, files, rules)?,
            Form::Kubeconfig => of_kubeconfig(&place, file, rules)?,
        };
        targets.extend(target);
    }
    Ok(targets)
}

fn leaf(
    place: &Place,
    authority: AuthorityName,
    file: &RemoteFile,
    files: &BTreeMap<String, RemoteFile>,
    rules: &Rules,
) -> Result<Option<Target>, PhaseError> {
    let (present, intermediates) = chain(&place.path, &file.content)?;
    let key_path = match place.path.strip_suffix(".crt") {
        Some(base) => format!("{base}.key"),
        None => return Ok(None),
    };
    let key = files.get(&key_path);
    // Cut short between two renames, or by somebody's hand.
    let is_pair = key
        .and_then(|key| PrivateKey::from_pem(&key.content).ok())
        .is_some_and(|key| key.belongs_to(&present));
    if is_pair && !rules.is_due(&present) {
        return Ok(None);
    }
    Ok(Some(Target {
        name: place.name,
        authority,
        keep_organization: keeps_organization(place.name, &present, &rules.profile),
        wrapping: Wrapping::Pair {
            certificate: (place.path.clone(), file.mode),
            key: (key_path, key.map_or(0o600, |key| key.mode)),
        },
        present,
        intermediates,
    }))
}

fn of_kubeconfig(
    place: &Place,
    file: &RemoteFile,
    rules: &Rules,
) -> Result<Option<Target>, PhaseError> {
    let config =
        Kubeconfig::parse(&file.content).map_err(|reason| unusable(&place.path, reason))?;
    let pem = config
        .current_user()
        .and_then(User::certificate_pem)
        .ok_or_else(|| unusable(&place.path, "its user has no client certificate in it"))?;
    let wrapping = Wrapping::Kubeconfig {
        path: place.path.clone(),
        mode: file.mode,
        content: file.content.clone(),
    };
    of_client(place, &place.path, &pem, wrapping, rules)
}

/// The certificate of a client of the API server, which `path` holds, where it is due.
fn of_client(
    place: &Place,
    path: &str,
    pem: &[u8],
    wrapping: Wrapping,
    rules: &Rules,
) -> Result<Option<Target>, PhaseError> {
    let (present, intermediates) = chain(path, pem)?;
    if !rules.is_due(&present) {
        return Ok(None);
    }
    Ok(Some(Target {
        name: place.name,
        authority: AuthorityName::Kubernetes,
        present,
        intermediates,
        keep_organization: true,
        wrapping,
    }))
}

/// Where a kubelet keeps its client certificate.
pub enum KubeletClient {
    /// In the kubeconfig itself.
    Embedded,
    /// In this file, together with its key.
    File(String),
}

/// Reads off kubelet.conf where the certificate is.
///
/// # Errors
/// It is no kubeconfig, or keeps the two in a way that is not kubeadm's.
pub fn kubelet_client(path: &str, content: &[u8]) -> Result<KubeletClient, PhaseError> {
    let config = Kubeconfig::parse(content).map_err(|reason| unusable(path, reason))?;
    let user = config
        .current_user()
        .ok_or_else(|| unusable(path, "its current context names no user in it"))?;
    match (&user.client_certificate, &user.client_key) {
        (None, _) if user.client_certificate_data.is_some() => Ok(KubeletClient::Embedded),
        (Some(certificate), Some(key)) if certificate == key => {
            Ok(KubeletClient::File(certificate.clone()))
        }
        _ => Err(unusable(path, "its user has no client certificate together with a key")),
    }
}

/// The kubelet's client certificate, where it is due.
///
/// # Errors
/// The file cannot be read.
pub fn kubelet_target(
    client: &KubeletClient,
    files: &BTreeMap<String, RemoteFile>,
    rules: &Rules,
) -> Result<Option<Target>, PhaseError> {
    let place = places::kubelet_client();
    let path = match client {
        KubeletClient::Embedded => {
            let Some(file) = files.get(&place.path) else { return Ok(None) };
            return of_kubeconfig(&place, file, rules);
        }
        KubeletClient::File(path) => path,
    };
    let Some(file) = files.get(path) else {
        return Err(PhaseError::State(format!(
            "{path} is missing, which {} names; join the host again",
            place.path
        )));
    };
    let wrapping = Wrapping::Together(path.clone(), file.mode);
    of_client(&place, path, &file.content, wrapping, rules)
}

/// A leaf, and the intermediate authorities behind it.
fn chain(path: &str, pem: &[u8]) -> Result<(Certificate, Vec<Certificate>), PhaseError> {
    let unreadable =
        |reason| PhaseError::State(format!("{path}: {reason}; restore it from a backup"));
    let mut chain = Certificate::from_pem(pem).map_err(unreadable)?;
    let leaf = chain.remove(0);
    chain.retain(|next| next.is_ca);
    Ok((leaf, chain))
}

/// kubeadm leaves out an organization that its release does not give the certificate any more.
fn keeps_organization(name: &str, present: &Certificate, profile: &Profile) -> bool {
    let given =
        CERTIFICATES.iter().find(|spec| spec.phase == name).and_then(|spec| match spec.kind {
            Kind::Leaf { organization, .. } => organization(profile),
            Kind::Authority { .. } => None,
        });
    let former = |organization: &String| FORMER_ORGANIZATIONS.contains(&organization.as_str());
    given.is_some() || !present.organizations.iter().all(former)
}

#[cfg(test)]
mod tests;
