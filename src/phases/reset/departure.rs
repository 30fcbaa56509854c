//! Who leaves a cluster and who stays, and which hosts must not leave. Pure.
//!
//! A reset is refused here for what it would do to those that stay: no control plane any more, or an etcd that cannot
//! agree on anything.

use std::collections::BTreeMap;

use super::quorum::{self, Voter};

/// A Node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its kubelet reports that it is well.
    pub ready: bool,
    /// It carries a label of control planes.
    pub control_plane: bool,
    /// Its internal addresses.
    pub addresses: Vec<String>,
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Its ID in hexadecimal.
    pub id: u64,
    /// The name it started with; empty until it has started.
    pub name: String,
    /// Addresses in its peer URLs.
    pub addresses: Vec<String>,
    /// It votes: it is no learner.
    pub votes: bool,
    /// It answers, and sees a leader.
    pub healthy: bool,
    /// It is the leader, by what it says itself.
    pub leads: bool,
}

impl MemberView {
    /// What it is called: its name, or its ID where it has none yet.
    pub fn label(&self) -> String {
        if self.name.is_empty() { format!("{:x}", self.id) } else { self.name.clone() }
    }
}

/// A host of the inventory, as far as leaving goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    /// Its name, which is that of its Node.
    pub name: String,
    /// The address it advertises, where the inventory says so.
    pub address: Option<String>,
    /// It is a control plane by the inventory.
    pub control_plane: bool,
    /// It is of role `etcd`: a member and nothing else.
    pub etcd: bool,
    /// It is to be reset.
    pub leaves: bool,
}

/// The cluster as it is, and the hosts as they shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The inventory's hosts, in its order.
    pub hosts: Vec<HostView>,
    /// Every Node.
    pub nodes: Vec<NodeView>,
    /// Every member of etcd; empty where etcd is not asked.
    pub members: Vec<MemberView>,
    /// Why the members cannot be told, where they cannot.
    pub etcd_problem: Option<String>,
    /// What no host of the inventory stands for and is dead is removed first.
    pub prune: bool,
}

/// What a reset is refused for and may pass: after an outage, members of etcd come back in their kubelets' own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The hosts that stay and whose members are not well.
    pub hosts: Vec<String>,
    /// The refusal.
    pub why: String,
}

impl View {
    /// Whether a Node leaves.
    fn leaves(&self, node: &str) -> bool {
        self.hosts.iter().any(|host| host.leaves && host.name == node)
    }

    /// The same with the members as they are by now.
    pub fn with_members(&self, members: Vec<MemberView>) -> Self {
        Self { members, ..self.clone() }
    }

    /// The same with the address that a host turned out to advertise.
    #[must_use]
    pub fn with_address(mut self, host: &str, address: String) -> Self {
        if let Some(known) = self.hosts.iter_mut().find(|known| known.name == host) {
            known.address.get_or_insert(address);
        }
        self
    }

    fn is_control_plane(&self, node: &NodeView) -> bool {
        node.control_plane
            || self.hosts.iter().any(|host| host.control_plane && host.name == node.name)
    }

    /// The Node of a host, where it has one.
    pub fn node(&self, name: &str) -> Option<&NodeView> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The member that runs on a host: that of its name, or that of its address.
    pub fn member_of(&self, host: &str) -> Option<&MemberView> {
        let named = self.members.iter().find(|member| member.name == host);
        let mut addresses: Vec<&str> = Vec::new();
        addresses.extend(
            self.node(host).into_iter().flat_map(|node| node.addresses.iter().map(String::as_str)),
        );
        let known = self.hosts.iter().find(|known| known.name == host);
        addresses.extend(known.and_then(|known| known.address.as_deref()));
        named.or_else(|| {
            self.members.iter().find(|member| {
                member.addresses.iter().any(|address| addresses.contains(&address.as_str()))
            })
        })
    }

    /// Nodes that no host of the inventory stands for.
    pub fn strange_nodes(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.iter().filter(|node| !self.hosts.iter().any(|host| host.name == node.name))
    }

