//! `fleetadm status`: what runs where, against what the inventory says.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::fleet::{Fleet, Step, StepError};
use crate::inventory::{Host, Role};
use crate::phases::status::Survey;
use crate::phases::status::verdict::{self, ClusterStatus, HostStatus};
use crate::phases::{Mode, Run, RunOptions};
use crate::report::{Event, Outcome, aligned, printable_line};

use super::args::Global;
use super::failure::Failure;
use super::session;

/// The part of the command that is no single host's, told as that of the control plane that answered for it.
const CLUSTER: &str = "status/cluster";

const COLUMNS: [&str; 8] =
    ["HOST", "ROLE", "KUBELET", "RUNTIME", "CONTROL PLANE", "ETCD", "NODE", "STATUS"];

/// How much of a cell is shown, in characters.
const CELL: usize = 1000;

/// A host that is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.findings.join("; "))]
struct Deviates(Box<HostStatus>);

impl StepError for Deviates {
    fn is_unreachable(&self) -> bool {
        !self.0.reachable
    }
}

pub fn run(global: &Global) -> Result<u8, Failure> {
    let command = "status";
    let selected = session::select(global)?;
    let cluster = selected.cluster(global, command)?;
    let inventory = selected.inventory;
    let hosts = &selected.hosts;
    // What is said of the cluster, and of its Nodes, they say, selected or not.
    let is_asked = |host: &&Arc<Host>| {
        host.role != Role::Worker && !hosts.iter().any(|other| other.name == host.name)
    };
    let all = hosts.iter().chain(inventory.hosts.iter().filter(is_asked)).cloned().collect();
    session::contact(global, command, hosts, None, |reporter, cancel, connector| async move {
        let (pace, timeout) = (global.pace(), global.timeout);
        let fleet = Arc::new(Fleet::new(connector, pace.parallel));
        // A dry run is what leaves no trace.
        let options =
            RunOptions { mode: Mode::DryRun, ..RunOptions::new(cancel.clone(), reporter.clone()) };
        let run = Arc::new(Run::new(inventory.clone(), all, cluster, fleet.clone(), options));
        let survey = Arc::new(Survey::new(run.clone()));
        let step = Step { name: "status", pace, timeout, cancel, reporter };
        let found = step.run(hosts, |task| {
            let (survey, fleet) = (survey.clone(), fleet.clone());
            async move {
                let status = survey.host(&task.host.name).await;
                if task.host.role == Role::Worker {
                    fleet.disconnect(&task.host).await;
                }
                status.map(judged).transpose()
            }
        });
        let status = |found: Option<Result<_, Deviates>>| match found? {
            Ok(status) => status,
            Err(Deviates(status)) => Some(*status),
        };
        let statuses: Vec<HostStatus> = hosts
            .iter()
            .zip(found.await)
            .map(|(host, found)| status(found).unwrap_or_else(|| HostStatus::unseen(host)))
            .collect();
        let cluster = survey.cluster_so_far();
        for event in events(&statuses, cluster.as_ref()) {
            step.reporter.emit(event);
        }
        if let Some(cluster) = cluster
            && let Some(host) = cluster.through.as_deref().or(first_asked(&inventory.hosts))
            && !cluster.findings.is_empty()
        {
            let outcome = Outcome::Failed {
                error: cluster.findings.join("; "),
                unreachable: cluster.unreachable,
                changes: 0,
            };
            let (host, phase) = (host.to_owned(), CLUSTER.to_owned());
            step.reporter.emit(Event::PhaseFinished {
                host,
                phase,
                outcome,
                elapsed: Duration::ZERO,
            });
        }
        run.finish().await;
        Ok(())
    })
}

fn first_asked(hosts: &[Arc<Host>]) -> Option<&str> {
    hosts.iter().find(|host| host.role == Role::ControlPlane).map(|host| host.name.as_str())
}

/// The status, as an error where something was found.
fn judged(status: HostStatus) -> Result<HostStatus, Deviates> {
    if status.findings.is_empty() { Ok(status) } else { Err(Deviates(Box::new(status))) }
}

