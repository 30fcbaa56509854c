//! A list of host keys that the operator trusts, to hold the keys that hosts offer against. Pure.

use russh::keys::Algorithm;
use russh::keys::ssh_key::Fingerprint;

use super::entry::{BLANKS, Entry};
use super::host_keys::same_type;
use super::pattern::HostPatterns;
use super::standing::HostKey;

/// What a SHA-256 fingerprint begins with.
const SHA256: &str = "SHA256:";

/// The list. A line is a fingerprint (`SHA256:…`), a host and a fingerprint, what `ssh-keygen -l` prints, a public key, or
/// a line of known_hosts.
#[derive(Debug, Default)]
pub struct ExpectedKeys(Vec<Expected>);

#[derive(Debug)]
struct Expected {
    line: usize,
    /// Which hosts may have the key; `None` for all.
    hosts: Option<HostPatterns>,
    fingerprint: String,
    /// Its type, where the line says it.
    kind: Option<Algorithm>,
}

impl ExpectedKeys {
    /// Read a list. The error says which line is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let text = text.trim_matches(BLANKS);
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            keys.push(
                Expected::parse(line, text).map_err(|reason| format!("line {line}: {reason}"))?,
            );
        }
        if keys.is_empty() { Err("it lists no keys".to_owned()) } else { Ok(Self(keys)) }
    }

    /// Which of the keys that a host offers are listed for it, by any of its `names`. The error says why none of them must
    /// be trusted: the list has other ones.
    pub fn listed(&self, names: &[&str], keys: &[HostKey]) -> Result<Vec<bool>, String> {
        let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let about_host = |hosts: &HostPatterns| names.iter().any(|name| hosts.matches(name));
        let lines: Vec<&Expected> = self
            .0
            .iter()
            .filter(|expected| expected.hosts.as_ref().is_none_or(about_host))
            .collect();
        let listed: Vec<bool> = keys
            .iter()
            .map(|key| lines.iter().any(|expected| expected.fingerprint == key.fingerprint()))
            .collect();
        for (key, listed) in keys.iter().zip(&listed) {
            let other = lines.iter().find(|expected| {
                let kind = expected.kind.as_ref().filter(|_| expected.hosts.is_some());
                kind.is_some_and(|kind| same_type(kind, &key.public().algorithm()))
            });
            if let (false, Some(other)) = (listed, other) {
                return Err(format!(
                    "line {} of the list has {} for it in place of {} {}",
                    other.line,
                    other.fingerprint,
                    key.kind(),
                    key.fingerprint()
                ));
            }
        }
        if listed.contains(&true) {
            Ok(listed)
        } else {
            Err("none of its keys is in the list".to_owned())
        }
    }
}

impl Expected {
    fn parse(line: usize, text: &str) -> Result<Self, String> {
        if text.starts_with('@') {
            return Err("a marked line is not about a host's key".to_owned());
        }
        let of_key = |key: &HostKey, hosts| Self {
            line,
            hosts,
            fingerprint: key.fingerprint(),
            kind: Some(key.public().algorithm()),
        };
        if let Some(entry) = Entry::parse(line, text) {
            return Ok(of_key(&HostKey::new(entry.key), Some(entry.hosts)));
        }
        let fields: Vec<&str> = text.split(BLANKS).filter(|field| !field.is_empty()).collect();
        let (hosts, fingerprint) = match fields.as_slice() {
            [fingerprint, ..] if fingerprint.starts_with(SHA256) => (None, *fingerprint),
            // `ssh-keygen -l` says the size of the key first.
            [size, fingerprint, ..]
                if fingerprint.starts_with(SHA256) && size.bytes().all(|b| b.is_ascii_digit()) =>
            {
                (None, *fingerprint)
            }
            [hosts, fingerprint, ..] if fingerprint.starts_with(SHA256) => {
                let patterns = HostPatterns::parse(hosts).ok_or("the hash of a host is broken")?;
                (Some(patterns), *fingerprint)
            }
            [kind, key, ..] => {
                let key: HostKey =
                    format!("{kind} {key}").parse().map_err(|()| NO_KEY.to_owned())?;
                return Ok(of_key(&key, None));
            }
            _ => return Err(NO_KEY.to_owned()),
        };
        let fingerprint: Fingerprint = fingerprint
            .trim_end_matches('=')
            .parse()
            .map_err(|_| "the fingerprint is broken".to_owned())?;
        Ok(Self { line, hosts, fingerprint: fingerprint.to_string(), kind: None })
    }
}

