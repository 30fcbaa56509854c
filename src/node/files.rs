//! Files on a host: put in place atomically, read, compared, removed.
//!
//! Must never hold a large file in memory, and never show what a secret contains.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::change::{FileAction, FileChange};
use super::diff::{self, Wanted};
use super::{Change, Node, NodeError, Source};

/// A file as it should be. It belongs to root.
#[derive(Clone)]
pub struct NodeFile {
    /// Absolute path on the host.
    pub path: String,
    /// The whole content.
    pub content: Zeroizing<Vec<u8>>,
    /// Permission bits.
    pub mode: u32,
    /// The content is never shown.
    pub secret: bool,
}

impl NodeFile {
    /// A file that everybody may see.
    pub fn public(path: impl Into<String>, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        let content = Zeroizing::new(content.into());
        Self { path: path.into(), content, mode, secret: false }
    }

    /// A file whose content is never shown.
    pub fn secret(path: impl Into<String>, content: Zeroizing<Vec<u8>>, mode: u32) -> Self {
        Self { path: path.into(), content, mode, secret: true }
    }
}

impl fmt::Debug for NodeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeFile")
            .field("path", &self.path)
            .field("content", &format_args!("{} bytes", self.content.len()))
            .field("mode", &format_args!("{:o}", self.mode))
            .field("secret", &self.secret)
            .finish()
    }
}

/// A directory as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDirectory {
    /// Absolute path on the host.
    pub path: String,
    /// Permission bits it is made with.
    pub mode: u32,
    /// Also change the mode of one that exists.
    pub enforce: bool,
}

impl NodeDirectory {
    /// A directory that keeps its mode when it exists.
    pub fn new(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, enforce: false }
    }
}

/// Directories and files that are put in place together.
#[derive(Debug, Clone, Default)]
pub struct FileBatch {
    /// Made first, in this order. Other missing parents are made with mode 0755.
    pub directories: Vec<NodeDirectory>,
    /// In this order; none is replaced before all of them are safely on the host's disk.
    pub files: Vec<NodeFile>,
}

impl FileBatch {
    fn paths(&self) -> impl Iterator<Item = &str> {
        let directories = self.directories.iter().map(|directory| directory.path.as_str());
        directories.chain(self.files.iter().map(|file| file.path.as_str()))
    }

    /// As the payload wants it: members by number, and last a manifest that says what they are.
    fn to_tar(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut manifest = String::new();
        for directory in &self.directories {
            let kind = if directory.enforce { "enforce" } else { "directory" };
            manifest += &format!("{kind}\t{:o}\t-\t{}\n", directory.mode, directory.path);
        }
        for (member, file) in self.files.iter().enumerate() {
            manifest += &format!("file\t{:o}\t{member}\t{}\n", file.mode, file.path);
        }
        let contents = || self.files.iter().map(|file| file.content.as_slice());
        // Sized at once: a vector that grows leaves copies of its secrets behind.
        let size = contents()
            .chain([manifest.as_bytes()])
            .map(|content| 512 + content.len().next_multiple_of(512))
            .sum::<usize>()
            + 1024;
        let mut buffer = Zeroizing::new(Vec::with_capacity(size));
        {
            let mut builder = tar::Builder::new(&mut *buffer);
            let mut append = |name: &str, content: &[u8]| {
                let mut header = tar::Header::new_ustar();
                header.set_size(content.len() as u64);
                header.set_mode(0o600);
                builder.append_data(&mut header, name, content)
            };
            for (member, content) in contents().enumerate() {
                append(&member.to_string(), content)?;
            }
            append("manifest", manifest.as_bytes())?;
            builder.finish()?;
        }
        debug_assert_eq!(buffer.len(), size);
        Ok(buffer)
    }
}

/// A file as it is on a host.
#[derive(Clone)]
pub struct RemoteFile {
    /// The whole content.
    pub content: Zeroizing<Vec<u8>>,
    /// Permission bits.
    pub mode: u32,
}

impl fmt::Debug for RemoteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteFile({} bytes, mode {:o})", self.content.len(), self.mode)
    }
}

/// What is there, before it is judged.
#[derive(Default)]
pub(super) struct Present {
    pub(super) files: BTreeMap<String, RemoteFile>,
    /// Directories and their modes.
    pub(super) directories: BTreeMap<String, u32>,
    /// Not root's own.
    pub(super) foreign: BTreeSet<String>,
}

impl Node {
    /// Put files and directories in place. Only what differs is touched: atomically, flushed to disk,
    /// and nothing at all when any of it does not fit. Says what happened to each, in order.
    pub async fn install(&self, batch: &FileBatch) -> Result<Vec<FileChange>, NodeError> {
        check_paths(batch.paths())?;
        let planned = if self.show_diff { Some(self.plan(batch).await?) } else { None };
        if let Some(planned) = planned.clone().filter(|_| self.is_dry_run()) {
            return Ok(planned);
        }
        let tar = batch.to_tar().map_err(|error| NodeError::local(Path::new("batch"), error))?;
        let answer = self.feed(&["install"], Source::Bytes(Bytes::from_owner(tar))).await?;
        let mut actions = BTreeMap::new();
        for (word, path) in self.lines("install", &answer)? {
            let action = FileAction::of(word);
            actions.insert(path, action.ok_or_else(|| self.unexpected("install", word))?);
        }
        let mut details: BTreeMap<_, _> =
            planned.into_iter().flatten().map(|change| (change.path, change.detail)).collect();
        batch
            .paths()
            .map(|path| {
                let action = *actions
                    .get(path)
                    .ok_or_else(|| self.unexpected("install", &format!("nothing about {path}")))?;
                let detail = details.remove(path).flatten();
                Ok(FileChange { path: path.to_owned(), action, detail })
            })
            .collect()
    }