fn events(statuses: &[HostStatus], cluster: Option<&ClusterStatus>) -> Vec<Event> {
    let mut events: Vec<Event> = statuses
        .iter()
        .map(|status| Event::Found { kind: "host_status", fields: json!(status) })
        .collect();
    events.extend(
        cluster.map(|cluster| Event::Found { kind: "cluster_status", fields: json!(cluster) }),
    );
    let rows: Vec<[String; 8]> = statuses.iter().map(cells).collect();
    let mut text = aligned(&COLUMNS.map(str::to_owned), &rows);
    if let Some(cluster) = cluster {
        text += "\n";
        text += &aligned(&[], &lines(cluster));
    }
    events.push(Event::Listing { text });
    events
}

/// A host's row.
fn cells(status: &HostStatus) -> [String; 8] {
    let none = || "-".to_owned();
    let kubelet = status.kubelet.as_ref().map(|kubelet| {
        let state = match (kubelet.active, kubelet.healthy) {
            (false, _) => "stopped",
            (true, Some(false)) => "not well",
            (true, Some(true)) => "healthy",
            (true, None) => "active",
        };
        words(&[&kubelet.version, if kubelet.version.is_empty() { "-" } else { state }])
    });
    let runtime = status.runtime.as_ref().map(|runtime| {
        let state = if runtime.ready { "" } else { "not ready" };
        words(&[&runtime.name, &runtime.version, state])
    });
    let control_plane = status.control_plane.as_ref().map(|plane| {
        let versions = verdict::versions(plane).into_iter().collect::<Vec<_>>().join(",");
        let state = match plane.ready {
            Some(true) => "ready",
            Some(false) => "not ready",
            None => "not asked",
        };
        words(&[&versions, state])
    });
    let etcd = status.etcd.as_ref().map(|member| {
        let more = match (member.leader, member.healthy) {
            _ if member.state == "absent" => "",
            (true, _) => ", leader",
            (false, true) => "",
            (false, false) => ", not well",
        };
        format!("{}{more}", member.state)
    });
    let node = status.node.as_ref().map(|node| {
        let state = match (node.registered, node.ready) {
            (false, _) => "missing",
            (true, true) => "Ready",
            (true, false) => "NotReady",
        };
        format!("{state}{}", if node.cordoned { ", cordoned" } else { "" })
    });
    let verdict = match (status.findings.as_slice(), status.joined) {
        ([], None) => "was not looked at".to_owned(),
        ([], Some(_)) => "ok".to_owned(),
        (findings, _) => findings.join("; "),
    };
    // Of a host that has a Node, unless it is one of etcd, and nobody answers for it.
    let is_unknown = status.joined == Some(true) && status.role != Role::Etcd.as_str();
    let node = node.or_else(|| is_unknown.then(|| "?".to_owned()));
    let optional = [kubelet, runtime, control_plane, etcd, node];
    let [kubelet, runtime, control_plane, etcd, node] =
        optional.map(|cell| cell.unwrap_or_else(none));
    let (host, role) = (status.host.clone(), status.role.to_owned());
    [host, role, kubelet, runtime, control_plane, etcd, node, verdict].map(printable)
}

/// What is no single host's, below the table of hosts.
fn lines(cluster: &ClusterStatus) -> Vec<[String; 2]> {
    let line = |name: &str, text: String| [name.to_owned(), printable(text)];
    let ClusterStatus { kubernetes_version: version, nodes, .. } = cluster;
    let state = match &cluster.through {
        Some(through) => {
            let nodes = if *nodes == 1 { "1 Node".to_owned() } else { format!("{nodes} Nodes") };
            format!("Kubernetes {version} by the inventory, {nodes}, answers through {through}")
        }
        None if cluster.exists => format!("Kubernetes {version} by the inventory, does not answer"),
        None => "there is none yet: no control plane has been set up".to_owned(),
    };
    let mut lines = vec![line("cluster", state)];
    if let Some(endpoint) = &cluster.endpoint {
        let answers = if endpoint.answers { "answers" } else { "does not answer" };
        lines.push(line("endpoint", format!("{} {answers}", endpoint.address)));
    }
    if let Some(etcd) = &cluster.etcd {
        let learners = match etcd.learners {
            0 => String::new(),
            learners => format!(", {learners} learning"),
        };
        lines.push(line(
            "etcd",
            format!(
                "{} of {} members healthy, quorum {}{learners}",
                etcd.healthy, etcd.voters, etcd.quorum
            ),
        ));
    }
    lines.extend(
        cluster.first_to_expire_words.iter().map(|text| line("certificates", text.clone())),
    );
    lines.extend(cluster.findings.iter().map(|text| line("finding", text.clone())));
    lines
}

