//! Whether the environment's proxy would be used for the cluster's own traffic, by Go's rules: those
//! programs run on the host, in this environment, and they are Go programs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Checks, Findings};

/// Port of https, which kubeadm's check of a host implies.
const HTTPS_PORT: u16 = 443;
/// Port that kubeadm's check of a network makes up.
const CIDR_PORT: u16 = 1234;

impl Checks<'_> {
    pub(super) fn http_proxy(&mut self, host: &str) {
        let findings = match proxy_for(&self.facts.proxy_environment, host, HTTPS_PORT) {
            Some(proxy) => Findings::warning(format!(
                "connection to \"https://{host}\" uses proxy \"{proxy}\". If that is not \
                 intended, adjust your proxy settings"
            )),
            None => Findings::default(),
        };
        self.push("HTTPProxy", findings.saw("connection", format!("https://{host}")));
    }

    pub(super) fn http_proxy_cidr(&mut self, network: IpNet) {
        let first = first_address(network).to_string();
        let findings = match proxy_for(&self.facts.proxy_environment, &first, CIDR_PORT) {
            Some(proxy) => Findings::warning(format!(
                "connection to \"{network}\" uses proxy \"{proxy}\". Pod and service networks \
                 should be exceptions in the proxy configuration"
            )),
            None => Findings::default(),
        };
        let findings = findings.saw("network", network).saw("connection", first);
        self.push("HTTPProxyCIDR", findings);
    }
}

/// The address after the network's own.
fn first_address(network: IpNet) -> IpAddr {
    match network.network() {
        IpAddr::V4(base) => IpAddr::from((u32::from(base).wrapping_add(1)).to_be_bytes()),
        IpAddr::V6(base) => IpAddr::from((u128::from(base).wrapping_add(1)).to_be_bytes()),
    }
}

/// The proxy that https to `host` would go through, without its credentials.
fn proxy_for(environment: &BTreeMap<String, String>, host: &str, port: u16) -> Option<String> {
    let variable = |name: &str| {
        [name.to_ascii_uppercase(), name.to_owned()]
            .iter()
            .find_map(|name| environment.get(name).filter(|value| !value.is_empty()))
            .map(String::as_str)
    };
    let proxy = variable("https_proxy")?;
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return None;
    }
    let exempt = variable("no_proxy")
        .unwrap_or_default()
        .split(',')
        .any(|entry| is_exempt(&entry.trim().to_ascii_lowercase(), &host, address, port));
    (!exempt).then(|| without_credentials(proxy))
}

/// Whether one entry of `no_proxy` covers a host.
fn is_exempt(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry.is_empty() {
        return false;
    }
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return address.is_some_and(|address| network.contains(&address));
    }
    let (name, wanted_port) = split_port(entry);
    if wanted_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let Ok(wanted) = name.parse::<IpAddr>() {
        return address == Some(wanted);
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        // `.example.com` covers what is below, `example.com` itself too.
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|front| front.ends_with('.')),
    }
}

/// `name:port`, `[v6]:port`, or either without a port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    match entry.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name.trim_matches(['[', ']']), Some(port)),
            Err(_) => (entry.trim_matches(['[', ']']), None),
        },
        None => (entry, None),
    }
}

fn without_credentials(proxy: &str) -> String {
    let (scheme, rest) = match proxy.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), proxy),
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}[redacted]@{host}"),
        None => proxy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(no_proxy: &str, host: &str, port: u16) -> bool {
        let environment = BTreeMap::from([
            ("https_proxy".to_owned(), "http://proxy:3128".to_owned()),
            ("NO_PROXY".to_owned(), no_proxy.to_owned()),
        ]);
        proxy_for(&environment, host, port).is_some()
    }

    #[test]
    fn no_proxy_by_gos_rules() {
        for (no_proxy, host) in [
            ("*", "a.example.com"),
            ("example.com", "example.com"),
            ("example.com", "a.example.com"),
            (".example.com", "a.example.com"),
            ("*.example.com", "a.b.example.com"),
            ("other, Example.COM ", "EXAMPLE.com"),
            ("example.com:443", "example.com"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3:443", "10.1.2.3"),
            ("fd00::/8", "fd00::1"),
            ("[fd00::1]:443", "fd00::1"),
            ("", "localhost"),
            ("", "127.0.0.53"),
            ("", "::1"),
        ] {
            assert!(!proxied(no_proxy, host, 443), "{no_proxy} should exempt {host}");
        }
        for (no_proxy, host) in [
            ("", "example.com"),
            (".example.com", "example.com"),
            ("*.example.com", "example.com"),
            ("example.com", "badexample.com"),
            ("example.com:8443", "example.com"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/8", "ten.example.com"),
            ("10.1.2.3:80", "10.1.2.3"),
            ("a*", "a.example.com"),
        ] {
            assert!(proxied(no_proxy, host, 443), "{no_proxy} should not exempt {host}");
        }
    }

    #[test]
    fn only_the_https_variable_counts_and_upper_case_first() {
        let environment = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let find = |pairs| proxy_for(&environment(pairs), "a.example", 443);
        assert_eq!(find(&[("http_proxy", "http://p")]), None);
        assert_eq!(find(&[("HTTPS_PROXY", "u"), ("https_proxy", "l")]).as_deref(), Some("u"));
        assert_eq!(find(&[("HTTPS_PROXY", ""), ("https_proxy", "l")]).as_deref(), Some("l"));
    }

    #[test]
    fn credentials_are_not_repeated() {
        let shown = without_credentials("http://user:p@ss@proxy:3128");
        assert_eq!(shown, "http://[redacted]@proxy:3128");
        assert_eq!(without_credentials("u:p@proxy"), "[redacted]@proxy");
    }

    #[test]
    fn first_addresses() {
        assert_eq!(first_address("10.96.0.0/12".parse().unwrap()).to_string(), "10.96.0.1");
        assert_eq!(first_address("fd00::/108".parse().unwrap()).to_string(), "fd00::1");
    }
}
