//! Bare hosts become a cluster as kubeadm's, a second run changes nothing, and reset makes them bare again.

use std::time::Instant;

use serde_json::Value;

use super::lab::{HOSTS, Lab, step};
use super::runner::{Finished, fleetadm, start};
use super::secrets::{self, Sampler};
use super::{
    access, api, dry_run, files, listing, nodes, preflight_upgrade, second_apply, workload,
};

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn bare_hosts_become_a_cluster_and_bare_again() {
    let lab = Lab::with_bare(&HOSTS);
    let inventory = lab.usual();
    let started = Instant::now();

    step(started, "the hosts as they are");
    let before = listing::of_all(&lab);
    listing::expect_no_cluster(&before);
    step(started, "a wrong inventory, and a dry run, touch nothing");
    dry_run::a_wrong_inventory_contacts_nobody(&lab);
    dry_run::a_dry_run_touches_nothing(&lab, &before);

    step(started, "apply");
    let applied = sampled_apply(&lab);
    expect_complete_events(&applied);
    let created = created_objects(&applied);
    no_bootstrap_token_is_left(&lab);
    nodes::wait_ready(&lab);
    nodes::are_kubeadms(&lab);
    step(started, "pods");
    workload::runs(&lab);

    step(started, "tokens, kubeconfigs and tunnels");
    access::tokens(&lab);
    access::kubeconfigs(&lab);

    step(started, "preflight before an upgrade");
    preflight_upgrade::asks_the_cluster(&lab);

    step(started, "a second apply");
    second_apply::changes_nothing(&lab, &inventory);

    step(started, "the real kubeadm beside it");
    let would_write = files::are_kubeadms(&lab);
    api::objects_are_kubeadms(&lab, &created, &would_write);

    step(started, "Nodes that somebody has deleted");
    lab.kubectl(&["delete", "node", "n1", "n2"]);
    fleetadm(&inventory, &["apply"]).expect(0);
    nodes::wait_ready(&lab);

    step(started, "reset");
    reset(&lab);
    listing::expect_bare(&before, &listing::of_all(&lab));
    step(started, "done");
}

/// Apply with everything that a run can print, and with eyes on every process.
fn sampled_apply(lab: &Lab) -> Finished {
    let run = start(&lab.usual(), &["apply", "-vv", "--output", "json"]);
    let sampler = Sampler::start(lab, run.id());
    let finished = run.wait().expect(0);
    sampler.expect_no_secret(lab);
    secrets::expect_none_in(&finished.stdout);
    secrets::expect_none_in(&finished.stderr);
    finished
}

fn expect_complete_events(run: &Finished) {
    let events = run.events();
    let (summary, others) = events.split_last().unwrap();
    assert_eq!(summary["kind"], "summary");
    assert_eq!(summary["command"], "apply");
    assert_eq!(summary["exit_status"], 0);
    assert_eq!(summary["failed"], 0);
    let counted = others.iter().filter(|event| event["kind"] == "changed").count();
    assert_eq!(summary["changes"], counted, "every change is an event");
    let hosts: Vec<_> = summary["hosts"].as_array().unwrap().iter().map(|h| &h["host"]).collect();
    assert_eq!(hosts, HOSTS);
    for event in others {
        assert!(event["time"].is_string() && event["kind"].is_string(), "{event}");
        assert_ne!(event["kind"], "summary");
    }
    let ended = |outcome: &str| {
        others
            .iter()
            .filter(|event| event["kind"] == "phase_finished" && event["outcome"] == outcome)
            .count()
    };
    assert!(ended("done") > 20, "{}", run.stdout);
    assert_eq!(ended("failed") + ended("skipped"), 0);
}

/// `Kind namespace/name` of what a run has created in the API.
fn created_objects(run: &Finished) -> Vec<String> {
    let is_object = |event: &Value| {
        let text = event["what"].as_str()?.strip_prefix("create ")?.to_owned();
        (event["kind"] == "changed" && text.starts_with(|c: char| c.is_ascii_uppercase()))
            .then_some((event["phase"].as_str()?.to_owned(), text))
    };
    let all: Vec<_> = run.events().iter().filter_map(is_object).collect();
    assert!(all.iter().any(|(phase, _)| phase == "cluster/manifests"), "{all:?}");
    // The workload is the inventory's, not kubeadm's.
    let own = all.into_iter().filter(|(phase, _)| phase != "cluster/manifests");
    own.map(|(_, text)| text).collect()
}

/// Whatever way a run ended, it let nobody else in.
pub fn no_bootstrap_token_is_left(lab: &Lab) {
    let left = bootstrap_tokens(lab);
    assert!(left.is_empty(), "{} bootstrap tokens are left", left.len());
}

fn bootstrap_tokens(lab: &Lab) -> Vec<Value> {
    let kind = "--field-selector=type=bootstrap.kubernetes.io/token";
    let list = lab.get(&["secrets", "--all-namespaces", kind]);
    list["items"].as_array().unwrap().iter().map(|secret| secret["data"].clone()).collect()
}

/// Reset, and what must be gone at once.
pub fn reset(lab: &Lab) {
    fleetadm(&lab.usual(), &["reset", "--force"]).expect(0);
    for host in HOSTS {
        let processes = lab.sh(host, "ps -eo args= | grep -Ev '^\\[|grep'");
        for name in ["kube", "etcd", "/pause", "containerd-shim"] {
            assert!(!processes.contains(name), "{host} still runs {name}:\n{processes}");
        }
        let mounts = lab.sh(host, "cat /proc/self/mountinfo");
        for place in ["/var/lib/kubelet", "/run/containerd/io.containerd", "/run/netns/"] {
            assert!(!mounts.contains(place), "{host} still has mounts in {place}:\n{mounts}");
        }
        let ports = lab.sh(host, "ss -Hlnt | awk '{ print $4 }'");
        for port in ["6443", "10250", "2379", "2380", "10257", "10259", "10248", "10249", "10256"] {
            let open = ports.lines().any(|line| line.ends_with(&format!(":{port}")));
            assert!(!open, "{host} still listens on {port}:\n{ports}");
        }
    }
}
