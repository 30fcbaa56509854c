//! Names: hosts, addresses, labels, taints, groups.

use std::net::IpAddr;

use crate::inventory::error::{Fault, quoted};
use crate::inventory::model::{Role, Taint};
use crate::inventory::suggest::nearest;

const LABEL_LIMIT: usize = 63;
const NAME_LIMIT: usize = 253;
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The word in selections that means every host.
pub(in crate::inventory) const EVERY_HOST: &str = "all";

/// Every role, with the word inventories use.
pub(in crate::inventory) const ROLES: [Role; 3] = [Role::ControlPlane, Role::Worker, Role::Etcd];

/// DNS-1123: dot-separated labels of lower-case letters, digits and inner dashes.
pub(in crate::inventory) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= NAME_LIMIT && text.split('.').all(is_dns_label)
}

fn is_dns_label(label: &str) -> bool {
    is_bounded(label, |b| b.is_ascii_lowercase() || b.is_ascii_digit(), |b| b == b'-')
}

/// 1 to 63 bytes of `outer` or `inner`, the first and the last of `outer`.
fn is_bounded(text: &str, outer: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    bytes.len() <= LABEL_LIMIT
        && ends.is_some_and(|(first, last)| outer(*first) && outer(*last))
        && bytes.iter().all(|b| outer(*b) || inner(*b))
}

/// A host's name, which is its node name too.
pub(crate) fn host_name(text: &str) -> Result<(), Fault> {
    if is_dns_subdomain(text) {
        return Ok(());
    }
    let fault = Fault::new(
        format!("{} cannot be a host name", quoted(text)),
        "expected lower-case letters, digits, `-` and `.`, as node names are (DNS-1123)",
    );
    let lower = text.to_lowercase().replace('_', "-");
    Err(fault.suggest(is_dns_subdomain(&lower).then_some(&*lower)))
}

/// Where SSH connects.
pub(in crate::inventory) fn address(text: &str) -> Result<(), Fault> {
    if text.parse::<IpAddr>().is_ok() || is_dns_subdomain(&text.to_ascii_lowercase()) {
        return Ok(());
    }
    let fault = Fault::new(
        format!("{} cannot be an address", quoted(text)),
        "expected an IP address or a DNS name",
    );
    Err(if text.contains('@') {
        fault.help("the login user goes into `ssh.user`")
    } else if text.contains(':') {
        fault.help("the port goes into `ssh.port`")
    } else {
        fault
    })
}

/// The address the cluster uses for a host; kubeadm wants a global unicast or a loopback one.
pub(crate) fn advertise_address(text: &str) -> Result<IpAddr, Fault> {
    let expected = "expected the IP address other nodes reach this host at";
    let address: IpAddr = text
        .parse()
        .map_err(|_| Fault::new(format!("{} is not an IP address", quoted(text)), expected))?;
    let usable = match address {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.is_link_local())
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()),
    };
    if usable {
        Ok(address)
    } else {
        Err(Fault::new(format!("{} cannot be advertised", quoted(text)), expected))
    }
}

/// A group's name. It shares selections with host names, roles and `all`.
pub(in crate::inventory) fn group_name(text: &str) -> Result<(), Fault> {
    if text == EVERY_HOST || ROLES.iter().any(|role| role.as_str() == text) {
        return Err(Fault::new(
            format!("a group cannot be called {}", quoted(text)),
            "selections use this word for a role or for every host",
        ));
    }
    let valid =
        is_bounded(text, |b| b.is_ascii_alphanumeric(), |b| matches!(b, b'-' | b'_' | b'.'));
    if valid {
        return Ok(());
    }
    Err(Fault::new(
        format!("{} cannot be a group name", quoted(text)),
        "expected letters, digits, `-`, `_` and `.`",
    ))
}

/// A role, by its word.
pub(in crate::inventory) fn role(text: &str) -> Result<Role, Fault> {
    ROLES.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
        let words = ROLES.map(Role::as_str);
        let meant = match text {
            "master" | "controlplane" | "control_plane" => Some(Role::ControlPlane.as_str()),
            "node" | "agent" => Some(Role::Worker.as_str()),
            _ => nearest(text, words),
        };
        let expected = "expected `control-plane`, `worker` or `etcd`";
        Fault::new(format!("{} is not a role", quoted(text)), expected).suggest(meant)
    })
}

