//! Paths on the workstation: `~`, relative to the inventory, and whether something is there.

use std::fs::{self, File};
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

    /// A directory that can be listed.
    pub(super) fn directory_at(&self, text: &str) -> Result<PathBuf, Fault> {
        let path = self.expand(text)?;
        match fs::read_dir(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(unusable(&path, &error.to_string(), "directory")),
        }
    }
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
