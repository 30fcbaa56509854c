//! What was seen, against what the inventory says. Pure.

mod cluster;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::cluster::node_flags::{control_plane_labels, control_plane_taints};
use crate::cluster::static_pods::{self, Component};
use crate::cluster::{Cluster, etcd_unit};
use crate::inventory::{Host, Role};
use crate::kubernetes::objects::node::{self, NodeMarks};
use crate::phases::certs::expiration::State;
use crate::phases::reset::departure::MemberView;
use crate::phases::{kubelet, nodes};

use super::cluster::{ApiSeen, ClusterSeen, EtcdSeen};
use super::look::{Look, Seen};

pub use cluster::{ClusterStatus, EndpointStatus, EtcdStatus, of_cluster};

/// The components of which every control plane runs one of the cluster's version.
const COMPONENTS: [Component; 3] =
    [Component::KubeApiserver, Component::KubeControllerManager, Component::KubeScheduler];

/// What is wrong with a host that has nothing of the cluster.
pub const NOT_JOINED: &str = "not joined";

/// How a host stands.
#[derive(Debug, Clone, Serialize)]
pub struct HostStatus {
    /// Inventory name.
    pub host: String,
    /// Its role by the inventory.
    pub role: &'static str,
    /// It could be reached; `false` as well where nobody tried.
    pub reachable: bool,
    /// It has been made a part of the cluster; `None` where it could not be looked at.
    pub joined: Option<bool>,
    /// Its kubelet; `None` where that is not known, or there should be none.
    pub kubelet: Option<KubeletStatus>,
    /// Its container runtime, likewise.
    pub runtime: Option<RuntimeStatus>,
    /// What it runs of the control plane; `None` where that is not known, or nothing is there.
    pub control_plane: Option<ControlPlaneStatus>,
    /// Its member of etcd; `None` where the members are not known, or it should have none.
    pub etcd: Option<MemberStatus>,
    /// Its Node; `None` where the Nodes are not known, or it should have none.
    pub node: Option<NodeStatus>,
    /// What is not as the inventory says, or not well; each a few words.
    pub findings: Vec<String>,
}

/// How a kubelet stands.
#[derive(Debug, Clone, Serialize)]
pub struct KubeletStatus {
    /// The version that is installed; empty without one.
    pub version: String,
    /// Its service is active.
    pub active: bool,
    /// It says that it is well; `None` where it is not asked.
    pub healthy: Option<bool>,
}

/// How a container runtime stands.
#[derive(Debug, Clone, Serialize)]
pub struct RuntimeStatus {
    /// `containerd`, `cri-o`, ...
    pub name: String,
    /// Its version.
    pub version: String,
    /// It says that it is ready.
    pub ready: bool,
}

/// How the control plane on one host stands.
#[derive(Debug, Clone, Serialize)]
pub struct ControlPlaneStatus {
    /// Versions by component, as the manifests have them; empty for one that cannot be read.
    pub versions: BTreeMap<&'static str, String>,
    /// The host's API server is ready; `None` where there is nobody to ask it as.
    pub ready: Option<bool>,
}

/// How a host's member of etcd stands.
#[derive(Debug, Clone, Serialize)]
pub struct MemberStatus {
    /// `voter`, `learner` or `absent`.
    pub state: &'static str,
    /// It answers, and sees a leader.
    pub healthy: bool,
    /// It is the leader.
    pub leader: bool,
}

/// How a host's Node stands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NodeStatus {
    /// It is there.
    pub registered: bool,
    /// Its kubelet reports that it is well.
    pub ready: bool,
    /// No new pods are let onto it.
    pub cordoned: bool,
    /// The version that its kubelet runs as.
    pub kubelet_version: String,
}

/// How a host stands.
pub fn of_host(
    host: &Host,
    look: &Look,
    seen: &ClusterSeen,
    cluster: &Cluster,
    now: OffsetDateTime,
) -> HostStatus {
    let mut status = HostStatus::unseen(host);
    let has_etcd = match host.role {
        Role::ControlPlane => cluster.has_stacked_etcd(),
        Role::Etcd => cluster.has_etcd_hosts(),
        Role::Worker => false,
    };
    let asked_etcd = matches!(seen.etcd, EtcdSeen::Answers { .. });
    let member = seen.view.member_of(&host.name);
    status.etcd = (has_etcd && asked_etcd || member.is_some()).then(|| of_member(member));
    let object = match &seen.api {
        ApiSeen::Answers { nodes, .. } => {
            let object = nodes.iter().find(|node| node["metadata"]["name"] == host.name.as_str());
            if host.role != Role::Etcd || object.is_some() {
                status.node = Some(of_node(object));
            }
            object
        }
        ApiSeen::Absent | ApiSeen::Silent { .. } => None,
    };
    match look {
        Look::Failed { reason, unreachable } => {
            status.reachable = !unreachable;
            let what = if *unreachable { "unreachable" } else { "cannot be looked at" };
            status.findings.push(format!("{what}: {reason}"));
        }
        Look::Seen(seen) => {
            status.reachable = true;
            status.take(host, seen, cluster, now);
        }
    }
    if status.joined == Some(false) {
        status.findings.push(NOT_JOINED.to_owned());
        if object.is_some() {
            status.findings.push("a Node of its name is there all the same".to_owned());
        }
        if member.is_some() {
            status.findings.push("etcd has a member of its name all the same".to_owned());
        }
    } else {
        status.judge_member();
        status.judge_node(host, object, cluster);
    }
    status
}

