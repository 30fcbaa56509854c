//! What names resolve to, by each host's own resolver.
//!
//! Answers are compared family by family, since a host without IPv6 may not be told of any, and agree when they have an
//! address in common: large services answer with a part of their addresses at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::groups::{Groups, list, shown};
use super::{Checks, FleetHost};
use crate::preflight::result::Findings;
use crate::report::Severity;

type Answer = BTreeSet<IpAddr>;

/// What the fleet says about one name.
#[derive(Default)]
struct Name<'a> {
    /// Who it is a name of.
    owner: Option<usize>,
    /// Some host other than the owner, which may know itself from a file, resolves it.
    known: bool,
    /// Who sees what.
    answers: BTreeMap<usize, &'a [IpAddr]>,
}

impl Checks<'_> {
    pub(super) fn names(&mut self) {
        let endpoint = self.cluster.and_then(|cluster| cluster.control_plane_endpoint.as_ref());
        let endpoint = endpoint.map(|endpoint| endpoint.host.as_str());
        let endpoint = endpoint.filter(|host| host.parse::<IpAddr>().is_err());
        let asked = self.asked();
        let mut findings: Vec<Option<Findings>> =
            self.hosts.iter().map(|host| opening(host, endpoint)).collect();
        // Of each host: names that it does not resolve, and what others resolve to that it is not.
        let mut unknown: Vec<Vec<&str>> = vec![Vec::new(); self.hosts.len()];
        let mut wrong: Vec<Vec<String>> = vec![Vec::new(); self.hosts.len()];
        for (name, asked) in &asked {
            if asked.known && Some(*name) != endpoint {
                let without = asked.answers.iter().filter(|(_, answer)| answer.is_empty());
                without.for_each(|(host, _)| unknown[*host].push(name));
            }
            match asked.owner.filter(|owner| !self.hosts[*owner].facts.addresses.is_empty()) {
                Some(owner) => {
                    for (host, answer) in &asked.answers {
                        if !answer.is_empty() && !self.may_be(owner, *host, answer) {
                            let answer = list(answer.iter().map(ToString::to_string));
                            wrong[*host].push(format!("{} is {answer}", shown(name)));
                        }
                    }
                }
                None => {
                    for (host, text) in self.disagreements(name, &asked.answers) {
                        if let Some(findings) = &mut findings[host] {
                            findings.add(Severity::Warning, text);
                        }
                    }
                }
            }
        }
        for ((findings, unknown), wrong) in findings.iter_mut().zip(unknown).zip(wrong) {
            let Some(findings) = findings else { continue };
            if !unknown.is_empty() {
                let names = list(unknown);
                findings.add(
                    Severity::Warning,
                    format!("other hosts resolve names that this one does not: {names}"),
                );
            }
            if !wrong.is_empty() {
                let names = list(wrong);
                findings.add(
                    Severity::Warning,
                    format!("names of hosts resolve to addresses those do not have: {names}"),
                );
            }
        }
        self.push("NameResolution", findings);
    }

    /// What was asked, name by name, and what everybody was told.
    fn asked(&self) -> BTreeMap<&str, Name<'_>> {
        let owners = self.owners();
        let mut names: BTreeMap<&str, Name<'_>> = BTreeMap::new();
        for (index, host) in self.hosts.iter().enumerate() {
            for (name, answer) in &host.facts.resolved {
                let asked = names.entry(name).or_insert_with(|| Name {
                    owner: owners.get(name.to_ascii_lowercase().as_str()).copied().flatten(),
                    ..Name::default()
                });
                asked.known |= asked.owner != Some(index) && !answer.is_empty();
                asked.answers.insert(index, answer);
            }
        }
        names
    }

    /// Whose name something is; nobody's where several hosts claim it.
    fn owners(&self) -> HashMap<String, Option<usize>> {
        let mut owners: HashMap<String, Option<usize>> = HashMap::new();
        for (index, host) in self.hosts.iter().enumerate() {
            for name in [host.name, host.address, &host.facts.hostname] {
                let owner = owners.entry(name.to_ascii_lowercase()).or_insert(Some(index));
                *owner = owner.filter(|owner| *owner == index);
            }
        }
        owners
    }

    /// Whether `answer`, given on `host`, can be what a name of `owner` stands for.
    fn may_be(&self, owner: usize, host: usize, answer: &[IpAddr]) -> bool {
        let machine = &self.hosts[owner];
        answer.iter().any(|address| {
            // Debian gives a host's own name an address of the loopback interface.
            let itself = owner == host && address.is_loopback();
            itself
                || machine.advertised() == Some(*address)
                || machine.facts.addresses.contains(address)
                // What it is reached by from outside may be translated on the way.
                || machine.address.parse() == Ok(*address)
        })
    }

    /// Who is told something else than most are.
    fn disagreements(
        &self,
        name: &str,
        answers: &BTreeMap<usize, &[IpAddr]>,
    ) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for is_v4 in [true, false] {
            let of_family = answers.iter().map(|(host, answer)| {
                let answer = answer.iter().filter(|address| address.is_ipv4() == is_v4);
                (*host, answer.copied().collect::<Answer>())
            });
            let groups = Groups::new(of_family.filter(|(_, answer)| !answer.is_empty()));
            let agrees = |answer: &Answer| groups.largest().all(|most| !most.is_disjoint(answer));
            let odd: Vec<usize> = groups
                .iter()
                .filter(|(answer, _)| !agrees(answer))
                .flat_map(|(_, hosts)| hosts.iter().copied())
                .collect();
            if !odd.is_empty() {
                let show = |answer: &Answer| list(answer.iter().map(ToString::to_string));
                let text = format!("{} is {}", shown(name), self.told(&groups, show));
                found.extend(odd.into_iter().map(|host| (host, text.clone())));
            }
        }
        found
    }
}