    /// Members of etcd that no host of the inventory stands for.
    pub fn strange_members(&self) -> impl Iterator<Item = &MemberView> {
        let known: Vec<u64> = self
            .hosts
            .iter()
            .filter_map(|host| self.member_of(&host.name).map(|member| member.id))
            .collect();
        self.members.iter().filter(move |member| !known.contains(&member.id))
    }

    /// Whether no control plane stays: what the cluster knows ends with this run.
    pub fn ends(&self) -> bool {
        !self.nodes.iter().any(|node| self.is_control_plane(node) && !self.leaves(&node.name))
    }

    /// Nodes that live on when the selected hosts are gone. A dead Node of no host is nobody.
    fn staying(&self) -> Vec<&str> {
        let strange: Vec<&str> = self.strange_nodes().map(|node| node.name.as_str()).collect();
        let stays = |node: &&NodeView| {
            !self.leaves(&node.name) && (node.ready || !strange.contains(&node.name.as_str()))
        };
        self.nodes.iter().filter(stays).map(|node| node.name.as_str()).collect()
    }

    /// The members that vote, named after their hosts.
    pub fn voters(&self) -> Vec<Voter> {
        let host_of = |member: &MemberView| {
            let host = self
                .hosts
                .iter()
                .find(|host| self.member_of(&host.name).is_some_and(|own| own.id == member.id));
            host.map_or_else(|| member.label(), |host| host.name.clone())
        };
        let voters = self.members.iter().filter(|member| member.votes);
        voters.map(|member| Voter { name: host_of(member), healthy: member.healthy }).collect()
    }

    /// The hosts that must not leave, each with why.
    pub fn refusals(&self) -> BTreeMap<String, String> {
        let leaving: Vec<&str> =
            self.hosts.iter().filter(|host| host.leaves).map(|host| host.name.as_str()).collect();
        let is_control_plane =
            |name: &&&str| self.node(name).is_some_and(|node| self.is_control_plane(node));
        let control_planes: Vec<&str> = leaving.iter().filter(is_control_plane).copied().collect();
        let is_member_alone =
            |name: &&&str| self.hosts.iter().any(|host| host.etcd && host.name == ***name);
        let etcd_hosts: Vec<&str> = leaving.iter().filter(is_member_alone).copied().collect();
        let mut refusals = BTreeMap::new();
        if control_planes.is_empty() && etcd_hosts.is_empty() {
            return refusals;
        }
        // Control planes hold members where no host of the inventory is there for that alone.
        let holders = match self.hosts.iter().any(|host| host.etcd) {
            true => etcd_hosts,
            false => control_planes.clone(),
        };
        if self.ends() {
            let staying = self.staying();
            if !staying.is_empty() {
                let is_last = match control_planes.as_slice() {
                    [_] => "it is the last control plane".to_owned(),
                    all => format!("{} are the last control planes", all.join(", ")),
                };
                let others = listed(&staying);
                let text = format!("{is_last} of a cluster in which {others}");
                refusals
                    .extend(control_planes.iter().map(|name| ((*name).to_owned(), text.clone())));
            }
            return refusals;
        }
        if let Some(problem) = &self.etcd_problem {
            let text = format!("etcd cannot be asked what it can afford to lose: {problem}");
            refusals.extend(holders.iter().map(|name| ((*name).to_owned(), text.clone())));
            return refusals;
        }
        let pruned: Vec<String> = match self.prune {
            true => {
                self.strange_members().filter(|it| !it.healthy).map(MemberView::label).collect()
            }
            false => Vec::new(),
        };
        let voters = self.voters();
        let mut going: Vec<&str> = pruned.iter().map(String::as_str).collect();
        for name in holders {
            let is_last = |voter: &Voter| voter.name == name || going.contains(&&*voter.name);
            let is_member = voters.iter().any(|voter| voter.name == name);
            if is_member && voters.iter().all(is_last) {
                let others = listed(&self.staying());
                refusals.insert(
                    name.to_owned(),
                    format!("it holds the last member of etcd of a cluster in which {others}"),
                );
                continue;
            }
            going.push(name);
            if let Err(lost) = quorum::take_out(&voters, &going) {
                refusals.insert(name.to_owned(), lost.to_string());
                going.pop();
            }
        }
        refusals
    }

