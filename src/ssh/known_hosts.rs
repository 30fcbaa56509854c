//! known_hosts: which keys are known for a host, and whether the presented one is among them.
//!
//! Follows OpenSSH's client with `StrictHostKeyChecking yes`. `@cert-authority` lines say nothing about
//! plain keys and are skipped. Lines that cannot be parsed are skipped too (they cannot make a key
//! trusted), except `@revoked` ones, which must not be lost silently.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::known_hosts::{Entry, Marker};
use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::error::{HostKeyError, SshError};
use super::pattern;

/// The port that goes without `[host]:port` notation.
const DEFAULT_PORT: u16 = 22;

/// One parsed known_hosts file. A missing file is an empty one.
#[derive(Debug)]
pub(super) struct KnownHostsFile {
    path: PathBuf,
    /// Entries with their line numbers, or why the file cannot be used.
    entries: Result<Vec<(usize, Entry)>, String>,
}

impl KnownHostsFile {
    /// Read and parse `path`.
    pub(super) fn read(path: &Path) -> Self {
        let entries = match std::fs::read(path) {
            Ok(bytes) => parse(&String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(format!("cannot read known hosts: {error}")),
        };
        Self { path: path.to_owned(), entries }
    }
}

fn parse(text: &str) -> Result<Vec<(usize, Entry)>, String> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // OpenSSH separates fields by any blanks, the parser by exactly one space.
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.parse::<Entry>() {
            Ok(entry) => entries.push((index + 1, entry)),
            Err(error) if line.starts_with("@revoked") => {
                return Err(format!(
                    "line {} revokes a key but cannot be parsed ({error}); correct it",
                    index + 1
                ));
            }
            Err(_) => {}
        }
    }
    Ok(entries)
}

/// What the known_hosts files say about one host.
#[derive(Debug)]
pub(super) struct HostKeys {
    address: String,
    port: u16,
    /// Where a new key would be added.
    first_file: PathBuf,
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    /// The entry names this address at this port; otherwise it names the address only.
    exact: bool,
    revoked: bool,
    key: PublicKey,
    file: PathBuf,
    line: usize,
}

impl HostKeys {
    /// Collect what `files` know of `address` at `port`.
    pub(super) fn collect(
        address: &str,
        port: u16,
        files: &[Arc<KnownHostsFile>],
    ) -> Result<Self, SshError> {
        let plain = address.to_ascii_lowercase();
        let exact_name =
            if port == DEFAULT_PORT { plain.clone() } else { format!("[{plain}]:{port}") };
        let mut records = Vec::new();
        for file in files {
            let entries = file.entries.as_ref().map_err(|reason| SshError::LocalFile {
                path: file.path.clone(),
                reason: reason.clone(),
            })?;
            for (line, entry) in entries {
                if entry.marker() == Some(&Marker::CertAuthority) {
                    continue;
                }
                let exact = pattern::matches(entry.host_patterns(), &exact_name);
                if exact
                    || (port != DEFAULT_PORT && pattern::matches(entry.host_patterns(), &plain))
                {
                    records.push(Record {
                        exact,
                        revoked: entry.marker() == Some(&Marker::Revoked),
                        key: entry.public_key().clone(),
                        file: file.path.clone(),
                        line: *line,
                    });
                }
            }
        }
        let first_file = files.first().map(|file| file.path.clone()).unwrap_or_default();
        Ok(Self { address: plain, port, first_file, records })
    }

    /// Host-key algorithms in the order to offer them: the types known for this host first, so that a
    /// server with several keys presents the one that can be checked.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let known = |algorithm: &Algorithm| {
            self.records
                .iter()
                .any(|record| !record.revoked && same_family(&record.key.algorithm(), algorithm))
        };
        // SHA-1 signatures (`ssh-rsa`) are left out on purpose.
        let (mut first, rest): (Vec<_>, Vec<_>) = russh::Preferred::DEFAULT
            .key
            .iter()
            .filter(|algorithm| **algorithm != Algorithm::Rsa { hash: None })
            .cloned()
            .partition(known);
        first.extend(rest);
        first
    }

    /// Whether `key` may be trusted for this host.
    pub(super) fn verify(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        let presented = |record: &&Record| record.key.key_data() == key.key_data();
        let endpoint = endpoint(&self.address, self.port);
        let fingerprint = describe(key);

        if let Some(record) = self.records.iter().filter(presented).find(|record| record.revoked) {
            return Err(HostKeyError::Revoked {
                endpoint,
                fingerprint,
                file: record.file.clone(),
                line: record.line,
            });
        }
        // An entry without the port is believed when it has this very key, as OpenSSH does; it never
        // makes another key on this port a changed one.
        if self.records.iter().any(|record| presented(&record)) {
            return Ok(());
        }
        let known = self.records.iter().filter(|record| record.exact && !record.revoked);
        // Name the key of the same type when there is one: it is the one that was replaced.
        let replaced = known.min_by_key(|record| record.key.algorithm() != key.algorithm());
        Err(match replaced {
            Some(record) => HostKeyError::Changed {
                endpoint,
                fingerprint,
                known: describe(&record.key),
                file: record.file.clone(),
                line: record.line,
            },
            None => HostKeyError::Unknown {
                endpoint,
                fingerprint,
                keyscan: self.keyscan(key),
                file: self.first_file.clone(),
            },
        })
    }

    fn keyscan(&self, key: &PublicKey) -> String {
        let kind = match key.algorithm() {
            Algorithm::Rsa { .. } => "rsa",
            Algorithm::Ecdsa { .. } => "ecdsa",
            _ => "ed25519",
        };
        match self.port {
            DEFAULT_PORT => format!("ssh-keyscan -t {kind} {}", self.address),
            port => format!("ssh-keyscan -t {kind} -p {port} {}", self.address),
        }
    }
}

