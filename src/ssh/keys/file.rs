//! Reading key files and certificates.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Certificate, PrivateKey, PublicKey, decode_secret_key};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::short_scalar;

/// A key file, with the public key and the certificate beside it.
#[derive(Debug)]
pub(in crate::ssh) struct KeyFile {
    /// The file, as it was named.
    pub(in crate::ssh) path: PathBuf,
    /// The private key.
    pub(in crate::ssh) private: Private,
    /// The public key, where the file or `FILE.pub` tells it.
    pub(in crate::ssh) public: Option<PublicKey>,
    /// `FILE-cert.pub`.
    pub(in crate::ssh) certificate: Option<Certificate>,
}

/// What a key file turned out to hold.
#[derive(Debug)]
pub(in crate::ssh) enum Private {
    /// A key that can sign.
    Usable(Arc<PrivateKey>),
    /// A key behind a passphrase.
    Encrypted,
    /// No file.
    Missing,
    /// Something else, and why it cannot sign.
    Unusable(String),
}

impl KeyFile {
    /// Read `path` (OpenSSH's own format, PKCS#1, PKCS#8 or SEC1) and what lies beside it.
    pub(in crate::ssh) fn read(path: &Path) -> Self {
        let (private, public) = match read_secret(path) {
            Ok(text) => parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Private::Missing, None),
            Err(error) => (Private::Unusable(format!("cannot be read: {error}")), None),
        };
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            std::fs::read_to_string(name).ok()
        };
        // What lies there and is something else is no worse than nothing there.
        let public = public.or_else(|| beside(".pub")?.parse().ok());
        let certificate = beside("-cert.pub").and_then(|text| text.parse().ok());
        Self { path: path.to_owned(), private, public, certificate }
    }
}

/// The text of a key file. It is gone from memory when it is dropped.
pub(super) fn read_secret(path: &Path) -> io::Result<Zeroizing<String>> {
    std::fs::read_to_string(path).map(Zeroizing::new)
}

/// The private key in `text`, which `passphrase` opens if it is encrypted.
pub(super) fn decode(
    text: &str,
    passphrase: Option<&str>,
) -> Result<PrivateKey, russh::keys::Error> {
    decode_secret_key(text, passphrase)
        .or_else(|error| short_scalar::decode(text, passphrase).ok_or(error))
}

fn parse(text: &str) -> (Private, Option<PublicKey>) {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        let public = Some(key.public_key().clone());
        let private = match key.key_data() {
            _ if key.is_encrypted() => Private::Encrypted,
            KeypairData::SkEd25519(_) | KeypairData::SkEcdsaSha2NistP256(_) => Private::Unusable(
                "needs its security key; add it to the agent with `ssh-add`".to_owned(),
            ),
            _ => Private::Usable(Arc::new(key)),
        };
        return (private, public);
    }
    // PKCS#8 says it in its label, the older formats in a header line.
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        return (Private::Encrypted, None);
    }
    if text.contains("4,ENCRYPTED") {
        let known = text.contains("BEGIN RSA PRIVATE KEY") && text.contains("AES-128-CBC");
        let private = if known {
            Private::Encrypted
        } else {
            Private::Unusable(
                "is encrypted in a way that only old software writes; convert it with `ssh-keygen -p`"
                    .to_owned(),
            )
        };
        return (private, None);
    }
    match decode(text, None) {
        Ok(key) => {
            let public = Some(key.public_key().clone());
            (Private::Usable(Arc::new(key)), public)
        }
        Err(error) => match text.parse::<PublicKey>() {
            Ok(public) => {
                let reason = "is a public key, and the agent does not hold the private one; name \
                              the private key beside it";
                (Private::Unusable(reason.to_owned()), Some(public))
            }
            Err(_) => (
                Private::Unusable(format!(
                    "is not a private key in OpenSSH, PKCS#1 or PKCS#8 format ({error})"
                )),
                None,
            ),
        },
    }
}

/// A file that is said to hold a certificate.
#[derive(Debug)]
pub(in crate::ssh) struct CertificateFile {
    /// The file, as it was named.
    pub(in crate::ssh) path: PathBuf,
    /// What it holds, or why that is of no use.
    pub(in crate::ssh) certificate: Result<Certificate, String>,
}

