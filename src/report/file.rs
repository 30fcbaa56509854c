//! Files that an operator asks for by name: a page, a document for a CI system. Never for secrets: whoever the umask
//! lets may read them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Put `content` in place of what is at `path`, all of it or nothing: it is written beside it and then renamed. The mode
/// is 0644 less the umask. A path that is no regular file (`/dev/stdout`, a pipe) is written to as it is.
///
/// # Errors
/// The directory or the file cannot be written to; the error names the file.
pub fn write_file(path: &Path, content: &str) -> io::Result<()> {
    let at = |error| at(path, &error);
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let written = OpenOptions::new().write(true).open(path);
        return written.and_then(|mut file| file.write_all(content.as_bytes())).map_err(at);
    }
    // Beside the file itself where the path is a link, so that the link stays.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    replace(&target, 0o644, content.as_bytes()).map_err(at)
}

/// Put `content` in place of the file at `path`, all of it or nothing, with this mode less the umask.
pub(super) fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()
    };
    let written = write().and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // It may never have been made.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// The same error, with the file it is about.
pub(super) fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn replaces_a_file_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        let link = directory.path().join("latest.html");
        symlink(&path, &link).unwrap();
        for (path, content) in [(&path, "one"), (&path, "two"), (&link, "three")] {
            write_file(path, content).unwrap();
            assert_eq!(fs::read_to_string(path).unwrap(), content);
        }
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o133, 0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().join("absent/report.html"), directory.path().to_owned()] {
            let error = write_file(&path, "").unwrap_err().to_string();
            assert!(error.starts_with(&path.display().to_string()), "{error}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
