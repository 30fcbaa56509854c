//! What the known_hosts files say about one host, and whether that covers what it presented.

use std::path::Path;
use std::sync::Arc;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, PublicKey, PublicKeyOrCertificate};

use super::entry::Marker;
use super::file::KnownHostsFile;
use super::names::Names;
use super::standing::{KnownLine, Standing};
use super::{certificate, describe};
use crate::ssh::error::{HostKeyError, SshError};

/// The host as errors call it.
#[derive(Debug, Clone)]
pub(super) struct Label {
    /// `address:port`.
    pub(super) endpoint: String,
    /// The name by which `--limit` selects it, or a host behind it.
    pub(super) host: Box<str>,
}

/// The lines about one host.
#[derive(Debug)]
pub(super) struct HostKeys {
    names: Names,
    label: Label,
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    /// The line has the host's whole name; otherwise it has it without the port.
    exact: bool,
    marker: Option<Marker>,
    key: PublicKey,
    file: Box<Path>,
    line: usize,
}

impl Record {
    fn has(&self, key: &KeyData) -> bool {
        self.key.key_data() == key
    }

    fn known_line(&self) -> KnownLine {
        KnownLine { file: self.file.clone(), line: self.line, key: describe(&self.key) }
    }
}

impl HostKeys {
    /// Collect what `files` say about the host of `names`.
    pub(super) fn collect(
        names: &Names,
        label: &Label,
        files: &[Arc<KnownHostsFile>],
    ) -> Result<Self, SshError> {
        let mut records = Vec::new();
        for file in files {
            file.about(names.all(), |entry| {
                let exact = entry.hosts.matches(&names.entry);
                let without_port = || names.without_port.as_deref();
                if exact || without_port().is_some_and(|name| entry.hosts.matches(name)) {
                    records.push(Record {
                        exact,
                        marker: entry.marker,
                        key: entry.key.clone(),
                        file: file.path().into(),
                        line: entry.line,
                    });
                }
            })
            .map_err(|reason| SshError::LocalFile { path: file.path().to_owned(), reason })?;
        }
        Ok(Self { names: names.clone(), label: label.clone(), records })
    }

