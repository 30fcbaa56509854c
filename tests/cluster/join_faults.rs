//! A bare worker that cannot be joined, for one reason after the other, in a cluster that is fine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use super::lab::{CONTROL_PLANE, Lab, WORKERS, step};
use super::runner::fleetadm;
use super::under_faults::finish;
use super::{lifecycle, nodes};

/// The worker that is reached as a user with sudo.
const WORKER: &str = WORKERS[1];

/// All of them, and the apply that finishes.
pub fn of_a_worker(lab: &Lab, started: Instant) {
    fleetadm(&lab.usual(), &["reset", "--force", "--limit", WORKER]).expect(0);
    let left = lab.kubectl(&["get", "nodes", "--no-headers"]);
    assert!(!left.contains(WORKER) && left.lines().count() == 2, "{left}");

    step(started, "another host key than the known one");
    let known = another_host_key(lab);
    let usual = lab.file("known_hosts").display().to_string();
    let wrong_key = lab.changed("wrong-key.toml", &[(&usual, &known.display().to_string())]);
    fails(lab, &wrong_key, 4, &["host key"]);

    step(started, "a key that the host does not accept");
    let login = "user = \"ops\"";
    let other = key(lab, "other-key");
    let with_other = format!("{login}, identity_file = \"{}\"", other.display());
    let refused = lab.changed("refused.toml", &[(login, &with_other)]);
    fails(lab, &refused, 4, &["ops"]);

    step(started, "sudo that asks for a password");
    let sudoers = "/etc/sudoers.d/ops";
    lab.sh(WORKER, &format!("cp -p {sudoers} /tmp/ops; echo 'ops ALL=(ALL) ALL' >{sudoers}"));
    fails(lab, &lab.usual(), 3, &["sudo", "password"]);
    lab.sh(WORKER, &format!("cp -p /tmp/ops {sudoers}; rm /tmp/ops"));

    step(started, "a full disk");
    full_disk(lab);

    step(started, "the authority's key is elsewhere, and the kubelet asks with a token");
    lab.sh(CONTROL_PLANE, "mv /etc/kubernetes/pki/ca.key /root/");
    let run = fleetadm(&lab.usual(), &["join", "--limit", WORKER]).expect(0);
    run.expect_ok(WORKER);
    lab.sh(CONTROL_PLANE, "mv /root/ca.key /etc/kubernetes/pki/");
    lifecycle::no_bootstrap_token_is_left(lab);
    assert_eq!(finish(lab).changes(), 0);
    nodes::wait_ready(lab);
}

fn fails(lab: &Lab, inventory: &std::path::Path, status: i32, words: &[&str]) {
    let run = fleetadm(inventory, &["apply"]).expect(status);
    run.expect_failure(WORKER, words);
    run.expect_ok(CONTROL_PLANE);
    run.expect_ok(WORKERS[0]);
    let files = lab.sh(WORKER, "find /etc/kubernetes /var/lib/kubelet -type f 2>/dev/null || true");
    assert!(!files.contains("kubelet.conf") && !files.contains(".fleetadm-"), "{files}");
}

/// A known_hosts in which the worker has a key it never had.
fn another_host_key(lab: &Lab) -> PathBuf {
    let public = fs::read_to_string(key(lab, "host-key").with_extension("pub")).unwrap();
    let address = lab.address(WORKER);
    let all = fs::read_to_string(lab.file("known_hosts")).unwrap();
    let is_workers = |line: &&str| line.split([' ', ',']).any(|name| name == address);
    let others = all.lines().filter(|line| !is_workers(line));
    let mut text: String = others.map(|line| format!("{line}\n")).collect();
    assert!(text.len() < all.len());
    text.push_str(&format!("{address} {public}"));
    lab.write("known_hosts", &text)
}

/// A new key pair: the path of the private half.
fn key(lab: &Lab, name: &str) -> PathBuf {
    let path = lab.directory.path().join(name);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    path
}

/// A real file system with no room left where the kubeconfigs go.
fn full_disk(lab: &Lab) {
    lab.sh(
        WORKER,
        "set -eu; mkdir /etc/kubernetes; mount -t tmpfs -o size=64k tmpfs /etc/kubernetes
         cat /dev/zero >/etc/kubernetes/ballast 2>/dev/null || true
         ! echo more >/etc/kubernetes/more 2>/dev/null; rm -f /etc/kubernetes/more",
    );
    fails(lab, &lab.usual(), 3, &["No space left on device", "/etc/kubernetes"]);
    lab.sh(WORKER, "set -eu; umount /etc/kubernetes; rmdir /etc/kubernetes");
}
