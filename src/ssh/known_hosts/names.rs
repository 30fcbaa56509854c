//! The names under which a host is looked for in known_hosts, as OpenSSH's client makes them.

use std::net::IpAddr;

use crate::ssh::settings::{DEFAULT_PORT, Settings};

/// Characters that mean something else in known_hosts than themselves.
const SPECIAL: [char; 12] = ['@', '?', '*', '#', '[', ']', '|', '\'', '"', '\\', ',', '!'];

/// The names of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// What lines about the host have: `host`, `[host]:port`, or the alias.
    pub(super) entry: String,
    /// What lines may have instead, if they have the very key presented: the host without the port.
    pub(super) without_port: Option<String>,
    /// What a certificate must be for.
    pub(super) principal: String,
}

impl Names {
    /// The names of the host that `settings` lead to.
    pub(super) fn new(settings: &Settings) -> Self {
        let alias = settings.host_key_alias.value.as_deref();
        Self::of(&settings.host_name.value, settings.port.value, alias)
    }

    /// The names of `host` at `port`, or of `alias` whatever the port.
    pub(super) fn of(host: &str, port: u16, alias: Option<&str>) -> Self {
        if let Some(alias) = alias {
            let alias = alias.to_ascii_lowercase();
            return Self { entry: alias.clone(), without_port: None, principal: alias };
        }
        // Addresses have more than one form; OpenSSH looks for the canonical one.
        let host = match host.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => host.to_ascii_lowercase(),
        };
        let (entry, without_port) = match port {
            DEFAULT_PORT => (host.clone(), None),
            port => (format!("[{host}]:{port}"), Some(host.clone())),
        };
        Self { entry, without_port, principal: host }
    }

    /// Every name that a line about the host may have.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        [&self.entry].into_iter().chain(&self.without_port).map(String::as_str)
    }

    /// Whether a line with this name would be about this host alone.
    pub(super) fn can_be_written(&self) -> bool {
        let unusual =
            |c: char| SPECIAL.contains(&c) || c.is_whitespace() || c.is_control() || !c.is_ascii();
        !self.principal.is_empty() && !self.principal.contains(unusual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts() {
        let entry = |host: &str, port| Names::of(host, port, None).entry;
        assert_eq!(entry("Node.Example", 22), "node.example");
        assert_eq!(entry("node.example", 2222), "[node.example]:2222");
        assert_eq!(entry("10.0.0.1", 22), "10.0.0.1");
        assert_eq!(entry("FD00:0::1", 22), "fd00::1");
        assert_eq!(entry("fd00::1", 2222), "[fd00::1]:2222");

        let names = Names::of("node.example", 2222, None);
        assert_eq!(names.without_port.as_deref(), Some("node.example"));
        assert_eq!(names.principal, "node.example");
        assert_eq!(Names::of("node.example", 22, None).without_port, None);

        let alias = Names::of("node.example", 2222, Some("Alias"));
        assert_eq!(alias.entry, "alias");
        assert_eq!(alias.without_port, None);
        assert_eq!(alias.principal, "alias");
    }

    #[test]
    fn names_that_would_be_patterns_are_not_written() {
        for name in ["node.example", "fd00::1", "fe80::1%eth0", "_x-y"] {
            assert!(Names::of(name, 2222, None).can_be_written(), "{name}");
        }
        for name in ["*", "a,b", "!a", "a b", "|1|x", "[a]:22", "#a", "@revoked", "", "a\nb", "ä"]
        {
            assert!(!Names::of("a", 22, Some(name)).can_be_written(), "{name}");
        }
    }
}
