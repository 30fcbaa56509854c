//! Hosts and clusters made up here, judged as those that are seen.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use time::macros::datetime;

use super::*;
use crate::cluster::spec::tests::cluster;
use crate::inventory::{self, Endpoint};
use crate::node::facts::{Facts, PathState, Runtime, ServiceState};
use crate::phases::certs::expiration::Found;
use crate::phases::reset::departure::{HostView, NodeView, View};

const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

/// `cp-1` and `node-1`, which is to have a label and a taint.
fn hosts() -> Vec<Arc<Host>> {
    let text = "[groups.mixed.labels]\ntier = \"general\"\n\
         [[hosts]]\nname = \"cp-1\"\naddress = \"10.0.0.1\"\nrole = \"control-plane\"\n\
         [[hosts]]\nname = \"node-1\"\naddress = \"10.0.0.9\"\ngroups = [\"mixed\"]\n\
         taints = [\"gpu=yes:NoSchedule\"]\n";
    inventory::parse(text, Path::new("/"), "x.toml").unwrap().hosts
}

fn pod(image: &str) -> Option<k8s_openapi::api::core::v1::Pod> {
    let container = json!({"name": "a", "image": image});
    serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [container]}})).ok()
}

/// A host that has joined and is well.
fn seen(role: Role) -> Seen {
    let mut facts = Facts { kubelet_version: "1.36.2".to_owned(), ..Facts::default() };
    let active = ServiceState { exists: true, enabled: true, active: true };
    facts.init.services.insert("kubelet".to_owned(), active);
    facts.runtime = Some(Runtime {
        name: "containerd".to_owned(),
        version: "2.1.4".to_owned(),
        ready: true,
        ..Runtime::default()
    });
    facts.paths.insert(kubelet::CONFIG.to_owned(), PathState::File);
    let mut seen = Seen { kubelet: Some(Ok(())), ..Seen::default() };
    if role == Role::ControlPlane {
        let image = |component: &Component| (*component, pod(&format!("r.io/{component}:v1.36.2")));
        seen.manifests = COMPONENTS.iter().map(image).collect();
        seen.manifests.insert(Component::Etcd, pod("r.io/etcd:3.6.6-0"));
        seen.api_server = Some(Ok(()));
        let manifests = COMPONENTS.iter().map(|component| component.manifest_path());
        facts.paths.extend(manifests.map(|path| (path, PathState::File)));
    }
    seen.facts = Arc::new(facts);
    seen
}

fn change(seen: &mut Seen, change: impl FnOnce(&mut Facts)) {
    change(Arc::get_mut(&mut seen.facts).unwrap());
}

fn node(name: &str) -> Value {
    let mut labels = json!({"tier": "general"});
    let mut taints = json!([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]);
    if name.starts_with("cp") {
        labels = json!(control_plane_labels(&cluster(36, 2).release));
        taints = json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
    }
    json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": "v1.36.2"},
        },
    })
}

fn member(name: &str) -> MemberView {
    MemberView {
        id: 0xabc,
        name: name.to_owned(),
        addresses: vec!["10.0.0.1".to_owned()],
        votes: true,
        healthy: true,
        leads: true,
    }
}

/// Both hosts are Nodes, and `cp-1` has a member.
fn whole() -> ClusterSeen {
    let host = |host: &Arc<Host>| HostView {
        name: host.name.clone(),
        address: None,
        control_plane: host.role == Role::ControlPlane,
        etcd: false,
        leaves: false,
    };
    let nodes = vec![node("cp-1"), node("node-1")];
    let node_view = |name: &str| NodeView {
        name: name.to_owned(),
        ready: true,
        control_plane: name.starts_with("cp"),
        addresses: Vec::new(),
    };
    let view = View {
        hosts: hosts().iter().map(host).collect(),
        nodes: vec![node_view("cp-1"), node_view("node-1")],
        members: vec![member("cp-1")],
        ..View::default()
    };
    let api = ApiSeen::Answers { through: "cp-1".to_owned(), nodes, endpoint: Some(Ok(())) };
    ClusterSeen { api, etcd: EtcdSeen::Answers { agreed: true }, view }
}

fn nodes_of(seen: &mut ClusterSeen) -> &mut Vec<Value> {
    match &mut seen.api {
        ApiSeen::Answers { nodes, .. } => nodes,
        _ => panic!("it does not answer"),
    }
}

fn judge(name: &str, look: Look, seen: &ClusterSeen) -> HostStatus {
    let host = hosts().into_iter().find(|host| host.name == name).unwrap();
    of_host(&host, &look, seen, &cluster(36, 2), NOW)
}

fn findings(name: &str, seen: Seen, cluster: &ClusterSeen) -> String {
    judge(name, Look::Seen(Box::new(seen)), cluster).findings.join("\n")
}

