//! The one directory of the workstation that files of a host may get into.
//!
//! Hosts are not trusted: nothing outside the directory is ever written to, and no symbolic link in it is
//! followed. Files arrive in a directory of their own there and are renamed when all of them have arrived.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::incoming::Store;
use super::listing::FoundKind;
use super::{CopyError, RESERVED};

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Present {
    pub(super) kind: FoundKind,
    /// Permission bits.
    pub(super) mode: u32,
}

/// A directory for the files of one host.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    root: PathBuf,
}

impl Sandbox {
    /// The directory of this host below `directory`. Nothing is made yet.
    pub(super) fn new(directory: &Path, host: &str) -> Self {
        Self { root: directory.join(host) }
    }

    /// Where a path lies; for people and for reading.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        // Joined with nothing it would end with a slash, and a link at its place would be followed.
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    /// What is at a path. Everything on the way there is a directory, or is not there yet.
    pub(super) fn look(&self, path: &str) -> Result<Option<Present>, CopyError> {
        let ends = path.match_indices('/').map(|(end, _)| end);
        for parent in std::iter::once("").chain(ends.map(|end| &path[..end])) {
            let at = self.path(parent);
            match look_at(&at)? {
                None => return Ok(None),
                Some(Present { kind: FoundKind::Directory, .. }) => {}
                Some(_) => {
                    return Err(conflict(
                        &at,
                        "is not a directory; fetching follows no symbolic links, so move it away",
                    ));
                }
            }
        }
        look_at(&self.path(path))
    }

    /// Make a directory, and those above that are missing.
    pub(super) fn make_directory(&self, path: &str, mode: u32) -> Result<(), CopyError> {
        fs::create_dir_all(self.root.parent().unwrap_or(Path::new(".")))
            .and_then(|()| make_if_missing(&self.root, 0o755))
            .map_err(|error| CopyError::local(&self.root, error))?;
        let ends = path.match_indices('/').map(|(end, _)| (end, 0o755));
        for (end, mode) in ends.chain([(path.len(), mode)]) {
            let parent = &path[..end];
            let at = self.path(parent);
            match self.look(parent)? {
                None => fs::DirBuilder::new()
                    .mode(mode)
                    .create(&at)
                    .map_err(|error| CopyError::local(&at, error))?,
                Some(Present { kind: FoundKind::Directory, .. }) => {}
                Some(_) => {
                    return Err(conflict(&at, "is in the place of a directory; move it away"));
                }
            }
        }
        Ok(())
    }

    /// Make the directory that a path lies in.
    fn make_parent(&self, path: &str) -> Result<(), CopyError> {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.make_directory(parent, 0o755),
            None => Ok(()),
        }
    }

    /// Give a file another mode.
    pub(super) fn set_mode(&self, path: &str, mode: u32) -> Result<(), CopyError> {
        let at = self.path(path);
        fs::set_permissions(&at, Permissions::from_mode(mode))
            .map_err(|error| CopyError::local(&at, error))
    }

    /// A place for files on their way. What an earlier run left there is removed.
    pub(super) fn stage(&self) -> Result<Stage, CopyError> {
        self.make_directory("", 0o755)?;
        let directory = self.path(RESERVED);
        let failed = |error| CopyError::local(&directory, error);
        if let Some(Present { kind, .. }) = look_at(&directory)?
            && kind != FoundKind::Directory
        {
            return Err(conflict(&directory, "is in the way of files that arrive; remove it"));
        }
        make_if_missing(&directory, 0o700).map_err(failed)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(directory.join("lock"))
            .map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(conflict(
                &self.root,
                "another fleetadm is fetching into it; wait until that has ended",
            ));
        }
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name() != "lock" {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(Stage { directory, sandbox: self.clone(), open: None, _lock: lock })
    }
}

/// Files on their way, by index. Dropping it removes those that are not in place.
pub(super) struct Stage {
    directory: PathBuf,
    sandbox: Sandbox,
    open: Option<(PathBuf, File)>,
    _lock: File,
}

impl Store for Stage {
    fn begin(&mut self, index: usize) -> Result<(), CopyError> {
        let path = self.directory.join(index.to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| CopyError::local(&path, error))?;
        self.open = Some((path, file));
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), CopyError> {
        match &mut self.open {
            Some((path, file)) => {
                file.write_all(data).map_err(|error| CopyError::local(path, error))
            }
            None => Ok(()),
        }
    }
}

impl Stage {
    /// Put the file with this index in the place of whatever is there.
    pub(super) fn place(&self, index: usize, path: &str, mode: u32) -> Result<(), CopyError> {
        let staged = self.directory.join(index.to_string());
        let flushed = File::open(&staged).and_then(|file| {
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()
        });
        flushed.map_err(|error| CopyError::local(&staged, error))?;
        self.rename(&staged, path)
    }

