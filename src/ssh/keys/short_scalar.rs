//! ECDSA keys over P-256 whose private number is shorter than 32 bytes: one key in 256 that `ssh-keygen` makes. OpenSSH writes the number without its leading zeros (an `mpint` of RFC 4251), which the library that reads every other key takes for a mistake.
//!
//! Must never be the first to look at a file: it reads only what the library refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::Cipher;
use russh::keys::ssh_key::Kdf;
use russh::keys::ssh_key::cipher::Tag;
use russh::keys::ssh_key::encoding::{Decode, Reader};
use russh::keys::ssh_key::private::{EcdsaKeypair, EcdsaPrivateKey};
use russh::keys::ssh_key::sec1::EncodedPoint;
use zeroize::Zeroizing;

const MAGIC: &[u8] = b"openssh-key-v1\0";
/// Length of P-256's private numbers, in bytes.
const SCALAR: usize = 32;

/// The key in `text`, a private key in OpenSSH's format (its `PROTOCOL.key`), if it is one with a short number. `passphrase` opens an encrypted one.
pub(super) fn decode(text: &str, passphrase: Option<&str>) -> Option<PrivateKey> {
    let bytes = armoured(text)?;
    let reader = &mut bytes.strip_prefix(MAGIC)?;
    let cipher = Cipher::new(&String::decode(reader).ok()?).ok()?;
    let kdf = Kdf::decode(reader).ok()?;
    let keys = u32::decode(reader).ok()?;
    let _public = Vec::<u8>::decode(reader).ok()?;
    let mut private = Zeroizing::new(Vec::<u8>::decode(reader).ok()?);
    if keys != 1 {
        return None;
    }
    if cipher.is_some() {
        let mut tag = Tag::default();
        if cipher.has_tag() {
            reader.read(&mut tag).ok()?;
        }
        let (key, iv) = kdf.derive_key_and_iv(cipher, passphrase?).ok()?;
        cipher.decrypt(&key, &iv, &mut private, cipher.has_tag().then_some(tag)).ok()?;
    }
    pair(&private).map(PrivateKey::from)
}

fn armoured(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = text.split_once("-----BEGIN OPENSSH PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END OPENSSH PRIVATE KEY-----")?;
    let body = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
    STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
}

/// The key in the decrypted part, which begins with the same number twice if the passphrase was right.
fn pair(mut private: &[u8]) -> Option<EcdsaKeypair> {
    let reader = &mut private;
    if u32::decode(reader).ok()? != u32::decode(reader).ok()? {
        return None;
    }
    if String::decode(reader).ok()? != "ecdsa-sha2-nistp256"
        || String::decode(reader).ok()? != "nistp256"
    {
        return None;
    }
    let public = EncodedPoint::from_bytes(Vec::<u8>::decode(reader).ok()?).ok()?;
    let number = Zeroizing::new(Vec::<u8>::decode(reader).ok()?);
    let zeros = SCALAR.checked_sub(number.len()).filter(|&zeros| zeros > 0)?;
    let mut padded = Zeroizing::new([0; SCALAR]);
    padded[zeros..].copy_from_slice(&number);
    Some(EcdsaKeypair::NistP256 { public, private: EcdsaPrivateKey::from(*padded) })
}

#[cfg(test)]
mod tests {
    use russh::keys::signature::{Signer, Verifier};
    use russh::keys::ssh_key::Signature;

    use super::*;

    /// What `ssh-keygen -t ecdsa` made after some hundred tries.
    const PUBLIC: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBCuCXTXBqqsm14mxkeQr1VGX8EGjIiLhKRnM45f8irl5ppmxV0R3hUDnVq4//GaNVvsEoQFfWgxM+8WvSzI5dzM=";
    const PLAIN: &str = "\
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQQrgl01waqrJteJsZHkK9VRl/BBoyIi
4SkZzOOX/Iq5eaaZsVdEd4VA51auP/xmjVb7BKEBX1oMTPvFr0syOXczAAAAmHMeuS9zHr
kvAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBCuCXTXBqqsm14mx
keQr1VGX8EGjIiLhKRnM45f8irl5ppmxV0R3hUDnVq4//GaNVvsEoQFfWgxM+8WvSzI5dz
MAAAAfSZalN9yaSFJFosd0kwb57IHDTapRQpA5IiKrAE1FpgAAAAAB";
    /// The same key after `ssh-keygen -p -N open-sesame -a 1`.
    const ENCRYPTED: &str = "\
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABDLlEF2Tx
1ltRtTv4L8+gT4AAAAAQAAAAEAAABoAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlz
dHAyNTYAAABBBCuCXTXBqqsm14mxkeQr1VGX8EGjIiLhKRnM45f8irl5ppmxV0R3hUDnVq
4//GaNVvsEoQFfWgxM+8WvSzI5dzMAAACg80Sjy8GyELVdP4T36rBw2tEvwOVLpcQ6cOuP
tp/bRAWxnlsVLxB0NB56RpKJQECKbmDMRJKw7oInzPfCFAilhkCtQfNARmQMZsOKiWXS7X
WS8Sc/UOf2B6TMOsjSAIW0yvTgonMfLbcSAcWvlqM72NylFn8ud0aD/5urtDTAv2gfQWrm
NJQkIMCk32jOwh10w86HNNEU7KyMz61pp01PBw==";

    fn file(body: &str) -> String {
        let label = "OPENSSH PRIVATE KEY";
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    #[test]
    fn the_key_signs_for_its_public_half() {
        let public = PUBLIC.parse::<russh::keys::PublicKey>().unwrap();
        for (body, passphrase) in [(PLAIN, None), (ENCRYPTED, Some("open-sesame"))] {
            let key = decode(&file(body), passphrase).unwrap();
            assert_eq!(key.public_key().key_data(), public.key_data());
            let signature: Signature = key.try_sign(b"a message").unwrap();
            public.key_data().verify(b"a message", &signature).unwrap();
        }
    }

    #[test]
    fn nothing_else_is_read() {
        assert!(decode(&file(ENCRYPTED), None).is_none());
        assert!(decode(&file(ENCRYPTED), Some("sesame")).is_none());
        assert!(decode(&file(&PLAIN[..300]), None).is_none());
        assert!(decode("hello", None).is_none());
    }
}
