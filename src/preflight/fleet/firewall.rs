//! What filters incoming packets: whether it lets the cluster through, and the commands that make it.

use super::groups::list;
use super::reachability::Tally;
use super::words::count;
use super::{Checks, FleetHost};
use crate::inventory::Role;
use crate::preflight::links;
use crate::preflight::result::Findings;
use crate::report::Severity;

/// Where services of type NodePort answer, unless the API server is told otherwise.
const NODE_PORTS: &str = "30000-32767";

impl Checks<'_> {
    pub(super) fn firewalls(&mut self) {
        let (api, stacked) = (self.api_port(), self.stacked_etcd());
        let findings = self.hosts.iter().enumerate().map(|(index, host)| {
            let firewalls = firewalls(host);
            if firewalls.is_empty() {
                return Some(Findings::default().saw("firewalls", "none"));
            }
            let Tally { connected, failed, .. } = self.tally(index);
            let findings = Findings::default()
                .saw("firewalls", list(&firewalls))
                .saw("connections let in", connected)
                .saw("connections not let in", failed);
            if failed == 0 && connected > 0 {
                return Some(findings);
            }
            let why = match failed {
                0 => "nothing shows whether the cluster is let in".to_owned(),
                failed => format!("{} did not get through", count(failed, "connection")),
            };
            let ports = merged(&links::ports_of(host.role, api, stacked));
            Some(told(findings, host.role, &firewalls, &why, &ports))
        });
        let findings: Vec<_> = findings.collect();
        self.push("Firewall", findings);
    }
}

/// What filters. Where a service manages the rules, their tables are its own business.
fn firewalls<'a>(host: &'a FleetHost<'_>) -> Vec<&'a str> {
    const SERVICES: [&str; 2] = ["firewalld", "ufw"];
    let facts = host.facts;
    let named = |name: &str| facts.firewalls.iter().any(|firewall| firewall == name);
    let active = |name: &str| facts.init.services.get(name).is_some_and(|state| state.active);
    // ufw's service also runs where ufw itself is turned off.
    let services =
        SERVICES.into_iter().filter(|name| named(name) || *name != "ufw" && active(name));
    let services: Vec<&str> = services.collect();
    if services.is_empty() {
        facts.firewalls.iter().map(String::as_str).collect()
    } else {
        services
    }
}

fn told(
    mut findings: Findings,
    role: Role,
    firewalls: &[&str],
    why: &str,
    ports: &[String],
) -> Findings {
    let node_ports = match role {
        Role::Worker => format!(", and {NODE_PORTS}/tcp for services of type NodePort"),
        Role::ControlPlane | Role::Etcd => String::new(),
    };
    let commands = firewalls.iter().filter_map(|firewall| commands(firewall, ports));
    let commands: Vec<String> = commands.map(|command| format!("`{command}`")).collect();
    let how =
        if commands.is_empty() { String::new() } else { format!(": {}", commands.join(", ")) };
    let text = format!(
        "{} may keep the cluster out, and {why}; open {}/tcp{node_ports}{how}",
        list(firewalls),
        ports.join(", ")
    );
    findings.add(Severity::Warning, text);
    findings
}

