//! Checks of the kubelet, its service, and the name its node will have.

use std::net::IpAddr;

use super::{Checks, Findings};
use crate::node::facts::InitKind;
use crate::report::Severity;

impl Checks<'_> {
    pub(super) fn kubelet_version(&mut self) {
        let coming = self.target.kubelet_version_override.as_ref();
        let version = coming.unwrap_or(&self.facts.kubelet_version);
        let control_plane = self.target.version;
        let newest = control_plane.minor;
        let oldest = newest.saturating_sub(self.rules.kubelet_skew);
        let findings = match minor_of(version) {
            None if version.is_empty() => Findings::error(
                "couldn't get kubelet version: there is no kubelet in the system path",
            ),
            None => Findings::error(format!("couldn't get kubelet version: `{version}` is none")),
            Some(minor) if minor < oldest => Findings::error(format!(
                "kubelet {version} is older than 1.{oldest}, the oldest that works with \
                 Kubernetes {control_plane}; please upgrade it"
            )),
            Some(minor) if minor > newest => Findings::error(format!(
                "kubelet {version} is newer than the control plane, {control_plane}; this is not \
                 a supported version skew"
            )),
            Some(_) => Findings::default(),
        };
        let which = if coming.is_some() { "kubelet to be installed" } else { "kubelet" };
        let version = if version.is_empty() { "none" } else { version };
        let findings = findings.saw(which, version);
        let findings = findings.saw("allowed", format!("1.{oldest} to 1.{newest}"));
        self.push("KubeletVersion", findings);
    }

    pub(super) fn kubelet_service(&mut self) {
        let state = self.facts.init.services.get("kubelet").copied().unwrap_or_default();
        let coming = self.target.kubelet_version_override.is_some();
        let (init, enable) = match self.facts.init.kind {
            InitKind::Systemd => ("systemd", "systemctl enable kubelet.service"),
            InitKind::Openrc => ("OpenRC", "rc-update add kubelet default"),
            InitKind::None => {
                let findings = Findings::warning(
                    "no supported init system detected: the kubelet must be started by other means",
                );
                let findings = findings.saw("init system", "neither systemd nor OpenRC");
                return self.push(self.rules.kubelet_service, findings);
            }
        };
        let (findings, service) = match (state.exists, state.enabled) {
            (true, true) => (Findings::default(), "enabled"),
            (true, false) => {
                let text = format!("kubelet service is not enabled, please run '{enable}'");
                (Findings::warning(text), "not enabled")
            }
            // It comes with the kubelet that will be installed.
            (false, _) if coming => (Findings::default(), "to be installed"),
            (false, _) => (Findings::warning("kubelet service does not exist"), "missing"),
        };
        let findings = findings.saw("init system", init).saw("kubelet service", service);
        self.push(self.rules.kubelet_service, findings);
    }

    pub(super) fn hostname(&mut self) {
        let (name, facts) = (&self.target.node_name, self.facts);
        let mut findings = Findings::default();
        if !is_qualified_name(name) {
            findings.add(
                Severity::Warning,
                format!(
                    "invalid node name format \"{name}\": at most 63 letters, digits, '-', '_' \
                     or '.', starting and ending with a letter or digit"
                ),
            );
        }
        let resolved = match name.eq_ignore_ascii_case(&facts.hostname) {
            // The host's own name is kept apart, with addresses as text.
            true => Some(facts.hostname_addresses.join(", ")),
            false => facts
                .resolved
                .get(name)
                .map(|found| found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")),
        };
        let resolved = match resolved {
            None => "no answer in time".to_owned(),
            Some(none) if none.is_empty() => {
                findings
                    .add(Severity::Warning, format!("hostname \"{name}\" could not be reached"));
                "no address".to_owned()
            }
            Some(addresses) => addresses,
        };
        self.push("Hostname", findings.saw("node name", name).saw("resolves to", resolved));
    }
}

/// The minor version of a 1.x release, with or without a leading `v`.
pub(super) fn minor_of(version: &str) -> Option<u16> {
    version.trim_start_matches('v').strip_prefix("1.")?.split(['.', '-', '+']).next()?.parse().ok()
}

/// The API's rule for the name part of label keys, which kubeadm holds node names against.
fn is_qualified_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    name.len() <= 63
        && name.bytes().all(inner)
        && ends(name.bytes().next())
        && ends(name.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minors() {
        for (text, minor) in [
            ("1.36.2", Some(36)),
            ("v1.20.5+really1.20.2", Some(20)),
            ("2.0.0", None),
            ("", None),
            ("1.x", None),
        ] {
            assert_eq!(minor_of(text), minor, "{text}");
        }
    }

    #[test]
    fn names() {
        assert!(is_qualified_name("n1.example_x.com"));
        for bad in ["", "-a", "a-", "a b", &"a".repeat(64)] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
    }
}
