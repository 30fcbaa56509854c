//! What the last run with an inventory came to, kept so that `--limit @failed` can go on from it.
//!
//! Nothing depends on a record being there: the hosts and the cluster are the state. One holds names of
//! hosts and of a command, never what they said.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::file::{at, replace};

/// More than this is not a record.
const MAX_SIZE: u64 = 16 << 20;

/// What is kept of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the command.
    pub command: String,
    /// When the run ended, as RFC 3339 writes it.
    pub time: String,
    /// Names of the hosts that failed, were unreachable, or were not done when the run ended.
    pub failed: Vec<String>,
}

impl Record {
    /// A record of a run that ends now.
    pub fn new(command: &str, failed: Vec<String>) -> Self {
        // Formatting the current time fails only for years outside RFC 3339.
        let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        Self { command: command.to_owned(), time, failed }
    }
}

/// Where the record of one inventory is kept.
#[derive(Debug, Clone)]
pub struct RecordFile {
    directory: PathBuf,
    name: String,
}

impl RecordFile {
    /// The user's own: in `$XDG_STATE_HOME/fleetadm`, by default `~/.local/state/fleetadm`.
    ///
    /// # Errors
    /// The inventory is not a file, or the user has no home.
    pub fn of_user(inventory: &Path) -> io::Result<Self> {
        // A relative XDG_STATE_HOME is invalid by its specification and does not count.
        let stated = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let state = stated.filter(|path| path.is_absolute()).or_else(|| {
            let home = std::env::home_dir().filter(|home| home.is_absolute())?;
            Some(home.join(".local/state"))
        });
        let state = state.ok_or_else(|| {
            io::Error::other("there is no home directory; set XDG_STATE_HOME to an absolute path")
        })?;
        Self::kept_in(&state.join("fleetadm"), inventory)
    }

    /// In this directory, which is made when the first record is written.
    ///
    /// # Errors
    /// The inventory is not a file.
    pub fn kept_in(directory: &Path, inventory: &Path) -> io::Result<Self> {
        // The same inventory under another name or through a link has the same record.
        let path = fs::canonicalize(inventory).map_err(|_| {
            let inventory = inventory.display();
            io::Error::other(format!(
                "no run is on record for an inventory that is no file: {inventory}"
            ))
        })?;
        let digest = digest(&SHA256, path.as_os_str().as_encoded_bytes());
        let key: String =
            digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { directory: directory.to_owned(), name: format!("{key}.json") })
    }

    /// The last run with the inventory; `None` where there was none.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn read(&self) -> io::Result<Option<Record>> {
        let path = self.path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path, &error)),
        };
        let text = io::read_to_string(io::Read::take(file, MAX_SIZE));
        let record = text.and_then(|text| Ok(serde_json::from_str(&text)?));
        record.map(Some).map_err(|error| at(&path, &error))
    }

    /// Replace what is kept of the last run. Only the user can read it.
    ///
    /// # Errors
    /// The directory cannot be made, or not be written to.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let path = self.path();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(|error| at(&self.directory, &error))?;
        let mut text = serde_json::to_vec(record)?;
        text.push(b'\n');
        replace(&path, 0o600, &text).map_err(|error| at(&path, &error))
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keeps_one_record_for_each_inventory() {
        let directory = tempfile::tempdir().unwrap();
        let inventory = directory.path().join("inventory.toml");
        let other = directory.path().join("other.toml");
        let link = directory.path().join("link.toml");
        fs::write(&inventory, "").unwrap();
        fs::write(&other, "").unwrap();
        std::os::unix::fs::symlink(&inventory, &link).unwrap();

        let state = directory.path().join("a/state");
        let file = |inventory: &Path| RecordFile::kept_in(&state, inventory).unwrap();
        assert_eq!(file(&inventory).read().unwrap(), None);
        for failed in [vec!["node-1".to_owned()], Vec::new()] {
            let record = Record::new("apply", failed);
            OffsetDateTime::parse(&record.time, &Rfc3339).unwrap();
            file(&inventory).write(&record).unwrap();
            assert_eq!(file(&link).read().unwrap(), Some(record));
        }
        assert_eq!(file(&other).read().unwrap(), None);

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        let files: Vec<_> = fs::read_dir(&state).unwrap().collect();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(mode(&files[0].as_ref().unwrap().path()), 0o600);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let inventory = directory.path().join("inventory.toml");
        fs::write(&inventory, "").unwrap();
        let record = Record::new("exec", Vec::new());
        let blocked = RecordFile::kept_in(&inventory.join("state"), &inventory).unwrap();
        assert!(blocked.write(&record).is_err());

        let file = RecordFile::kept_in(&directory.path().join("state"), &inventory).unwrap();
        file.write(&record).unwrap();
        fs::write(file.path(), "{").unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
        assert!(RecordFile::kept_in(directory.path(), &directory.path().join("absent")).is_err());
    }
}
