//! A known_hosts file opened for adding lines, one fleetadm at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use super::file::Stamp;

/// How often the file may be replaced by others between opening and locking it.
const ATTEMPTS: usize = 10;

/// The open file. Other fleetadm processes wait until it is dropped; OpenSSH's programs do not, and need not:
/// a line is added by one write.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
}

impl Writer {
    /// Open `path`, and make it and its directory where they are missing, for the operator's eyes only. May wait for
    /// another process.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        make_directory(path)?;
        for _ in 0..ATTEMPTS {
            let file =
                OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::Error::other(
                    "is not a file that keeps what is written; set known_hosts under [ssh]",
                ));
            }
            match file.lock() {
                // Some network file systems cannot lock; the single write is what matters.
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                _ => {}
            }
            // A file that was replaced while this waited would swallow the line.
            if fs::metadata(path)
                .is_ok_and(|now| Stamp::from(&now).same_file(&Stamp::from(&metadata)))
            {
                return Ok(Self { file });
            }
        }
        Err(io::Error::other("is replaced by another program again and again"))
    }

    /// What the file looks like now.
    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        Ok(Stamp::from(&self.file.metadata()?))
    }

    /// The whole file as text.
    pub(super) fn read(&mut self) -> io::Result<String> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Put another file with `text` and the same permissions in place of this one, all at once.
    pub(super) fn replace(&mut self, path: &Path, text: &str) -> io::Result<()> {
        // A link stays one.
        let path = fs::canonicalize(path)?;
        let mut name = path.clone().into_os_string();
        name.push(format!(".{}", std::process::id()));
        let temporary = Path::new(&name);
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
            file.write_all(text.as_bytes())?;
            let before = self.file.metadata()?;
            // Root may edit what is another's; for everybody else it is theirs already.
            let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
            file.set_permissions(before.permissions())?;
            file.sync_all()?;
            fs::rename(temporary, &path)
        })();
        if written.is_err() {
            // What is left over matters less than what went wrong.
            let _ = fs::remove_file(temporary);
        }
        written?;
        *self = Self::open(&path)?;
        Ok(())
    }

    /// The file, to read it.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Add `line` in one write, behind a newline where the last line has none.
    pub(super) fn append(&mut self, line: &str) -> io::Result<()> {
        let newline = if self.ends_a_line()? { "" } else { "\n" };
        let text = format!("{newline}{line}\n");
        if self.file.write(text.as_bytes())? < text.len() {
            // What was written is no key, or not this one.
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn ends_a_line(&self) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        let mut last = [b'\n'];
        if length > 0 {
            self.file.read_exact_at(&mut last, length - 1)?;
        }
        Ok(last == [b'\n'])
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty())
    else {
        return Ok(());
    };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
