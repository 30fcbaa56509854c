//! upload-certs: the keys a joining control plane shares, encrypted in a Secret of the cluster.
//!
//! fleetadm itself carries keys over SSH; this is for `kubeadm join --control-plane` by others.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::bootstrap_token::NoRandomness;
use super::rbac::{Subject, readable_by};
use super::{BOOTSTRAPPERS, KUBE_SYSTEM};
use crate::kubernetes::object::{Kind, Object, ObjectKey};

const NAME: &str = "kubeadm-certs";
const KEY_LENGTH: usize = 32;

/// How long the Secret and the token that owns it live.
pub const LIFETIME: time::Duration = time::Duration::hours(2);

/// Why shared certificates could not be packed or unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// Not 64 hexadecimal digits.
    #[error("not a certificate key: expected 64 hexadecimal digits")]
    InvalidKey,
    /// The Secret lacks a file every control plane needs.
    #[error("the Secret kube-system/kubeadm-certs has no {name:?}; upload the certificates again")]
    Missing {
        /// The key in the Secret.
        name: String,
    },
    /// A value is not what the key can open.
    #[error(
        "{name:?} in the Secret kube-system/kubeadm-certs cannot be decrypted: is this the certificate key it was uploaded with?"
    )]
    Undecryptable {
        /// The key in the Secret.
        name: String,
    },
    /// No random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The key the Secret is encrypted with. Debug does not show it.
#[derive(Clone)]
pub struct CertificateKey(Zeroizing<[u8; KEY_LENGTH]>);

impl CertificateKey {
    /// A new random key.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        rand::fill(key.as_mut_slice()).map_err(|_| NoRandomness)?;
        Ok(Self(key))
    }

    /// 64 hexadecimal digits, for `--certificate-key`.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn cipher(&self) -> Result<LessSafeKey, CertificatesError> {
        let key = UnboundKey::new(&AES_256_GCM, self.0.as_slice());
        key.map(LessSafeKey::new).map_err(|_| CertificatesError::InvalidKey)
    }
}

impl fmt::Debug for CertificateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateKey(<withheld>)")
    }
}

impl FromStr for CertificateKey {
    type Err = CertificatesError;

    fn from_str(text: &str) -> Result<Self, CertificatesError> {
        let digits = text.as_bytes();
        if digits.len() != 2 * KEY_LENGTH {
            return Err(CertificatesError::InvalidKey);
        }
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok());
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) =
                value(pair[0]).zip(value(pair[1])).ok_or(CertificatesError::InvalidKey)?;
            *byte = high << 4 | low;
        }
        Ok(Self(key))
    }
}

/// Where the cluster's etcd gets its certificates from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtcdCertificates {
    /// An etcd CA of the cluster's own.
    Stacked,
    /// Client files of an external etcd, at these paths on the host.
    External {
        /// The etcd's CA.
        ca_file: String,
        /// The API server's client certificate.
        cert_file: String,
        /// Its key.
        key_file: String,
    },
}

/// Key in the Secret and path on the host of each shared file, relative to the certificate directory
/// unless absolute.
pub fn shared_files(etcd: &EtcdCertificates) -> Vec<(&'static str, String)> {
    let mut files: Vec<_> =
        ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key"]
            .map(|name| (name, name.to_owned()))
            .into();
    match etcd {
        EtcdCertificates::Stacked => {
            files.push(("etcd-ca.crt", "etcd/ca.crt".to_owned()));
            files.push(("etcd-ca.key", "etcd/ca.key".to_owned()));
        }
        EtcdCertificates::External { ca_file, cert_file, key_file } => {
            files.push(("external-etcd-ca.crt", ca_file.clone()));
            files.push(("external-etcd.crt", cert_file.clone()));
            files.push(("external-etcd.key", key_file.clone()));
        }
    }
    files
}

/// One shared file, decrypted.
pub struct SharedFile {
    /// Relative to the certificate directory unless absolute.
    pub path: String,
    /// 0600 for a private key, else 0644.
    pub mode: u32,
    /// PEM.
    pub contents: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for SharedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedFile({}, {:04o})", self.path, self.mode)
    }
}

/// Where the Secret is.
pub fn key() -> ObjectKey {
    ObjectKey::namespaced(Kind::Secret, KUBE_SYSTEM, NAME)
}

/// The Secret. `contents` is by path as in [`shared_files`]; a file that is not there is stored empty.
///
/// `owner` is the live owner token's Secret: when the token expires, this Secret is collected with it.
pub fn secret(
    etcd: &EtcdCertificates,
    contents: &BTreeMap<String, Zeroizing<Vec<u8>>>,
    key: &CertificateKey,
    owner: Option<&Value>,
) -> Result<Object, CertificatesError> {
    let cipher = key.cipher()?;
    let mut data = Map::new();
    for (name, path) in shared_files(etcd) {
        let value = match contents.get(&path) {
            Some(plain) if !plain.is_empty() => STANDARD.encode(encrypt(&cipher, plain)?),
            _ => String::new(),
        };
        data.insert(name.to_owned(), value.into());
    }
    let owners: Vec<_> = owner.and_then(owner_reference).into_iter().collect();
    Ok(Object::new(
        self::key(),
        json!({"metadata": {"ownerReferences": owners}, "type": "Opaque", "data": data}),
    ))
}

