//! Values of `[cluster]`: the version, endpoints, names in certificates, images.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{absolute_path, is_dns_subdomain, port};
use crate::inventory::error::{Fault, quoted};
use crate::inventory::model::{EncryptionAlgorithm, Endpoint, EtcdManager, KubernetesVersion};
use crate::inventory::suggest::nearest;

/// The minor releases of Kubernetes 1 that are understood.
const MINORS: std::ops::RangeInclusive<u16> = 20..=36;

/// `1.36.2` or `v1.36.2`.
pub(crate) fn kubernetes_version(text: &str) -> Result<KubernetesVersion, Fault> {
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

/// kubeadm's name of a kind of private key.
pub(in crate::inventory) fn encryption_algorithm(text: &str) -> Result<EncryptionAlgorithm, Fault> {
    let names = EncryptionAlgorithm::ALL.map(EncryptionAlgorithm::as_str);
    EncryptionAlgorithm::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| {
        Fault::new(
            format!("{} is not a kind of private key", quoted(text)),
            format!("expected one of {}", names.join(", ")),
        )
        .suggest(nearest(text, names))
    })
}

/// `host`, `host:port`, an IPv6 address with or without brackets.
pub(crate) fn endpoint(text: &str) -> Result<Endpoint, Fault> {
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

/// What runs etcd on its own hosts.
pub(in crate::inventory) fn etcd_manager(text: &str) -> Result<EtcdManager, Fault> {
    let known = [EtcdManager::Kubelet, EtcdManager::Systemd];
    known.into_iter().find(|manager| manager.as_str() == text).ok_or_else(|| {
        let title = format!("{} does not run etcd", quoted(text));
        let fault = Fault::new(title, "expected `kubelet` or `systemd`");
        fault.suggest(nearest(text, known.map(EtcdManager::as_str)))
    })
}

/// The URL of a member of etcd that is on this address.
pub(in crate::inventory) fn etcd_url(address: IpAddr, port: u16) -> String {
    format!("https://{}", SocketAddr::new(address, port))
}

/// An endpoint of an external etcd: `https://host[:port]`; `http` only where no file for TLS is given, as kubeadm has it.
pub(in crate::inventory) fn etcd_endpoint(text: &str, with_tls: bool) -> Result<String, Fault> {
    let title = || format!("{} is not an endpoint of etcd", quoted(text));
    let wrong = || Fault::new(title(), "expected one such as `https://10.0.0.5:2379`");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    endpoint(rest).map_err(|_| wrong())?;
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if !with_tls => Ok(text.to_owned()),
        "http" => Err(Fault::new(title(), "expected `https`, since there are files for TLS")),
        _ => Err(wrong()),
    }
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

/// A whole image: `registry[:port]/path` with a tag, a digest or both, so that it is known which one it is.
pub(in crate::inventory) fn image(text: &str) -> Result<String, Fault> {
    let wrong = || {
        Fault::new(
            format!("{} is not an image", quoted(text)),
            "expected `registry.example.com/path:tag`",
        )
    };
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    // A colon before the last slash is that of the registry's port.
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    };
    let is_digest = |digest: &str| {
        digest.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    if !repository.contains('/') || image_repository(repository).is_err() {
        return Err(wrong());
    }
    if tag.is_some_and(|tag| image_tag(tag).is_err()) || digest.is_some_and(|it| !is_digest(it)) {
        return Err(wrong());
    }
    if tag.is_none() && digest.is_none() {
        return Err(wrong().help("say which one: with a tag, as `:v1.0.0`, or a digest"));
    }
    Ok(text.to_owned())
}

/// A network interface's name, by the kernel's rules.
pub(in crate::inventory) fn interface(text: &str) -> Result<String, Fault> {
    let odd = |b: u8| b == b'/' || b == b':' || b.is_ascii_whitespace() || !b.is_ascii_graphic();
    if text.is_empty() || text.len() > 15 || matches!(text, "." | "..") || text.bytes().any(odd) {
        return Err(Fault::new(
            format!("{} is not a network interface", quoted(text)),
            "expected its name, as `eth0`",
        ));
    }
    Ok(text.to_owned())
}

/// VRRP's virtual router id.
pub(in crate::inventory) fn virtual_router_id(number: i64) -> Result<u8, Fault> {
    match u8::try_from(number) {
        Ok(id) if id > 0 => Ok(id),
        _ => Err(Fault::new(format!("{number} is not a virtual router id"), "expected 1 to 255")),
    }
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
    fn endpoints_of_etcd() {
        for good in ["https://10.0.0.1:2379", "https://[fd00::1]:2379", "https://etcd.example.com"]
        {
            assert_eq!(etcd_endpoint(good, true).unwrap(), good);
        }
        assert!(etcd_endpoint("http://10.0.0.1:2379", false).is_ok());
        let plain = etcd_endpoint("http://10.0.0.1:2379", true);
        assert!(plain.is_err());
        for bad in ["", "10.0.0.1:2379", "tcp://10.0.0.1", "https://", "https://a/b", "https://a:x"]
        {
            assert!(etcd_endpoint(bad, false).is_err(), "{bad}");
        }
        assert_eq!(etcd_manager("systemd").unwrap(), EtcdManager::Systemd);
        assert!(etcd_manager("docker").is_err());
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
    fn whole_images() {
        let digest = format!("ghcr.io/a/b@sha256:{}", "0".repeat(64));
        for good in ["ghcr.io/kube-vip/kube-vip:v1.0.0", "localhost:5000/a:1", &digest] {
            assert!(image(good).is_ok(), "{good}");
        }
        let bads =
            ["", "kube-vip", "kube-vip:v1", "r.io:5000/a", "r.io/a", "r.io/a:", "r.io/a@sha256:0"];
        for bad in bads {
            assert!(image(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn interfaces_and_router_ids() {
        for good in ["eth0", "bond0.100", "enp0s31f6"] {
            assert!(interface(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "..", "sixteen-letters!", "é"] {
            assert!(interface(bad).is_err(), "{bad}");
        }
        assert_eq!(virtual_router_id(255).unwrap(), 255);
        assert!(virtual_router_id(0).is_err() && virtual_router_id(256).is_err());
    }

    #[test]
    fn sockets() {
        let full = "unix:///run/containerd/containerd.sock";
        assert_eq!(cri_socket(full).unwrap(), full);
        assert_eq!(cri_socket("/run/containerd/containerd.sock").unwrap(), full);
        assert!(cri_socket("tcp://1.2.3.4").is_err() && cri_socket("unix://").is_err());
    }
}
