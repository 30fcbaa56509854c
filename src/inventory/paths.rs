//! Paths on the workstation: `~`, relative to the inventory, and whether something is there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::{Fault, quoted};

/// Where relative paths start.
pub(super) struct Paths {
    directory: PathBuf,
    home: Option<PathBuf>,
}

impl Paths {
    pub(super) fn new(directory: &Path) -> Self {
        // A directory that cannot be made absolute is left as it is; opening files will say why.
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        Self { directory, home: std::env::home_dir() }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The absolute path meant by a text; nothing needs to be there.
    pub(super) fn expand(&self, text: &str) -> Result<PathBuf, Fault> {
        let wrong =
            |label: &str| Fault::new(format!("{} is not a usable path", quoted(text)), label);
        if text.is_empty() || text.contains(char::is_control) {
            return Err(wrong("expected a path"));
        }
        let Some(rest) = text.strip_prefix('~') else { return Ok(self.directory.join(text)) };
        if !rest.is_empty() && !rest.starts_with('/') {
            return Err(wrong("`~` means only your own home directory"));
        }
        let home = self.home.as_deref().ok_or_else(|| wrong("there is no home directory"))?;
        Ok(home.join(rest.trim_start_matches('/')))
    }

    /// A file that can be opened.
    pub(super) fn file(&self, text: &str) -> Result<PathBuf, Fault> {
        let path = self.expand(text)?;
        let opened = File::open(&path).and_then(|file| file.metadata());
        match opened {
            Ok(metadata) if metadata.is_dir() => Err(unusable(&path, "it is a directory", "file")),
            Ok(_) => Ok(path),
            Err(error) => Err(unusable(&path, &error.to_string(), "file")),
        }
    }

    /// A file that can be opened, and by nobody but its owner.
    pub(super) fn private_file(&self, text: &str) -> Result<PathBuf, Fault> {
        let path = self.file(text)?;
        let mode = fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
        if mode & 0o077 == 0 {
            return Ok(path);
        }
        let title = format!("{} can be read by others", quoted(&path.to_string_lossy()));
        let fault = Fault::new(title, format!("its mode is {mode:04o}"));
        Err(fault.help("a private key is its owner's alone: `chmod 600` it"))
    }

    /// A directory that can be listed.
    pub(super) fn directory_at(&self, text: &str) -> Result<PathBuf, Fault> {
        let path = self.expand(text)?;
        match fs::read_dir(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(unusable(&path, &error.to_string(), "directory")),
        }
    }

    /// A directory in which nobody but the owner can read a private key (`*.key`, `*.conf`).
    pub(super) fn directory_with_private_keys(&self, text: &str) -> Result<PathBuf, Fault> {
        let path = self.directory_at(text)?;
        match exposed_key(&path, DEEPEST) {
            Ok(None) => Ok(path),
            Ok(Some((key, mode))) => {
                let key = quoted(&key.to_string_lossy());
                let fault = format!("others can read the key in {key}: its mode is {mode:04o}");
                Err(Fault::new(fault, "expected keys that only you can read")
                    .help(format!("chmod 600 {key}")))
            }
            Err(error) => Err(unusable(&path, &error.to_string(), "directory")),
        }
    }
}

/// A PKI has directories for hosts in it, with `pki` below, and `etcd` below that.
const DEEPEST: usize = 4;

/// A file with a key in it, by its name, that others than its owner can read.
fn exposed_key(directory: &Path, deepest: usize) -> io::Result<Option<(PathBuf, u32)>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let metadata = fs::metadata(&path)?;
        let mode = metadata.permissions().mode() & 0o7777;
        let has_key = path.extension().is_some_and(|kind| kind == "key" || kind == "conf");
        if metadata.is_file() && has_key && mode & 0o077 != 0 {
            return Ok(Some((path, mode)));
        }
        if metadata.is_dir()
            && deepest > 1
            && let Some(found) = exposed_key(&path, deepest - 1)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn unusable(path: &Path, why: &str, wanted: &str) -> Fault {
    let path = quoted(&path.to_string_lossy());
    Fault::new(
        format!("cannot read {path}: {why}"),
        format!("expected a {wanted} on this workstation"),
    )
    .help("relative paths start at the inventory's directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_others_can_read_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("cp-1/pki/etcd/peer.key");
        fs::create_dir_all(key.parent().unwrap()).unwrap();
        fs::write(&key, "").unwrap();
        let paths = Paths { directory: directory.path().to_owned(), home: None };
        let check = |mode| {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            paths.directory_with_private_keys(".").is_ok()
        };
        assert!(check(0o600) && check(0o400) && !check(0o640) && !check(0o604));
        fs::write(directory.path().join("ca.crt"), "").unwrap();
        assert!(check(0o600), "certificates are public");
    }

    #[test]
    fn expands() {
        let paths = Paths { directory: "/inventory".into(), home: Some("/home/me".into()) };
        for (text, path) in
            [("a/b", "/inventory/a/b"), ("/a", "/a"), ("~", "/home/me"), ("~/a", "/home/me/a")]
        {
            assert_eq!(paths.expand(text).unwrap(), Path::new(path));
        }
        assert!(paths.expand("~you/a").is_err() && paths.expand("").is_err());
    }
}
