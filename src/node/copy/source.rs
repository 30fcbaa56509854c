//! What is to be copied from the workstation: a tree that is walked and hashed once for all hosts.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::binaries::sha256_of;
use super::{CopyError, RESERVED};

/// Permission bits that are kept. Set-user-id and the like mean something else on another host.
const KEPT_BITS: u32 = 0o777;

/// Something as it should be on the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Below the destination's root, without `.`.
    pub(super) path: String,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File {
        /// On the workstation.
        source: PathBuf,
        /// In bytes.
        size: u64,
        /// In lower-case hex.
        sha256: String,
    },
    Directory,
    Link {
        target: String,
    },
}

/// Where things go on the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// The directory that everything lies below; relative to where the login user starts, or absolute.
    pub(super) root: String,
    /// The name there of the only source; `None` where sources keep their own.
    pub(super) name: Option<String>,
}

impl Destination {
    /// What a `DEST` argument means: the name of the copy, or, ending with `/` or for several sources, a directory for them.
    pub(super) fn parse(text: &str, several: bool) -> Result<Self, CopyError> {
        let wrong = |why: &str| CopyError::Usage(format!("destination `{text}`: {why}"));
        if text.is_empty() || text.contains(char::is_control) {
            return Err(wrong("expected a path"));
        }
        if text.starts_with('~') {
            return Err(wrong(
                "leave `~/` out; without a leading `/` it is relative to the login directory",
            ));
        }
        let last = text.rsplit('/').next().unwrap_or(text);
        if several || matches!(last, "" | "." | "..") {
            let root = match text.trim_end_matches('/') {
                "" => "/",
                root => root,
            };
            return Ok(Self { root: root.to_owned(), name: None });
        }
        let root = match text.rsplit_once('/') {
            None => ".",
            Some((root, _)) if root.trim_end_matches('/').is_empty() => "/",
            Some((root, _)) => root,
        };
        if last.starts_with(RESERVED) {
            return Err(wrong("names that begin like this are for files on their way"));
        }
        Ok(Self { root: root.to_owned(), name: Some(last.to_owned()) })
    }
}

/// Walk and hash the sources. Each directory comes before what is in it. `mode` is for files, in place of their own.
pub(super) fn scan(
    sources: &[PathBuf],
    destination: &Destination,
    mode: Option<u32>,
) -> Result<Vec<Wanted>, CopyError> {
    let mut walk = Walk { mode, found: Vec::new() };
    for source in sources {
        let name = match &destination.name {
            Some(name) => name.clone(),
            None => own_name(source)?,
        };
        if walk.found.iter().any(|wanted| wanted.path == name) {
            return Err(CopyError::Usage(format!("two sources are called `{name}`")));
        }
        // A link that was named means what it leads to.
        let metadata = fs::metadata(source).map_err(|error| CopyError::local(source, error))?;
        walk.add(source, name, &metadata)?;
    }
    Ok(walk.found)
}

fn own_name(source: &Path) -> Result<String, CopyError> {
    let name = source.file_name().ok_or_else(|| {
        CopyError::Usage(format!(
            "{}: has no name of its own; name the copy in the destination, without a `/` at its end",
            source.display()
        ))
    })?;
    usable_name(source, name)
}

struct Walk {
    mode: Option<u32>,
    found: Vec<Wanted>,
}

impl Walk {
    fn add(&mut self, source: &Path, path: String, metadata: &Metadata) -> Result<(), CopyError> {
        let mode = metadata.permissions().mode() & KEPT_BITS;
        if metadata.is_file() {
            let sha256 = sha256_of(source).map_err(|error| CopyError::local(source, error))?;
            let kind = Kind::File { source: source.to_owned(), size: metadata.len(), sha256 };
            self.found.push(Wanted { path, mode: self.mode.unwrap_or(mode), kind });
            Ok(())
        } else if metadata.is_dir() {
            self.found.push(Wanted { path: path.clone(), mode, kind: Kind::Directory });
            self.add_entries(source, &path)
        } else if metadata.is_symlink() {
            let target = fs::read_link(source).map_err(|error| CopyError::local(source, error))?;
            let target = target.to_str().filter(|target| !target.contains(char::is_control));
            let target = target.ok_or_else(|| unusable(source, "a link to a name"))?.to_owned();
            self.found.push(Wanted { path, mode, kind: Kind::Link { target } });
            Ok(())
        } else {
            Err(CopyError::Usage(format!(
                "{}: is neither a file, nor a directory, nor a symbolic link; it cannot be copied",
                source.display()
            )))
        }
    }

    fn add_entries(&mut self, directory: &Path, path: &str) -> Result<(), CopyError> {
        let failed = |error| CopyError::local(directory, error);
        let entries = fs::read_dir(directory).map_err(failed)?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let source = entry.path();
            let name = usable_name(&source, &entry.file_name())?;
            let metadata = entry.metadata().map_err(|error| CopyError::local(&source, error))?;
            self.add(&source, format!("{path}/{name}"), &metadata)?;
        }
        Ok(())
    }
}