    /// The first refusal that would be none if every member on a host that stays were well.
    pub fn awaited(&self) -> Option<Awaited> {
        let mut well = self.clone();
        let mut hosts = Vec::new();
        for host in self.hosts.iter().filter(|host| !host.leaves) {
            let ill = self.member_of(&host.name).filter(|member| !member.healthy);
            if let Some(ill) = ill {
                hosts.push(host.name.clone());
                well.members
                    .iter_mut()
                    .filter(|it| it.id == ill.id)
                    .for_each(|it| it.healthy = true);
            }
        }
        let then = well.refusals();
        let (_, why) = self.refusals().into_iter().find(|(host, _)| !then.contains_key(host))?;
        Some(Awaited { hosts, why })
    }
}

fn listed(staying: &[&str]) -> String {
    match staying {
        [one] => format!("{one} stays"),
        [some @ .., last] if some.len() < 4 => format!("{} and {last} stay", some.join(", ")),
        many => format!("{} nodes stay", many.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cp` and `n` hosts of these names; `-` before a name: it leaves.
    fn view(names: &[&str]) -> View {
        let mut view = View::default();
        for (number, name) in (1_u8..).zip(names) {
            let (leaves, name) = (name.starts_with('-'), name.trim_start_matches('-'));
            let control_plane = name.starts_with("cp");
            let address = format!("10.0.0.{number}");
            view.hosts.push(HostView {
                name: name.to_owned(),
                address: None,
                control_plane,
                etcd: false,
                leaves,
            });
            view.nodes.push(NodeView {
                name: name.to_owned(),
                ready: true,
                control_plane,
                addresses: vec![address.clone()],
            });
            if control_plane {
                view.members.push(MemberView {
                    id: number.into(),
                    name: name.to_owned(),
                    addresses: vec![address],
                    votes: true,
                    healthy: true,
                    leads: false,
                });
            }
        }
        view
    }

    fn text(view: &View) -> String {
        let lines = view.refusals().into_iter().map(|(host, why)| format!("{host}: {why}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn stranger(name: &str, ready: bool) -> NodeView {
        NodeView { name: name.into(), ready, control_plane: false, addresses: vec![] }
    }

    #[test]
    fn workers_and_spare_control_planes_may_leave() {
        assert_eq!(text(&view(&["cp-1", "-n1", "-n2"])), "");
        let some = view(&["-cp-1", "cp-2", "cp-3", "n1"]);
        assert_eq!(text(&some), "");
        assert!(!some.ends());
        // Down to one.
        assert_eq!(text(&view(&["-cp-1", "-cp-2", "cp-3"])), "");
    }

    #[test]
    fn members_that_stay_are_awaited_where_that_helps() {
        let awaited = |ill: &[usize], names: &[&str]| {
            let mut view = view(names);
            ill.iter().for_each(|at| view.members[*at].healthy = false);
            view.awaited().map(|awaited| awaited.hosts.join(" "))
        };
        let three = ["cp-1", "cp-2", "-cp-3", "n1"];
        assert_eq!(awaited(&[], &three), None);
        assert_eq!(awaited(&[0], &three).as_deref(), Some("cp-1"));
        assert_eq!(awaited(&[0, 1], &three).as_deref(), Some("cp-1 cp-2"));
        // It may leave as it is.
        assert_eq!(awaited(&[2], &three), None);
        assert_eq!(awaited(&[0], &["cp-1", "cp-2", "cp-3", "-n1"]), None);
        // No member that comes back makes up for those that leave.
        assert_eq!(awaited(&[0], &["-cp-1", "-cp-2", "n1"]), None);
    }

    #[test]
    fn the_last_control_plane_stays_while_anybody_else_does() {
        insta::assert_snapshot!(text(&view(&["-cp-1", "n1", "-n2"])), @"cp-1: it is the last control plane of a cluster in which n1 stays");
        insta::assert_snapshot!(text(&view(&["-cp-1", "-cp-2", "n1", "n2"])), @r"
        cp-1: cp-1, cp-2 are the last control planes of a cluster in which n1 and n2 stay
        cp-2: cp-1, cp-2 are the last control planes of a cluster in which n1 and n2 stay
        ");
        let everybody = view(&["-cp-1", "-n1"]);
        assert!(everybody.ends());
        assert_eq!(text(&everybody), "");
    }

    #[test]
    fn living_strangers_count_and_dead_ones_do_not() {
        let mut all = view(&["-cp-1", "-n1"]);
        all.nodes.push(stranger("ghost", false));
        assert_eq!(text(&all), "");
        all.nodes.push(stranger("visitor", true));
        insta::assert_snapshot!(text(&all), @"cp-1: it is the last control plane of a cluster in which visitor stays");
        let strangers: Vec<_> = all.strange_nodes().map(|node| node.name.as_str()).collect();
        assert_eq!(strangers, ["ghost", "visitor"]);
    }

    #[test]
    fn the_quorum_stays() {
        let mut three = view(&["-cp-1", "cp-2", "cp-3", "n1"]);
        three.members[2].healthy = false;
        insta::assert_snapshot!(text(&three), @"cp-1: etcd would lose its quorum: 3 members, 2 healthy, quorum 2: removing cp-1 leaves 2 members, 1 healthy, quorum 2");
        // The dead one itself may leave, and a learner never counts.
        let mut dead = view(&["cp-1", "cp-2", "-cp-3"]);
        dead.members[2].healthy = false;
        assert_eq!(text(&dead), "");
        three.members[2].votes = false;
        assert_eq!(text(&three), "");
    }

    #[test]
    fn hosts_of_etcd_leave_by_the_same_arithmetic() {
        let mut all = view(&["cp-1", "n1"]);
        all.members.clear();
        for (number, leaves) in [(1_u8, true), (2, false), (3, false)] {
            let (name, address) = (format!("etcd-{number}"), format!("10.0.1.{number}"));
            all.hosts.push(HostView {
                name: name.clone(),
                address: Some(address.clone()),
                control_plane: false,
                etcd: true,
                leaves,
            });
            all.members.push(MemberView {
                id: number.into(),
                name,
                addresses: vec![address],
                votes: true,
                healthy: true,
                leads: false,
            });
        }
        assert_eq!(text(&all), "");
        all.members[2].healthy = false;
        insta::assert_snapshot!(text(&all), @"etcd-1: etcd would lose its quorum: 3 members, 2 healthy, quorum 2: removing etcd-1 leaves 2 members, 1 healthy, quorum 2");
        all.members[2].healthy = true;
        for host in &mut all.hosts {
            host.leaves = host.etcd;
        }
        insta::assert_snapshot!(text(&all), @"etcd-3: it holds the last member of etcd of a cluster in which cp-1 and n1 stay");
        // With the control plane the cluster ends, and with it its etcd.
        all.hosts.iter_mut().for_each(|host| host.leaves = true);
        assert_eq!(text(&all), "");
    }

    #[test]
    fn dead_members_of_no_host_make_room_once_they_are_pruned() {
        let mut two = view(&["-cp-1", "cp-2", "n1"]);
        two.members.push(MemberView {
            id: 0xabc,
            name: String::new(),
            addresses: vec!["10.0.0.99".into()],
            votes: true,
            healthy: false,
            leads: false,
        });
        insta::assert_snapshot!(text(&two), @"cp-1: etcd would lose its quorum: 3 members, 2 healthy, quorum 2: removing cp-1 leaves 2 members, 1 healthy, quorum 2");
        let strangers: Vec<_> = two.strange_members().map(MemberView::label).collect();
        assert_eq!(strangers, ["abc"]);
        two.prune = true;
        assert_eq!(text(&two), "");
    }

    #[test]
    fn members_are_known_by_name_or_by_address() {
        let mut two = view(&["cp-1", "cp-2"]);
        two.members[1].name = String::new();
        assert_eq!(two.member_of("cp-2").unwrap().id, 2);
        two.nodes.pop();
        assert_eq!(two.member_of("cp-2"), None);
        let two = two.with_address("cp-2", "10.0.0.2".into());
        assert_eq!(two.member_of("cp-2").unwrap().id, 2);
        assert_eq!(two.strange_members().count(), 0);
        let voters: Vec<_> = two.voters().into_iter().map(|voter| voter.name).collect();
        assert_eq!(voters, ["cp-1", "cp-2"]);
    }
}
