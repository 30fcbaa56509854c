//! Private keys: made, read and written in the forms kubeadm uses (PKCS#1 for RSA, SEC1 for ECDSA).

use std::fmt;
use std::thread;

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::error::Error;
use super::{der, pem};
use crate::inventory::EncryptionAlgorithm as Algorithm;

/// PEM label of PKCS#1, which kubeadm writes for RSA keys.
const PKCS1: &str = "RSA PRIVATE KEY";
/// PEM label of SEC1, which kubeadm writes for ECDSA keys.
const SEC1: &str = "EC PRIVATE KEY";
/// PEM label of PKCS#8, which kubeadm reads.
const PKCS8: &str = "PRIVATE KEY";

/// A private key. Its memory is wiped when it is dropped, and `Debug` does not show it.
pub struct PrivateKey {
    pair: Pair,
    pem: Zeroizing<String>,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static SignatureAlgorithm),
}

/// The curves read and written, with rcgen's name for each.
fn curves() -> [(&'static EcdsaSigningAlgorithm, &'static SignatureAlgorithm); 2] {
    [
        (&ECDSA_P256_SHA256_ASN1_SIGNING, &rcgen::PKCS_ECDSA_P256_SHA256),
        (&ECDSA_P384_SHA384_ASN1_SIGNING, &rcgen::PKCS_ECDSA_P384_SHA384),
    ]
}

impl PrivateKey {
    /// Makes a key. RSA takes tens to hundreds of milliseconds of CPU: see [`KeyPool`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        let [p256, p384] = curves();
        match algorithm {
            Algorithm::Rsa2048 => Self::generate_rsa(KeySize::Rsa2048),
            Algorithm::Rsa3072 => Self::generate_rsa(KeySize::Rsa3072),
            Algorithm::Rsa4096 => Self::generate_rsa(KeySize::Rsa4096),
            Algorithm::EcdsaP256 => Self::generate_ec(p256),
            Algorithm::EcdsaP384 => Self::generate_ec(p384),
        }
    }

    fn generate_rsa(size: KeySize) -> Result<Self, Error> {
        let failed = |reason| Error::crypto("making an RSA key", reason);
        let pair = RsaKeyPair::generate(size).map_err(failed)?;
        let document: Pkcs8V1Der = pair.as_der().map_err(failed)?;
        let pkcs1 = pkcs8_content(document.as_ref())
            .ok_or_else(|| Error::crypto("making an RSA key", "its PKCS#8 form is malformed"))?;
        let pem = pem::encode(PKCS1, pkcs1);
        Ok(Self { pair: Pair::Rsa(pair), pem })
    }

    fn generate_ec(
        (curve, name): (&'static EcdsaSigningAlgorithm, &'static SignatureAlgorithm),
    ) -> Result<Self, Error> {
        let failed = |reason| Error::crypto("making an ECDSA key", reason);
        let pair = EcdsaKeyPair::generate(curve).map_err(failed)?;
        let sec1: EcPrivateKeyRfc5915Der = pair.private_key().as_der().map_err(failed)?;
        let pem = pem::encode(SEC1, sec1.as_ref());
        Ok(Self { pair: Pair::Ec(pair, name), pem })
    }

    /// Reads PKCS#1, PKCS#8 or SEC1; the reason for refusal never quotes the input.
    pub fn from_pem(input: &[u8]) -> Result<Self, &'static str> {
        let block = pem::decode(input)?
            .into_iter()
            // openssl writes an EC PARAMETERS block ahead of the key.
            .find(|block| [PKCS1, SEC1, PKCS8].contains(&block.label.as_str()))
            .ok_or("it holds no private key")?;
        let pair = match block.label.as_str() {
            PKCS1 => RsaKeyPair::from_der(&block.der).ok().map(Pair::Rsa),
            SEC1 => ec_pair(&block.der),
            _ => RsaKeyPair::from_pkcs8(&block.der)
                .ok()
                .map(Pair::Rsa)
                .or_else(|| ec_pair(&block.der)),
        };
        let pair = pair.ok_or(
            "its private key is damaged, or neither RSA (2048 or more) nor ECDSA P-256 or P-384",
        )?;
        Ok(Self { pair, pem: pem::encode(&block.label, &block.der) })
    }

    /// The key as PEM: as it was read, or in kubeadm's form for a key made here.
    pub fn pem(&self) -> &Zeroizing<String> {
        &self.pem
    }

    /// Its SubjectPublicKeyInfo in DER, as a certificate for it has it.
    pub fn public_key(&self) -> Vec<u8> {
        self.subject_public_key_info()
    }

    /// Whether the certificate is this key's.
    pub fn belongs_to(&self, certificate: &Certificate) -> bool {
        certificate.public_key == self.subject_public_key_info()
    }

    /// The public key as a `PUBLIC KEY` PEM (what `sa.pub` holds).
    pub fn public_key_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.subject_public_key_info()).to_string()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("algorithm", self.algorithm()).finish_non_exhaustive()
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ec(pair, _) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match &self.pair {
            Pair::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
            Pair::Ec(_, name) => name,
        }
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let refused = |_| rcgen::Error::RemoteKeyError;
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(refused)?;
                Ok(signature)
            }
            Pair::Ec(pair, _) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(refused),
        }
    }
}