fn usable_name(source: &Path, name: &std::ffi::OsStr) -> Result<String, CopyError> {
    let name = name.to_str().filter(|name| !name.contains(char::is_control));
    let name = name.ok_or_else(|| unusable(source, "a name"))?;
    if name.starts_with(RESERVED) {
        return Err(CopyError::Usage(format!(
            "{}: names that begin with {RESERVED} are for files on their way; rename it or leave it out",
            source.display()
        )));
    }
    Ok(name.to_owned())
}

fn unusable(source: &Path, what: &str) -> CopyError {
    CopyError::Usage(format!(
        "{}: {what} with control characters, or that is not UTF-8, cannot be copied",
        source.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn destinations() {
        for (text, several, root, name) in [
            ("/etc/motd", false, "/etc", Some("motd")),
            ("/etc/", false, "/etc", None),
            ("/etc", true, "/etc", None),
            ("/motd", false, "/", Some("motd")),
            ("//motd", false, "/", Some("motd")),
            ("/", false, "/", None),
            ("motd", false, ".", Some("motd")),
            ("a/b/", true, "a/b", None),
            (".", false, ".", None),
            ("a/..", false, "a/..", None),
        ] {
            let parsed = Destination::parse(text, several).unwrap();
            assert_eq!((parsed.root.as_str(), parsed.name.as_deref()), (root, name), "{text}");
        }
        for text in ["", "~/x", "a\nb", "/x/.fleetadm-copy-1"] {
            assert!(Destination::parse(text, false).is_err(), "{text:?}");
        }
    }

    fn into_root() -> Destination {
        Destination { root: "/r".to_owned(), name: None }
    }

    #[test]
    fn a_tree_is_walked_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("sub")).unwrap();
        fs::write(tree.join("sub/b"), "hello\n").unwrap();
        fs::write(tree.join("a"), "").unwrap();
        fs::set_permissions(tree.join("a"), PermissionsExt::from_mode(0o4750)).unwrap();
        symlink("/nowhere/at all", tree.join("link")).unwrap();
        symlink(&tree, directory.path().join("tree-link")).unwrap();

        let show = |found: Vec<Wanted>| {
            let line = |wanted: &Wanted| match &wanted.kind {
                Kind::File { size, sha256, .. } => {
                    format!("{} {:o} {size} {}", wanted.path, wanted.mode, &sha256[..8])
                }
                Kind::Directory => format!("{}/", wanted.path),
                Kind::Link { target } => format!("{} -> {target}", wanted.path),
            };
            found.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        fs::set_permissions(tree.join("sub/b"), PermissionsExt::from_mode(0o640)).unwrap();
        insta::assert_snapshot!(show(scan(std::slice::from_ref(&tree), &into_root(), None).unwrap()), @r"
        tree/
        tree/a 750 0 e3b0c442
        tree/link -> /nowhere/at all
        tree/sub/
        tree/sub/b 640 6 5891b5b5
        ");
        let named = Destination { root: "/r".to_owned(), name: Some("n".to_owned()) };
        let through_link = [directory.path().join("tree-link")];
        let found = scan(&through_link, &named, Some(0o4600)).unwrap();
        insta::assert_snapshot!(show(found[..2].to_vec()), @r"
        n/
        n/a 4600 0 e3b0c442
        ");
    }

    #[test]
    fn what_cannot_be_copied_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |name: &str| {
            let error = scan(&[directory.path().join(name)], &into_root(), None).unwrap_err();
            error.to_string().replace(&directory.path().display().to_string(), "/tmp")
        };
        insta::assert_snapshot!(refused("absent"), @"/tmp/absent: No such file or directory (os error 2)");
        let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket"));
        insta::assert_snapshot!(refused("socket"), @"/tmp/socket: is neither a file, nor a directory, nor a symbolic link; it cannot be copied");
        for (number, name) in [&b"a\nb"[..], b"\xff", b".fleetadm-copy-1-x"].iter().enumerate() {
            let tree = directory.path().join(number.to_string());
            fs::create_dir(&tree).unwrap();
            fs::write(tree.join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
            assert!(scan(&[tree], &into_root(), None).is_err(), "{name:?}");
        }
        let twice = ["one/x", "two/x"].map(|name| directory.path().join(name));
        for source in &twice {
            fs::create_dir_all(source).unwrap();
        }
        let error = scan(&twice, &into_root(), None).unwrap_err();
        insta::assert_snapshot!(error, @"two sources are called `x`");
        assert!(scan(&[PathBuf::from("/")], &into_root(), None).is_err());
    }
}
