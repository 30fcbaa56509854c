//! One known_hosts file as this run knows it: read once, and again before something is added to it.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use russh::keys::PublicKey;

use super::entries::Entries;
use super::entry::{Entry, parse};
use super::pattern::HostPatterns;
use super::writer::Writer;

/// A known_hosts file. A missing one is an empty one.
#[derive(Debug)]
pub(super) struct KnownHostsFile {
    path: PathBuf,
    contents: Mutex<Contents>,
}

#[derive(Debug)]
struct Contents {
    /// What the file looked like when it was read; `None` for a missing one.
    stamp: Option<Stamp>,
    /// What stands in it, or why it cannot be used.
    entries: Result<Entries, String>,
    /// How many lines it has.
    lines: usize,
}

/// Tells a file from what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Whether both are of one file, whatever was written to it in between.
    pub(super) fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Contents {
    fn read(file: &mut File) -> io::Result<Self> {
        let stamp = Stamp::from(&file.metadata()?);
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let entries = parse(&text).map(|entries| entries.into_iter().collect());
        Ok(Self { stamp: Some(stamp), entries, lines: text.lines().count() })
    }

    fn without_entries(entries: Result<Entries, String>) -> Self {
        Self { stamp: None, entries, lines: 0 }
    }
}

impl KnownHostsFile {
    /// Read and parse `path`.
    pub(super) fn read(path: &Path) -> Self {
        let contents = match File::open(path).and_then(|mut file| Contents::read(&mut file)) {
            Ok(contents) => contents,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Contents::without_entries(Ok(Entries::default()))
            }
            Err(error) => {
                Contents::without_entries(Err(format!("cannot read known hosts: {error}")))
            }
        };
        Self { path: path.to_owned(), contents: Mutex::new(contents) }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Show every entry that may be about one of `names` to `look`. The error is why the file cannot be used.
    pub(super) fn about<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
        look: impl FnMut(&Entry),
    ) -> Result<(), String> {
        match &self.contents().entries {
            Ok(entries) => {
                entries.about(names).for_each(look);
                Ok(())
            }
            Err(reason) => Err(reason.clone()),
        }
    }

    /// See what others have written since the file was read.
    pub(super) fn refresh(&self, writer: &mut Writer) -> io::Result<()> {
        let mut contents = self.contents();
        if contents.stamp != Some(writer.stamp()?) {
            *contents = Contents::read(writer.file())?;
        }
        Ok(())
    }

    /// Add a line that says that `name` has `key`.
    pub(super) fn append(
        &self,
        writer: &mut Writer,
        name: &str,
        key: &PublicKey,
    ) -> io::Result<()> {
        let encoded = PublicKey::from(key.key_data().clone()).to_openssh();
        writer.append(&format!("{name} {}", encoded.map_err(io::Error::other)?))?;
        let mut contents = self.contents();
        contents.stamp = Some(writer.stamp()?);
        contents.lines += 1;
        let line = contents.lines;
        if let (Ok(entries), Some(hosts)) = (&mut contents.entries, HostPatterns::parse(name)) {
            entries.push(Entry { line, marker: None, hosts, key: key.clone() });
        }
        Ok(())
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