/// `from_private_key_der` reads SEC1 and PKCS#8 alike, but only for the curve it is asked for.
fn ec_pair(der: &[u8]) -> Option<Pair> {
    curves().into_iter().find_map(|(curve, name)| {
        EcdsaKeyPair::from_private_key_der(curve, der).ok().map(|pair| Pair::Ec(pair, name))
    })
}

/// The algorithm's own key inside PKCS#8: version, algorithm, then the octet string wanted.
fn pkcs8_content(pkcs8: &[u8]) -> Option<&[u8]> {
    let (der::SEQUENCE, fields, _) = der::split(pkcs8)? else { return None };
    let (_, _, rest) = der::split(fields)?;
    let (_, _, rest) = der::split(rest)?;
    match der::split(rest)? {
        (der::OCTET_STRING, key, _) => Some(key),
        _ => None,
    }
}

/// Keys made ahead of need, because making RSA keys is what a control plane's PKI spends its time on.
///
/// A pool that runs out makes keys one by one, so a pool of the wrong size costs time, nothing else.
#[derive(Debug)]
pub struct KeyPool {
    algorithm: Algorithm,
    keys: Vec<PrivateKey>,
}

impl KeyPool {
    /// An empty pool: every key is made when it is asked for.
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, keys: Vec::new() }
    }

    /// A pool of `count` keys, made on every core this machine has. Blocks: call it from a blocking
    /// thread.
    pub fn generate(algorithm: Algorithm, count: usize) -> Result<Self, Error> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
        let keys = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|index| {
                    let share = count / threads + usize::from(index < count % threads);
                    scope.spawn(move || {
                        (0..share).map(|_| PrivateKey::generate(algorithm)).collect::<Vec<_>>()
                    })
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| {
                    worker.join().unwrap_or_else(|_| {
                        vec![Err(Error::crypto("making a key", "its thread panicked"))]
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Self { algorithm, keys })
    }

    /// A key that nothing else uses.
    pub fn take(&mut self) -> Result<PrivateKey, Error> {
        self.keys.pop().map_or_else(|| PrivateKey::generate(self.algorithm), Ok)
    }

    /// Keys left.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the next key has to be made first.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn every_algorithm_round_trips_in_its_own_form() {
        for (algorithm, label) in [
            (Algorithm::Rsa2048, PKCS1),
            (Algorithm::EcdsaP256, SEC1),
            (Algorithm::EcdsaP384, SEC1),
        ] {
            let key = PrivateKey::generate(algorithm).unwrap();
            assert!(key.pem().starts_with(&format!("-----BEGIN {label}-----\n")), "{algorithm:?}");
            let read = PrivateKey::from_pem(key.pem().as_bytes()).unwrap();
            assert_eq!(read.subject_public_key_info(), key.subject_public_key_info());
            assert_eq!(read.pem(), key.pem());
        }
    }

    #[test]
    fn openssl_reads_what_is_written_and_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.pem");
        for algorithm in [Algorithm::Rsa2048, Algorithm::EcdsaP256, Algorithm::EcdsaP384] {
            let key = PrivateKey::generate(algorithm).unwrap();
            std::fs::write(&file, key.pem().as_bytes()).unwrap();
            for (arguments, label) in
                [(&["pkey"][..], PKCS8), (&["pkey", "-traditional"][..], "PRIVATE KEY-----")]
            {
                let Ok(output) =
                    Command::new("openssl").args(arguments).arg("-in").arg(&file).output()
                else {
                    eprintln!("SKIPPED: no openssl here");
                    return;
                };
                assert!(output.status.success(), "{algorithm:?}: {output:?}");
                assert!(String::from_utf8_lossy(&output.stdout).contains(label));
                let read = PrivateKey::from_pem(&output.stdout).unwrap();
                assert_eq!(read.subject_public_key_info(), key.subject_public_key_info());
            }
        }
    }

    #[test]
    fn debug_and_errors_hide_the_key() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let body = key.pem().lines().nth(1).unwrap().to_owned();
        assert!(!format!("{key:?}").contains(&body[..8]));
        assert!(PrivateKey::from_pem(b"no key").is_err());
        assert!(PrivateKey::from_pem(pem::encode(PKCS1, b"rubbish").as_bytes()).is_err());
    }

    #[test]
    fn a_pool_hands_out_distinct_keys_and_makes_more_when_empty() {
        let mut pool = KeyPool::generate(Algorithm::EcdsaP256, 5).unwrap();
        assert_eq!(pool.len(), 5);
        let mut seen: Vec<_> =
            (0..7).map(|_| pool.take().unwrap().subject_public_key_info()).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 7);
        assert!(pool.is_empty());
    }
}
