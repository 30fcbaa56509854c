//! Writing keys down, one check at a time: what is in the file by then decides.

use std::fmt::Display;
use std::sync::PoisonError;

use russh::keys::PublicKey;

use super::check::{Check, HostKeyCheck};
use super::describe;
use super::edit::{ByPattern, remove};
use super::file::KnownHostsFile;
use super::host_keys::HostKeys;
use super::standing::{HostKey, Standing};
use super::writer::Writer;
use crate::ssh::error::HostKeyError;

/// What became of the keys that were to be written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The keys added: type and SHA256 fingerprint.
    pub added: Vec<String>,
    /// The keys taken out because the host does not have them any more.
    pub removed: Vec<String>,
    /// The file.
    pub file: String,
}

impl HostKeyCheck {
    /// Write down `wanted`, some of the keys that the host `has`. Those that are known by now are left out. With
    /// `replace` the keys that the host does not have any more are taken out.
    ///
    /// # Errors
    /// The file cannot be written, or a key is revoked or replaces a known one by now.
    pub(in crate::ssh) async fn record(
        &self,
        has: &[HostKey],
        wanted: &[HostKey],
        replace: bool,
    ) -> Result<Recorded, String> {
        let public = |keys: &[HostKey]| keys.iter().map(|key| key.public().clone()).collect();
        let (has, wanted): (Vec<_>, Vec<_>) = (public(has), public(wanted));
        let check = self.0.clone();
        // Other programs may hold the file.
        tokio::task::spawn_blocking(move || check.record(&has, &wanted, replace))
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
    }
}

impl Check {
    /// Add the key of a host that is still unknown when it is this one's turn. Blocks.
    pub(super) fn accept(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        let refused = |reason: String| HostKeyError::NotRecorded {
            endpoint: self.label.endpoint.clone(),
            fingerprint: describe(key),
            reason,
        };
        let accepted = self.in_turn(|file, writer, host_keys| match host_keys.verify_key(key) {
            Err(HostKeyError::Unknown { .. }) => {
                let path = file.path().display();
                file.append(writer, &self.names.entry, key).map_err(|error| at(file, &error))?;
                // A check is for one connection, and that has one key.
                let _ = self.added.set(format!("{} to {path}", describe(key)));
                Ok(Ok(()))
            }
            verdict => Ok(verdict),
        });
        accepted.map_err(refused)?
    }

    fn record(
        &self,
        has: &[PublicKey],
        wanted: &[PublicKey],
        replace: bool,
    ) -> Result<Recorded, String> {
        self.in_turn(|file, writer, host_keys| {
            let mut recorded =
                Recorded { file: file.path().display().to_string(), ..Recorded::default() };
            let standings = host_keys.standings(has);
            let standing = |key: &PublicKey| {
                has.iter()
                    .zip(&standings)
                    .find(|(has, _)| *has == key)
                    .map(|(_, standing)| standing)
            };
            let mut adding = Vec::new();
            for key in wanted {
                match standing(key) {
                    Some(Standing::New) => adding.push(key),
                    Some(Standing::Changed(_)) if replace => adding.push(key),
                    Some(Standing::Known | Standing::Certified) => {}
                    Some(Standing::Changed(line) | Standing::Revoked(line)) => {
                        return Err(format!(
                            "{}:{} has another key by now",
                            line.file.display(),
                            line.line
                        ));
                    }
                    None => return Err("the host does not have the key".to_owned()),
                }
            }
            if replace {
                recorded.removed = self.take_out(file, writer, host_keys, has)?;
            }
            for key in adding {
                file.append(writer, &self.names.entry, key).map_err(|error| at(file, &error))?;
                recorded.added.push(describe(key));
            }
            Ok(recorded)
        })
    }

    /// Take out what the host is known by and does not have any more.
    fn take_out(
        &self,
        file: &KnownHostsFile,
        writer: &mut Writer,
        host_keys: &HostKeys,
        has: &[PublicKey],
    ) -> Result<Vec<String>, String> {
        let outdated = host_keys.outdated(has);
        if let Some(elsewhere) = outdated.iter().find(|line| *line.file != *file.path()) {
            return Err(format!(
                "{}:{} has an old key of the host; remove it there",
                elsewhere.file.display(),
                elsewhere.line
            ));
        }
        if outdated.is_empty() {
            return Ok(Vec::new());
        }
        let text = writer.read().map_err(|error| at(file, &error))?;
        let gone = |line: usize| outdated.iter().any(|outdated| outdated.line == line);
        let text = remove(&text, &self.names.entry, |entry| gone(entry.line)).map_err(
            |ByPattern { line }| {
                at(file, &format!("line {line} has the old key for a pattern of hosts; edit it"))
            },
        )?;
        writer.replace(file.path(), &text).map_err(|error| at(file, &error))?;
        file.refresh(writer).map_err(|error| at(file, &error))?;
        Ok(outdated.into_iter().map(|line| line.key).collect())
    }

    /// Do `work` on the file that keys are added to, while nobody else adds to it, with what is known of the host then.
    fn in_turn<T>(
        &self,
        work: impl FnOnce(&KnownHostsFile, &mut Writer, &HostKeys) -> Result<T, String>,
    ) -> Result<T, String> {
        let Some(file) = self.files.first() else {
            return Err("any file; set known_hosts under [ssh]".to_owned());
        };
        if !self.names.can_be_written() {
            return Err(at(file, &"the host's name would be a pattern there; set host_key_alias"));
        }
        let _turn = self.known_hosts.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = Writer::open(file.path()).map_err(|error| at(file, &error))?;
        file.refresh(&mut writer).map_err(|error| at(file, &error))?;
        let host_keys = HostKeys::collect(&self.names, &self.label, &self.files)
            .map_err(|error| error.to_string())?;
        work(file, &mut writer, &host_keys)
    }
}

fn at(file: &KnownHostsFile, reason: &dyn Display) -> String {
    format!("{}: {reason}", file.path().display())
}
