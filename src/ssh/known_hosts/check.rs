//! The host-key check of one connection, by the policy of its host.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::{Algorithm, PublicKeyOrCertificate};

use super::file::KnownHostsFile;
use super::host_keys::{HostKeys, Label};
use super::names::Names;
use super::standing::{HostKey, Standing};
use crate::inventory::HostKeyPolicy;
use crate::ssh::cache::FileCache;
use crate::ssh::error::{HostKeyError, SshError};
use crate::ssh::settings::Settings;

/// The known_hosts files of a run, each read once, and what the run adds to them.
#[derive(Debug, Default)]
pub(in crate::ssh) struct KnownHosts {
    files: FileCache<KnownHostsFile>,
    /// Held while a key is added, so that two hosts with one name cannot both be new.
    pub(super) adding: Mutex<()>,
}

/// The check for one connection. Clones are the same check.
#[derive(Debug, Clone)]
pub(in crate::ssh) struct HostKeyCheck(pub(super) Arc<Check>);

#[derive(Debug)]
pub(super) struct Check {
    pub(super) known_hosts: Arc<KnownHosts>,
    /// New keys go to the first.
    pub(super) files: Vec<Arc<KnownHostsFile>>,
    pub(super) names: Names,
    pub(super) label: Label,
    /// What was known when the check was made.
    host_keys: HostKeys,
    policy: HostKeyPolicy,
    /// What was added, once it was.
    pub(super) added: OnceLock<String>,
}

impl HostKeyCheck {
    /// The check for the server that `settings` lead to. `host` is the inventory's name of the host that it is, or that
    /// is behind it.
    pub(in crate::ssh) fn new(
        known_hosts: &Arc<KnownHosts>,
        settings: &Settings,
        host: &str,
    ) -> Result<Self, SshError> {
        let read = |path: &PathBuf| known_hosts.files.get(path, KnownHostsFile::read);
        let named = settings.known_hosts.value.iter().chain(&settings.global_known_hosts.value);
        let files: Vec<_> = named.map(read).collect();
        let names = Names::new(settings);
        let label = Label { endpoint: settings.endpoint(), host: host.into() };
        Ok(Self(Arc::new(Check {
            known_hosts: Arc::clone(known_hosts),
            host_keys: HostKeys::collect(&names, &label, &files)?,
            files,
            names,
            label,
            policy: settings.host_key_policy.value,
            added: OnceLock::new(),
        })))
    }

    /// Host-key algorithms in the order to offer them.
    pub(in crate::ssh) fn algorithms(&self) -> Vec<Algorithm> {
        self.0.host_keys.algorithms()
    }

    /// Algorithms of host certificates in the order to offer them; none for a host without an authority.
    pub(in crate::ssh) fn certificate_algorithms(&self) -> Vec<Algorithm> {
        self.0.host_keys.certificate_algorithms()
    }

    /// Whether to go on with a host that presented this.
    pub(in crate::ssh) async fn check(
        &self,
        presented: &PublicKeyOrCertificate,
    ) -> Result<(), HostKeyError> {
        match self.verify(presented) {
            Err(HostKeyError::Unknown { endpoint, fingerprint, .. })
                if self.0.policy == HostKeyPolicy::AcceptNew =>
            {
                let (check, key) = (Arc::clone(&self.0), presented.public_key());
                // Other programs may hold the file.
                let accepted = tokio::task::spawn_blocking(move || check.accept(&key)).await;
                accepted.unwrap_or_else(|error| {
                    let reason = format!("known_hosts: {error}");
                    Err(HostKeyError::NotRecorded { endpoint, fingerprint, reason })
                })
            }
            verdict => verdict,
        }
    }

    /// Whether what the host presented may be trusted by what was known when the check was made.
    pub(in crate::ssh) fn verify(
        &self,
        presented: &PublicKeyOrCertificate,
    ) -> Result<(), HostKeyError> {
        // A clock before 1970 makes every certificate one of the future.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.0.host_keys.verify(presented, now)
    }

    /// What was known then about each of the keys that the host has.
    pub(in crate::ssh) fn standings(&self, keys: &[HostKey]) -> Vec<Standing> {
        let keys: Vec<_> = keys.iter().map(|key| key.public().clone()).collect();
        self.0.host_keys.standings(&keys)
    }

    /// The key that was added, if one was: `ssh-ed25519 SHA256:… to FILE`.
    pub(in crate::ssh) fn added(&self) -> Option<&str> {
        self.0.added.get().map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
