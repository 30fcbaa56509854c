//! What differs between a host and what is wanted there. Pure.

use std::collections::BTreeMap;

use super::CopyError;
use super::listing::{Found, FoundKind, Listing};
use super::source::{Kind, Wanted};

/// Who should own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    user: String,
    group: Option<String>,
}

impl Owner {
    /// `USER` or `USER:GROUP`, by names or numbers.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_name = |name: &str| {
            let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/');
            !name.is_empty() && !name.starts_with('-') && !name.contains(odd)
        };
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        if !is_name(user) || !group.is_none_or(is_name) {
            return Err("expected USER or USER:GROUP");
        }
        Ok(Self { user: user.to_owned(), group: group.map(str::to_owned) })
    }

    /// As chown wants it.
    pub(super) fn to_argument(&self) -> String {
        match &self.group {
            Some(group) => format!("{}:{group}", self.user),
            None => self.user.clone(),
        }
    }

    fn owns(&self, found: &Found) -> bool {
        let is =
            |wanted: &str, name: &str, number: u32| wanted == name || wanted.parse() == Ok(number);
        is(&self.user, &found.user, found.uid)
            && self.group.as_ref().is_none_or(|group| is(group, &found.group, found.gid))
    }
}

/// What is to be done about one wanted thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is not there.
    Create,
    /// It is there, and different: it is replaced.
    Replace,
    /// Only its mode differs.
    ChangeMode,
}

/// A wanted thing that is not there as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) action: Action,
    /// What is different, besides the content.
    pub(super) details: Vec<String>,
    /// The content is, too.
    pub(super) content: bool,
}

/// As the script is asked about it.
pub(super) fn asked(path: &str) -> String {
    format!("./{path}")
}

/// The size of the file that is at the place of a wanted one.
pub(super) fn size(entries: &BTreeMap<String, Found>, wanted: &Wanted) -> Option<u64> {
    match entries.get(&asked(&wanted.path))?.kind {
        FoundKind::File { size } => Some(size),
        _ => None,
    }
}

/// The wanted files that only a checksum tells from what is there.
pub(super) fn to_hash<'a>(wanted: &'a [Wanted], listing: &Listing) -> Vec<&'a Wanted> {
    let same_size = |wanted: &&Wanted| match wanted.kind {
        Kind::File { size: new, .. } => size(&listing.entries, wanted) == Some(new),
        _ => false,
    };
    wanted.iter().filter(same_size).collect()
}

/// What differs, in the order of `wanted`. `sums` are those of the files that [`to_hash`] named, by path.
pub(super) fn compare<'a>(
    wanted: &'a [Wanted],
    listing: &Listing,
    sums: &BTreeMap<&str, String>,
    owner: Option<&Owner>,
) -> Result<Vec<Difference<'a>>, CopyError> {
    let mut differences = Vec::new();
    for wanted in wanted {
        let found = listing.entries.get(&asked(&wanted.path));
        differences.extend(match found {
            None => Some(Difference {
                wanted,
                action: Action::Create,
                details: Vec::new(),
                content: true,
            }),
            Some(found) => difference(wanted, found, sums, owner, listing.uid)?,
        });
    }
    Ok(differences)
}

