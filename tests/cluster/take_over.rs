//! The real kubeadm on a cluster that fleetadm made, and fleetadm on one that kubeadm made. What is done here is the
//! table in docs/take-over.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::high_availability::{ALL, healthy};
use super::lab::{Lab, lab_script, step};
use super::runner::fleetadm;
use super::status;

/// kubeadm and what it needs beside it, out of the way of everybody else: fleetadm would take the stand-in for the real
/// crictl.
const OWN: &str = "/opt/kubeadm";

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn kubeadm_works_on_a_cluster_of_fleetadms() {
    let lab = Lab::with_bare(&ALL);
    let inventory = lab.usual();
    let started = Instant::now();

    step(started, "apply: two control planes and two workers");
    fleetadm(&inventory, &["apply", "--limit", "n1,n2,n4,n5"]).expect(0);

    step(started, "kubeadm certs check-expiration");
    install(&lab, "n1");
    let expiration = kubeadm(&lab, "n1", "certs check-expiration");
    assert!(!expiration.contains("Error reading configuration"), "{expiration}");
    for name in ["admin.conf", "apiserver", "etcd-peer", "front-proxy-client", "etcd-ca"] {
        assert!(expiration.lines().any(|line| line.starts_with(name)), "{name}:\n{expiration}");
    }

    step(started, "kubeadm token create, init phase upload-certs, join --control-plane");
    install(&lab, "n3");
    fleetadm(&inventory, &["join", "phase", "prepare", "--limit", "n3"]).expect(0);
    let join = join_command(&lab, "n1");
    let key = certificate_key(&lab, "n1");
    kubeadm(&lab, "n3", &format!("{join} --control-plane --certificate-key {key} {IGNORE}"));

    step(started, "kubeadm join of a worker");
    fleetadm(&inventory, &["reset", "--yes", "--limit", "n5"]).expect(0);
    fleetadm(&inventory, &["join", "phase", "prepare", "--limit", "n5"]).expect(0);
    install(&lab, "n5");
    kubeadm(&lab, "n5", &format!("{join} {IGNORE}"));

    step(started, "kubeadm certs renew all, upgrade plan");
    kubeadm(&lab, "n1", "certs renew all");
    let plan = kubeadm(&lab, "n1", &format!("upgrade plan v{} {IGNORE}", lab.version));
    assert!(plan.contains("[upgrade/versions] Cluster version"), "{plan}");

    step(started, "fleetadm goes on");
    fleetadm(&inventory, &["apply"]).expect(0);
    let again = fleetadm(&inventory, &["apply", "--output", "json"]).expect(0);
    assert_eq!(again.events().last().unwrap()["changes"], 0, "{}", again.stdout);
    healthy(&lab, "n1");

    status::as_wanted(&inventory, &[]);

    step(started, "kubeadm reset, and fleetadm joins the host again");
    kubeadm(&lab, "n3", "reset --force");
    fleetadm(&inventory, &["apply"]).expect(0);
    healthy(&lab, "n1");

    step(started, "reset");
    fleetadm(&inventory, &["reset", "--yes"]).expect(0);
    step(started, "done");
}

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn fleetadm_works_on_a_cluster_of_kubeadms() {
    let lab = Lab::with_bare(&ALL);
    let started = Instant::now();
    let endpoint = format!("{}:6443", lab.address("n1"));
    let inventory = without_load_balancer(&lab, &endpoint);

    step(started, "kubeadm init, and join --control-plane");
    for host in ["n1", "n2"] {
        install(&lab, host);
    }
    fleetadm(&inventory, &["init", "phase", "prepare", "--limit", "n1"]).expect(0);
    fleetadm(&inventory, &["join", "phase", "prepare", "--limit", "n2"]).expect(0);
    let configuration = format!(
        "apiVersion: {}\nkind: ClusterConfiguration\nkubernetesVersion: v{}\n\
         controlPlaneEndpoint: {endpoint}\nnetworking: {{podSubnet: 10.244.0.0/16}}\n---\n{}",
        lab.kubeadm_words().0,
        lab.version,
        lab.kubelet_document()
    );
    lab.bytes("n1", &["sh", "-c", "cat >/root/kubeadm.yaml"], configuration.as_bytes());
    kubeadm(&lab, "n1", &format!("init --config /root/kubeadm.yaml {IGNORE}"));
    let join = join_command(&lab, "n1");
    let key = certificate_key(&lab, "n1");
    kubeadm(&lab, "n2", &format!("{join} --control-plane --certificate-key {key} {IGNORE}"));

    step(started, "fleetadm status, of a cluster that it has not touched");
    let seen = status::as_wanted(&inventory, &["--limit", "n1,n2"]);
    assert!(seen.stdout.contains("2 of 2 members healthy"), "{}", seen.stdout);
    let seen = fleetadm(&inventory, &["status"]).expect(3);
    seen.expect_failure("n3", &["not joined"]);

    step(started, "fleetadm joins both kinds");
    fleetadm(&inventory, &["apply"]).expect(0);
    healthy(&lab, "n1");
    let again = fleetadm(&inventory, &["apply", "--output", "json"]).expect(0);
    assert_eq!(again.events().last().unwrap()["changes"], 0, "{}", again.stdout);
    let seen = status::as_wanted(&inventory, &[]);
    assert!(seen.stdout.contains("3 of 3 members healthy"), "{}", seen.stdout);

    step(started, "certificates and tokens");
    let expiration = fleetadm(&inventory, &["certs", "check-expiration"]).expect(0);
    assert!(expiration.stdout.contains("etcd-peer"), "{}", expiration.stdout);
    let created = fleetadm(&inventory, &["token", "create", "--description", "by hand"]).expect(0);
    let token = created.stdout.trim();
    let id = token.split('.').next().unwrap();
    let listed = kubeadm(&lab, "n2", "token list");
    assert!(listed.contains(id) && listed.contains("by hand"), "{listed}");
    fleetadm(&inventory, &["token", "delete", id]).expect(0);
    assert!(!kubeadm(&lab, "n2", "token list").contains(id));

    step(started, "certs renew of a control plane that kubeadm made");
    let serials = || {
        let files = "/etc/kubernetes/pki/apiserver.crt /etc/kubernetes/pki/etcd/server.crt \
             /var/lib/kubelet/pki/kubelet-client-current.pem";
        lab.sh("n1", &format!("for f in {files}; do openssl x509 -noout -serial -in $f; done"))
    };
    let before = serials();
    fleetadm(&inventory, &["certs", "renew", "--limit", "n1"]).expect(0);
    let after = serials();
    assert_eq!((before.lines().count(), after.lines().count()), (3, 3), "{before}{after}");
    for (old, new) in before.lines().zip(after.lines()) {
        assert!(old != new && new.starts_with("serial="), "{before}{after}");
    }
    healthy(&lab, "n1");
    let again = fleetadm(&inventory, &["apply", "--output", "json"]).expect(0);
    assert_eq!(again.events().last().unwrap()["changes"], 0, "{}", again.stdout);

    step(started, "one control plane leaves and comes back, then all");
    fleetadm(&inventory, &["reset", "--yes", "--limit", "n2"]).expect(0);
    fleetadm(&inventory, &["apply"]).expect(0);
    healthy(&lab, "n1");
    fleetadm(&inventory, &["reset", "--yes"]).expect(0);
    step(started, "done");
}

