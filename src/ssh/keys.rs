//! Private key files of the workstation.

use std::io;
use std::path::Path;
use std::sync::Arc;

use russh::keys::{PrivateKey, decode_secret_key, ssh_key};
use zeroize::Zeroizing;

/// The names OpenSSH looks for in `~/.ssh`, in its order, without those of keys on security tokens.
pub(super) const DEFAULT_NAMES: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];

/// What a key file turned out to be.
#[derive(Debug)]
pub(super) enum KeyFile {
    /// A key that can sign.
    Usable(Arc<PrivateKey>),
    /// A key behind a passphrase.
    Encrypted,
    /// There is no such file.
    Missing,
    /// Something else, and why it is of no use.
    Unusable(String),
}

impl KeyFile {
    /// Read `path`: OpenSSH's own format, PKCS#1 or PKCS#8.
    pub(super) fn read(path: &Path) -> Self {
        match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Err(error) => Self::Unusable(format!("cannot be read: {error}")),
        }
    }

    fn parse(text: &str) -> Self {
        // PKCS#8 says it in its label, PKCS#1 in a header line.
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("4,ENCRYPTED") {
            return Self::Encrypted;
        }
        match decode_secret_key(text, None) {
            Ok(key) => Self::Usable(Arc::new(key)),
            Err(russh::keys::Error::KeyIsEncrypted) => Self::Encrypted,
            Err(_) if text.parse::<ssh_key::PublicKey>().is_ok() => {
                Self::Unusable("is a public key; name the private key beside it".to_owned())
            }
            Err(error) => Self::Unusable(format!(
                "is not a private key in OpenSSH, PKCS#1 or PKCS#8 format ({error})"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let public =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio me\n";
        assert!(matches!(KeyFile::parse(public), KeyFile::Unusable(m) if m.contains("public key")));
        assert!(matches!(KeyFile::parse("hello"), KeyFile::Unusable(_)));
        let pkcs8 =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(matches!(KeyFile::parse(pkcs8), KeyFile::Encrypted));
        assert!(matches!(KeyFile::read(Path::new("/nonexistent/key")), KeyFile::Missing));
    }
}