    /// Host-key algorithms in the order to offer them: the types known for this host first, so that a
    /// server with several keys presents the one that can be checked.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let known = |algorithm: &Algorithm| {
            let mut records = self.records.iter().filter(|record| record.exact);
            records.any(|record| {
                record.marker.is_none() && same_type(&record.key.algorithm(), algorithm)
            })
        };
        // SHA-1 signatures (`ssh-rsa`) are left out on purpose.
        let (mut first, rest): (Vec<_>, Vec<_>) = russh::Preferred::DEFAULT
            .key
            .iter()
            .filter(|algorithm| **algorithm != Algorithm::Rsa { hash: None })
            .cloned()
            .partition(known);
        first.extend(rest);
        first
    }

    /// The same for certificates. They are asked for only where somebody is known to sign them.
    pub(super) fn certificate_algorithms(&self) -> Vec<Algorithm> {
        match self.authorities().next() {
            Some(_) => self.algorithms(),
            None => Vec::new(),
        }
    }

    /// Whether what the host presented at `now` (seconds since 1970) may be trusted.
    pub(super) fn verify(
        &self,
        presented: &PublicKeyOrCertificate,
        now: u64,
    ) -> Result<(), HostKeyError> {
        match presented {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.verify_key(key),
            PublicKeyOrCertificate::Certificate(certificate) => {
                self.verify_certificate(certificate, now)
            }
        }
    }

    /// Whether `key` may be trusted by itself.
    pub(super) fn verify_key(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        self.verify_uncertified(key, "without a certificate")
    }

    /// The same for a key whose certificate, if it has one, is no good: `reason` says so.
    fn verify_uncertified(&self, key: &PublicKey, reason: &str) -> Result<(), HostKeyError> {
        self.refuse_revoked(key)?;
        let Label { endpoint, host } = self.label.clone();
        let fingerprint = describe(key);
        if self.known().any(|record| record.has(key.key_data())) {
            return Ok(());
        }
        // A line without the port is for another server: the host has no key of its own yet.
        let known = self.known().filter(|record| record.exact);
        // Name the key of the same type when there is one: it is the one that was replaced.
        if let Some(record) = known.min_by_key(|record| record.key.algorithm() != key.algorithm()) {
            return Err(HostKeyError::Changed {
                endpoint,
                fingerprint,
                known: describe(&record.key),
                file: record.file.clone(),
                line: record.line,
                host,
            });
        }
        Err(match self.authorities().next() {
            Some(authority) => HostKeyError::Uncertified {
                endpoint,
                fingerprint,
                reason: reason.to_owned(),
                file: authority.file.clone(),
                line: authority.line,
                host,
            },
            None => HostKeyError::Unknown { endpoint, fingerprint, host },
        })
    }

    /// What is said about each of the keys that the host has.
    pub(super) fn standings(&self, keys: &[PublicKey]) -> Vec<Standing> {
        let known = |key: &PublicKey| self.known().any(|record| record.has(key.key_data()));
        let exact = || self.known().filter(|record| record.exact);
        // Each key is offered in a connection of its own: that one is the host's says nothing of the others, but that the
        // host has the key it is known by says that a key of another type does not replace it.
        let any_known = keys.iter().any(known);
        let standing = |key: &PublicKey| {
            let same_type = |record: &&Record| same_type(&record.key.algorithm(), &key.algorithm());
            if let Some(record) = self.revocation(key.key_data()) {
                Standing::Revoked(record.known_line())
            } else if known(key) {
                Standing::Known
            } else if let Some(record) = exact().find(same_type) {
                Standing::Changed(record.known_line())
            } else if let Some(record) = exact().next().filter(|_| !any_known) {
                Standing::Changed(record.known_line())
            } else {
                Standing::New
            }
        };
        keys.iter().map(standing).collect()
    }

    /// The lines with the host's whole name that have a key it does not have.
    pub(super) fn outdated(&self, keys: &[PublicKey]) -> Vec<KnownLine> {
        let lines = self.known().filter(|record| record.exact);
        lines
            .filter(|record| !keys.iter().any(|key| record.has(key.key_data())))
            .map(Record::known_line)
            .collect()
    }

    /// Whether a certificate may be trusted, or else, as with OpenSSH, the key in it.
    fn verify_certificate(&self, certificate: &Certificate, now: u64) -> Result<(), HostKeyError> {
        let key = PublicKey::from(certificate.public_key().clone());
        let signer = certificate.signature_key();
        if let Some(record) = self.revocation(signer) {
            return Err(HostKeyError::RevokedAuthority {
                endpoint: self.label.endpoint.clone(),
                fingerprint: describe(&key),
                authority: describe(&record.key),
                file: record.file.clone(),
                line: record.line,
            });
        }
        let mut authorities = self.authorities();
        let fault = if authorities.any(|record| record.has(signer)) {
            certificate::check(certificate, &self.names.principal, now).err()
        } else {
            Some("by an authority that is not known".to_owned())
        };
        match fault {
            None => self.refuse_revoked(&key),
            Some(fault) => self.verify_uncertified(&key, &format!("with a certificate {fault}")),
        }
    }

    /// The lines with a key that is the host's: those with its whole name, or else those without the port.
    fn known(&self) -> impl Iterator<Item = &Record> {
        let exact = self.marked(None).any(|record| record.exact);
        self.marked(None).filter(move |record| record.exact || !exact)
    }

    /// The lines with an authority for the host.
    fn authorities(&self) -> impl Iterator<Item = &Record> {
        self.marked(Some(Marker::CertAuthority))
    }

    fn marked(&self, marker: Option<Marker>) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.marker == marker)
    }

    fn refuse_revoked(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        match self.revocation(key.key_data()) {
            None => Ok(()),
            Some(record) => Err(HostKeyError::Revoked {
                endpoint: self.label.endpoint.clone(),
                fingerprint: describe(key),
                file: record.file.clone(),
                line: record.line,
            }),
        }
    }

    /// The line that revokes `key`. A key that is revoked at one port is not believed at any.
    fn revocation(&self, key: &KeyData) -> Option<&Record> {
        self.marked(Some(Marker::Revoked)).find(|record| record.has(key))
    }
}

/// RSA keys are one type whatever hash signs with them.
pub(in crate::ssh) fn same_type(a: &Algorithm, b: &Algorithm) -> bool {
    match (a, b) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests;