impl HostStatus {
    /// A host of which nothing is known.
    pub fn unseen(host: &Host) -> Self {
        Self {
            host: host.name.clone(),
            role: host.role.as_str(),
            reachable: false,
            joined: None,
            kubelet: None,
            runtime: None,
            control_plane: None,
            etcd: None,
            node: None,
            findings: Vec::new(),
        }
    }

    /// What the host itself says.
    fn take(&mut self, host: &Host, seen: &Seen, cluster: &Cluster, now: OffsetDateTime) {
        let facts = &seen.facts;
        let is_there = |path: &str| facts.paths.contains_key(path);
        let joined = match host.role {
            Role::Etcd => {
                let manifest = Component::Etcd.manifest_path();
                is_there(&manifest) || is_there(etcd_unit::UNIT_PATH)
            }
            Role::ControlPlane | Role::Worker => is_there(kubelet::CONFIG),
        };
        self.joined = Some(joined);
        if cluster.runs_containers(host.role) {
            self.take_programs(seen);
        }
        if host.role == Role::ControlPlane && !seen.manifests.is_empty() {
            let version = |pod: &Option<_>| {
                let tag = pod.as_ref().and_then(static_pods::image_tag).unwrap_or_default();
                tag.strip_prefix('v').unwrap_or(tag).to_owned()
            };
            let versions = seen.manifests.iter();
            let versions = versions.map(|(component, pod)| (component.as_str(), version(pod)));
            let ready = seen.api_server.as_ref().map(Result::is_ok);
            self.control_plane = Some(ControlPlaneStatus { versions: versions.collect(), ready });
        }
        if !joined {
            return;
        }
        self.judge_programs(seen, cluster);
        let runs_api_server = is_there(&Component::KubeApiserver.manifest_path());
        if host.role == Role::ControlPlane {
            self.judge_control_plane(seen, cluster);
        } else if runs_api_server {
            let role = host.role;
            self.findings.push(format!("it runs a control plane, and the inventory says {role}"));
        }
        self.judge_certificates(seen, now);
    }

    fn take_programs(&mut self, seen: &Seen) {
        let facts = &seen.facts;
        let active =
            facts.init.services.get(kubelet::SERVICE).is_some_and(|service| service.active);
        self.kubelet = Some(KubeletStatus {
            version: facts.kubelet_version.clone(),
            active,
            healthy: seen.kubelet.as_ref().filter(|_| active).map(Result::is_ok),
        });
        self.runtime = facts.runtime.as_ref().map(|runtime| RuntimeStatus {
            name: runtime.name.clone(),
            version: runtime.version.clone(),
            ready: runtime.ready,
        });
    }

    fn judge_programs(&mut self, seen: &Seen, cluster: &Cluster) {
        let Some(kubelet) = &self.kubelet else { return };
        let wanted = cluster.release.version.to_string();
        if kubelet.version.is_empty() {
            self.findings.push("the kubelet is not installed".to_owned());
        } else if kubelet.version != wanted {
            let version = &kubelet.version;
            self.findings.push(format!("kubelet {version}, and the inventory says {wanted}"));
        }
        if !kubelet.active {
            self.findings.push("the kubelet is not active".to_owned());
        } else if let Some(Err(reason)) = &seen.kubelet {
            self.findings.push(format!("the kubelet is not well: {reason}"));
        }
        match &seen.facts.runtime {
            None => self.findings.push("there is no container runtime".to_owned()),
            Some(runtime) if !runtime.ready => {
                let reason = if runtime.error.is_empty() { "no answer" } else { &runtime.error };
                self.findings.push(format!("the container runtime is not ready: {reason}"));
            }
            Some(_) => {}
        }
    }

