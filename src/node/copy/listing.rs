//! What a host says is there. All of it is untrusted: parsed strictly, or refused.

use std::collections::BTreeMap;

/// More entries than this from one host are refused.
const MAX_ENTRIES: usize = 200_000;

/// The type bits of a mode, as the kernel numbers them.
const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Something that is on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: FoundKind,
    /// Permission bits with set-user-id and the like, without the type.
    pub(super) mode: u32,
    /// Numbers and names of its user and group.
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) user: String,
    pub(super) group: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FoundKind {
    File {
        /// In bytes.
        size: u64,
    },
    Directory,
    Link {
        target: String,
    },
    /// A device, a socket or a pipe.
    Special,
}

/// What a host listed, by path as it was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// The user that looked, where that was asked.
    pub(super) uid: Option<u32>,
    pub(super) entries: BTreeMap<String, Found>,
}

/// Read a listing to its last line. The reason for a refusal is for people, the line in it untrusted.
pub(super) fn parse(answer: &[u8]) -> Result<Listing, String> {
    let text = std::str::from_utf8(answer)
        .map_err(|_| "a name there is not UTF-8; it cannot be copied".to_owned())?;
    let text = text.strip_suffix("end\n").ok_or_else(|| "the listing ends early".to_owned())?;
    let mut listing = Listing::default();
    let mut targets: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        let strange = || format!("unexpected line `{line}`; is there a name with a newline in it?");
        match line.split_once(' ').ok_or_else(strange)? {
            ("self", uid) => listing.uid = Some(uid.parse().map_err(|_| strange())?),
            ("entry", rest) => {
                let (path, found) = entry(rest).ok_or_else(strange)?;
                if listing.entries.len() == MAX_ENTRIES {
                    return Err(format!("there are more than {MAX_ENTRIES} files and directories"));
                }
                listing.entries.insert(path, found);
            }
            ("link", rest) => {
                let (path, target) = rest.split_once('\t').ok_or_else(strange)?;
                targets.insert(path, target);
            }
            _ => return Err(strange()),
        }
    }
    for (path, found) in &mut listing.entries {
        if let FoundKind::Link { target } = &mut found.kind {
            let said = targets.get(path.as_str());
            *target =
                (*said.ok_or_else(|| format!("`{path}`: a link without a target"))?).to_owned();
        }
    }
    Ok(listing)
}

/// `MODE SIZE UID GID USER GROUP PATH`, the mode in hexadecimal with the type.
fn entry(line: &str) -> Option<(String, Found)> {
    let mut fields = line.splitn(7, ' ');
    let mode = u32::from_str_radix(fields.next()?, 16).ok()?;
    let size = fields.next()?.parse().ok()?;
    let kind = match mode & TYPE {
        FILE => FoundKind::File { size },
        DIRECTORY => FoundKind::Directory,
        LINK => FoundKind::Link { target: String::new() },
        _ => FoundKind::Special,
    };
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (user, group) = (fields.next()?.to_owned(), fields.next()?.to_owned());
    let path = fields.next().filter(|path| !path.contains(char::is_control))?;
    Some((path.to_owned(), Found { kind, mode: mode & 0o7777, uid, gid, user, group }))
}

/// Checksums in the order in which `count` files were asked for: SHA-256 in lower-case hex.
pub(super) fn parse_sums(answer: &[u8], count: usize) -> Option<Vec<String>> {
    // Names are as the host sees them; what counts is the order.
    let text = String::from_utf8_lossy(answer);
    let lines: Vec<&str> = text.strip_suffix("end\n")?.lines().collect();
    let sum = |line: &str| {
        // A backslash in front says that the name behind it has one.
        let line = line.strip_prefix('\\').unwrap_or(line);
        let sum = line.get(..64)?;
        let is_sum = sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_sum && line[64..].starts_with(' ')).then(|| sum.to_owned())
    };
    if lines.len() != count {
        return None;
    }
    lines.into_iter().map(sum).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LISTING: &str = "self 1000\n\
        entry 81a4 12 0 0 root root ./a b\n\
        entry 41ed 4096 1000 100 ops users ./dir\n\
        entry a1ff 7 0 0 root root ./link\n\
        link ./link\t../a b\n\
        entry 89ed 5 4711 0 UNKNOWN root ./setuid\n\
        entry 1180 0 0 0 root root ./pipe\n\
        end\n";

    #[test]
    fn listings_are_read() {
        let listing = parse(LISTING.as_bytes()).unwrap();
        assert_eq!(listing.uid, Some(1000));
        let show = |(path, found): (&String, &Found)| {
            format!("{path} {:?} {:o} {} {}", found.kind, found.mode, found.uid, found.user)
        };
        let shown: Vec<String> = listing.entries.iter().map(show).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        ./a b File { size: 12 } 644 0 root
        ./dir Directory 755 1000 ops
        ./link Link { target: "../a b" } 777 0 root
        ./pipe Special 600 0 root
        ./setuid File { size: 5 } 4755 4711 UNKNOWN
        "#);
    }

    #[test]
    fn what_no_host_should_say_is_refused() {
        for answer in [
            "",
            "self 0\n",
            "end",
            "entry 81a4 12 0 0 root root ./a",
            "entry 81a4 12 0 0 root root\nend\n",
            "entry 81a4 -1 0 0 root root ./a\nend\n",
            "entry zz 1 0 0 root root ./a\nend\n",
            "entry 81a4 1 0 0 root root ./a\x1b[2J\nend\n",
            "entry a1ff 7 0 0 root root ./link\nend\n",
            "link ./link\nend\n",
            "welcome\nend\n",
            "self root\nend\n",
        ] {
            assert!(parse(answer.as_bytes()).is_err(), "{answer:?}");
        }
        assert!(parse(b"entry 81a4 1 0 0 root root ./\xff\nend\n").is_err());
        let many = "entry 81a4 12 0 0 root root ./x".to_owned();
        let many: String = (0..=MAX_ENTRIES).map(|number| format!("{many}{number}\n")).collect();
        assert!(parse(format!("{many}end\n").as_bytes()).unwrap_err().contains("more than"));
    }

    #[test]
    fn checksums_are_read() {
        let (first, second) = ("0".repeat(64), "9f".repeat(32));
        let answer = format!("{first}  ./a\n\\{second}  ./b\\\\c\nend\n");
        assert_eq!(parse_sums(answer.as_bytes(), 2).unwrap(), [first.as_str(), &second]);
        assert_eq!(parse_sums(answer.as_bytes(), 1), None);
        assert_eq!(parse_sums(&answer.as_bytes()[..80], 1), None);
        assert_eq!(parse_sums(b"0123  ./a\nend\n", 1), None);
        assert_eq!(parse_sums(b"end\n", 0), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn anything_is_parsed_or_refused(answer in prop::collection::vec(any::<u8>(), 0..200), cut in 0..200usize) {
            let _ = parse(&answer);
            let _ = parse_sums(&answer, 1);
            let _ = parse(&LISTING.as_bytes()[..cut.min(LISTING.len())]);
        }
    }
}
