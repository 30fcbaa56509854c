//! Values of `[cluster]`: the version, endpoints, names in certificates, images.

use std::net::{IpAddr, Ipv6Addr};

use super::{absolute_path, is_dns_subdomain, port};
use crate::inventory::error::{Fault, quoted};
use crate::inventory::model::{Endpoint, KubernetesVersion};

/// The minor releases of Kubernetes 1 that are understood.
const MINORS: std::ops::RangeInclusive<u16> = 20..=36;

/// `1.36.2` or `v1.36.2`.
pub(in crate::inventory) fn kubernetes_version(text: &str) -> Result<KubernetesVersion, Fault> {
    let expected = "expected a release such as `1.36.2`";
    let wrong = || Fault::new(format!("{} is not a Kubernetes version", quoted(text)), expected);
    let bare = text.strip_prefix('v').unwrap_or(text);
    if bare.contains(['-', '+']) && bare.starts_with("1.") {
        return Err(Fault::new(
            format!("{} is not a final release", quoted(text)),
            "expected a release such as `1.36.2`, without a suffix",
        ));
    }
    let mut parts = bare.split('.').map(|part| {
        let plain =
            part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
        if plain { part.parse::<u16>().ok() } else { None }
    });
    let mut next = || parts.next().flatten();
    let (major, minor) = (next().ok_or_else(wrong)?, next().ok_or_else(wrong)?);
    let patch = next().ok_or_else(|| wrong().help("the patch level is needed too"))?;
    if parts.next().is_some() {
        return Err(wrong());
    }
    if major != 1 || !MINORS.contains(&minor) {
        return Err(Fault::new(
            format!("Kubernetes {major}.{minor} is not supported"),
            format!("expected 1.{} to 1.{}", MINORS.start(), MINORS.end()),
        ));
    }
    Ok(KubernetesVersion { major, minor, patch })
}

/// `host`, `host:port`, an IPv6 address with or without brackets.
pub(in crate::inventory) fn endpoint(text: &str) -> Result<Endpoint, Fault> {
    let expected = "expected `host` or `host:port`";
    let wrong = || Fault::new(format!("{} is not an endpoint", quoted(text)), expected);
    if text.contains("//") {
        return Err(wrong().help("write it without the scheme, as `k8s.example.com:6443`"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok(Endpoint { host: text.to_owned(), port: None });
    }
    let (host, number) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
            let number = if rest.is_empty() {
                None
            } else {
                Some(rest.strip_prefix(':').ok_or_else(wrong)?)
            };
            (host, number)
        }
        None => match text.split_once(':') {
            Some((host, number)) => (host, Some(number)),
            None => (text, None),
        },
    };
    if host.parse::<IpAddr>().is_err() && !is_dns_subdomain(host) {
        return Err(wrong());
    }
    let port = match number {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(port(digits.parse().map_err(|_| wrong())?)?)
        }
        Some(_) => return Err(wrong()),
        None => None,
    };
    Ok(Endpoint { host: host.to_owned(), port })
}

/// A subject alternative name: an IP address, a DNS name, or a wildcard in its first label.
pub(in crate::inventory) fn san(text: &str) -> Result<String, Fault> {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    if text.parse::<IpAddr>().is_ok() || is_dns_subdomain(name) {
        return Ok(lower);
    }
    Err(Fault::new(
        format!("{} cannot stand in a certificate", quoted(text)),
        "expected an IP address, a DNS name or `*.domain`",
    ))
}

/// The cluster's DNS domain.
pub(in crate::inventory) fn dns_domain(text: &str) -> Result<String, Fault> {
    if is_dns_subdomain(text) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is not a DNS domain", quoted(text)),
        "expected lower-case labels such as `cluster.local`",
    ))
}

/// kubeadm's clusterName: it becomes a name in kubeconfigs.
pub(in crate::inventory) fn cluster_name(text: &str) -> Result<String, Fault> {
    if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(Fault::new(
            format!("{} cannot be the cluster's name", quoted(text)),
            "expected one word",
        ));
    }
    Ok(text.to_owned())
}

