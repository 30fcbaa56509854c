//! One line of a known_hosts file.

use russh::keys::PublicKey;

use super::pattern::HostPatterns;

/// What separates fields. More than OpenSSH takes for blanks would show other hosts in a line than it sees.
pub(super) const BLANKS: [char; 2] = [' ', '\t'];

const CERT_AUTHORITY: &str = "@cert-authority";
const REVOKED: &str = "@revoked";

/// What a line says about its key, where that is not simply that the hosts have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// `@cert-authority`: the key signs the hosts' certificates.
    CertAuthority,
    /// `@revoked`: the key must not be believed, be it a host's or an authority's.
    Revoked,
}

/// A line that says something.
#[derive(Debug)]
pub(super) struct Entry {
    /// Line number, from 1.
    pub(super) line: usize,
    /// What it says about the key.
    pub(super) marker: Option<Marker>,
    /// The hosts it is about.
    pub(super) hosts: HostPatterns,
    /// The key.
    pub(super) key: PublicKey,
}

/// Every line that says something. Comments and lines that cannot be parsed are left out (they cannot
/// make a key trusted), except broken `@revoked` ones, which must not be lost silently: they are errors.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        match Entry::parse(line, text) {
            Some(entry) => entries.push(entry),
            None if text.trim_start_matches(BLANKS).starts_with(REVOKED) => {
                return Err(format!("line {line} revokes a key but cannot be parsed; correct it"));
            }
            None => {}
        }
    }
    Ok(entries)
}

