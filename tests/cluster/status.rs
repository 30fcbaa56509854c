//! `fleetadm status` on bare hosts, on a cluster that is as the inventory says, and with something wrong in it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lab::{CONTROL_PLANE, HOSTS, Lab, WORKERS, eventually, step};
use super::runner::{Finished, fleetadm};
use super::{lifecycle, listing, nodes};

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn status_says_what_is_not_as_the_inventory_says() {
    let lab = Lab::with_bare(&HOSTS);
    let inventory = &lab.usual();
    let started = Instant::now();
    let before = listing::of_all(&lab);
    listing::expect_no_cluster(&before);

    step(started, "bare hosts");
    let run = fleetadm(inventory, &["status"]).expect(3);
    for host in HOSTS {
        assert!(row(&run, host).ends_with(" not joined"), "{}", run.stdout);
    }
    assert!(run.stdout.contains("no control plane has been set up"), "{}", run.stdout);
    let events = fleetadm(inventory, &["status", "--output", "json"]).expect(3).events();
    assert_eq!(of_kind(&events, "host_status").len(), HOSTS.len());
    assert!(of_kind(&events, "host_status").iter().all(|status| status["joined"] == false));
    assert_eq!(of_kind(&events, "cluster_status")[0]["exists"], false);
    assert_eq!(events.last().unwrap()["exit_status"], 3);
    listing::expect_untouched(&before, &listing::of_all(&lab));

    step(started, "apply");
    fleetadm(inventory, &["apply"]).expect(0);
    nodes::wait_ready(&lab);
    let run = as_wanted(inventory, &[]);
    for host in HOSTS {
        let row = row(&run, host);
        assert!(row.contains(&format!("{} healthy", lab.version)), "{row}");
        assert!(row.contains(" Ready ") && row.ends_with(" ok"), "{row}");
    }
    let row_of_first = row(&run, CONTROL_PLANE);
    for words in [&format!("{} ready", lab.version), "voter, leader"] {
        assert!(row_of_first.contains(words), "{words} in: {row_of_first}");
    }
    let events = fleetadm(inventory, &["status", "--output", "json"]).expect(0).events();
    let cluster = of_kind(&events, "cluster_status")[0];
    assert_eq!(cluster["through"], CONTROL_PLANE);
    assert_eq!(cluster["nodes"], HOSTS.len());
    assert_eq!(cluster["etcd"]["healthy"], 1);
    assert!(cluster["first_to_expire"]["expires"].is_string(), "{cluster}");
    assert_eq!(cluster["findings"], Value::Array(Vec::new()));

    step(started, "another release in the inventory");
    let minor = &lab.version[..lab.version.rfind('.').unwrap()];
    let from = format!("kubernetes_version = \"{}\"", lab.version);
    let to = format!("kubernetes_version = \"{minor}.99\"");
    let run = fleetadm(&lab.changed("other.toml", &[(&from, &to)]), &["status"]).expect(3);
    run.expect_failure(CONTROL_PLANE, &["kube-apiserver", &format!("{minor}.99")]);
    run.expect_failure(WORKERS[0], &[&format!("kubelet {}", lab.version)]);

    step(started, "a kubelet that is stopped, a Node that is cordoned, and one of no host");
    lab.sh(WORKERS[0], "systemctl stop kubelet");
    lab.kubectl(&["cordon", WORKERS[1]]);
    lab.sh(CONTROL_PLANE, &format!("echo '{GHOST}' >/tmp/ghost.json"));
    lab.kubectl(&["create", "-f", "/tmp/ghost.json"]);
    lab.sh(CONTROL_PLANE, "rm /tmp/ghost.json");
    let run = fleetadm(inventory, &["status"]).expect(3);
    run.expect_failure(WORKERS[0], &["the kubelet is not active"]);
    run.expect_failure(WORKERS[1], &["cordoned"]);
    run.expect_failure(CONTROL_PLANE, &["status/cluster", "Node ghost is of no host"]);
    assert!(row(&run, CONTROL_PLANE).ends_with(" ok"), "{}", run.stdout);
    lab.kubectl(&["delete", "node", "ghost"]);
    lab.kubectl(&["uncordon", WORKERS[1]]);
    lab.sh(WORKERS[0], "systemctl start kubelet");
    as_wanted(inventory, &[]);

    step(started, "a host without power");
    lab.lab(&["kill", WORKERS[1]]);
    let asked = Instant::now();
    let run = fleetadm(inventory, &["status", "--ssh", "connect_timeout=3s"]).expect(4);
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    run.expect_failure(WORKERS[1], &["unreachable", "3 s"]);
    assert!(row(&run, WORKERS[1]).contains("unreachable"), "{}", run.stdout);
    assert!(row(&run, WORKERS[0]).ends_with(" ok"), "{}", run.stdout);
    // Control planes answer for those that are selected.
    let limited = fleetadm(inventory, &["status", "--limit", WORKERS[0]]).expect(0);
    assert!(row(&limited, WORKERS[0]).contains(" Ready "), "{}", limited.stdout);
    lab.lab(&["boot", WORKERS[1]]);
    as_wanted(inventory, &[]);

    step(started, "an API server that is gone");
    let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    lab.sh(CONTROL_PLANE, &format!("mv {manifest} /root/"));
    let run = eventually("an API server that is gone", Duration::from_secs(60), || {
        let run = fleetadm(inventory, &["status"]);
        let is_gone = run.stdout.contains("no control plane answers");
        if is_gone { Ok(run) } else { Err(run.stdout) }
    })
    .expect(3);
    let row_of_first = row(&run, CONTROL_PLANE);
    for words in ["no manifest of kube-apiserver", "its API server is not ready", "voter"] {
        assert!(row_of_first.contains(words), "{words} in: {row_of_first}");
    }
    lab.sh(CONTROL_PLANE, &format!("mv /root/kube-apiserver.yaml {manifest}"));
    as_wanted(inventory, &[]);

    step(started, "reset");
    lifecycle::reset(&lab);
    let run = fleetadm(inventory, &["status"]).expect(3);
    assert!(row(&run, CONTROL_PLANE).ends_with(" not joined"), "{}", run.stdout);
    listing::expect_bare(&before, &listing::of_all(&lab));
    step(started, "done");
}

/// Wait until all is as the inventory says: a node that has just come up is not Ready at once.
pub fn as_wanted(inventory: &Path, arguments: &[&str]) -> Finished {
    eventually("all as the inventory says", Duration::from_secs(180), || {
        let run = fleetadm(inventory, &[&["status"], arguments].concat());
        if run.status == Some(0) { Ok(run) } else { Err(format!("{}{}", run.stdout, run.stderr)) }
    })
}

/// A host's row of the table.
fn row<'a>(run: &'a Finished, host: &str) -> &'a str {
    let is_host = |line: &&str| line.split_whitespace().next() == Some(host);
    let row = run.stdout.lines().find(is_host);
    row.unwrap_or_else(|| panic!("no row of {host} in:\n{}", run.stdout))
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["kind"] == kind).collect()
}

const GHOST: &str = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"}}"#;
