//! How single values of kubeadm's documents are written: whether a text is a token, a socket, one of kubeadm's words. What
//! they mean together is for [`super::rules`].

use crate::cluster::yaml::located::Node;
use crate::inventory::{Fault, endpoint, nearest, quoted};

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];

/// A taint of kubeadm's documents as kubectl writes it.
pub(super) fn spell_taint(entry: &Node) -> String {
    let part = |name: &str| entry.at(&[name]).and_then(Node::text).unwrap_or_default();
    match part("value") {
        "" => format!("{}:{}", part("key"), part("effect")),
        value => format!("{}={value}:{}", part("key"), part("effect")),
    }
}

/// Whether a version is a label that is looked up on the internet, as `stable-1.36`.
pub(super) fn is_version_label(text: &str) -> bool {
    let bare = text.strip_prefix("ci/").unwrap_or(text);
    bare.starts_with("stable") || bare.starts_with("latest")
}

pub(super) fn word(text: &str, what: &str, known: &[&str]) -> Result<(), Fault> {
    if known.contains(&text) {
        return Ok(());
    }
    let label = format!("expected one of {}", known.join(", "));
    let fault = Fault::new(format!("{} is not {what}", quoted(text)), label);
    Err(fault.suggest(nearest(text, known.iter().copied())))
}

pub(super) fn pull_policy(text: &str) -> Result<(), Fault> {
    word(text, "an image pull policy", &PULL_POLICIES)
}

pub(super) fn absolute(text: &str) -> Result<(), Fault> {
    if text.starts_with('/') {
        return Ok(());
    }
    Err(Fault::new(format!("{} is not an absolute path", quoted(text)), "expected `/...`"))
}

pub(super) fn cri_socket(text: &str) -> Result<(), Fault> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.starts_with('/') && path.len() > 1 {
        return Ok(());
    }
    Err(Fault::new(
        format!("{} is not a container runtime socket", quoted(text)),
        "expected one such as `unix:///run/containerd/containerd.sock`",
    ))
}

pub(super) fn certificate_key(text: &str) -> Result<(), Fault> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    // A key is a secret: it is not repeated.
    Err(Fault::new("not a certificate key", "expected 32 bytes as 64 hexadecimal digits"))
}

pub(super) fn bootstrap_token(text: &str) -> Result<(), Fault> {
    let plain = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    match text.split_once('.') {
        Some((id, secret)) if plain(id, 6) && plain(secret, 16) => Ok(()),
        // Nor is a token.
        _ => Err(Fault::new(
            "not a bootstrap token",
            "expected 6 characters, a dot and 16 characters, lower-case letters and digits",
        )),
    }
}

pub(super) fn token_group(text: &str) -> Result<(), Fault> {
    let rest = text.strip_prefix("system:bootstrappers:").unwrap_or_default();
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fine = rest.len() <= 256
        && rest.bytes().all(|b| letter(b) || matches!(b, b':' | b'-'))
        && rest.bytes().last().is_some_and(letter);
    if fine {
        return Ok(());
    }
    Err(Fault::new(
        format!("{} is not a group of bootstrap tokens", quoted(text)),
        "expected `system:bootstrappers:` and a name",
    ))
}

pub(super) fn etcd_url(text: &str, secure: bool) -> Result<(), Fault> {
    let fault = |label: &str| Err(Fault::new(format!("{} is not etcd's URL", quoted(text)), label));
    match text.split_once("://") {
        Some(("http", _)) if secure => fault("expected https, since there are TLS files"),
        Some(("http" | "https", rest)) => {
            let place = rest.trim_end_matches('/');
            match endpoint(place) {
                Ok(_) => Ok(()),
                Err(_) => fault("expected one such as `https://10.0.0.1:2379`"),
            }
        }
        _ => fault("expected one such as `https://10.0.0.1:2379`"),
    }
}