/// Ports in ascending order, neighbours as a range: `2379-2380`.
fn merged(ports: &[u16]) -> Vec<String> {
    let mut sorted = ports.to_vec();
    sorted.sort_unstable();
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for port in sorted {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    let range = |(first, last): (u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.into_iter().map(range).collect()
}

/// The command line that opens ports in a firewall. Words of the host get into it only where they are plain names:
/// somebody may paste it into a shell.
fn commands(firewall: &str, ports: &[String]) -> Option<String> {
    let words: Vec<&str> = firewall.split(' ').collect();
    let is_name = |word: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.chars().all(plain)
    };
    if !words.iter().all(is_name) {
        return None;
    }
    let colons = || ports.iter().map(|ports| ports.replace('-', ":")).collect::<Vec<_>>().join(",");
    Some(match words.as_slice() {
        ["firewalld"] => {
            let add: Vec<String> =
                ports.iter().map(|ports| format!("--add-port={ports}/tcp")).collect();
            format!("firewall-cmd --permanent {} && firewall-cmd --reload", add.join(" "))
        }
        ["ufw"] => format!("ufw allow proto tcp to any port {}", colons()),
        ["nftables", family, table, chain] => {
            let ports = ports.join(", ");
            format!("nft insert rule {family} {table} {chain} tcp dport '{{ {ports} }}' accept")
        }
        [tool @ ("iptables" | "ip6tables"), chain] => {
            format!("{tool} -I {chain} -p tcp -m multiport --dports {} -j ACCEPT", colons())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::facts::ServiceState;
    use crate::preflight::fleet::testing::{Fleet, found};
    use crate::preflight::links::LinkState;

    #[test]
    fn what_lets_everything_in_is_fine() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.all(|facts| facts.firewalls = vec!["nftables inet filter input".to_owned()]);
        fleet.links(|_, _, _| LinkState::Open);
        assert_eq!(found(&fleet), "");
    }

    #[test]
    fn commands_open_what_the_role_needs() {
        let mut fleet = Fleet::healthy(1, 3);
        for (host, firewall) in [
            ("cp-1", "firewalld"),
            ("node-1", "ufw"),
            ("node-2", "nftables inet filter input"),
            ("node-3", "iptables INPUT"),
        ] {
            fleet.host(host, |facts| facts.firewalls = vec![firewall.to_owned()]);
        }
        insta::assert_snapshot!(fleet.only("Firewall"), @r"
        cp-1 warning Firewall: firewalld may keep the cluster out, and nothing shows whether the cluster is let in; open 2379-2380, 6443, 10250/tcp: `firewall-cmd --permanent --add-port=2379-2380/tcp --add-port=6443/tcp --add-port=10250/tcp && firewall-cmd --reload`
        node-1 warning Firewall: ufw may keep the cluster out, and nothing shows whether the cluster is let in; open 10250/tcp, and 30000-32767/tcp for services of type NodePort: `ufw allow proto tcp to any port 10250`
        node-2 warning Firewall: nftables inet filter input may keep the cluster out, and nothing shows whether the cluster is let in; open 10250/tcp, and 30000-32767/tcp for services of type NodePort: `nft insert rule inet filter input tcp dport '{ 10250 }' accept`
        node-3 warning Firewall: iptables INPUT may keep the cluster out, and nothing shows whether the cluster is let in; open 10250/tcp, and 30000-32767/tcp for services of type NodePort: `iptables -I INPUT -p tcp -m multiport --dports 10250 -j ACCEPT`
        ");
        // Only those that kept somebody out.
        fleet.links(|_, to, _| match to {
            "node-1" => LinkState::Silent,
            _ => LinkState::Open,
        });
        insta::assert_snapshot!(fleet.only("Firewall"), @"node-1 warning Firewall: ufw may keep the cluster out, and 3 connections did not get through; open 10250/tcp, and 30000-32767/tcp for services of type NodePort: `ufw allow proto tcp to any port 10250`");
    }

    #[test]
    fn rules_are_left_to_the_service_that_manages_them() {
        let mut fleet = Fleet::healthy(1, 2);
        let active = ServiceState { exists: true, enabled: true, active: true };
        for name in ["firewalld", "ufw"] {
            fleet.host("node-1", |facts| {
                facts.init.services.insert(name.to_owned(), active);
            });
        }
        fleet.host("node-2", |facts| {
            facts.firewalls = vec!["ufw".to_owned(), "nftables ip filter INPUT".to_owned()];
        });
        insta::assert_snapshot!(found(&fleet), @r"
        node-1 warning Firewall: firewalld may keep the cluster out, and nothing shows whether the cluster is let in; open 10250/tcp, and 30000-32767/tcp for services of type NodePort: `firewall-cmd --permanent --add-port=10250/tcp && firewall-cmd --reload`
        node-2 warning Firewall: ufw may keep the cluster out, and nothing shows whether the cluster is let in; open 10250/tcp, and 30000-32767/tcp for services of type NodePort: `ufw allow proto tcp to any port 10250`
        ");
    }

    #[test]
    fn hosts_put_no_words_into_commands() {
        let ports = merged(&[10250]);
        for bad in ["nftables inet f;reboot input", "iptables -F", "iptables $(id)", "pf", ""] {
            assert_eq!(commands(bad, &ports), None, "{bad}");
        }
        assert_eq!(merged(&[10250, 2380, 2379, 6443]), ["2379-2380", "6443", "10250"]);
        assert_eq!(
            commands("ip6tables INPUT", &merged(&[2379, 2380])).unwrap(),
            "ip6tables -I INPUT -p tcp -m multiport --dports 2379:2380 -j ACCEPT"
        );
    }
}