/// The Role and RoleBinding that let a token's holder get the Secret.
pub fn access() -> [Object; 2] {
    readable_by(
        KUBE_SYSTEM,
        "kubeadm:kubeadm-certs",
        "secrets",
        NAME,
        &[Subject::Group(BOOTSTRAPPERS)],
    )
}

/// The files in a live Secret. Those stored empty are left out.
pub fn decode(
    secret: &Value,
    etcd: &EtcdCertificates,
    key: &CertificateKey,
) -> Result<Vec<SharedFile>, CertificatesError> {
    let cipher = key.cipher()?;
    let mut files = Vec::new();
    for (name, path) in shared_files(etcd) {
        let Some(value) = secret["data"][name].as_str() else {
            return Err(CertificatesError::Missing { name: name.to_owned() });
        };
        if value.is_empty() {
            continue;
        }
        let contents = STANDARD
            .decode(value)
            .ok()
            .and_then(|sealed| decrypt(&cipher, sealed))
            .ok_or_else(|| CertificatesError::Undecryptable { name: name.to_owned() })?;
        files.push(SharedFile { path, mode: mode(&contents), contents });
    }
    Ok(files)
}

fn owner_reference(owner: &Value) -> Option<Value> {
    let name = owner.pointer("/metadata/name")?;
    let uid = owner.pointer("/metadata/uid")?;
    Some(json!({
        "apiVersion": "v1", "kind": "Secret", "name": name, "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    }))
}

/// Nonce, ciphertext and tag in one.
fn encrypt(cipher: &LessSafeKey, plain: &[u8]) -> Result<Vec<u8>, CertificatesError> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| NoRandomness)?;
    let mut sealed = plain.to_vec();
    cipher
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
        .map_err(|_| CertificatesError::InvalidKey)?;
    Ok([&nonce[..], &sealed].concat())
}

fn decrypt(cipher: &LessSafeKey, sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
    let mut sealed = Zeroizing::new(sealed);
    let (nonce, ciphertext) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = cipher.open_in_place(nonce, Aad::empty(), ciphertext).ok()?;
    Some(Zeroizing::new(plain.to_vec()))
}

fn mode(pem: &[u8]) -> u32 {
    const MARK: &[u8] = b"PRIVATE KEY-----";
    if pem.windows(MARK.len()).any(|window| window == MARK) { 0o600 } else { 0o644 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(text: &str) -> BTreeMap<String, Zeroizing<Vec<u8>>> {
        shared_files(&EtcdCertificates::Stacked)
            .into_iter()
            .map(|(_, path)| (path.clone(), Zeroizing::new(format!("{path} {text}").into_bytes())))
            .collect()
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let key = CertificateKey::generate().unwrap();
        let mut contents = files("-----BEGIN CERTIFICATE-----");
        contents
            .insert("ca.key".into(), Zeroizing::new(b"-----BEGIN RSA PRIVATE KEY-----".to_vec()));
        contents.remove("sa.pub");
        let owner = json!({"metadata": {"name": "bootstrap-token-abcdef", "uid": "u-1"}});
        let secret = secret(&EtcdCertificates::Stacked, &contents, &key, Some(&owner)).unwrap();
        assert_eq!(secret.body()["metadata"]["ownerReferences"][0]["uid"], "u-1");
        assert_eq!(secret.body()["data"]["sa.pub"], "");

        let unpacked = decode(secret.body(), &EtcdCertificates::Stacked, &key).unwrap();
        assert_eq!(unpacked.len(), contents.len());
        for file in &unpacked {
            assert_eq!(file.contents, contents[&file.path]);
            assert_eq!(file.mode, if file.path == "ca.key" { 0o600 } else { 0o644 });
        }
    }

    #[test]
    fn another_key_does_not_open_it() {
        let (one, two) = (CertificateKey::generate().unwrap(), CertificateKey::generate().unwrap());
        let secret = secret(&EtcdCertificates::Stacked, &files(""), &one, None).unwrap();
        let error = decode(secret.body(), &EtcdCertificates::Stacked, &two).unwrap_err();
        assert_eq!(error, CertificatesError::Undecryptable { name: "ca.crt".into() });
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let key = CertificateKey::generate().unwrap();
        let error = decode(&json!({"data": {}}), &EtcdCertificates::Stacked, &key).unwrap_err();
        assert_eq!(error, CertificatesError::Missing { name: "ca.crt".into() });
    }

    #[test]
    fn external_etcd_files_go_where_the_configuration_says() {
        let etcd = EtcdCertificates::External {
            ca_file: "/etc/etcd/ca.crt".into(),
            cert_file: "/etc/etcd/client.crt".into(),
            key_file: "/etc/etcd/client.key".into(),
        };
        let files = shared_files(&etcd);
        assert_eq!(files[8], ("external-etcd.key", "/etc/etcd/client.key".to_owned()));
    }

    #[test]
    fn keys_are_64_digits_and_never_printed() {
        let key = CertificateKey::generate().unwrap();
        let text = key.expose();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse::<CertificateKey>().unwrap().expose(), text);
        assert!(!format!("{key:?}").contains(text.as_str()));
        assert!("0".repeat(63).parse::<CertificateKey>().is_err());
        assert!("g".repeat(64).parse::<CertificateKey>().is_err());
    }

    proptest! {
        #[test]
        fn truncated_values_are_refused_quietly(sealed in prop::collection::vec(any::<u8>(), 0..40)) {
            let key = CertificateKey::generate().unwrap();
            prop_assert!(decrypt(&key.cipher().unwrap(), sealed).is_none());
        }
    }
}