fn difference<'a>(
    wanted: &'a Wanted,
    found: &Found,
    sums: &BTreeMap<&str, String>,
    owner: Option<&Owner>,
    uid: Option<u32>,
) -> Result<Option<Difference<'a>>, CopyError> {
    let conflict = |why| Err(CopyError::conflict(&wanted.path, why));
    let mut details = Vec::new();
    let (content, both_files) = match (&wanted.kind, &found.kind) {
        // A directory that is there keeps its mode and owner, as everything else in it does.
        (Kind::Directory, FoundKind::Directory) => return Ok(None),
        (Kind::Directory, FoundKind::Link { .. }) => {
            return conflict(
                "is a symbolic link on the host where a directory is wanted; links are not followed, \
                 so name the directory it leads to",
            );
        }
        (Kind::Directory, _) => return conflict("is there on the host, and is not a directory"),
        (_, FoundKind::Directory) => {
            return conflict(
                "is a directory on the host; end the destination with `/` to copy into it",
            );
        }
        (_, FoundKind::Special) => {
            return conflict("is a device, a socket or a pipe on the host; it is not replaced");
        }
        (Kind::Link { target }, FoundKind::Link { target: found }) => (target != found, false),
        (Kind::File { sha256, .. }, FoundKind::File { .. }) => {
            (sums.get(wanted.path.as_str()) != Some(sha256), true)
        }
        (Kind::File { .. }, FoundKind::Link { .. }) => {
            details.push("a file in the place of a symbolic link".to_owned());
            (true, false)
        }
        (Kind::Link { .. }, FoundKind::File { .. }) => {
            details.push("a symbolic link in the place of a file".to_owned());
            (true, false)
        }
    };
    let mode_differs = both_files && found.mode != wanted.mode;
    if mode_differs {
        details.push(format!("mode {:04o} to {:04o}", found.mode, wanted.mode));
    }
    let owned = match owner {
        Some(owner) => owner.owns(found),
        // Without a say files belong to whoever writes them. A foreign one could be changed by its owner.
        None => !both_files || uid.is_none_or(|uid| uid == found.uid),
    };
    if !owned {
        details.push(format!("owner {}:{}", found.user, found.group));
    }
    let action = match (content, owned) {
        (false, true) if !mode_differs => return Ok(None),
        (false, true) => Action::ChangeMode,
        _ => Action::Replace,
    };
    Ok(Some(Difference { wanted, action, details, content }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "abc";

    fn file(path: &str) -> Wanted {
        let kind = Kind::File { source: "/s".into(), size: 3, sha256: SUM.to_owned() };
        Wanted { path: path.to_owned(), mode: 0o644, kind }
    }

    fn directory(path: &str) -> Wanted {
        Wanted { path: path.to_owned(), mode: 0o755, kind: Kind::Directory }
    }

    fn link(path: &str) -> Wanted {
        Wanted { path: path.to_owned(), mode: 0o777, kind: Kind::Link { target: "t".to_owned() } }
    }

    fn found(kind: FoundKind, mode: u32) -> Found {
        let (user, group) = ("ops".to_owned(), "users".to_owned());
        Found { kind, mode, uid: 1000, gid: 100, user, group }
    }

    /// What is to be done about one thing, in words.
    fn verdict(
        wanted: Wanted,
        kind: FoundKind,
        mode: u32,
        sum: &str,
        owner: Option<&str>,
    ) -> String {
        let owner = owner.map(|owner| Owner::parse(owner).unwrap());
        let entries = [(asked(&wanted.path), found(kind, mode))].into();
        let listing = Listing { uid: Some(1000), entries };
        let wanted = [wanted];
        let hashed = to_hash(&wanted, &listing).len();
        let sums = (hashed == 1).then(|| (wanted[0].path.as_str(), sum.to_owned()));
        let sums: BTreeMap<&str, String> = sums.into_iter().collect();
        match compare(&wanted, &listing, &sums, owner.as_ref()) {
            Ok(differences) => match differences.as_slice() {
                [] => "same".to_owned(),
                [one] => format!("{:?} {} {}", one.action, one.content, one.details.join(", ")),
                _ => panic!("{differences:?}"),
            },
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_differs_is_done_and_nothing_else() {
        let size = |size| FoundKind::File { size };
        let target = |target: &str| FoundKind::Link { target: target.to_owned() };
        let cases = [
            (verdict(file("f"), size(3), 0o644, SUM, None), "same"),
            (verdict(file("f"), size(3), 0o644, "other", None), "Replace true "),
            (verdict(file("f"), size(4), 0o644, SUM, None), "Replace true "),
            (verdict(file("f"), size(3), 0o600, SUM, None), "ChangeMode false mode 0600 to 0644"),
            (verdict(file("f"), size(3), 0o4644, SUM, None), "ChangeMode false mode 4644 to 0644"),
            (verdict(file("f"), size(3), 0o644, SUM, Some("ops")), "same"),
            (verdict(file("f"), size(3), 0o644, SUM, Some("1000:users")), "same"),
            (
                verdict(file("f"), size(3), 0o644, SUM, Some("root")),
                "Replace false owner ops:users",
            ),
            (
                verdict(file("f"), size(3), 0o644, SUM, Some("ops:adm")),
                "Replace false owner ops:users",
            ),
            (
                verdict(file("f"), target("t"), 0o777, SUM, None),
                "Replace true a file in the place of a symbolic link",
            ),
            (verdict(directory("d"), FoundKind::Directory, 0o2700, SUM, Some("root")), "same"),
            (verdict(link("l"), target("t"), 0o777, SUM, None), "same"),
            (verdict(link("l"), target("u"), 0o777, SUM, None), "Replace true "),
            (
                verdict(link("l"), size(3), 0o644, SUM, None),
                "Replace true a symbolic link in the place of a file",
            ),
        ];
        for (said, expected) in cases {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn files_of_others_are_replaced() {
        let wanted = [file("f")];
        let entries = [(asked("f"), found(FoundKind::File { size: 3 }, 0o644))].into();
        let listing = Listing { uid: Some(0), entries };
        let sums = [("f", SUM.to_owned())].into();
        let differences = compare(&wanted, &listing, &sums, None).unwrap();
        assert_eq!(differences[0].action, Action::Replace);
        assert_eq!(differences[0].details, ["owner ops:users"]);
    }

    #[test]
    fn what_is_in_the_way_stays() {
        let link = FoundKind::Link { target: "/etc".to_owned() };
        for (wanted, kind, words) in [
            (file("x"), FoundKind::Directory, "is a directory on the host"),
            (directory("x"), FoundKind::File { size: 1 }, "is not a directory"),
            (directory("x"), link, "is a symbolic link on the host"),
            (file("x"), FoundKind::Special, "is a device"),
        ] {
            let said = verdict(wanted, kind, 0o644, SUM, None);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn what_is_missing_is_created() {
        let wanted = [directory("d"), file("d/f"), link("d/l")];
        let differences = compare(&wanted, &Listing::default(), &BTreeMap::new(), None).unwrap();
        assert_eq!(differences.len(), 3);
        assert!(differences.iter().all(|difference| difference.action == Action::Create));
    }

    #[test]
    fn owners() {
        assert_eq!(Owner::parse("app:adm").unwrap().to_argument(), "app:adm");
        assert_eq!(Owner::parse("1000").unwrap().to_argument(), "1000");
        for text in ["", ":adm", "app:", "a b", "-x", "a:b:c", "a:-b"] {
            assert!(Owner::parse(text).is_err(), "{text}");
        }
    }
}
