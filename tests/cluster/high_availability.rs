//! Three control planes and two workers: any control plane may go, and hosts leave and come back one by one while somebody
//! writes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lab::{Lab, eventually, step};
use super::runner::{Finished, fleetadm};

/// The first three of the lab's five hosts.
pub const CONTROL_PLANES: [&str; 3] = ["n1", "n2", "n3"];
/// All of them.
pub const ALL: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn a_cluster_of_several_control_planes_bears_what_comes() {
    let lab = Lab::with_bare(&ALL);
    let inventory = lab.usual();
    let started = Instant::now();

    step(started, "apply: three control planes and two workers");
    apply(&lab, &inventory, started);
    let again = fleetadm(&inventory, &["apply", "--output", "json"]).expect(0);
    let changed: Vec<_> =
        again.events().into_iter().filter(|event| event["kind"] == "changed").collect();
    assert!(changed.is_empty(), "{changed:#?}\n{}", again.stderr);

    // A kubelet of 1.36 does not ask again whether there is room for a pod that it runs already.
    if lab.minor() < 36 {
        step(started, "the kubelet of n2 has turned its static pods away");
        turn_static_pods_away(&lab, "n2");
        let healed = apply(&lab, &inventory, started);
        let restarts = healed.stderr.matches("the kubelet is started again").count();
        assert!(restarts >= 2, "{}", healed.stderr);
    }

    for host in CONTROL_PLANES {
        step(started, &format!("{host} without power"));
        let administrator = Administrator::of(&lab, other_than(host));
        lab.lab(&["kill", host]);
        administrator.eventually(&["create", "configmap", &format!("without-{host}")]);
        lab.lab(&["boot", host]);
        healthy(&lab, other_than(host));
    }

    step(started, "the first control plane is destroyed, and comes back bare");
    lab.replace("n1");
    apply(&lab, &inventory, started);

    step(started, "every host leaves and comes back, while somebody writes");
    let writer = Writer::start(&lab);
    for host in ALL {
        step(started, &format!("reset and apply of {host}"));
        fleetadm(&inventory, &["reset", "--yes", "--limit", host]).expect(0);
        apply(&lab, &inventory, started);
    }
    writer.stop();

    step(started, "while one control plane is down no other may go");
    lab.lab(&["kill", "n3"]);
    let refused = fleetadm(&inventory, &["reset", "--yes", "--limit", "n1"]);
    assert_eq!(refused.status, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("quorum"), "{}", refused.stderr);
    lab.lab(&["boot", "n3"]);
    healthy(&lab, "n1");

    step(started, "reset");
    fleetadm(&inventory, &["reset", "--yes"]).expect(0);
    step(started, "done");
}

/// Apply to the end, and what must be true then.
pub fn apply(lab: &Lab, inventory: &std::path::Path, started: Instant) -> Finished {
    let run = fleetadm(inventory, &["apply"]).expect(0);
    for host in ALL {
        run.expect_ok(host);
    }
    healthy(lab, CONTROL_PLANES[0]);
    step(started, "healthy");
    run
}

