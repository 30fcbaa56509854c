//! Whether the host sees the control plane's endpoint, before anything goes by it. Made by every workflow that makes or
//! joins a cluster, as kubeadm's checks are.

use std::net::IpAddr;

use super::result::{CheckResult, Findings};
use crate::node::facts::Facts;
use crate::report::Severity;

/// The control plane's endpoint, and what one host sees of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The address that `[cluster.load_balancer]` serves it at, where it does.
    pub address: Option<IpAddr>,
    /// Whether something accepts connections there, or why not; `None` where nobody tried, since there is no cluster yet
    /// that it could lead to.
    pub answer: Option<Result<(), String>>,
}

/// `ControlPlaneEndpoint`.
pub fn control_plane_endpoint(endpoint: &Endpoint, facts: &Facts) -> CheckResult {
    let mut findings = Findings::default();
    let Endpoint { host, port, address, answer } = endpoint;
    if host.parse::<IpAddr>().is_err() {
        let found = resolved(host, facts);
        match &found {
            None => findings.add(
                Severity::Warning,
                format!("the host's resolver gave no answer in time about {host}, the control plane's endpoint"),
            ),
            Some(found) if found.is_empty() => findings.add(
                Severity::Error,
                format!("{host}, the control plane's endpoint, does not resolve"),
            ),
            Some(found) => {
                if let Some(address) = address.filter(|address| !found.contains(address)) {
                    findings.add(
                        Severity::Error,
                        format!("{host} is {}, and the load balancer will be at {address}", list(found)),
                    );
                }
            }
        }
        findings = findings.saw(host.clone(), found.map_or("no answer".to_owned(), |it| list(&it)));
    }
    if let Some(Err(reason)) = answer {
        findings.add(
            Severity::Warning,
            format!(
                "the cluster is there, and nothing answers at {host}, port {port}, where its endpoint should be: {reason}"
            ),
        );
    }
    let answered = match answer {
        None => "not tried",
        Some(Ok(())) => "accepts connections",
        Some(Err(_)) => "accepts no connection",
    };
    CheckResult::new("ControlPlaneEndpoint", findings.saw(format!("TCP port {port}"), answered))
}

/// What the host's own resolver says; `None` without an answer.
fn resolved(name: &str, facts: &Facts) -> Option<Vec<IpAddr>> {
    if name == facts.hostname {
        return Some(facts.hostname_addresses.iter().filter_map(|it| it.parse().ok()).collect());
    }
    facts.resolved.get(name).cloned()
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), port: 6443, address: None, answer: None }
    }

    fn knowing(answer: Option<&[&str]>) -> Facts {
        let mut facts = Facts { hostname: "n1".to_owned(), ..Facts::default() };
        if let Some(answer) = answer {
            let answer = answer.iter().map(|text| text.parse().unwrap()).collect();
            facts.resolved.insert("k8s.example.com".to_owned(), answer);
        }
        facts
    }

    fn found(endpoint: &Endpoint, facts: &Facts) -> String {
        let result = control_plane_endpoint(endpoint, facts);
        let lines = result.findings.iter().map(|it| format!("{:?}: {}", it.severity, it.message));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_name_resolves_to_what_is_served() {
        let named = endpoint("k8s.example.com");
        assert_eq!(found(&named, &knowing(Some(&["10.0.0.10"]))), "");
        insta::assert_snapshot!(found(&named, &knowing(Some(&[]))), @"Error: k8s.example.com, the control plane's endpoint, does not resolve");
        insta::assert_snapshot!(found(&named, &knowing(None)), @"Warning: the host's resolver gave no answer in time about k8s.example.com, the control plane's endpoint");
        let served = Endpoint { address: Some("10.0.0.10".parse().unwrap()), ..named };
        assert_eq!(found(&served, &knowing(Some(&["10.0.0.9", "10.0.0.10"]))), "");
        insta::assert_snapshot!(found(&served, &knowing(Some(&["10.0.0.9"]))), @"Error: k8s.example.com is 10.0.0.9, and the load balancer will be at 10.0.0.10");
    }

    #[test]
    fn an_address_and_the_host_itself_need_no_resolver() {
        assert_eq!(found(&endpoint("10.0.0.10"), &knowing(None)), "");
        let mut facts = knowing(None);
        facts.hostname_addresses = vec!["127.0.1.1".to_owned()];
        assert_eq!(found(&endpoint("n1"), &facts), "");
    }

    #[test]
    fn what_should_be_served_already_and_is_not_is_told() {
        let answers = |answer| Endpoint { answer: Some(answer), ..endpoint("10.0.0.10") };
        assert_eq!(found(&answers(Ok(())), &knowing(None)), "");
        insta::assert_snapshot!(found(&answers(Err("no route".to_owned())), &knowing(None)), @"Warning: the cluster is there, and nothing answers at 10.0.0.10, port 6443, where its endpoint should be: no route");
    }
}
