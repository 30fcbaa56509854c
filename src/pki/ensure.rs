//! From the files a host has to the files it should have.
//!
//! What exists is validated and kept; what is missing is made; what a crash left half-written is
//! completed. The one thing that is replaced is a certificate of our own authority that lacks names it is to have: by
//! one with the same key, valid for the old names and the new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use time::OffsetDateTime;
use time::macros::format_description;
use zeroize::Zeroizing;

use super::authority::Authority;
use super::certificate::Certificate;
use super::error::Error;
use super::issue::{Leaf, issue_authority, issue_leaf};
use super::key::{KeyPool, PrivateKey};
use super::pem;
use super::spec::{AuthorityName, Kind, Requirements, Spec};
use rcgen::PublicKeyData as _;

/// Files of a PKI directory: path under it (`etcd/ca.crt`) to content.
pub type Existing = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// kubeadm's name of the service account key pair, phase and file base alike.
const SERVICE_ACCOUNT: &str = "sa";

/// One file of the PKI.
#[derive(Clone, PartialEq, Eq)]
pub struct PkiFile {
    /// kubeadm's subphase of `certs` it belongs to.
    pub phase: &'static str,
    /// Path under the PKI directory.
    pub name: String,
    /// What it holds.
    pub content: Zeroizing<Vec<u8>>,
    /// Permission bits.
    pub mode: u32,
    /// A private key.
    pub secret: bool,
    /// Made now (or made anew), rather than found.
    pub created: bool,
}

impl fmt::Debug for PkiFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PkiFile")
            .field("name", &self.name)
            .field("mode", &format_args!("{:#o}", self.mode))
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// A complete PKI.
#[derive(Debug)]
pub struct Outcome {
    /// Every file in the order to write them: a key always precedes its certificate, so that a crash
    /// between the two never looks like an external authority.
    pub files: Vec<PkiFile>,
    /// The authorities, for signing more (kubeconfigs) and for the hash joining nodes check.
    pub authorities: BTreeMap<AuthorityName, Authority>,
    /// Certificates that were there and are made anew, for names that they lacked.
    pub extended: Vec<Extended>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A certificate that is made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extended {
    /// Path under the PKI directory.
    pub file: String,
    /// The names and addresses it was not valid for.
    pub names: Vec<String>,
}

impl Outcome {
    /// The file of this name.
    pub fn file(&self, name: &str) -> Option<&PkiFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// The files that were not there.
    pub fn created(&self) -> impl Iterator<Item = &PkiFile> {
        self.files.iter().filter(|file| file.created)
    }

    /// The first file that was not there at all.
    pub fn missing(&self) -> Option<&PkiFile> {
        let was_there = |file: &PkiFile| self.extended.iter().any(|it| it.file == file.name);
        self.created().find(|file| !was_there(file))
    }

    /// What every control plane must have in common: the authorities and the service account keys. Of members of an
    /// etcd on its own hosts: etcd's authority.
    pub fn shared(&self) -> impl Iterator<Item = &PkiFile> {
        self.files.iter().filter(|file| is_shared(&file.name))
    }
}

fn is_shared(name: &str) -> bool {
    [SERVICE_ACCOUNT, "ca", "front-proxy-ca", "etcd/ca"]
        .iter()
        .any(|base| name.strip_prefix(base).is_some_and(|rest| rest.starts_with('.')))
}

/// A joining control plane's files with the cluster's shared ones added.
///
/// A host that holds a different authority or service account key is never overwritten.
pub fn adopt<'a>(
    mut host: Existing,
    shared: impl IntoIterator<Item = &'a PkiFile>,
) -> Result<Existing, Error> {
    for file in shared {
        match host.get(&file.name) {
            Some(have) if have.trim_ascii() != file.content.trim_ascii() => {
                return Err(Error::OtherCluster { file: file.name.clone() });
            }
            Some(_) => {}
            None => {
                host.insert(file.name.clone(), file.content.clone());
            }
        }
    }
    Ok(host)
}

/// How many keys [`ensure`] will take from its pool, at most.
pub fn keys_needed(existing: &Existing, requirements: &Requirements) -> usize {
    let missing = |base: &str| !existing.contains_key(&format!("{base}.key"));
    let service_account = requirements.purpose.has_service_account().then_some(SERVICE_ACCOUNT);
    requirements
        .certificates()
        .map(|spec| spec.base)
        .chain(service_account)
        .filter(|base| missing(base))
        .count()
}

/// The PKI that `existing` becomes under `requirements`.
pub fn ensure(
    existing: &Existing,
    requirements: &Requirements,
    pool: &mut KeyPool,
) -> Result<Outcome, Error> {
    let mut run = Run {
        existing,
        requirements,
        pool,
        files: Vec::new(),
        authorities: BTreeMap::new(),
        extended: Vec::new(),
        warnings: Vec::new(),
        rejected: BTreeSet::new(),
    };
    for spec in requirements.certificates() {
        match spec.kind {
            Kind::Authority { common_name } => run.authority(spec, common_name)?,
            Kind::Leaf { .. } => run.leaf(spec)?,
        }
    }
    if requirements.purpose.has_service_account() {
        run.service_account()?;
    }
    Ok(Outcome {
        files: run.files,
        authorities: run.authorities,
        extended: run.extended,
        warnings: run.warnings,
    })
}

