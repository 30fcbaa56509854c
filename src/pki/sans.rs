//! Subject alternative names: collected, checked, and put in kubeadm's order.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The names and addresses of a serving certificate.
///
/// kubeadm's order: names sorted, then addresses in the order they were added; duplicates once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AltNames {
    /// DNS names.
    pub dns: BTreeSet<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
}

impl AltNames {
    /// No names at all, as client certificates have it.
    pub fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.ips.is_empty()
    }

    /// Adds an address, once.
    pub fn push_ip(&mut self, ip: IpAddr) {
        if !self.ips.contains(&ip) {
            self.ips.push(ip);
        }
    }

    /// Adds a name or an address; false when it is neither.
    pub fn push(&mut self, text: &str) -> bool {
        if let Ok(ip) = text.parse() {
            self.push_ip(ip);
            return true;
        }
        let name = text.to_ascii_lowercase();
        let valid = is_subdomain(name.strip_prefix("*.").unwrap_or(&name));
        if valid {
            self.dns.insert(name);
        }
        valid
    }

    /// Adds what another has.
    pub fn extend(&mut self, other: &Self) {
        self.dns.extend(other.dns.iter().cloned());
        other.ips.iter().for_each(|ip| self.push_ip(*ip));
    }

    /// What of `self` a certificate with the names `have` is not valid for.
    pub fn missing_from(&self, have: &Self) -> Vec<String> {
        let names = self.dns.iter().filter(|name| !have.covers(name)).cloned();
        let ips = self.ips.iter().filter(|ip| !have.ips.contains(ip)).map(ToString::to_string);
        names.chain(ips).collect()
    }

    /// A wildcard stands for exactly one leading label.
    fn covers(&self, name: &str) -> bool {
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.dns.iter().any(|have| {
            have.eq_ignore_ascii_case(name)
                || wildcard.as_ref().is_some_and(|wildcard| have.eq_ignore_ascii_case(wildcard))
        })
    }
}

/// DNS-1123 subdomain.
fn is_subdomain(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_lowered_and_sorted() {
        let mut names = AltNames::default();
        for good in ["b.example", "A.example", "*.example.com", "10.0.0.1", "::1", "10.0.0.1"] {
            assert!(names.push(good), "{good}");
        }
        for bad in ["", "under_score", "-a", "a..b", "a.*.b", "*", "x y"] {
            assert!(!names.push(bad), "{bad}");
        }
        assert_eq!(
            names.dns.iter().collect::<Vec<_>>(),
            ["*.example.com", "a.example", "b.example"]
        );
        assert_eq!(names.ips.len(), 2);
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let names = |list: &[&str]| {
            let mut names = AltNames::default();
            assert!(list.iter().all(|name| names.push(name)));
            names
        };
        let have = names(&["*.example.com", "10.0.0.1"]);
        assert!(names(&["a.example.com", "10.0.0.1"]).missing_from(&have).is_empty());
        assert_eq!(
            names(&["a.b.example.com", "example.com", "10.0.0.2"]).missing_from(&have),
            ["a.b.example.com", "example.com", "10.0.0.2"]
        );
    }
}