/// A kubelet that found no room for its pods when it started, and that will have some only when it has started once more:
/// the first start from now on still goes by what was before, as a kubelet's start may do by itself.
fn turn_static_pods_away(lab: &Lab, host: &str) {
    lab.sh(
        host,
        r#"echo KUBELET_EXTRA_ARGS=--system-reserved=cpu=$(($(nproc) * 1000 - 50))m > /etc/default/kubelet
        systemctl restart kubelet"#,
    );
    // Whether there is room is read off the Node, which the kubelet has told by then only now and then.
    let cpu = ["get", "node", host, "--output=jsonpath={.status.allocatable.cpu}"];
    let patience = Duration::from_secs(90);
    eventually("the Node without room", patience, || match lab.try_kubectl(&cpu) {
        Ok(cpu) if cpu.trim() == "50m" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    lab.sh(host, "systemctl restart kubelet");
    eventually("etcd turned away", patience, || match etcd(lab, host, "kv/range") {
        Err(_) => Ok(()),
        Ok(_) => Err("it still answers".to_owned()),
    });
    lab.sh(
        host,
        r"mkdir -p /run/systemd/system/kubelet.service.d
        printf '[Service]\nExecStartPost=/bin/rm -f /etc/default/kubelet\n' > /run/systemd/system/kubelet.service.d/30-room.conf
        systemctl daemon-reload",
    );
}

/// Every node but these is ready, and etcd's members are their control planes, all of which vote and answer.
pub fn healthy_without(lab: &Lab, from: &str, gone: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match state(lab, from, gone) {
            Ok(()) => return,
            Err(problem) => assert!(Instant::now() < deadline, "{problem}"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The same, with all of them.
pub fn healthy(lab: &Lab, from: &str) {
    healthy_without(lab, from, &[]);
}

fn state(lab: &Lab, from: &str, gone: &[&str]) -> Result<(), String> {
    let is_there = |host: &&str| !gone.contains(host);
    let control_planes: Vec<_> = CONTROL_PLANES.into_iter().filter(is_there).collect();
    let members = control_planes.len();
    let listed = etcd(lab, from, "cluster/member/list")?;
    let listed = listed["members"].as_array().cloned().unwrap_or_default();
    let voters = listed.iter().filter(|member| member["isLearner"] != true).count();
    if (listed.len(), voters) != (members, members) {
        return Err(format!("etcd has {} members, {voters} of which vote", listed.len()));
    }
    for host in control_planes {
        etcd(lab, host, "kv/range").map_err(|problem| format!("etcd of {host}: {problem}"))?;
    }
    let nodes = Administrator::of(lab, from).kubectl(&["get", "nodes", "-o", "json"])?;
    let nodes: Value = serde_json::from_str(&nodes).map_err(|error| error.to_string())?;
    let ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let of_type = |it: &Value| it["type"] == "Ready" && it["status"] == "True";
        conditions.iter().any(of_type) && node["spec"]["unschedulable"] != true
    };
    let names: BTreeSet<&str> = nodes["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(ready)
        .filter_map(|node| node["metadata"]["name"].as_str())
        .collect();
    if names != ALL.into_iter().filter(is_there).collect() {
        let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
        let told = |node: &Value| {
            let (name, spec) = (&node["metadata"]["name"], &node["spec"]);
            format!("{name}: {spec} {}", node["status"]["conditions"])
        };
        let others: Vec<String> = nodes.iter().filter(|node| !ready(node)).map(told).collect();
        return Err(format!("ready are only {names:?}; of the others there are {others:?}"));
    }
    Ok(())
}

/// Ask a host's etcd, as its health check does.
fn etcd(lab: &Lab, host: &str, path: &str) -> Result<Value, String> {
    let body = if path == "kv/range" { r#"{"key":"aGVhbHRo"}"# } else { "{}" };
    let script = format!(
        "cd /etc/kubernetes/pki/etcd && curl -sS --max-time 5 --cacert ca.crt --cert healthcheck-client.crt \
         --key healthcheck-client.key -d '{body}' https://127.0.0.1:2379/v3/{path} 2>&1 || true"
    );
    let text = lab.sh(host, &script);
    let answer: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
    if answer["error"].is_string() { Err(text) } else { Ok(answer) }
}

fn other_than(host: &str) -> &'static str {
    if host == CONTROL_PLANES[0] { CONTROL_PLANES[1] } else { CONTROL_PLANES[0] }
}

/// kubectl on this machine, which goes through the cluster's endpoint.
struct Administrator {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
}

impl Administrator {
    fn of(lab: &Lab, host: &str) -> Self {
        let text = lab.sh(host, "cat /etc/kubernetes/admin.conf");
        let kubeconfig = lab.write(&format!("admin-{host}.conf"), &text);
        Self { kubectl: lab.binaries.join("kubectl"), kubeconfig }
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--request-timeout=5s")
            .args(arguments)
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// With the retries of an ordinary client, for up to half a minute.
    fn eventually(&self, arguments: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = self.kubectl(arguments) {
            if error.contains("AlreadyExists") {
                return;
            }
            assert!(Instant::now() < deadline, "kubectl {arguments:?}: {error}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// Somebody who writes a key after the other until told to stop.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
    administrator: Arc<Administrator>,
}

impl Writer {
    fn start(lab: &Lab) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let administrator = Arc::new(Administrator::of(lab, CONTROL_PLANES[0]));
        let (stopped, writer) = (stop.clone(), administrator.clone());
        let thread = std::thread::spawn(move || {
            let mut written = 0;
            while !stopped.load(Ordering::Relaxed) {
                writer.eventually(&["create", "configmap", &format!("written-{written}")]);
                written += 1;
                std::thread::sleep(Duration::from_millis(300));
            }
            written
        });
        Self { stop, thread, administrator }
    }

    /// Every key that was written is there.
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let written = self.thread.join().unwrap();
        let list = self.administrator.kubectl(&["get", "configmaps", "-o", "name"]).unwrap();
        let there = list.lines().filter(|line| line.starts_with("configmap/written-")).count();
        println!("  {written} keys written");
        assert_eq!(there, written);
        assert!(written > 20, "only {written} keys were written");
    }
}