    /// Put a symbolic link in the place of whatever is there.
    pub(super) fn link(&self, target: &str, path: &str) -> Result<(), CopyError> {
        let staged = self.directory.join("link");
        std::os::unix::fs::symlink(target, &staged)
            .map_err(|error| CopyError::local(&staged, error))?;
        self.rename(&staged, path)
    }

    fn rename(&self, staged: &Path, path: &str) -> Result<(), CopyError> {
        self.sandbox.make_parent(path)?;
        // Looked at once more: links that this run made are on the way of nothing.
        self.sandbox.look(path)?;
        let at = self.sandbox.path(path);
        fs::rename(staged, &at).map_err(|error| CopyError::local(&at, error))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn make_if_missing(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn look_at(path: &Path) -> Result<Option<Present>, CopyError> {
    let failed = |error| CopyError::local(path, error);
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let kind = if metadata.is_file() {
        FoundKind::File { size: metadata.len() }
    } else if metadata.is_dir() {
        FoundKind::Directory
    } else if metadata.is_symlink() {
        let target = fs::read_link(path).map_err(failed)?;
        FoundKind::Link { target: target.to_string_lossy().into_owned() }
    } else {
        FoundKind::Special
    };
    Ok(Some(Present { kind, mode: metadata.permissions().mode() & 0o7777 }))
}

fn conflict(path: &Path, why: &'static str) -> CopyError {
    CopyError::conflict(&path.to_string_lossy(), why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn sandbox() -> (tempfile::TempDir, Sandbox) {
        let directory = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(&directory.path().join("made/of need"), "node-1");
        (directory, sandbox)
    }

    #[test]
    fn files_are_staged_and_put_in_place() {
        let (_directory, sandbox) = sandbox();
        assert_eq!(sandbox.look("etc/motd").unwrap(), None);
        let mut stage = sandbox.stage().unwrap();
        stage.begin(0).unwrap();
        stage.write(b"hel").unwrap();
        stage.write(b"lo").unwrap();
        assert_eq!(sandbox.look("etc/motd").unwrap(), None);
        stage.place(0, "etc/motd", 0o640).unwrap();
        stage.link("motd", "etc/link").unwrap();
        // A file or a link is replaced as such.
        stage.begin(1).unwrap();
        stage.place(1, "etc/link", 0o600).unwrap();
        drop(stage);
        assert_eq!(fs::read(sandbox.path("etc/motd")).unwrap(), b"hello");
        let motd = sandbox.look("etc/motd").unwrap().unwrap();
        assert_eq!(motd, Present { kind: FoundKind::File { size: 5 }, mode: 0o640 });
        assert_eq!(sandbox.look("etc/link").unwrap().unwrap().kind, FoundKind::File { size: 0 });
        sandbox.set_mode("etc/motd", 0o600).unwrap();
        assert_eq!(sandbox.look("etc/motd").unwrap().unwrap().mode, 0o600);
        let left: Vec<_> = fs::read_dir(sandbox.path("")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn no_link_is_followed() {
        let (directory, sandbox) = sandbox();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        sandbox.make_directory("a/b", 0o755).unwrap();
        symlink(&outside, sandbox.path("a/link")).unwrap();
        let mut stage = sandbox.stage().unwrap();
        stage.begin(0).unwrap();
        let refused = |result: Result<(), CopyError>| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("a/link: is "), "{error}");
        };
        refused(sandbox.look("a/link/x").map(|_| ()));
        refused(sandbox.make_directory("a/link", 0o755));
        refused(sandbox.make_directory("a/link/x", 0o755));
        refused(stage.place(0, "a/link/x", 0o644));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        // The link itself can be replaced.
        stage.place(0, "a/link", 0o644).unwrap();

        let linked = Sandbox::new(directory.path(), "linked");
        symlink(&outside, linked.path("")).unwrap();
        assert!(linked.look("x").is_err() && linked.make_directory("x", 0o755).is_err());
        assert!(linked.stage().is_err());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn two_runs_do_not_share_a_stage() {
        let (_directory, sandbox) = sandbox();
        let mut first = sandbox.stage().unwrap();
        first.begin(0).unwrap();
        let error = sandbox.stage().err().unwrap().to_string();
        assert!(error.contains("another fleetadm is fetching"), "{error}");
        first.place(0, "x", 0o644).unwrap();
        // A run that was killed leaves its files, and no lock.
        let Stage { ref directory, .. } = first;
        let directory = directory.clone();
        drop(first);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("7"), "half").unwrap();
        drop(sandbox.stage().unwrap());
        assert!(!directory.exists());
    }
}