/// The lab's hosts have less than kubeadm wants, and know none of its registries.
const IGNORE: &str = "--ignore-preflight-errors=all";

fn install(lab: &Lab, host: &str) {
    lab.sh(host, &format!("mkdir -p {OWN}"));
    let put = |name: &str, content: &[u8]| {
        let script = format!("cat >{OWN}/{name} && chmod 755 {OWN}/{name}");
        lab.bytes(host, &["sh", "-c", &script], content);
    };
    put("kubeadm", &fs::read(lab.binaries.join("kubeadm")).unwrap());
    put("crictl", &fs::read(lab_script().with_file_name("crictl-stand-in")).unwrap());
}

/// Run kubeadm. It must succeed; what it printed.
fn kubeadm(lab: &Lab, host: &str, arguments: &str) -> String {
    println!("$ {host}: kubeadm {}", arguments.split(" --token").next().unwrap());
    lab.sh(host, &format!("PATH={OWN}:$PATH timeout 300 kubeadm {arguments} 2>&1"))
}

/// What follows `kubeadm` in the line that joins a worker.
fn join_command(lab: &Lab, host: &str) -> String {
    let printed = kubeadm(lab, host, "token create --print-join-command");
    let line = printed.lines().find_map(|line| line.trim().strip_prefix("kubeadm join "));
    format!("join {}", line.unwrap_or_else(|| panic!("no command in\n{printed}")).trim())
}

fn certificate_key(lab: &Lab, host: &str) -> String {
    let printed = kubeadm(lab, host, "init phase upload-certs --upload-certs");
    let is_key = |line: &&str| line.len() == 64 && line.bytes().all(|b| b.is_ascii_hexdigit());
    printed.lines().map(str::trim).find(is_key).unwrap().to_owned()
}

/// The usual inventory with this endpoint, which nobody but a control plane serves.
fn without_load_balancer(lab: &Lab, endpoint: &str) -> PathBuf {
    let (before, rest) = lab.inventory.split_once("[cluster.load_balancer]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let line = before.lines().find(|line| line.starts_with("control_plane_endpoint")).unwrap();
    let before = before.replace(line, &format!("control_plane_endpoint = \"{endpoint}\""));
    let path: &Path = &lab.write("without-load-balancer.toml", &format!("{before}{after}"));
    path.to_owned()
}