const NO_KEY: &str = "neither a SHA256 fingerprint (with a host before it or not), nor a public key, nor a line of \
                      known_hosts";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const A_PRINT: &str = "SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

    fn keys(texts: &[&str]) -> Vec<HostKey> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn listed(list: &str, offered: &[&str]) -> Result<Vec<bool>, String> {
        ExpectedKeys::parse(list).unwrap().listed(&["node-1", "10.0.0.1"], &keys(offered))
    }

    #[test]
    fn forms_of_lines() {
        for line in [
            A_PRINT.to_owned(),
            format!("{A_PRINT}= from the console"),
            format!("node-1 {A_PRINT}"),
            format!("NODE-* {A_PRINT}"),
            format!("10.0.0.1 {A_PRINT} a comment"),
            format!("256 {A_PRINT} root@node-1 (ED25519)"),
            A.to_owned(),
            format!("{A} root@node-1"),
            format!("node-1 {A}"),
            format!("x,10.0.0.1 {A} comment"),
            format!("# list\n\n\t{A_PRINT}\t\n"),
        ] {
            assert_eq!(listed(&line, &[A, ECDSA]), Ok(vec![true, false]), "{line}");
            assert_eq!(listed(&line, &[ECDSA]).unwrap_err(), "none of its keys is in the list");
        }
    }

    #[test]
    fn lines_about_other_hosts_do_not_count() {
        for line in
            [format!("node-2 {A_PRINT}"), format!("node-2 {A}"), format!("*,!node-1,!10.* {A}")]
        {
            assert!(listed(&line, &[A]).is_err(), "{line}");
        }
    }

    #[test]
    fn another_key_of_a_listed_type_spoils_the_host() {
        let error = listed(&format!("node-1 {B}\nnode-1 {ECDSA}"), &[A, ECDSA]).unwrap_err();
        insta::assert_snapshot!(error, @"line 1 of the list has SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE for it in place of ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg");
        // Keys that say of no host that they are its own only permit.
        assert_eq!(listed(&format!("{B}\n{ECDSA}"), &[A, ECDSA]), Ok(vec![false, true]));
        assert_eq!(listed(&format!("node-1 {B}\nnode-1 {A}"), &[A]), Ok(vec![true]));
    }

    #[test]
    fn lists_that_are_none() {
        let error = |text: &str| ExpectedKeys::parse(text).unwrap_err();
        insta::assert_snapshot!(error("# nothing\n"), @"it lists no keys");
        insta::assert_snapshot!(error(&format!("{A_PRINT}\nMD5:16:27:ac")), @"line 2: neither a SHA256 fingerprint (with a host before it or not), nor a public key, nor a line of known_hosts");
        insta::assert_snapshot!(error("node-1 SHA256:AAAA"), @"line 1: the fingerprint is broken");
        insta::assert_snapshot!(error("node-1 ssh-ed25519 AAAA"), @"line 1: neither a SHA256 fingerprint (with a host before it or not), nor a public key, nor a line of known_hosts");
        insta::assert_snapshot!(error(&format!("@revoked * {A}")), @"line 1: a marked line is not about a host's key");
    }

    proptest! {
        #[test]
        fn any_text_can_be_parsed(text in "[ -~\t\n]{0,100}|(node-1 )?SHA256:[A-Za-z0-9+/=]{40,45}") {
            let _ = ExpectedKeys::parse(&text);
        }
    }
}
