//! What known_hosts says about the keys a host offers, for whoever decides which to add.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use russh::keys::{HashAlg, PublicKey};

use super::describe;

/// A host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

impl HostKey {
    pub(in crate::ssh) fn new(key: PublicKey) -> Self {
        Self(key)
    }

    pub(in crate::ssh) fn public(&self) -> &PublicKey {
        &self.0
    }

    /// Its type: `ssh-ed25519`.
    pub fn kind(&self) -> String {
        self.0.algorithm().to_string()
    }

    /// `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

impl FromStr for HostKey {
    type Err = ();

    /// Read a public key as OpenSSH writes it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        PublicKey::from_openssh(text).map(Self).map_err(|_| ())
    }
}

impl fmt::Display for HostKey {
    /// `ssh-ed25519 SHA256:…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.0))
    }
}

/// A line of known_hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLine {
    /// The file.
    pub file: Box<Path>,
    /// The line, from 1.
    pub line: usize,
    /// The key in it: type and SHA256 fingerprint.
    pub key: String,
}

/// What known_hosts says about a key that a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The host is known by it.
    Known,
    /// It comes with a good certificate by a known authority.
    Certified,
    /// Nothing; it is not another key in place of one that is known.
    New,
    /// The host is known by other keys: it replaced one of its type, or all of them.
    Changed(KnownLine),
    /// It must not be believed.
    Revoked(KnownLine),
}