/// Where images come from: `registry[:port][/path]`, no tag.
pub(in crate::inventory) fn image_repository(text: &str) -> Result<String, Fault> {
    let (first, rest) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let (host, number) = first.split_once(':').map_or((first, None), |(a, b)| (a, Some(b)));
    let port_is_fine =
        number.is_none_or(|digits| digits.parse().is_ok_and(|number| port(number).is_ok()));
    let path_is_fine = rest.is_none_or(|path| path.split('/').all(is_path_component));
    if is_dns_subdomain(&host.to_ascii_lowercase()) && port_is_fine && path_is_fine {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(
        format!("{} is not an image repository", quoted(text)),
        "expected `registry.example.com[:port][/path]`",
    );
    Err(if text.contains("//") { fault.help("write it without a scheme") } else { fault })
}

/// Lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_path_component(part: &str) -> bool {
    let outer = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| outer(*first) && outer(*last))
        && bytes.iter().all(|b| outer(*b) || matches!(b, b'.' | b'_' | b'-'))
        && !["..", "___", "._", "_.", ".-", "-.", "_-", "-_"].iter().any(|odd| part.contains(odd))
}

/// An image's tag.
pub(in crate::inventory) fn image_tag(text: &str) -> Result<String, Fault> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let valid = text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'));
    if valid {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is not an image tag", quoted(text)),
        "expected one such as `v1.14.2`",
    ))
}

/// A container runtime's socket; like kubeadm, a bare path means `unix://`.
pub(in crate::inventory) fn cri_socket(text: &str) -> Result<String, Fault> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    match absolute_path(path) {
        Ok(path) => Ok(format!("unix://{path}")),
        Err(_) => Err(Fault::new(
            format!("{} is not a container runtime socket", quoted(text)),
            "expected one such as `unix:///run/containerd/containerd.sock`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, shown) in [("1.36.2", "1.36.2"), ("v1.20.0", "1.20.0")] {
            assert_eq!(kubernetes_version(text).unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "1",
            "1.36",
            "1.19.0",
            "1.37.0",
            "2.1.0",
            "1.36.2.1",
            "1.036.2",
            "1.36.0-rc.1",
            "+1.2.3",
        ] {
            assert!(kubernetes_version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints() {
        for (text, host, port) in [
            ("k8s.example.com:6443", "k8s.example.com", Some(6443)),
            ("10.0.0.1", "10.0.0.1", None),
            ("[fd00::1]:443", "fd00::1", Some(443)),
            ("[fd00::1]", "fd00::1", None),
            ("fd00::1", "fd00::1", None),
        ] {
            assert_eq!(endpoint(text).unwrap(), Endpoint { host: host.to_owned(), port }, "{text}");
        }
        for bad in [
            "",
            ":6443",
            "a:",
            "a:0",
            "a:65536",
            "https://a:6443",
            "A_b",
            "[fd00::1",
            "[a]:1",
            "a:+1",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_in_certificates() {
        assert_eq!(san("K8s.Example.com").unwrap(), "k8s.example.com");
        for good in ["*.example.com", "10.0.0.1", "fd00::1"] {
            assert!(san(good).is_ok(), "{good}");
        }
        for bad in ["", "*", "a.*.b", "*.*.b", "a_b", "https://a"] {
            assert!(san(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn images() {
        for good in ["registry.k8s.io", "localhost:5000/a/b", "r.example.com/a__b/c-d.e"] {
            assert!(image_repository(good).is_ok(), "{good}");
        }
        for bad in ["", "https://r.io", "r.io/", "r.io/A", "r.io:x/a", "r.io/a:tag", "r.io/a@b"] {
            assert!(image_repository(bad).is_err(), "{bad}");
        }
        assert!(image_tag("v1.14.2").is_ok() && image_tag(".a").is_err() && image_tag("").is_err());
    }

    #[test]
    fn sockets() {
        let full = "unix:///run/containerd/containerd.sock";
        assert_eq!(cri_socket(full).unwrap(), full);
        assert_eq!(cri_socket("/run/containerd/containerd.sock").unwrap(), full);
        assert!(cri_socket("tcp://1.2.3.4").is_err() && cri_socket("unix://").is_err());
    }
}