/// A qualified name: an optional DNS prefix and `/`, then at most 63 letters, digits, `-`, `_`, `.`.
fn is_qualified(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    prefix.is_none_or(is_dns_subdomain) && is_label_text(name)
}

fn is_label_text(text: &str) -> bool {
    is_bounded(text, |b| b.is_ascii_alphanumeric(), |b| matches!(b, b'-' | b'_' | b'.'))
}

/// A node label's key.
pub(in crate::inventory) fn label_key(text: &str) -> Result<(), Fault> {
    if is_qualified(text) {
        return Ok(());
    }
    Err(Fault::new(
        format!("{} cannot be a label key", quoted(text)),
        "expected `name` or `prefix.example.com/name`, the name at most 63 letters, digits, `-`, `_`, `.`",
    ))
}

/// A node label's value.
pub(in crate::inventory) fn label_value(text: &str) -> Result<(), Fault> {
    if text.is_empty() || is_label_text(text) {
        return Ok(());
    }
    Err(Fault::new(
        format!("{} cannot be a label value", quoted(text)),
        "expected at most 63 letters, digits, `-`, `_`, `.`, with a letter or digit at both ends",
    ))
}

/// A taint as kubectl writes it: `key=value:Effect` or `key:Effect`.
pub(crate) fn taint(text: &str) -> Result<Taint, Fault> {
    let expected = "expected `key=value:Effect` or `key:Effect`";
    let wrong = |why: &str| Fault::new(format!("{} is not a taint: {why}", quoted(text)), expected);
    let (rest, effect) = text.rsplit_once(':').ok_or_else(|| wrong("it has no effect"))?;
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    if !EFFECTS.contains(&effect) {
        return Err(Fault::new(
            format!("{} is not a taint: unknown effect {}", quoted(text), quoted(effect)),
            "the effects are `NoSchedule`, `PreferNoSchedule` and `NoExecute`",
        )
        .suggest(nearest(effect, EFFECTS)));
    }
    if !is_qualified(key) {
        return Err(wrong("the key is not a qualified name"));
    }
    if !value.is_empty() && !is_label_text(value) {
        return Err(wrong("the value is not a label value"));
    }
    Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_dns_1123() {
        for good in ["a", "node-1", "node-1.dc1.example", "10.0.0.1", &"a".repeat(63)] {
            assert!(host_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a..b", "a.", "a b", "ä", &"a".repeat(64)] {
            assert!(host_name(bad).is_err(), "{bad}");
        }
        assert!(!is_dns_subdomain(&["a"; 128].join(".")));
    }

    #[test]
    fn taints_read_as_kubectl_writes_them() {
        let full = taint("example.com/gpu=yes:NoSchedule").unwrap();
        assert_eq!(
            (&*full.key, &*full.value, &*full.effect),
            ("example.com/gpu", "yes", "NoSchedule")
        );
        assert_eq!(taint("gpu:NoExecute").unwrap().value, "");
        for bad in ["gpu", "gpu=yes", "gpu:", "gpu:noschedule", ":NoSchedule", "a=b=c:NoSchedule"] {
            assert!(taint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_qualified_names() {
        for good in ["tier", "example.com/tier", "a_b.C"] {
            assert!(label_key(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a/b/c", "Example.com/a", "-a"] {
            assert!(label_key(bad).is_err(), "{bad}");
        }
        assert!(label_value("").is_ok() && label_value("a b").is_err());
    }

    #[test]
    fn advertised_addresses_are_reachable_ones() {
        for good in ["10.0.0.1", "127.0.0.1", "fd00::1"] {
            assert!(advertise_address(good).is_ok(), "{good}");
        }
        for bad in ["0.0.0.0", "224.0.0.1", "169.254.1.1", "fe80::1", "::", "host"] {
            assert!(advertise_address(bad).is_err(), "{bad}");
        }
    }
}
