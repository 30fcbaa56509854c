//! Large files on a host. Those of the workstation are compared without reading them where that is enough, and streamed
//! where they differ; those of a mirror the host fetches itself.
//!
//! Must never hold a large file in memory, nor let a host use what a mirror gave before its checksum is right.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::OnceCell;

use super::change::{FileAction, FileChange};
use super::files::check_paths;
use super::{Node, NodeError, Source};

/// A large file on the workstation, hashed once for all hosts, and only if a host asks for it.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    size: u64,
    /// Seconds since 1970.
    modified: u64,
    sha256: OnceCell<String>,
}

impl LocalFile {
    /// Look at a file.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, NodeError> {
        let path = path.into();
        let looked = tokio::fs::metadata(&path).await;
        let metadata = looked.map_err(|source| NodeError::local(&path, source))?;
        // A time before 1970 fits no file of a host, which is then hashed.
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.map_or(0, |since| since.as_secs());
        Ok(Self { path, size: metadata.len(), modified, sha256: OnceCell::new() })
    }

    /// SHA-256 in lower-case hex.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn sha256(&self) -> Result<&str, NodeError> {
        let hash = || async {
            let path = self.path.clone();
            let task = tokio::task::spawn_blocking(move || sha256_of(&path)).await;
            task.unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(|source| NodeError::local(&self.path, source))
        };
        Ok(self.sha256.get_or_try_init(hash).await?)
    }
}

/// A large file that hosts fetch from a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// `http` or `https`, without a password.
    pub url: String,
    /// SHA-256 of the content in lower-case hex.
    pub sha256: String,
}

/// When a host gives a mirror up.
#[derive(Debug, Clone, Copy)]
pub struct DownloadLimits {
    /// Nothing has come for so long, in whole seconds; not where the host has only BusyBox's wget.
    pub stall: Duration,
    /// It has taken so long in all, in whole seconds.
    pub total: Duration,
    /// The file is larger than so many bytes.
    pub size: u64,
}

impl Default for DownloadLimits {
    /// Far from what any release of Kubernetes needs.
    fn default() -> Self {
        let (stall, total) = (Duration::from_secs(15), Duration::from_secs(3600));
        Self { stall, total, size: 1 << 30 }
    }
}

/// What a host has in place of a file.
#[derive(Debug, PartialEq, Eq)]
enum Present<'a> {
    Missing,
    /// Size and time of change are the file's.
    Alike {
        mode: u32,
    },
    Hashed {
        sha256: &'a str,
        mode: u32,
    },
}

impl Node {
    /// Put a large file in place, unless it is there already. Same guarantees as [`Node::install`].
    ///
    /// A file of the same size and time of change counts as the same, as it does for rsync; any other is hashed. What is
    /// installed gets the time of change of the file it was made from.
    ///
    /// # Errors
    /// The file cannot be read, or what the host said.
    pub async fn install_binary(
        &self,
        local: &LocalFile,
        path: &str,
        mode: u32,
    ) -> Result<FileChange, NodeError> {
        check_paths([path].into_iter())?;
        let (modified, octal) = (local.modified.to_string(), format!("{mode:o}"));
        let alike = format!("{}:{modified}", local.size);
        let answer = self.call(&["checksum", &alike, path]).await?;
        let lines = self.lines("checksum", &answer)?;
        let present = lines.first().and_then(|(word, rest)| parse_present(word, rest));
        let action = match present {
            Some(Present::Missing) => FileAction::Created,
            Some(Present::Alike { mode: present }) if present == mode => FileAction::Unchanged,
            Some(Present::Hashed { sha256, mode: present })
                if present == mode && sha256 == local.sha256().await? =>
            {
                FileAction::Unchanged
            }
            Some(Present::Alike { .. } | Present::Hashed { .. }) => FileAction::Changed,
            None => {
                let line = lines.first().map_or("", |(_, rest)| rest);
                return Err(self.unexpected("checksum", line));
            }
        };
        if action == FileAction::Unchanged {
            return Ok(FileChange { path: path.to_owned(), action, detail: None });
        }
        let sha256 = local.sha256().await?;
        if !self.is_dry_run() {
            let arguments = ["receive", path, &octal, sha256, &modified];
            self.feed(&arguments, Source::File(&local.path)).await?;
        }
        Ok(FileChange { path: path.to_owned(), action, detail: Some(format!("sha256 {sha256}")) })
    }

    /// Let the host fetch a large file, unless it has that content, mode and owner already. Same guarantees as
    /// [`Node::install`]; what does not have its checksum changes nothing.
    ///
    /// # Errors
    /// The mirror does not give it within `limits`, gives something else, or the host has neither curl nor wget.
    pub async fn download(
        &self,
        download: &Download,
        path: &str,
        mode: u32,
        limits: DownloadLimits,
    ) -> Result<FileChange, NodeError> {
        check_paths([path].into_iter())?;
        let Download { url, sha256 } = download;
        let (octal, blocks) = (format!("{mode:o}"), (limits.size / 512).to_string());
        let [stall, total] = [limits.stall, limits.total].map(|limit| limit.as_secs().to_string());
        let arguments = ["download", path, url, &octal, sha256, &stall, &total, &blocks];
        let answer = self.call(&arguments).await?;
        let lines = self.lines("download", &answer)?;
        let word = lines.first().map_or("", |(word, _)| word);
        let action = FileAction::of(word).ok_or_else(|| self.unexpected("download", word))?;
        let detail = format!("from {url}, sha256 {sha256}");
        let detail = (action != FileAction::Unchanged).then_some(detail);
        Ok(FileChange { path: path.to_owned(), action, detail })
    }
}

/// `missing PATH`, `alike MODE PATH` or `sha256 SUM MODE PATH`.
fn parse_present<'a>(word: &str, rest: &'a str) -> Option<Present<'a>> {
    let mut fields = rest.split(' ');
    let mut octal = || u32::from_str_radix(fields.next()?, 8).ok();
    match word {
        "missing" => Some(Present::Missing),
        "alike" => Some(Present::Alike { mode: octal()? }),
        "sha256" => {
            let sha256 = fields.next()?;
            let is_hash = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
            let mode = u32::from_str_radix(fields.next()?, 8).ok()?;
            is_hash.then_some(Present::Hashed { sha256, mode })
        }
        _ => None,
    }
}

pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => context.update(&buffer[..read]),
        }
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parsed_or_refused() {
        let sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(parse_present("missing", "/a b"), Some(Present::Missing));
        assert_eq!(parse_present("alike", "755 /a b"), Some(Present::Alike { mode: 0o755 }));
        let hashed = format!("{sum} 700 /a b");
        assert_eq!(
            parse_present("sha256", &hashed),
            Some(Present::Hashed { sha256: sum, mode: 0o700 })
        );
        for (word, rest) in [("alike", "x /a"), ("sha256", "12 755 /a"), ("other", "755 /a")] {
            assert_eq!(parse_present(word, rest), None, "{word} {rest}");
        }
    }
}