struct Run<'a> {
    existing: &'a Existing,
    requirements: &'a Requirements,
    pool: &'a mut KeyPool,
    files: Vec<PkiFile>,
    authorities: BTreeMap<AuthorityName, Authority>,
    extended: Vec<Extended>,
    warnings: Vec<String>,
    rejected: BTreeSet<String>,
}

impl Run<'_> {
    fn authority(&mut self, spec: &'static Spec, common_name: &str) -> Result<(), Error> {
        let (crt, key) = names(spec.base);
        let authority = match (self.certificates(&crt)?, self.key(&key)?) {
            (Some(chain), found) => {
                // kubeadm, too, takes the first certificate of the file.
                let certificate = first(chain, &crt)?;
                if !certificate.is_ca {
                    return Err(Error::NotAnAuthority { file: crt });
                }
                if found.as_ref().is_some_and(|found| !found.belongs_to(&certificate)) {
                    return Err(Error::NotAPair { certificate: crt, key });
                }
                self.check_validity(&crt, &certificate);
                if found.is_none() {
                    self.warnings.push(format!(
                        "{key} is missing: {crt} is taken for an external certificate authority, \
                         and nothing is signed with it here"
                    ));
                }
                Authority { certificate, key: found }
            }
            (None, found) => {
                if found.is_some() {
                    // The key is written first, so this is a crash; the same key and subject keep
                    // everything valid that the lost certificate may have signed.
                    self.warnings.push(format!("{crt} was missing and is made from {key}"));
                }
                let found = found.map_or_else(|| self.pool.take(), Ok)?;
                let Requirements { now, ca_validity, profile, .. } = self.requirements;
                let certificate =
                    issue_authority(common_name, &found, seconds(*now), *ca_validity, profile)?;
                Authority { certificate, key: Some(found) }
            }
        };
        if let Some(found) = &authority.key {
            self.keep_or_create(spec.phase, key, found.pem().as_bytes(), true);
        }
        self.keep_or_create(spec.phase, crt, authority.certificate.pem().as_bytes(), false);
        self.authorities.insert(spec.authority, authority);
        Ok(())
    }

    fn leaf(&mut self, spec: &'static Spec) -> Result<(), Error> {
        let Kind::Leaf { common_name, organization, usage, sans } = spec.kind else {
            return Ok(());
        };
        let (crt, key) = names(spec.base);
        let (mut alt_names, rejected) = self.requirements.alt_names(sans);
        for name in rejected {
            if self.rejected.insert(name.clone()) {
                self.warnings.push(format!(
                    "`{name}` is neither a DNS name nor an IP address, and is left out of {crt}"
                ));
            }
        }
        let (chain, found) = (self.certificates(&crt)?, self.key(&key)?);
        let Some(authority) = self.authorities.get(&spec.authority) else {
            return Err(Error::crypto("signing a certificate", "its authority comes later"));
        };

        if authority.key.is_none() {
            let missing = [(chain.is_none(), &crt), (found.is_none(), &key)];
            if let Some((_, file)) = missing.into_iter().find(|(missing, _)| *missing) {
                let authority = spec.authority.base().to_owned();
                return Err(Error::ExternalAuthority { file: file.clone(), authority });
            }
        }
        let certificate = match &chain {
            Some(chain) if !authority.verifies(chain) => {
                let authority = format!("{}.crt", spec.authority.base());
                return Err(Error::WrongAuthority { file: crt, authority });
            }
            Some(chain) => chain.first(),
            None => None,
        };
        match (certificate, &found) {
            (Some(certificate), Some(found)) if found.belongs_to(certificate) => {
                let names = alt_names.missing_from(&certificate.alt_names);
                if names.is_empty() {
                    let certificate = certificate.clone();
                    self.check_validity(&crt, &certificate);
                    self.keep(spec.phase, key, true);
                    self.keep(spec.phase, crt, false);
                    return Ok(());
                }
                if authority.key.is_none() {
                    let (missing, authority) = (names.join(", "), spec.authority.base().to_owned());
                    return Err(Error::MissingNames { file: crt, missing, authority });
                }
                // Whoever goes by a name that the inventory does not know still may.
                alt_names.extend(&certificate.alt_names);
                self.extended.push(Extended { file: crt.clone(), names });
            }
            (Some(_), Some(_)) if authority.key.is_none() => {
                return Err(Error::NotAPair { certificate: crt, key });
            }
            // A pair that is none serves nobody, and our own authority signed it: a crash between two
            // writes. The key stays.
            (Some(_), Some(_)) => {
                self.warnings.push(format!("{crt} did not belong to {key} and is made anew"));
            }
            (Some(_), None) => {
                self.warnings.push(format!("{key} was missing; it and {crt} are made anew"));
            }
            (None, Some(_)) => {
                self.warnings.push(format!("{crt} was missing and is made for {key}"));
            }
            (None, None) => {}
        }

        let found = found.map_or_else(|| self.pool.take(), Ok)?;
        let Requirements { now, leaf_validity, profile, node_name, .. } = self.requirements;
        let now = seconds(*now);
        let not_before = match profile.backdate {
            Some(backdate) => now - backdate,
            None => authority.certificate.not_before,
        };
        let leaf = Leaf {
            common_name: common_name.unwrap_or(node_name),
            organization: organization(profile),
            usage,
            alt_names: &alt_names,
            not_before,
            not_after: now + *leaf_validity,
        };
        let certificate = issue_leaf(&leaf, &found, authority, profile)?;
        self.keep_or_create(spec.phase, key, found.pem().as_bytes(), true);
        self.create(spec.phase, crt, certificate.pem().as_bytes(), false);
        Ok(())
    }

    fn service_account(&mut self) -> Result<(), Error> {
        let (key, public) = (format!("{SERVICE_ACCOUNT}.key"), format!("{SERVICE_ACCOUNT}.pub"));
        let found = match (self.key(&key)?, self.existing.get(&public)) {
            (None, Some(_)) => return Err(Error::LonelyPublicKey),
            (None, None) => self.pool.take()?,
            (Some(found), None) => found,
            (Some(found), Some(content)) => {
                let blocks =
                    pem::decode(content).map_err(|reason| Error::unreadable(&public, reason))?;
                // More public keys are legitimate: former keys whose tokens are still accepted.
                if !blocks.iter().any(|block| *block.der == found.subject_public_key_info()) {
                    self.warnings.push(format!(
                        "{public} does not hold the public key of {key}: service account tokens \
                         will not be accepted until it does"
                    ));
                }
                found
            }
        };
        self.keep_or_create(SERVICE_ACCOUNT, key, found.pem().as_bytes(), true);
        // kubeadm keeps the public key from others, too.
        let mode = 0o600;
        self.keep_or_create(SERVICE_ACCOUNT, public, found.public_key_pem().as_bytes(), false);
        if let Some(file) = self.files.last_mut() {
            file.mode = mode;
        }
        Ok(())
    }

    fn certificates(&self, name: &str) -> Result<Option<Vec<Certificate>>, Error> {
        let parse = |content: &Zeroizing<Vec<u8>>| {
            Certificate::from_pem(content).map_err(|reason| Error::unreadable(name, reason))
        };
        self.existing.get(name).map(parse).transpose()
    }

    fn key(&self, name: &str) -> Result<Option<PrivateKey>, Error> {
        let parse = |content: &Zeroizing<Vec<u8>>| {
            PrivateKey::from_pem(content).map_err(|reason| Error::unreadable(name, reason))
        };
        self.existing.get(name).map(parse).transpose()
    }

    fn check_validity(&mut self, file: &str, certificate: &Certificate) {
        self.warnings.extend(validity_warning(file, certificate, self.requirements.now));
    }

    /// The file as it was found, byte for byte.
    fn keep(&mut self, phase: &'static str, name: String, secret: bool) {
        if let Some(content) = self.existing.get(&name).cloned() {
            self.push(phase, name, content, secret, false);
        }
    }

    fn create(&mut self, phase: &'static str, name: String, content: &[u8], secret: bool) {
        self.push(phase, name, Zeroizing::new(content.to_vec()), secret, true);
    }

    fn keep_or_create(&mut self, phase: &'static str, name: String, content: &[u8], secret: bool) {
        if self.existing.contains_key(&name) {
            self.keep(phase, name, secret);
        } else {
            self.create(phase, name, content, secret);
        }
    }

    fn push(
        &mut self,
        phase: &'static str,
        name: String,
        content: Zeroizing<Vec<u8>>,
        secret: bool,
        created: bool,
    ) {
        let mode = if secret { 0o600 } else { 0o644 };
        self.files.push(PkiFile { phase, name, content, mode, secret, created });
    }
}

fn names(base: &str) -> (String, String) {
    (format!("{base}.crt"), format!("{base}.key"))
}

fn first(chain: Vec<Certificate>, file: &str) -> Result<Certificate, Error> {
    chain.into_iter().next().ok_or_else(|| Error::unreadable(file, "it holds no certificate"))
}

/// Certificates count whole seconds.
fn seconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

/// Being outside its validity never stops anything; it is said once per file.
pub(crate) fn validity_warning(
    file: &str,
    certificate: &Certificate,
    now: OffsetDateTime,
) -> Option<String> {
    let day = |time: OffsetDateTime| {
        let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        time.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_else(|_| time.to_string())
    };
    if now > certificate.not_after {
        Some(format!(
            "the certificate in {file} expired on {}; renew it",
            day(certificate.not_after)
        ))
    } else if now < certificate.not_before {
        Some(format!(
            "the certificate in {file} is not valid before {}; check the clocks",
            day(certificate.not_before)
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
