//! A file of the operator's own that holds secrets and that other programs change too: a kubeconfig. Nobody but its owner
//! may read what is written, and two programs that keep to the lock do not undo each other's changes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::file::at;

/// A file while nobody else may change it: kubectl makes the same file beside it as its lock.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    lock: PathBuf,
}

impl SecretFile {
    /// Lock the file at `path`, which need not exist; a missing directory is made for it.
    ///
    /// # Errors
    /// Somebody else has the lock, or the directory cannot be written to.
    pub fn lock(path: &Path) -> io::Result<Self> {
        // The file itself where the path is a link, so that the link stays.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let lock = beside(&path, "", ".lock");
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock);
        made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io::Error::new(
                error.kind(),
                format!(
                    "{} is locked; if no program is changing it, remove {}",
                    path.display(),
                    lock.display()
                ),
            ),
            _ => at(&lock, &error),
        })?;
        Ok(Self { path, lock })
    }

    /// Put `content` in place of the file, all of it or nothing, with mode 0600.
    ///
    /// # Errors
    /// The directory cannot be written to; the error names the file.
    pub fn write(&self, content: &[u8]) -> io::Result<()> {
        let temporary = beside(&self.path, ".", ".fleetadm.tmp");
        // One that a killed run left. Whoever has the lock is the only one who makes it.
        let _ = fs::remove_file(&temporary);
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        };
        write().map_err(|error| {
            // It may never have been made.
            let _ = fs::remove_file(&temporary);
            at(&self.path, &error)
        })
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        // Gone already where somebody took it for a stale one.
        let _ = fs::remove_file(&self.lock);
    }
}

/// A secret in a file of its own that only its owner can get at, for another program to read. It goes when this is dropped;
/// only a process that is killed leaves it.
#[derive(Debug)]
pub struct TemporarySecret {
    directory: PathBuf,
    path: PathBuf,
}

impl TemporarySecret {
    /// Write `content` into a new file `name` of a new directory: below `runtime`, which is in memory and ends with the
    /// operator's session, or else below the directory for temporary files.
    ///
    /// # Errors
    /// The directory cannot be written to; the error names it.
    pub fn write(runtime: Option<&Path>, name: &str, content: &[u8]) -> io::Result<Self> {
        let parent = runtime.filter(|directory| directory.is_dir());
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let directory = parent.join(format!("fleetadm-{}", std::process::id()));
        // One that is there already was made by somebody else, or left by a process of the same number: never use it.
        DirBuilder::new().mode(0o700).create(&directory).map_err(|error| at(&directory, &error))?;
        let made = Self { path: directory.join(name), directory };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&made.path)
            .map_err(|error| at(&made.path, &error))?;
        file.write_all(content).map_err(|error| at(&made.path, &error))?;
        Ok(made)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporarySecret {
    fn drop(&mut self) {
        // The program may have put more beside it, as kubectl does with its lock.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What is in the file at `path`, up to `limit` bytes and one; `None` when there is none.
///
/// # Errors
/// It is no regular file, or cannot be read; the error names it.
pub fn read_secret(path: &Path, limit: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let read = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let size = usize::try_from(metadata.len()).unwrap_or(limit).min(limit) + 1;
        // Sized up front, so that growing leaves no copy in freed memory.
        let mut content = Zeroizing::new(Vec::with_capacity(size));
        file.take(limit as u64 + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    match read() {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path, &error)),
    }
}

fn beside(path: &Path, before: &str, behind: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(before);
    name.push(path.file_name().unwrap_or_default());
    name.push(behind);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_the_owner_may_read_it_whatever_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kube/config");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(read_secret(&path, 10).unwrap(), None);
        SecretFile::lock(&path).unwrap().write(b"one").unwrap();
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));

        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        SecretFile::lock(&link).unwrap().write(b"two").unwrap();
        assert!(link.is_symlink());
        assert_eq!(
            (read_secret(&path, 10).unwrap().unwrap().as_slice(), mode(&path)),
            (&b"two"[..], 0o600)
        );
        assert_eq!(read_secret(&path, 1).unwrap().unwrap().len(), 2);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(read_secret(directory.path(), 10).is_err());
    }

    #[test]
    fn a_temporary_secret_goes_by_itself() {
        let runtime = tempfile::tempdir().unwrap();
        let secret = TemporarySecret::write(Some(runtime.path()), "admin.conf", b"x").unwrap();
        let (file, directory) = (secret.path().to_owned(), secret.directory.clone());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&directory)), (0o600, 0o700));
        assert!(TemporarySecret::write(Some(runtime.path()), "admin.conf", b"y").is_err());
        assert_eq!(fs::read(&file).unwrap(), b"x");
        drop(secret);
        assert_eq!(fs::read_dir(runtime.path()).unwrap().count(), 0);
    }

    #[test]
    fn two_do_not_write_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        let one = SecretFile::lock(&path).unwrap();
        let error = SecretFile::lock(&path).unwrap_err().to_string();
        assert!(error.contains("config is locked") && error.ends_with("config.lock"), "{error}");
        drop(one);
        assert!(SecretFile::lock(&path).is_ok());
    }
}
