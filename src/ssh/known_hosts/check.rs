//! The host-key check of one connection, by the policy of its host.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};

use super::describe;
use super::file::KnownHostsFile;
use super::host_keys::{HostKeys, Label};
use super::names::Names;
use super::writer::Writer;
use crate::inventory::HostKeyPolicy;
use crate::ssh::cache::FileCache;
use crate::ssh::error::{HostKeyError, SshError};
use crate::ssh::settings::Settings;

/// The known_hosts files of a run, each read once, and what the run adds to them.
#[derive(Debug, Default)]
pub(in crate::ssh) struct KnownHosts {
    files: FileCache<KnownHostsFile>,
    /// Held while a key is added, so that two hosts with one name cannot both be new.
    adding: Mutex<()>,
}

/// The check for one connection. Clones are the same check.
#[derive(Debug, Clone)]
pub(in crate::ssh) struct HostKeyCheck(Arc<Check>);

#[derive(Debug)]
struct Check {
    known_hosts: Arc<KnownHosts>,
    files: Vec<Arc<KnownHostsFile>>,
    names: Names,
    label: Label,
    host_keys: HostKeys,
    policy: HostKeyPolicy,
    added: OnceLock<String>,
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
        let files: Vec<_> = settings.known_hosts.value.iter().map(read).collect();
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
        // A clock before 1970 makes every certificate one of the future.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match self.0.host_keys.verify(presented, now) {
            Err(HostKeyError::Unknown { .. }) if self.0.policy == HostKeyPolicy::AcceptNew => {
                let key = presented.public_key();
                let check = Arc::clone(&self.0);
                // Other programs may hold the file.
                let accepted = tokio::task::spawn_blocking(move || check.accept(&key)).await;
                accepted.unwrap_or_else(|error| {
                    Err(self
                        .0
                        .not_recorded(&presented.public_key(), &format!("known_hosts: {error}")))
                })
            }
            verdict => verdict,
        }
    }

    /// The key that was added, if one was: `ssh-ed25519 SHA256:… to FILE`.
    pub(in crate::ssh) fn added(&self) -> Option<&str> {
        self.0.added.get().map(String::as_str)
    }
}

impl Check {
    /// Add the key of a host that is still unknown when it is this one's turn. Blocks.
    fn accept(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        let Some(file) = self.files.first() else {
            return Err(self.not_recorded(key, "any file; set known_hosts under [ssh]"));
        };
        let path = file.path().display();
        let failed =
            |reason: &dyn std::fmt::Display| self.not_recorded(key, &format!("{path}: {reason}"));
        if !self.names.can_be_written() {
            return Err(failed(&"the host's name would be a pattern there; set host_key_alias"));
        }
        let _turn = self.known_hosts.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = Writer::open(file.path()).map_err(|error| failed(&error))?;
        file.refresh(&mut writer).map_err(|error| failed(&error))?;
        let host_keys = HostKeys::collect(&self.names, &self.label, &self.files)
            .map_err(|error| self.not_recorded(key, &error.to_string()))?;
        match host_keys.verify_key(key) {
            Err(HostKeyError::Unknown { .. }) => {}
            verdict => return verdict,
        }
        file.append(&mut writer, &self.names.entry, key).map_err(|error| failed(&error))?;
        // A check is for one connection, and that has one key.
        let _ = self.added.set(format!("{} to {path}", describe(key)));
        Ok(())
    }

    fn not_recorded(&self, key: &PublicKey, reason: &str) -> HostKeyError {
        HostKeyError::NotRecorded {
            endpoint: self.label.endpoint.clone(),
            fingerprint: describe(key),
            reason: reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