#[test]
fn what_is_as_the_inventory_says_has_no_findings() {
    assert_eq!(findings("cp-1", seen(Role::ControlPlane), &whole()), "");
    assert_eq!(findings("node-1", seen(Role::Worker), &whole()), "");
    let status = judge("cp-1", Look::Seen(Box::new(seen(Role::ControlPlane))), &whole());
    insta::assert_snapshot!(json!(status), @r#"{"control_plane":{"ready":true,"versions":{"etcd":"3.6.6-0","kube-apiserver":"1.36.2","kube-controller-manager":"1.36.2","kube-scheduler":"1.36.2"}},"etcd":{"healthy":true,"leader":true,"state":"voter"},"findings":[],"host":"cp-1","joined":true,"kubelet":{"active":true,"healthy":true,"version":"1.36.2"},"node":{"cordoned":false,"kubelet_version":"1.36.2","ready":true,"registered":true},"reachable":true,"role":"control-plane","runtime":{"name":"containerd","ready":true,"version":"2.1.4"}}"#);
}

#[test]
fn a_bare_host_has_not_joined_and_nothing_else_is_said_of_it() {
    let bare =
        || ClusterSeen { api: ApiSeen::Absent, etcd: EtcdSeen::NotAsked, view: View::default() };
    assert_eq!(findings("cp-1", Seen::default(), &bare()), "not joined");
    assert_eq!(findings("node-1", Seen::default(), &bare()), "not joined");
    insta::assert_snapshot!(findings("cp-1", Seen::default(), &whole()), @r"
    not joined
    a Node of its name is there all the same
    etcd has a member of its name all the same
    ");
}

#[test]
fn programs_that_are_not_well_are_named() {
    let mut worker = seen(Role::Worker);
    change(&mut worker, |facts| {
        facts.kubelet_version = "1.36.1".to_owned();
        facts.runtime.as_mut().unwrap().ready = false;
    });
    worker.kubelet = Some(Err("it answered 500".to_owned()));
    insta::assert_snapshot!(findings("node-1", worker, &whole()), @r"
    kubelet 1.36.1, and the inventory says 1.36.2
    the kubelet is not well: it answered 500
    the container runtime is not ready: no answer
    its kubelet runs as 1.36.2, and 1.36.1 is installed
    ");
    let mut stopped = seen(Role::Worker);
    change(&mut stopped, |facts| {
        facts.init.services.clear();
        facts.runtime = None;
        facts.kubelet_version.clear();
    });
    stopped.kubelet = Some(Err("connection refused".to_owned()));
    insta::assert_snapshot!(findings("node-1", stopped, &whole()), @r"
    the kubelet is not installed
    the kubelet is not active
    there is no container runtime
    ");
}

#[test]
fn a_control_plane_is_held_against_its_manifests() {
    let mut mixed = seen(Role::ControlPlane);
    for component in [Component::KubeApiserver, Component::KubeScheduler] {
        mixed.manifests.insert(component, pod("r.io/x:v1.35.9"));
    }
    mixed.manifests.remove(&Component::Etcd);
    mixed.manifests.insert(Component::KubeControllerManager, None);
    mixed.api_server = Some(Err("connection refused".to_owned()));
    insta::assert_snapshot!(findings("cp-1", mixed, &whole()), @r"
    no manifest of etcd
    the manifest of kube-controller-manager makes no sense
    kube-apiserver, kube-scheduler 1.35.9, and the inventory says 1.36.2
    its API server is not ready: connection refused
    ");
    // What has a tag of its own cannot be compared.
    let mut own = seen(Role::ControlPlane);
    own.manifests.insert(Component::KubeApiserver, pod("r.io/x:v1.36.2-mine"));
    assert_eq!(findings("cp-1", own, &whole()), "");
}

#[test]
fn roles_that_differ_are_named() {
    let joined = seen(Role::Worker);
    insta::assert_snapshot!(findings("cp-1", joined, &whole()), @"it has joined as a worker, and the inventory says control-plane");
    let mut other = seen(Role::Worker);
    change(&mut other, |facts| {
        facts.paths.insert(Component::KubeApiserver.manifest_path(), PathState::File);
    });
    insta::assert_snapshot!(findings("node-1", other, &whole()), @"it runs a control plane, and the inventory says worker");
}

#[test]
fn nodes_are_held_against_labels_taints_and_versions() {
    let mut all = whole();
    let worker = &mut nodes_of(&mut all)[1];
    worker["spec"] = json!({"unschedulable": true});
    worker["metadata"]["labels"] = json!({});
    worker["status"] = json!({
        "conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "gone"}],
        "nodeInfo": {"kubeletVersion": "v1.36.1"},
    });
    insta::assert_snapshot!(findings("node-1", seen(Role::Worker), &all), @r"
    its Node is not Ready: NodeStatusUnknown: gone
    its Node is cordoned
    its kubelet runs as 1.36.1, and 1.36.2 is installed
    its Node lacks label tier=general, taint gpu=yes:NoSchedule
    ");
    nodes_of(&mut all).truncate(0);
    insta::assert_snapshot!(findings("node-1", seen(Role::Worker), &all), @"its Node is not registered");
}

#[test]
fn a_host_that_is_down_has_what_the_cluster_says_of_it() {
    let down = |unreachable| Look::Failed { reason: "no route".to_owned(), unreachable };
    let mut all = whole();
    all.view.members[0] =
        MemberView { votes: false, healthy: false, leads: false, ..member("cp-1") };
    let status = judge("cp-1", down(true), &all);
    assert!(!status.reachable && status.node.as_ref().is_some_and(|node| node.ready));
    insta::assert_snapshot!(status.findings.join("\n"), @r"
    unreachable: no route
    its member of etcd is a learner
    its member of etcd does not answer or sees no leader
    ");
    let status = judge("node-1", down(false), &all);
    assert!(status.reachable);
    insta::assert_snapshot!(status.findings.join("\n"), @"cannot be looked at: no route");
}

#[test]
fn a_control_plane_without_a_member_is_none_of_etcd() {
    let mut all = whole();
    all.view.members[0] = member("other");
    all.view.members[0].addresses.clear();
    assert_eq!(findings("cp-1", seen(Role::ControlPlane), &all), "etcd has no member of it");
    // Nobody knows.
    all.etcd = EtcdSeen::Silent("no answer".to_owned());
    assert_eq!(findings("cp-1", seen(Role::ControlPlane), &all), "");
}

#[test]
fn certificates_that_are_of_no_use_are_named() {
    let found = |name, state| Found {
        name,
        path: String::new(),
        is_authority: false,
        authority: None,
        external: None,
        state,
    };
    let mut worker = seen(Role::Worker);
    worker.certificates = vec![
        found("kubelet.conf", State::Valid { until: NOW }),
        found("kubelet-server", State::Unreadable("damaged".to_owned())),
        found("late", State::Valid { until: NOW + Duration::DAY }),
    ];
    insta::assert_snapshot!(findings("node-1", worker.clone(), &whole()), @r"
    certificates expired: kubelet.conf
    certificates cannot be read: kubelet-server
    ");
    let all = worker.certificates.iter().map(|one| ("node-1", one));
    let status = of_cluster(&whole(), &cluster(36, 2), all, NOW);
    insta::assert_snapshot!(status.first_to_expire_words.unwrap(), @"first to expire is kubelet.conf of node-1: Nov 23, 2026 10:00 UTC, 0s");
}

/// The cluster's own findings, with an endpoint.
fn of_all(seen: &ClusterSeen) -> ClusterStatus {
    let mut cluster = cluster(36, 2);
    let host = "k8s.example.com".to_owned();
    cluster.section.control_plane_endpoint = Some(Endpoint { host, port: None });
    of_cluster(seen, &cluster, std::iter::empty(), NOW)
}

#[test]
fn a_whole_cluster_has_no_findings() {
    let status = of_all(&whole());
    assert!(status.findings.is_empty() && !status.unreachable);
    insta::assert_snapshot!(json!(status), @r#"{"endpoint":{"address":"k8s.example.com:6443","answers":true},"etcd":{"healthy":1,"learners":0,"quorum":1,"voters":1},"exists":true,"findings":[],"first_to_expire":null,"kubernetes_version":"1.36.2","members_of_no_host":[],"name":"kubernetes","nodes":2,"nodes_of_no_host":[],"through":"cp-1"}"#);
    let absent =
        ClusterSeen { api: ApiSeen::Absent, etcd: EtcdSeen::NotAsked, view: View::default() };
    assert!(!of_all(&absent).exists && of_all(&absent).findings.is_empty());
}

#[test]
fn what_no_host_stands_for_and_who_does_not_answer_is_named() {
    let mut all = whole();
    let ghost = NodeView {
        name: "ghost".to_owned(),
        ready: false,
        control_plane: false,
        addresses: Vec::new(),
    };
    all.view.nodes.push(ghost);
    let dead = MemberView {
        id: 0xdef,
        name: String::new(),
        addresses: vec!["10.0.0.7".to_owned()],
        healthy: false,
        leads: false,
        votes: true,
    };
    all.view.members.push(dead);
    if let ApiSeen::Answers { endpoint, .. } = &mut all.api {
        *endpoint = Some(Err("no answer".to_owned()));
    }
    insta::assert_snapshot!(of_all(&all).findings.join("\n"), @r"
    nothing of the cluster answers at its endpoint k8s.example.com:6443, asked from cp-1: no answer
    etcd has no quorum: 2 members, 1 healthy, quorum 2
    Node ghost is of no host in the inventory, and is not Ready
    etcd member def (10.0.0.7) is of no host in the inventory, and does not answer
    ");
    let reason = "cp-1: no route".to_owned();
    all.api = ApiSeen::Silent { reason, unreachable: true };
    all.etcd = EtcdSeen::Silent("cp-2: refused".to_owned());
    all.view = View::default();
    let status = of_all(&all);
    assert!(status.unreachable && status.exists && status.through.is_none());
    insta::assert_snapshot!(status.findings.join("\n"), @r"
    no control plane answers: cp-1: no route
    etcd does not answer: cp-2: refused
    ");
}