impl CertificateFile {
    /// Read `path`.
    pub(in crate::ssh) fn read(path: &Path) -> Self {
        let certificate = match std::fs::read_to_string(path) {
            Ok(text) => {
                text.parse().map_err(|error| format!("is not an OpenSSH certificate ({error})"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("no such file".to_owned()),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        Self { path: path.to_owned(), certificate }
    }
}

/// Why a server may have refused `certificate` for `user`, as far as the certificate itself tells.
pub(in crate::ssh) fn doubt(
    certificate: &Certificate,
    user: &str,
    now: SystemTime,
) -> Option<String> {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if !certificate.cert_type().is_user() {
        return Some("is a host certificate".to_owned());
    }
    if now >= certificate.valid_before() {
        return Some(format!("expired on {}", date(certificate.valid_before())));
    }
    if now < certificate.valid_after() {
        return Some(format!("is not valid before {}", date(certificate.valid_after())));
    }
    let principals = certificate.valid_principals();
    if !principals.is_empty() && !principals.iter().any(|principal| principal == user) {
        return Some(format!("is for {}", principals.join(", ")));
    }
    None
}

fn date(seconds: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).map(OffsetDateTime::from);
    time.map_or_else(|| "never".to_owned(), |time| time.date().to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use russh::keys::ssh_key::LineEnding;
    use russh::keys::ssh_key::certificate::{Builder, CertType};
    use russh::keys::ssh_key::private::Ed25519Keypair;

    use super::*;

    const PUBLIC: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio me\n";

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let unusable = |text: &str| match parse(text) {
            (Private::Unusable(reason), public) => (reason, public.is_some()),
            other => panic!("{other:?}"),
        };
        let (reason, public) = unusable(PUBLIC);
        assert!(reason.contains("is a public key") && public, "{reason}");
        let (reason, public) = unusable("hello");
        assert!(reason.contains("is not a private key") && !public, "{reason}");
        let old =
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n";
        assert!(unusable(old).0.contains("ssh-keygen -p"));
        let pkcs8 =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(matches!(parse(pkcs8), (Private::Encrypted, None)));
        assert!(matches!(KeyFile::read(Path::new("/nonexistent/key")).private, Private::Missing));
        let missing = CertificateFile::read(Path::new("/nonexistent/certificate"));
        assert_eq!(missing.certificate.unwrap_err(), "no such file");
    }

    #[test]
    fn the_public_key_beside_is_enough_to_know_a_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("id_ed25519");
        std::fs::write(directory.path().join("id_ed25519.pub"), PUBLIC).unwrap();
        let file = KeyFile::read(&path);
        assert!(matches!(file.private, Private::Missing));
        assert_eq!(file.public.unwrap(), PUBLIC.parse().unwrap());
    }

    #[test]
    fn doubts_about_certificates() {
        let key = |seed| PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
        let certificate = |kind, principals: &[&str], after, before| {
            let mut builder =
                Builder::new([0; 16], key(1).public_key().key_data().clone(), after, before)
                    .unwrap();
            builder.cert_type(kind).unwrap().key_id("test").unwrap();
            for principal in principals {
                builder.valid_principal(*principal).unwrap();
            }
            if principals.is_empty() {
                builder.all_principals_valid().unwrap();
            }
            builder.sign(&key(2)).unwrap()
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let doubt = |kind, principals: &[&str], after, before| {
            doubt(&certificate(kind, principals, after, before), "ops", now)
        };
        assert_eq!(doubt(CertType::User, &["root", "ops"], 0, u64::MAX), None);
        assert_eq!(doubt(CertType::User, &[], 0, 1_000_001), None);
        let text = |doubt: Option<String>| doubt.unwrap();
        insta::assert_snapshot!(text(doubt(CertType::User, &["root", "dba"], 0, u64::MAX)), @"is for root, dba");
        insta::assert_snapshot!(text(doubt(CertType::User, &[], 0, 1_000_000)), @"expired on 1970-01-12");
        insta::assert_snapshot!(text(doubt(CertType::User, &[], 2_000_000, u64::MAX)), @"is not valid before 1970-01-24");
        insta::assert_snapshot!(text(doubt(CertType::Host, &[], 0, u64::MAX)), @"is a host certificate");
    }

    proptest! {
        #[test]
        fn any_file_is_a_key_or_says_why_not(
            at in any::<prop::sample::Index>(), length in 0usize..40,
            part in prop::collection::vec(any::<u8>(), 0..20),
            cut in any::<prop::sample::Index>(),
            header in prop::sample::select(vec!["", "-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\nMIIB", PUBLIC]),
        ) {
            let key = PrivateKey::from(Ed25519Keypair::from_seed(&[1; 32]));
            let mut text = key.to_openssh(LineEnding::LF).unwrap().as_bytes().to_vec();
            let at = at.index(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, part);
            if let Private::Unusable(reason) = parse(&String::from_utf8_lossy(&text)).0 {
                prop_assert!(reason.len() < 1000, "{}", reason);
            }
            text.truncate(cut.index(text.len() + 1));
            let _ = parse(&format!("{header}{}", String::from_utf8_lossy(&text)));
        }
    }
}
