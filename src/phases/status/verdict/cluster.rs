//! The cluster as a whole, against what the inventory says. Pure.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::cluster::Cluster;
use crate::phases::certs::expiration::Found;
use crate::phases::reset::departure::MemberView;
use crate::phases::reset::quorum::Tally;

use super::super::cluster::{ApiSeen, ClusterSeen, EtcdSeen};

/// How the cluster stands.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterStatus {
    /// Its name by the inventory.
    pub name: String,
    /// Its version by the inventory.
    pub kubernetes_version: String,
    /// A control plane has been set up, or may have been on a host that could not be reached.
    pub exists: bool,
    /// The control plane through which it answered; `None` where none did.
    pub through: Option<String>,
    /// Nodes.
    pub nodes: usize,
    /// The control plane's endpoint, where the inventory names one and that was asked.
    pub endpoint: Option<EndpointStatus>,
    /// Its etcd; `None` where that is somebody else's, or does not answer.
    pub etcd: Option<EtcdStatus>,
    /// Which certificate of those that were seen expires first, as `certs check-expiration` has it.
    pub first_to_expire: Option<Value>,
    /// Nodes that no host of the inventory stands for.
    pub nodes_of_no_host: Vec<String>,
    /// Members of etcd that no host of the inventory stands for.
    pub members_of_no_host: Vec<String>,
    /// What is not as the inventory says, or not well, and is no single host's.
    pub findings: Vec<String>,
    /// It does not answer, and a control plane could not be reached.
    #[serde(skip)]
    pub unreachable: bool,
    /// The certificate of `first_to_expire` for people.
    #[serde(skip)]
    pub first_to_expire_words: Option<String>,
}

/// How the control plane's endpoint stands.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointStatus {
    /// `host:port`.
    pub address: String,
    /// An API server of the cluster answers there.
    pub answers: bool,
}

/// How etcd stands.
#[derive(Debug, Clone, Serialize)]
pub struct EtcdStatus {
    /// Members that vote.
    pub voters: usize,
    /// Those of them that are healthy.
    pub healthy: usize,
    /// How many have to agree.
    pub quorum: usize,
    /// Members that do not vote yet.
    pub learners: usize,
}

/// How the cluster stands. `certificates` are those that were seen, with their hosts.
pub fn of_cluster<'a>(
    seen: &ClusterSeen,
    cluster: &Cluster,
    certificates: impl Iterator<Item = (&'a str, &'a Found)>,
    now: OffsetDateTime,
) -> ClusterStatus {
    let view = &seen.view;
    let expiring = certificates.filter_map(|(host, one)| Some((one.left(now)?, host, one)));
    let first = expiring.min_by_key(|(left, _, _)| *left);
    let mut status = ClusterStatus {
        name: cluster.section.name.clone(),
        kubernetes_version: cluster.release.version.to_string(),
        exists: !matches!(seen.api, ApiSeen::Absent),
        through: None,
        nodes: view.nodes.len(),
        endpoint: None,
        etcd: None,
        first_to_expire: first.map(|(_, host, one)| one.to_json(host, now)),
        nodes_of_no_host: view.strange_nodes().map(|node| node.name.clone()).collect(),
        members_of_no_host: view.strange_members().map(MemberView::label).collect(),
        findings: Vec::new(),
        unreachable: false,
        first_to_expire_words: first.map(|(_, host, one)| {
            let [name, expires, left] = one.cells(now);
            format!("first to expire is {name} of {host}: {expires}, {left}")
        }),
    };
    status.judge_api(seen, cluster);
    status.judge_etcd(seen);
    for node in view.strange_nodes() {
        let state = if node.ready { "" } else { ", and is not Ready" };
        let name = &node.name;
        status.findings.push(format!("Node {name} is of no host in the inventory{state}"));
    }
    for member in view.strange_members() {
        let state = if member.healthy { "" } else { ", and does not answer" };
        let (label, addresses) = (member.label(), member.addresses.join(", "));
        status.findings.push(format!(
            "etcd member {label} ({addresses}) is of no host in the inventory{state}"
        ));
    }
    status
}

impl ClusterStatus {
    fn judge_api(&mut self, seen: &ClusterSeen, cluster: &Cluster) {
        match &seen.api {
            ApiSeen::Absent => {}
            ApiSeen::Silent { reason, unreachable } => {
                self.unreachable = *unreachable;
                self.findings.push(format!("no control plane answers: {reason}"));
            }
            ApiSeen::Answers { through, endpoint, .. } => {
                self.through = Some(through.clone());
                let (Some(answer), Some(address)) = (endpoint, cluster.control_plane_endpoint())
                else {
                    return;
                };
                if let Err(reason) = answer {
                    self.findings.push(format!(
                        "nothing of the cluster answers at its endpoint {address}, asked from {through}: {reason}"
                    ));
                }
                self.endpoint = Some(EndpointStatus { address, answers: answer.is_ok() });
            }
        }
    }

    fn judge_etcd(&mut self, seen: &ClusterSeen) {
        match &seen.etcd {
            EtcdSeen::NotAsked => {}
            EtcdSeen::Silent(reason) => {
                self.findings.push(format!("etcd does not answer: {reason}"));
            }
            EtcdSeen::Answers { agreed } => {
                let tally = Tally::of(&seen.view.voters());
                self.etcd = Some(EtcdStatus {
                    voters: tally.members,
                    healthy: tally.healthy,
                    quorum: tally.quorum(),
                    learners: seen.view.members.len() - tally.members,
                });
                if !agreed || !tally.has_quorum() {
                    self.findings.push(format!("etcd has no quorum: {tally}"));
                }
            }
        }
    }
}