    fn judge_control_plane(&mut self, seen: &Seen, cluster: &Cluster) {
        if COMPONENTS.iter().all(|component| !seen.manifests.contains_key(component)) {
            let text = "it has joined as a worker, and the inventory says control-plane";
            self.findings.push(text.to_owned());
            return;
        }
        let wanted = cluster.release.version;
        let mut missing = Vec::new();
        let mut unreadable = Vec::new();
        let mut others: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let all = COMPONENTS.iter().chain(cluster.has_stacked_etcd().then_some(&Component::Etcd));
        for component in all {
            let name = component.as_str();
            match seen.manifests.get(component) {
                None => missing.push(name),
                Some(None) => unreadable.push(name),
                // etcd has a version of its own.
                Some(Some(_)) if *component == Component::Etcd => {}
                Some(Some(pod)) => {
                    let running = static_pods::running_version(pod);
                    if let Some(other) = running.filter(|running| *running != wanted) {
                        others.entry(other.to_string()).or_default().push(name);
                    }
                }
            }
        }
        if !missing.is_empty() {
            self.findings.push(format!("no manifest of {}", missing.join(", ")));
        }
        if !unreadable.is_empty() {
            let names = unreadable.join(", ");
            self.findings.push(format!("the manifest of {names} makes no sense"));
        }
        for (version, names) in others {
            let names = names.join(", ");
            self.findings.push(format!("{names} {version}, and the inventory says {wanted}"));
        }
        match &seen.api_server {
            Some(Ok(())) => {}
            Some(Err(reason)) => {
                self.findings.push(format!("its API server is not ready: {reason}"));
            }
            None => {
                self.findings.push("it has no admin.conf to ask its API server with".to_owned())
            }
        }
    }

    fn judge_certificates(&mut self, seen: &Seen, now: OffsetDateTime) {
        let due = seen.certificates.iter().filter(|one| one.is_due(now, Duration::ZERO));
        let (expired, unreadable): (Vec<_>, Vec<_>) =
            due.partition(|one| matches!(one.state, State::Valid { .. }));
        for (what, found) in [("expired", expired), ("cannot be read", unreadable)] {
            if !found.is_empty() {
                let names: Vec<&str> = found.iter().map(|one| one.name).collect();
                self.findings.push(format!("certificates {what}: {}", names.join(", ")));
            }
        }
    }

    fn judge_member(&mut self) {
        let Some(member) = &self.etcd else { return };
        if member.state == "absent" {
            self.findings.push("etcd has no member of it".to_owned());
            return;
        }
        if member.state == "learner" {
            self.findings.push("its member of etcd is a learner".to_owned());
        }
        if !member.healthy {
            self.findings.push("its member of etcd does not answer or sees no leader".to_owned());
        }
    }

    fn judge_node(&mut self, host: &Host, object: Option<&Value>, cluster: &Cluster) {
        let Some(status) = &self.node else { return };
        let Some(object) = object else {
            self.findings.push("its Node is not registered".to_owned());
            return;
        };
        if let Err(reason) = node::ready(object) {
            self.findings.push(format!("its Node is not Ready: {reason}"));
        }
        if status.cordoned {
            self.findings.push("its Node is cordoned".to_owned());
        }
        let runs = &status.kubelet_version;
        let installed = self.kubelet.as_ref().map_or("", |kubelet| &kubelet.version);
        if !runs.is_empty() && !installed.is_empty() && runs != installed {
            let text = format!("its kubelet runs as {runs}, and {installed} is installed");
            self.findings.push(text);
        }
        let lacking = node::missing(object, &expected(host, cluster));
        if lacking != NodeMarks::default() {
            self.findings.push(format!("its Node lacks {}", nodes::words(&lacking)));
        }
    }
}

/// What a Node carries by the inventory, and as a control plane.
fn expected(host: &Host, cluster: &Cluster) -> NodeMarks {
    let mut labels = host.labels.clone();
    let taints = match host.role {
        Role::ControlPlane => {
            labels.extend(control_plane_labels(&cluster.release));
            control_plane_taints(&cluster.release, host.taints.as_deref())
        }
        Role::Worker => host.taints.clone().unwrap_or_default(),
        Role::Etcd => return NodeMarks::default(),
    };
    NodeMarks { labels, taints, ..NodeMarks::default() }
}

fn of_member(member: Option<&MemberView>) -> MemberStatus {
    let state = match member {
        None => "absent",
        Some(member) if member.votes => "voter",
        Some(_) => "learner",
    };
    let is = |test: fn(&MemberView) -> bool| member.is_some_and(test);
    MemberStatus { state, healthy: is(|it| it.healthy), leader: is(|it| it.leads) }
}

fn of_node(object: Option<&Value>) -> NodeStatus {
    let Some(object) = object else { return NodeStatus::default() };
    let version = object["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default();
    NodeStatus {
        registered: true,
        ready: node::ready(object).is_ok(),
        cordoned: node::is_cordoned(object),
        kubelet_version: version.strip_prefix('v').unwrap_or(version).to_owned(),
    }
}

/// The versions that components of the control plane have, each once; what etcd has is its own.
pub fn versions(status: &ControlPlaneStatus) -> BTreeSet<&str> {
    let versions = COMPONENTS.iter().filter_map(|component| {
        let version = status.versions.get(component.as_str())?;
        Some(version.as_str()).filter(|version| !version.is_empty())
    });
    versions.collect()
}