/// What hosts, API servers and members say may hold anything; a line's end would look like another host's row.
fn printable(text: String) -> String {
    printable_line(&text, CELL)
}

fn words(words: &[&str]) -> String {
    words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use crate::phases::status::verdict::{
        ControlPlaneStatus, EndpointStatus, EtcdStatus, KubeletStatus, MemberStatus, NodeStatus,
        RuntimeStatus,
    };

    use super::*;

    fn hosts() -> Vec<HostStatus> {
        let hosts = crate::inventory::parse(
            "[[hosts]]\nname = \"cp-1\"\naddress = \"10.0.0.1\"\nrole = \"control-plane\"\n\
             [[hosts]]\nname = \"node-[1-4]\"\naddress = \"10.0.1.[1-4]\"\n",
            std::path::Path::new("/"),
            "x.toml",
        );
        hosts.unwrap().hosts.iter().map(|host| HostStatus::unseen(host)).collect()
    }

    fn well(status: &mut HostStatus) {
        let version = "1.36.2".to_owned();
        status.reachable = true;
        status.joined = Some(true);
        status.kubelet = Some(KubeletStatus { version, active: true, healthy: Some(true) });
        status.runtime = Some(RuntimeStatus {
            name: "containerd".to_owned(),
            version: "2.1.4".to_owned(),
            ready: true,
        });
        let ready = NodeStatus { registered: true, ready: true, ..NodeStatus::default() };
        status.node = Some(ready);
    }

    fn text(statuses: &[HostStatus], cluster: Option<&ClusterStatus>) -> String {
        match events(statuses, cluster).pop() {
            Some(Event::Listing { text }) => text,
            other => panic!("{other:?}"),
        }
    }

    fn whole() -> ClusterStatus {
        ClusterStatus {
            name: "prod".to_owned(),
            kubernetes_version: "1.36.2".to_owned(),
            exists: true,
            through: Some("cp-1".to_owned()),
            nodes: 6,
            endpoint: Some(EndpointStatus { address: "10.0.0.10:6443".to_owned(), answers: true }),
            etcd: Some(EtcdStatus { voters: 3, healthy: 2, quorum: 2, learners: 1 }),
            first_to_expire: None,
            nodes_of_no_host: vec!["ghost".to_owned()],
            members_of_no_host: Vec::new(),
            findings: vec!["Node ghost is of no host in the inventory".to_owned()],
            unreachable: false,
            first_to_expire_words: Some("first to expire is admin.conf of cp-1: soon".to_owned()),
        }
    }

    #[test]
    fn a_table_has_a_row_for_each_host_and_the_cluster_below() {
        let mut all = hosts();
        all[..4].iter_mut().for_each(well);
        let names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
        let tags = ["3.6.6-0", "1.36.2", "1.36.1", "1.36.2"].map(str::to_owned);
        let versions = names.into_iter().zip(tags).collect();
        all[0].control_plane = Some(ControlPlaneStatus { versions, ready: Some(true) });
        all[0].etcd = Some(MemberStatus { state: "voter", healthy: true, leader: true });
        all[0].findings = vec!["one thing".to_owned(), "another".to_owned()];
        if let Some(node) = &mut all[2].node {
            (node.ready, node.cordoned) = (false, true);
        }
        (all[3].kubelet.as_mut().unwrap().active, all[3].node) = (false, None);
        insta::assert_snapshot!(text(&all, Some(&whole())), @r"
        HOST    ROLE           KUBELET         RUNTIME           CONTROL PLANE        ETCD           NODE                STATUS
        cp-1    control-plane  1.36.2 healthy  containerd 2.1.4  1.36.1,1.36.2 ready  voter, leader  Ready               one thing; another
        node-1  worker         1.36.2 healthy  containerd 2.1.4  -                    -              Ready               ok
        node-2  worker         1.36.2 healthy  containerd 2.1.4  -                    -              NotReady, cordoned  ok
        node-3  worker         1.36.2 stopped  containerd 2.1.4  -                    -              ?                   ok
        node-4  worker         -               -                 -                    -              -                   was not looked at

        cluster       Kubernetes 1.36.2 by the inventory, 6 Nodes, answers through cp-1
        endpoint      10.0.0.10:6443 answers
        etcd          2 of 3 members healthy, quorum 2, 1 learning
        certificates  first to expire is admin.conf of cp-1: soon
        finding       Node ghost is of no host in the inventory
        ");
    }

    #[test]
    fn nothing_that_is_said_looks_like_another_row() {
        let mut all = hosts();
        all[0].findings = vec!["its Node is not Ready: a\nnode-1  \u{1b}[31mok".to_owned()];
        let ill = ClusterStatus { findings: vec!["a\nb".to_owned()], ..whole() };
        let text = text(&all[..1], Some(&ill));
        assert!(text.lines().count() == 8 && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_fleet_of_bare_hosts_is_plainly_that() {
        let mut all = hosts();
        for status in &mut all {
            (status.reachable, status.joined) = (true, Some(false));
            status.findings = vec![verdict::NOT_JOINED.to_owned()];
        }
        let none = ClusterStatus {
            exists: false,
            through: None,
            nodes: 0,
            endpoint: None,
            etcd: None,
            findings: Vec::new(),
            first_to_expire_words: None,
            ..whole()
        };
        insta::assert_snapshot!(text(&all[..2], Some(&none)), @r"
        HOST    ROLE           KUBELET  RUNTIME  CONTROL PLANE  ETCD  NODE  STATUS
        cp-1    control-plane  -        -        -              -     -     not joined
        node-1  worker         -        -        -              -     -     not joined

        cluster  there is none yet: no control plane has been set up
        ");
        let silent = ClusterStatus { exists: true, ..none };
        insta::assert_snapshot!(text(&[], Some(&silent)), @r"
        HOST  ROLE  KUBELET  RUNTIME  CONTROL PLANE  ETCD  NODE  STATUS

        cluster  Kubernetes 1.36.2 by the inventory, does not answer
        ");
    }

    #[test]
    fn programs_get_an_object_for_each_host_and_one_for_the_cluster() {
        let statuses = &hosts()[..1];
        let found = |event: &Event| match event {
            Event::Found { kind, fields } => Some(format!("{kind} {fields}")),
            _ => None,
        };
        let lines: Vec<String> =
            events(statuses, Some(&whole())).iter().filter_map(found).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        host_status {"control_plane":null,"etcd":null,"findings":[],"host":"cp-1","joined":null,"kubelet":null,"node":null,"reachable":false,"role":"control-plane","runtime":null}
        cluster_status {"endpoint":{"address":"10.0.0.10:6443","answers":true},"etcd":{"healthy":2,"learners":1,"quorum":2,"voters":3},"exists":true,"findings":["Node ghost is of no host in the inventory"],"first_to_expire":null,"kubernetes_version":"1.36.2","members_of_no_host":[],"name":"prod","nodes":6,"nodes_of_no_host":["ghost"],"through":"cp-1"}
        "#);
    }

    #[test]
    fn a_host_fails_by_what_was_found() {
        let mut status = hosts().swap_remove(0);
        assert!(judged(status.clone()).is_ok());
        status.findings = vec!["a".to_owned(), "b".to_owned()];
        let error = judged(status.clone()).unwrap_err();
        assert!(error.is_unreachable() && error.to_string() == "a; b");
        status.reachable = true;
        assert!(!judged(status).unwrap_err().is_unreachable());
    }
}