    /// What installing would change. Touches nothing.
    pub async fn plan(&self, batch: &FileBatch) -> Result<Vec<FileChange>, NodeError> {
        let paths: Vec<_> = batch.paths().collect();
        let present = self.look(&paths).await?;
        let directories = batch.directories.iter().map(|directory| {
            let action = match present.directories.get(&directory.path) {
                None => FileAction::Created,
                Some(mode) if directory.enforce && *mode != directory.mode => FileAction::Changed,
                Some(_) => FileAction::Unchanged,
            };
            FileChange { path: directory.path.clone(), action, detail: None }
        });
        let files = batch.files.iter().map(|file| {
            let wanted = Wanted {
                path: &file.path,
                content: &file.content,
                mode: file.mode,
                secret: file.secret,
            };
            let foreign = present.foreign.contains(&file.path);
            diff::compare(&wanted, present.files.get(&file.path), foreign)
        });
        Ok(directories.chain(files).collect())
    }

    /// Read those of these files that exist (each up to 16 MiB).
    pub async fn read(&self, paths: &[&str]) -> Result<BTreeMap<String, RemoteFile>, NodeError> {
        Ok(self.look(paths).await?.files)
    }

    async fn look(&self, paths: &[&str]) -> Result<Present, NodeError> {
        if paths.is_empty() {
            return Ok(Present::default());
        }
        check_paths(paths.iter().copied())?;
        let mut arguments = vec!["read"];
        arguments.extend(paths);
        let answer = self.call(&arguments).await?;
        parse_present(&answer).ok_or_else(|| self.unexpected("read", "not a list of files"))
    }

    /// Remove those of these files that exist. Directories are refused.
    pub async fn remove(&self, paths: &[&str]) -> Result<Vec<Change>, NodeError> {
        check_paths(paths.iter().copied())?;
        self.report("remove", paths, &[("removed", "remove")]).await
    }
}

pub(super) fn check_paths<'a>(paths: impl Iterator<Item = &'a str>) -> Result<(), NodeError> {
    for path in paths {
        let parts = || path.split('/').skip(1);
        let usable = path.starts_with('/')
            && path.len() < 4096
            && !path.contains(char::is_control)
            && parts().all(|part| !matches!(part, "" | "." | ".."));
        if !usable {
            return Err(NodeError::Path { path: path.chars().take(200).collect() });
        }
    }
    Ok(())
}

/// `file MODE OWNER SIZE PATH`, content and a newline for each, then `end`.
fn parse_present(mut answer: &[u8]) -> Option<Present> {
    let mut present = Present::default();
    loop {
        let end = answer.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&answer[..end]).ok()?;
        answer = &answer[end + 1..];
        if line == "end" {
            return answer.is_empty().then_some(present);
        }
        let mut fields = line.splitn(5, ' ');
        let kind = fields.next()?;
        let mode = u32::from_str_radix(fields.next()?, 8).ok()?;
        let owner = fields.next()?;
        let size: usize = fields.next()?.parse().ok()?;
        let path = fields.next()?.to_owned();
        if owner != "0:0" {
            present.foreign.insert(path.clone());
        }
        match kind {
            "directory" => {
                present.directories.insert(path, mode);
            }
            "file" => {
                let (content, rest) = answer.split_at_checked(size)?;
                answer = rest.strip_prefix(b"\n")?;
                let content = Zeroizing::new(content.to_vec());
                present.files.insert(path, RemoteFile { content, mode });
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_fits_the_buffer_it_was_given() {
        let mut batch = FileBatch::default();
        for size in [0, 1, 511, 512, 513, 70_000] {
            batch.files.push(NodeFile::public(format!("/{size}"), vec![1; size], 0o644));
        }
        let tar = batch.to_tar().unwrap();
        assert_eq!(tar.len(), tar.capacity());
    }

    #[test]
    fn paths_are_checked() {
        for path in ["", "relative", "/a/../b", "/a//b", "/a\nb", "/a/./b", "/", "/a/"] {
            assert!(check_paths([path].into_iter()).is_err(), "{path:?}");
        }
        assert!(check_paths(["/with space/ü"].into_iter()).is_ok());
    }

    #[test]
    fn debug_shows_no_content() {
        let file = NodeFile::secret("/k", Zeroizing::new(b"hush".to_vec()), 0o600);
        assert!(!format!("{file:?}").contains("104"));
        assert!(!format!("{file:?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn any_answer_is_parsed_or_refused(
            answer in proptest::collection::vec(any::<u8>(), 0..200),
            size in any::<u64>(),
        ) {
            let _ = parse_present(&answer);
            let mut framed = format!("file 644 0:0 {size} /x\n").into_bytes();
            framed.extend(&answer);
            let _ = parse_present(&framed);
        }
    }
}