/// RSA keys are one type whatever hash signs with them.
fn same_family(a: &Algorithm, b: &Algorithm) -> bool {
    match (a, b) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        _ => a == b,
    }
}

/// `ssh-ed25519 SHA256:…`.
pub(super) fn describe(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// `address:port`, with brackets around IPv6 addresses.
pub(super) fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

    fn key(text: &str) -> PublicKey {
        text.parse().unwrap()
    }

    fn host_keys(address: &str, port: u16, text: &str) -> HostKeys {
        let file = KnownHostsFile { path: "known_hosts".into(), entries: parse(text) };
        HostKeys::collect(address, port, &[Arc::new(file)]).unwrap()
    }

    fn verdict(address: &str, port: u16, text: &str, presented: &str) -> &'static str {
        match host_keys(address, port, text).verify(&key(presented)) {
            Ok(()) => "trusted",
            Err(HostKeyError::Unknown { .. }) => "unknown",
            Err(HostKeyError::Changed { .. }) => "changed",
            Err(HostKeyError::Revoked { .. }) => "revoked",
        }
    }

    #[test]
    fn verdicts() {
        let cases = [
            ("trusted", 22, format!("10.0.0.1 {A}"), A),
            ("trusted", 22, format!("other,10.0.0.1 {A} a comment"), A),
            ("trusted", 22, format!("10.0.0.1\t{A}"), A),
            ("trusted", 22, format!("  10.0.0.1   {A}"), A),
            ("trusted", 22, format!("10.0.0.* {A}"), A),
            ("trusted", 22, format!("10.0.0.1 {B}\n10.0.0.1 {A}"), A),
            ("trusted", 22, format!("not a line\n\n# comment\n10.0.0.1 {A}"), A),
            ("unknown", 22, String::new(), A),
            ("unknown", 22, format!("10.0.0.2 {A}"), A),
            ("unknown", 22, format!("10.0.0.*,!10.0.0.1 {A}"), A),
            ("unknown", 22, format!("[10.0.0.1]:2222 {A}"), A),
            ("changed", 22, format!("10.0.0.1 {B}"), A),
            ("changed", 22, format!("10.0.0.1 {ECDSA}"), A),
            ("revoked", 22, format!("@revoked 10.0.0.1 {A}"), A),
            ("revoked", 22, format!("10.0.0.1 {A}\n@revoked * {A}"), A),
            ("trusted", 22, format!("10.0.0.1 {A}\n@revoked * {B}"), A),
            ("unknown", 22, format!("@revoked * {B}"), A),
            ("unknown", 22, format!("@cert-authority * {A}"), A),
            ("trusted", 2222, format!("[10.0.0.1]:2222 {A}"), A),
            ("changed", 2222, format!("[10.0.0.1]:2222 {B}"), A),
            ("trusted", 2222, format!("10.0.0.1 {A}"), A),
            ("unknown", 2222, format!("10.0.0.1 {B}"), A),
            ("unknown", 2222, format!("[10.0.0.1]:2223 {A}"), A),
            ("revoked", 2222, format!("[10.0.0.1]:2222 {A}\n@revoked 10.0.0.1 {A}"), A),
        ];
        for (expected, port, text, presented) in cases {
            assert_eq!(verdict("10.0.0.1", port, &text, presented), expected, "{port} {text}");
        }
        assert_eq!(verdict("Node.Example", 22, &format!("node.example {A}"), A), "trusted");
        assert_eq!(verdict("fd00::1", 2222, &format!("[fd00::1]:2222 {A}"), A), "trusted");
    }

    #[test]
    fn known_types_are_offered_first() {
        let names = |text: &str| {
            host_keys("h", 22, text)
                .algorithms()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("")[0], "ssh-ed25519");
        assert_eq!(names(&format!("h {ECDSA}"))[0], "ecdsa-sha2-nistp256");
        assert_eq!(names(&format!("h {ECDSA}"))[1], "ssh-ed25519");
        assert_eq!(names(&format!("@revoked h {ECDSA}"))[0], "ssh-ed25519");
        assert!(!names("").contains(&"ssh-rsa".to_owned()));
    }

    #[test]
    fn a_broken_revocation_is_an_error() {
        assert!(parse("@revoked * ssh-ed25519 AAAA").is_err());
        assert!(parse("host ssh-ed25519 AAAA").unwrap().is_empty());
    }

    #[test]
    fn messages() {
        let unknown = host_keys("10.0.0.1", 2222, "").verify(&key(A)).unwrap_err();
        insta::assert_snapshot!(unknown, @"the host key of 10.0.0.1:2222 is unknown: it presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg; compare that with the host's own, then add it with `ssh-keyscan -t ed25519 -p 2222 10.0.0.1 >> known_hosts`");
        let text = format!("\n10.0.0.1 {ECDSA}\n10.0.0.1 {B}");
        let changed = host_keys("10.0.0.1", 22, &text).verify(&key(A)).unwrap_err();
        insta::assert_snapshot!(changed, @"the host key of 10.0.0.1:22 has changed: it presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg, but known_hosts:3 has ssh-ed25519 SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE; someone may be intercepting the connection; if the host was reinstalled, remove that line and add the new key");
    }
}
