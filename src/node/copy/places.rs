//! Where what a host has gets on the workstation. Pure, and strict: listings are untrusted.

use super::listing::{Found, FoundKind, Listing};
use super::{CopyError, RESERVED};

/// Something on a host that has a place on the workstation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// As the host names it.
    pub(super) remote: String,
    /// Below the host's own directory.
    pub(super) local: String,
    pub(super) kind: FoundKind,
    /// Permission bits.
    pub(super) mode: u32,
}

/// A path as the script is asked for it.
pub(super) fn usable(path: &str) -> Result<String, CopyError> {
    let wrong = |why: &str| CopyError::Usage(format!("`{path}`: {why}"));
    if path.is_empty() || path.contains(char::is_control) {
        return Err(wrong("expected a path on the hosts"));
    }
    if path.starts_with('~') {
        return Err(wrong(
            "leave `~/` out; without a leading `/` it is relative to the login directory",
        ));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let Some(first) = parts.first() else {
        return Err(wrong("name a file or directory in it"));
    };
    if parts.contains(&"..") {
        return Err(wrong("write it without `..`"));
    }
    if first.starts_with(RESERVED) {
        return Err(wrong("names that begin like this are for files on their way"));
    }
    let start = if path.starts_with('/') { "/" } else { "./" };
    Ok(format!("{start}{}", parts.join("/")))
}

/// Where a path lies below the host's directory.
pub(super) fn place(path: &str) -> &str {
    path.strip_prefix("./").or_else(|| path.strip_prefix('/')).unwrap_or(path)
}

pub(super) fn is_within(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a host has of what was asked for.
pub(super) struct Items {
    /// Each directory comes before what is in it.
    pub(super) items: Vec<Item>,
    /// Links that lead elsewhere, as `path -> target`.
    pub(super) left_out: Vec<String>,
}

impl Items {
    /// Check that a listing is one of these paths and what is below them, and find each its place.
    pub(super) fn new(asked: &[String], listing: &Listing) -> Result<Self, CopyError> {
        for path in asked {
            if !listing.entries.contains_key(path) {
                return Err(CopyError::Refused(format!("a listing without `{path}`")));
            }
        }
        let mut all = Self { items: Vec::new(), left_out: Vec::new() };
        for (path, found) in &listing.entries {
            let local = place(path);
            if local.split('/').any(|part| part.starts_with(RESERVED)) {
                // Another run's, on their way.
                continue;
            }
            if !asked.contains(path) {
                check_place(asked, path, listing)?;
            }
            all.add(path, local, found)?;
        }
        Ok(all)
    }

    fn add(&mut self, path: &str, local: &str, found: &Found) -> Result<(), CopyError> {
        match &found.kind {
            FoundKind::Special => {
                return Err(CopyError::conflict(
                    path,
                    "is a device, a socket or a pipe on the host; it cannot be fetched",
                ));
            }
            FoundKind::Link { target } if !stays_inside(local, target) => {
                self.left_out.push(format!("{path} -> {target}"));
                return Ok(());
            }
            _ => {}
        }
        let mode = match found.kind {
            // Whoever fetches again has to get in.
            FoundKind::Directory => found.mode & 0o777 | 0o700,
            _ => found.mode & 0o777,
        };
        let (remote, local) = (path.to_owned(), local.to_owned());
        self.items.push(Item { remote, local, kind: found.kind.clone(), mode });
        Ok(())
    }
}

/// What was not asked for by name has to lie in a directory that is listed, too.
fn check_place(asked: &[String], path: &str, listing: &Listing) -> Result<(), CopyError> {
    let parent = path.rsplit_once('/').map(|(parent, _)| parent);
    let parent = parent.and_then(|parent| listing.entries.get(parent));
    let is_plain = !place(path).split('/').any(|part| matches!(part, "" | "." | ".."));
    let is_asked = asked.iter().any(|asked| is_within(path, asked));
    let in_directory = parent.is_some_and(|parent| parent.kind == FoundKind::Directory);
    if is_plain && is_asked && in_directory {
        Ok(())
    } else {
        Err(CopyError::Refused(format!("`{path}`, which was not asked for")))
    }
}

/// Whether a link at `path` leads to something below the directory that `path` is relative to. Only `..` in front are
/// followed: behind a name that may be a link itself nobody knows where they lead.
fn stays_inside(path: &str, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains(char::is_control) {
        return false;
    }
    let depth = path.split('/').count() - 1;
    let up = target
        .split('/')
        .take_while(|part| matches!(*part, "." | ".."))
        .filter(|part| *part == "..")
        .count();
    let rest = target.split('/').skip_while(|part| matches!(*part, "." | ".."));
    up <= depth && !rest.into_iter().any(|part| part == "..")
}

pub(super) fn left_out_warning(left_out: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    let more = left_out.len().saturating_sub(SHOWN);
    let shown = left_out[..left_out.len() - more].join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!left_out.is_empty()).then(|| {
        format!(
            "symbolic links that lead out of what belongs to the host are left out: {shown}{more}"
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(kind: FoundKind, mode: u32) -> Found {
        let (user, group) = ("root".to_owned(), "root".to_owned());
        Found { kind, mode, uid: 0, gid: 0, user, group }
    }

    fn file() -> Found {
        found(FoundKind::File { size: 1 }, 0o4644)
    }

    fn directory() -> Found {
        found(FoundKind::Directory, 0o2555)
    }

    fn link(target: &str) -> Found {
        found(FoundKind::Link { target: target.to_owned() }, 0o777)
    }

    fn items(asked: &[&str], entries: &[(&str, Found)]) -> Result<Items, String> {
        let asked: Vec<String> = asked.iter().map(|path| usable(path).unwrap()).collect();
        let entries = entries.iter().map(|(path, found)| ((*path).to_owned(), found.clone()));
        let listing = Listing { uid: None, entries: entries.collect() };
        Items::new(&asked, &listing).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_are_made_plain() {
        for (path, asked) in [
            ("/etc//hosts", "/etc/hosts"),
            ("/var/log/", "/var/log"),
            ("a/./b", "./a/b"),
            ("./-x", "./-x"),
        ] {
            assert_eq!(usable(path).unwrap(), asked);
        }
        for path in ["", "/", ".", "./", "a/../b", "/..", "~/x", "a\nb", ".fleetadm-copy-1/x"] {
            assert!(usable(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn everything_asked_for_gets_its_place() {
        let found = items(
            &["/etc/app", "notes"],
            &[
                ("./notes", file()),
                ("/etc/app", directory()),
                ("/etc/app/.fleetadm-copy-12-x", directory()),
                ("/etc/app/.fleetadm-copy-12-x/0", file()),
                ("/etc/app/conf", file()),
                ("/etc/app/link", link("conf")),
                ("/etc/app/out", link("/etc/shadow")),
            ],
        )
        .unwrap();
        let show = |item: &Item| format!("{} {} {:o}", item.remote, item.local, item.mode);
        let shown: Vec<String> = found.items.iter().map(show).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        ./notes notes 644
        /etc/app etc/app 755
        /etc/app/conf etc/app/conf 644
        /etc/app/link etc/app/link 777
        ");
        insta::assert_snapshot!(left_out_warning(&found.left_out).unwrap(), @"symbolic links that lead out of what belongs to the host are left out: /etc/app/out -> /etc/shadow");
        let many: Vec<String> = (0..5).map(|number| number.to_string()).collect();
        assert!(left_out_warning(&many).unwrap().ends_with("0, 1, 2 and 2 more"));
        assert_eq!(left_out_warning(&[]), None);
    }

    #[test]
    fn nothing_else_does() {
        let dir = || ("/d", directory());
        for (entries, words) in [
            (vec![], "a listing without `/d`"),
            (vec![dir(), ("/etc/passwd", file())], "`/etc/passwd`, which was not asked for"),
            (vec![dir(), ("/d/../etc/passwd", file())], "not asked for"),
            (vec![dir(), ("/d/..", file())], "not asked for"),
            (vec![dir(), ("/d//x", file())], "not asked for"),
            (vec![dir(), ("/dx", file())], "not asked for"),
            (vec![dir(), ("/d/missing/x", file())], "not asked for"),
            (vec![dir(), ("/d/l", link(".")), ("/d/l/x", file())], "not asked for"),
            (vec![("/d", file()), ("/d/x", file())], "not asked for"),
            (vec![dir(), ("/d/pipe", found(FoundKind::Special, 0o600))], "it cannot be fetched"),
        ] {
            let error = items(&["/d"], &entries).err().unwrap();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn links_stay_inside() {
        for (path, target) in [
            ("a", "b"),
            ("a", "b/c"),
            ("a/b", "../c"),
            ("a/b/c", "../../d"),
            ("a/b", "./../c"),
            ("a/b", "."),
            ("a/b", ".."),
        ] {
            assert!(stays_inside(path, target), "{path} {target}");
        }
        for (path, target) in [
            ("a", ".."),
            ("a", "../b"),
            ("a/b", "../../c"),
            ("a/b", "/etc"),
            ("a", ""),
            ("a/b", "c/../../.."),
            ("a/b", "c/.."),
            ("a", "b\n"),
        ] {
            assert!(!stays_inside(path, target), "{path} {target}");
        }
    }

    proptest! {
        #[test]
        fn every_place_is_below_the_hosts_directory(
            paths in prop::collection::btree_map("[/.]?[a/.]{0,10}", any::<bool>(), 0..8),
        ) {
            let entries = paths.iter().map(|(path, is_file)| {
                (path.as_str(), if *is_file { file() } else { directory() })
            });
            let mut entries: Vec<_> = entries.collect();
            entries.push(("/a", directory()));
            if let Ok(found) = items(&["/a"], &entries) {
                for item in found.items {
                    let parts: Vec<&str> = item.local.split('/').collect();
                    prop_assert!(parts[0] == "a" && !parts.contains(&"..") && !parts.contains(&""));
                }
            }
        }
    }
}
