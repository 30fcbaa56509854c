//! Keys and certificates of the workstation: each file is read once per run, and unlocked once.

mod file;
mod short_scalar;
mod unlock;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::cache::{FileCache, Table};
use super::settings::{Origin, Settings};

pub(super) use file::{CertificateFile, KeyFile, Private, doubt};
pub(super) use unlock::Unlocked;

/// The names OpenSSH looks for in `~/.ssh`, in its order, without those of keys on security tokens.
pub(super) const DEFAULT_NAMES: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];

/// The keys of a run.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    files: FileCache<KeyFile>,
    certificates: FileCache<CertificateFile>,
    unlocked: Table<PathBuf, OnceCell<Unlocked>>,
}

/// What may be offered to one host.
pub(super) struct Identities {
    /// Key files, in order.
    pub(super) files: Vec<Arc<KeyFile>>,
    /// Somebody named these files: they are offered before the agent's keys, and a missing one is worth a word.
    pub(super) named: bool,
    /// Certificates that somebody named, in order.
    pub(super) certificates: Vec<Arc<CertificateFile>>,
    /// The agent's socket.
    pub(super) agent: Option<PathBuf>,
    /// Offer no agent key that is in none of the files.
    pub(super) identities_only: bool,
}

impl KeyRing {
    /// Read what `settings` name.
    pub(super) fn identities(&self, settings: &Settings) -> Identities {
        let files = settings.identity_files.value.iter();
        let certificates = settings.certificate_files.value.iter();
        Identities {
            files: files.map(|path| self.files.get(path, KeyFile::read)).collect(),
            named: settings.identity_files.origin != Origin::Default,
            certificates: certificates
                .map(|path| self.certificates.get(path, CertificateFile::read))
                .collect(),
            agent: settings.identity_agent.value.clone(),
            identities_only: settings.identities_only.value,
        }
    }

    /// The one place where the key in `path` is unlocked.
    pub(super) fn unlocked(&self, path: &Path) -> Arc<OnceCell<Unlocked>> {
        self.unlocked.get(path.to_owned())
    }
}