/// What a host was asked, and what it says of the cluster's endpoint.
fn opening(host: &FleetHost<'_>, endpoint: Option<&str>) -> Option<Findings> {
    let resolved = &host.facts.resolved;
    let answered = resolved.values().filter(|answer| !answer.is_empty()).count();
    let mut findings = Findings::default();
    if let Some((endpoint, answer)) = endpoint.and_then(|name| Some((name, resolved.get(name)?))) {
        let answer = list(answer.iter().map(ToString::to_string));
        findings = findings.saw("control plane endpoint", format!("{endpoint} is {answer}"));
    }
    let asked = resolved.len();
    (asked > 0).then(|| findings.saw("names resolved", format!("{answered} of {asked}")))
}

#[cfg(test)]
mod tests {
    use crate::preflight::fleet::testing::{Fleet, found};

    fn resolve(fleet: &mut Fleet, host: &str, name: &str, answer: &[&str]) {
        let answer = answer.iter().map(|address| address.parse().unwrap()).collect();
        fleet.host(host, |facts| {
            facts.resolved.insert(name.to_owned(), answer);
        });
    }

    #[test]
    fn the_endpoint_is_the_same_for_everybody() {
        let mut fleet = Fleet::healthy(1, 4);
        fleet.endpoint("k8s.example.com");
        for host in ["cp-1", "node-1", "node-2"] {
            resolve(&mut fleet, host, "k8s.example.com", &["10.0.0.11", "10.0.0.9"]);
        }
        // A part of the addresses is fine, and so is no IPv6.
        resolve(&mut fleet, "node-2", "k8s.example.com", &["10.0.0.9", "fd00::9"]);
        assert_eq!(found(&fleet), "");
        resolve(&mut fleet, "node-3", "k8s.example.com", &["192.0.2.1"]);
        resolve(&mut fleet, "node-4", "k8s.example.com", &[]);
        insta::assert_snapshot!(found(&fleet), @"node-3 warning NameResolution: k8s.example.com is 10.0.0.9, 10.0.0.11 on cp-1,node-1; 10.0.0.9 on node-2; 192.0.2.1 on node-3");
    }

    #[test]
    fn an_endpoint_that_is_an_address_needs_no_resolver() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.endpoint("10.0.0.11");
        resolve(&mut fleet, "node-1", "10.0.0.11", &[]);
        assert_eq!(found(&fleet), "");
    }

    #[test]
    fn names_of_hosts_are_the_hosts() {
        let mut fleet = Fleet::healthy(1, 3);
        // Everybody knows itself, each in its own way.
        resolve(&mut fleet, "node-1", "node-1", &["127.0.1.1"]);
        resolve(&mut fleet, "node-2", "node-2", &["::1"]);
        resolve(&mut fleet, "node-3", "node-3", &["10.0.1.3"]);
        resolve(&mut fleet, "node-1", "node-2", &[]);
        assert_eq!(found(&fleet), "");
        resolve(&mut fleet, "node-3", "node-2", &["10.0.1.2"]);
        resolve(&mut fleet, "node-3", "node-1", &["127.0.1.1"]);
        resolve(&mut fleet, "node-2", "cp-1", &["10.9.9.9"]);
        insta::assert_snapshot!(found(&fleet), @r"
        node-1 warning NameResolution: other hosts resolve names that this one does not: node-2
        node-2 warning NameResolution: names of hosts resolve to addresses those do not have: cp-1 is 10.9.9.9
        node-3 warning NameResolution: names of hosts resolve to addresses those do not have: node-1 is 127.0.1.1
        ");
    }

    #[test]
    fn of_two_opinions_both_are_told() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.endpoint("k8s.example.com");
        resolve(&mut fleet, "cp-1", "k8s.example.com", &["10.0.0.11"]);
        resolve(&mut fleet, "node-1", "k8s.example.com", &["10.0.0.12"]);
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 warning NameResolution: k8s.example.com is 10.0.0.11 on cp-1; 10.0.0.12 on node-1
        node-1 warning NameResolution: k8s.example.com is 10.0.0.11 on cp-1; 10.0.0.12 on node-1
        ");
    }
}
