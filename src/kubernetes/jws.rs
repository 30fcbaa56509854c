//! The signature beside the kubeconfig in cluster-info: a detached JWS made with a bootstrap token.
//!
//! The controller manager signs; whoever holds the token can verify, and then trusts the CA in the
//! kubeconfig. fleetadm computes it only to compare and to test.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;

use super::objects::bootstrap_token::BootstrapToken;

/// The key in cluster-info that holds the signature for this token.
pub fn data_key(token_id: &str) -> String {
    format!("jws-kubeconfig-{token_id}")
}

/// `header..signature`, the payload (the exact kubeconfig text) left out.
pub fn sign(token: &BootstrapToken, kubeconfig: &str) -> String {
    let header = header(token);
    let signature = hmac::sign(&key(token), signing_input(&header, kubeconfig).as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
}

/// True when `jws` was made with this token over exactly this kubeconfig text.
pub fn verify(token: &BootstrapToken, kubeconfig: &str, jws: &str) -> bool {
    let Some((signed_header, signature)) = jws.split_once("..") else {
        return false;
    };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
        return false;
    };
    let header = header(token);
    header == signed_header
        && hmac::verify(&key(token), signing_input(&header, kubeconfig).as_bytes(), &signature)
            .is_ok()
}

fn key(token: &BootstrapToken) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token.secret().expose_secret().as_bytes())
}

/// These two members in this order: a token id needs no escaping.
fn header(token: &BootstrapToken) -> String {
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{}"}}"#, token.id()))
}

fn signing_input(header: &str, kubeconfig: &str) -> String {
    format!("{header}.{}", URL_SAFE_NO_PAD.encode(kubeconfig))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> BootstrapToken {
        "abcdef.abcdef0123456789".parse().unwrap()
    }

    // Computed independently with `openssl dgst -sha256 -hmac abcdef0123456789`.
    const SIGNED: &str =
        "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..BLCiMbGcShVgsp_r15kjPRjvdy-zTqx0Gn8Ew1u2aCY";

    #[test]
    fn signs_as_the_controller_manager_does() {
        assert_eq!(sign(&token(), "apiVersion: v1\n"), SIGNED);
    }

    #[test]
    fn verifies_only_the_same_text_with_the_same_token() {
        assert!(verify(&token(), "apiVersion: v1\n", SIGNED));
        assert!(!verify(&token(), "apiVersion: v2\n", SIGNED));
        assert!(!verify(&"abcdef.abcdef0123456780".parse().unwrap(), "apiVersion: v1\n", SIGNED));
        assert!(!verify(&"abcdeg.abcdef0123456789".parse().unwrap(), "apiVersion: v1\n", SIGNED));
        assert!(!verify(&token(), "apiVersion: v1\n", "no signature"));
        assert!(!verify(&token(), "apiVersion: v1\n", &SIGNED[..SIGNED.len() - 2]));
    }
}
