//! Whether hosts reach each other's ports, with packets of any size. What was tried is told by the target, who is more
//! often to blame: a firewall lets nobody in, or a service listens elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::Checks;
use super::groups::{list, shown};
use super::words::count;
use crate::inventory::Role;
use crate::preflight::links::{Link, LinkState};
use crate::preflight::result::Findings;
use crate::report::Severity;

/// What happened at a port, in the order it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble<'a> {
    Silent,
    Refused(&'a str),
}

/// How links to a host went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// Connected, whatever was lost on the way then.
    pub(super) connected: usize,
    pub(super) failed: usize,
    pub(super) untested: usize,
}

impl Checks<'_> {
    pub(super) fn tally(&self, host: usize) -> Tally {
        let mut tally = Tally::default();
        for (_, state) in &self.links_to[host] {
            let counter = match state {
                LinkState::Open | LinkState::Stalled => &mut tally.connected,
                LinkState::Silent | LinkState::Refused(_) => &mut tally.failed,
                LinkState::Untested(_) => &mut tally.untested,
            };
            *counter += 1;
        }
        tally
    }

    pub(super) fn reachability(&mut self) {
        // Hosts that something could be tried from.
        let mut tried_from = vec![false; self.hosts.len()];
        let mut why_not: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); self.hosts.len()];
        let mut concerned = vec![false; self.hosts.len()];
        for (Link { from, to, .. }, state) in self.links {
            concerned[*from] = true;
            concerned[*to] = true;
            match state {
                LinkState::Untested(why) => {
                    why_not[*from].insert(why);
                    why_not[*to].insert(why);
                }
                _ => tried_from[*from] = true,
            }
        }
        let findings = (0..self.hosts.len()).map(|host| {
            let tally = self.tally(host);
            let mut findings = self.reached(host, tally);
            if tally.connected + tally.failed == 0 && !tried_from[host] {
                findings.add(
                    Severity::Warning,
                    format!("no connection could be tried: {}", list(&why_not[host])),
                );
            }
            concerned[host].then_some(findings)
        });
        let findings: Vec<_> = findings.collect();
        self.push("Reachability", findings);
        self.path_mtu();
    }

    /// Which ports of a host cannot be reached.
    fn reached(&self, host: usize, tally: Tally) -> Findings {
        let mut troubles: BTreeMap<(u16, &str, Trouble<'_>), Vec<usize>> = BTreeMap::new();
        for (link, state) in &self.links_to[host] {
            let trouble = match state {
                LinkState::Silent => Trouble::Silent,
                LinkState::Refused(why) => Trouble::Refused(why),
                // Who connects is in: what is lost then is another check's.
                LinkState::Open | LinkState::Stalled | LinkState::Untested(_) => continue,
            };
            let key = (link.port, link.purpose, trouble);
            troubles.entry(key).or_default().push(link.from);
        }
        let mut findings = Findings::default();
        for ((port, purpose, trouble), sources) in &troubles {
            // Metrics are missing then, and nothing else: workers talk to each other's kubelets for no other reason.
            let of_workers = sources.iter().all(|from| self.hosts[*from].role == Role::Worker);
            let only_metrics = of_workers && *port != self.api_port();
            let severity = if only_metrics { Severity::Warning } else { Severity::Error };
            let from = self.named(sources);
            let text = match trouble {
                Trouble::Silent => format!("port {port} ({purpose}): no answer to {from}"),
                Trouble::Refused(why) => {
                    format!("port {port} ({purpose}): refused to {from}: {}", shown(why))
                }
            };
            findings.add(severity, text);
        }
        let Tally { connected, failed, untested } = tally;
        findings
            .saw("connections to it", format!("{connected} of {}", connected + failed))
            .saw("not tried", untested)
    }

    /// The API server's port.
    pub(super) fn api_port(&self) -> u16 {
        self.cluster.map_or(super::API_PORT, |cluster| cluster.api_server.bind_port)
    }

    fn path_mtu(&mut self) {
        let hosts = self.hosts;
        let mtus = self.mixed("MTU", |host| {
            // An address on the loopback interface is announced by routing, over any other.
            let interface = hosts[host].cluster_interface().filter(|card| card.name != "lo")?;
            (interface.mtu > 0).then(|| interface.mtu.to_string())
        });
        let findings = mtus.into_iter().enumerate().map(|(host, findings)| {
            let links = &self.links_to[host];
            let tried = self.tally(host).connected > 0;
            let mut findings = match findings {
                None if !tried => return None,
                findings => findings.unwrap_or_default(),
            };
            let stalled = links.iter().filter(|(_, state)| *state == LinkState::Stalled);
            let stalled: Vec<&Link> = stalled.map(|(link, _)| link).collect();
            if !stalled.is_empty() {
                let sources: BTreeSet<usize> = stalled.iter().map(|link| link.from).collect();
                let sources: Vec<usize> = sources.into_iter().collect();
                let ports: BTreeSet<u16> = stalled.iter().map(|link| link.port).collect();
                let what = if ports.len() == 1 { "port" } else { "ports" };
                findings.add(
                    Severity::Error,
                    format!(
                        "packets of full size get lost on the way from {} ({what} {})",
                        self.named(&sources),
                        list(ports.iter().map(ToString::to_string))
                    ),
                );
                findings = findings.saw("lost packets", count(stalled.len(), "connection"));
            }
            Some(findings)
        });
        let findings: Vec<_> = findings.collect();
        self.push("PathMTU", findings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::fleet::testing::{Fleet, found};

    #[test]
    fn ports_are_told_with_who_was_not_let_in() {
        let mut fleet = Fleet::healthy(3, 2);
        let refused = || LinkState::Refused("Connection refused".to_owned());
        fleet.links(|from, to, port| match (from, to, port) {
            ("cp-1" | "cp-2", "node-1", 10250) => LinkState::Silent,
            ("cp-3", "node-1", 10250) => refused(),
            ("node-1", "node-2", 10250) => LinkState::Silent,
            ("node-1" | "node-2", "cp-1", 6443) => refused(),
            (_, "cp-2", 2380) => LinkState::Silent,
            _ => LinkState::Open,
        });
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 error Reachability: port 6443 (API server): refused to node-[1-2]: Connection refused
        cp-2 error Reachability: port 2380 (etcd peers): no answer to cp-[1,3]
        node-1 error Reachability: port 10250 (kubelet, from the API server): no answer to cp-[1-2]
        node-1 error Reachability: port 10250 (kubelet, from the API server): refused to cp-3: Connection refused
        node-2 warning Reachability: port 10250 (kubelet, from whoever collects metrics): no answer to node-1
        ");
    }

    #[test]
    fn what_was_not_tried_is_told_once_nothing_was() {
        let mut fleet = Fleet::healthy(1, 2);
        let untested = || LinkState::Untested("neither nc nor python3 is there".to_owned());
        fleet.links(|from, to, _| match (from, to) {
            ("node-1", "cp-1") => untested(),
            _ => LinkState::Open,
        });
        assert_eq!(found(&fleet), "");
        fleet.links(|from, to, _| match (from, to) {
            ("node-1", _) | (_, "node-1") => untested(),
            _ => LinkState::Open,
        });
        insta::assert_snapshot!(found(&fleet), @"node-1 warning Reachability: no connection could be tried: neither nc nor python3 is there");
    }

    #[test]
    fn packets_of_any_size_arrive() {
        let mut fleet = Fleet::healthy(1, 3);
        fleet.host("node-3", |facts| facts.interfaces[1].mtu = 9000);
        fleet.links(|from, to, port| match (from, to, port) {
            ("node-3", "cp-1", _) | ("cp-1", "node-3", _) => LinkState::Stalled,
            _ => LinkState::Open,
        });
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 error PathMTU: packets of full size get lost on the way from node-3 (ports 6443, 10250)
        node-3 error PathMTU: packets of full size get lost on the way from cp-1 (port 10250)
        node-3 warning PathMTU: MTU: 1500 on cp-1,node-[1-2]; 9000 on node-3
        ");
    }
}