impl Entry {
    /// Read one line; `None` for one that says nothing.
    pub(super) fn parse(line: usize, text: &str) -> Option<Self> {
        let mut fields = text.split(BLANKS).filter(|field| !field.is_empty());
        let first = fields.next()?;
        let (marker, hosts) = match first {
            CERT_AUTHORITY => (Some(Marker::CertAuthority), fields.next()?),
            REVOKED => (Some(Marker::Revoked), fields.next()?),
            comment_or_other if comment_or_other.starts_with(['#', '@']) => return None,
            hosts => (None, hosts),
        };
        let hosts = HostPatterns::parse(hosts)?;
        // What follows the key is a comment.
        let (kind, key) = (fields.next()?, fields.next()?);
        let key = PublicKey::from_openssh(&format!("{kind} {key}")).ok()?;
        Some(Self { line, marker, hosts, key })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

    fn one(text: &str) -> Option<Entry> {
        let mut entries = parse(text).unwrap();
        assert!(entries.len() < 2, "{text}");
        entries.pop()
    }

    #[test]
    fn lines_that_say_something() {
        for text in [
            format!("h {KEY}"),
            format!("  h\t {} ", KEY.replace(' ', "\t\t")),
            format!("h {KEY} a comment # with words"),
            format!("h {KEY}\r\n"),
            format!("# comment\n\nh {KEY}\n"),
            format!("h ssh-ed25519 AAAA\nh {KEY}"),
        ] {
            let entry = one(&text).unwrap();
            assert_eq!(entry.marker, None, "{text}");
            assert!(entry.hosts.matches("h"), "{text}");
            assert_eq!(entry.key.to_openssh().unwrap(), KEY, "{text}");
        }
        assert_eq!(one(&format!("\n\nh {KEY}")).unwrap().line, 3);
        let marked = |text: &str| one(&format!("{text} h {KEY}")).unwrap().marker;
        assert_eq!(marked("@cert-authority"), Some(Marker::CertAuthority));
        assert_eq!(marked(" @revoked \t"), Some(Marker::Revoked));
    }

    #[test]
    fn lines_that_say_nothing() {
        for text in [
            "",
            "h",
            "h ssh-ed25519",
            "h ssh-ed25519 AAAA",
            "h 1024 37 159",
            &format!("#h {KEY}"),
            &format!("h # {KEY}"),
            &format!("@other h {KEY}"),
            &format!("@cert-authority {KEY}"),
            &format!("|1|x|y {KEY}"),
            &format!("h {}", KEY.replace("ssh-ed25519", "ssh-rsa")),
            &format!("h {KEY}AAAA"),
            &format!("h\u{a0}{KEY}"),
        ] {
            assert!(one(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_broken_revocation_is_an_error() {
        for text in ["@revoked * ssh-ed25519 AAAA", "@revoked", " @revoked h", "@revokedh x y"] {
            let error = parse(&format!("h {KEY}\n{text}\n")).unwrap_err();
            assert_eq!(error, "line 2 revokes a key but cannot be parsed; correct it", "{text}");
        }
    }

    /// The lines that ssh-keygen finds for `name`; `None`, loudly, where there is none.
    fn found_by_ssh_keygen(text: &str, name: &str) -> Option<Vec<usize>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut command = Command::new("ssh-keygen");
        let Ok(output) = command.args(["-F", name, "-f"]).arg(file.path()).output() else {
            eprintln!("SKIPPED: needs ssh-keygen (package openssh-client)");
            return None;
        };
        let found = String::from_utf8(output.stdout).unwrap();
        let lines =
            found.lines().filter_map(|line| line.split_once(" found: line ")?.1.split(' ').next());
        Some(lines.map(|line| line.parse().unwrap()).collect())
    }

    proptest! {
        // Each case is a process.
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn ssh_keygen_finds_the_same_lines(
            lines in prop::collection::vec(
                (
                    prop::sample::select(vec!["", " ", "#", "@revoked ", "@cert-authority \t"]),
                    prop::collection::vec("!?[abA*?.]{1,3}", 1..4),
                    prop::sample::select(vec![" ", "\t", " \t "]),
                ),
                1..8,
            ),
            name in "[ab.]{1,3}",
        ) {
            let line = |(before, patterns, blank): &(&str, Vec<String>, &str)| {
                format!("{before}{}{blank}{KEY}\n", patterns.join(","))
            };
            let text: String = lines.iter().map(line).collect();
            let found = parse(&text).unwrap();
            let found = found.iter().filter(|entry| entry.hosts.matches(&name));
            let found: Vec<usize> = found.map(|entry| entry.line).collect();
            if let Some(expected) = found_by_ssh_keygen(&text, &name) {
                prop_assert_eq!(found, expected, "{}", text);
            }
        }
    }

    proptest! {
        #[test]
        fn blanks_and_comments_do_not_matter(
            blanks in prop::collection::vec("[ \t]{1,3}", 4),
            marker in prop::sample::select(vec!["", CERT_AUTHORITY, REVOKED]),
            comment in "[^\r\n]{0,10}",
        ) {
            let [a, b, c, d] = blanks.as_slice() else { unreachable!() };
            let key = KEY.replace(' ', b);
            let entry = one(&format!("{a}{marker}{a}h{c}{key}{d}{comment}")).unwrap();
            prop_assert!(entry.hosts.matches("h"));
            prop_assert_eq!(entry.key.to_openssh().unwrap(), KEY);
            prop_assert_eq!(entry.marker.is_some(), !marker.is_empty());
        }

        #[test]
        fn damage_never_makes_another_key(position in 0..KEY.len() + 2, byte in any::<u8>()) {
            let mut line = format!("h {KEY}").into_bytes();
            line[position] = byte;
            let text = String::from_utf8_lossy(&line);
            // Not every bit of it is checked, but what is read is what stands there.
            if let Ok(entries) = parse(&text) {
                for entry in entries {
                    prop_assert!(text.contains(&entry.key.to_openssh().unwrap()));
                }
            }
        }

        #[test]
        fn any_text_can_be_parsed(text in "[ -~\t\r\n]{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn anything_is_read_or_refused(
            parts in prop::collection::vec(prop::sample::select(vec![
                KEY, &KEY[..40], "@revoked", "@cert-authority", "@", "#", " ", "\t", "\n", "\r\n", "\0", "\u{1b}[2J", "h", "*",
                "!", ",", "[h]:", "[", "]:22", "|1|", "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=", "=",
                "ssh-ed25519", "AAAA", "\u{fffd}",
            ]), 0..30),
        ) {
            let text = parts.concat();
            for entry in parse(&text).unwrap_or_default() {
                let _ = (entry.hosts.matches("h"), entry.hosts.matches("[h]:22"));
                prop_assert!(text.contains(&entry.key.to_openssh().unwrap()));
            }
        }
    }
}
