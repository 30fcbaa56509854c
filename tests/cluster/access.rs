//! What an operator gets out of a cluster: tokens, kubeconfigs, and a tunnel for kubectl on the workstation.

use std::path::Path;

use super::lab::{CONTROL_PLANE, HOSTS, Lab};
use super::lifecycle::no_bootstrap_token_is_left;
use super::runner::fleetadm;
use super::secrets::expect_none_in;

/// Tokens are made, listed as kubeadm lists them, and deleted. None is left.
pub fn tokens(lab: &Lab) {
    let inventory = lab.usual();
    let created =
        fleetadm(&inventory, &["token", "create", "--ttl", "1h", "--description", "two words"]);
    let created = created.expect(0);
    expect_none_in(&created.stderr);
    let token = created.stdout.trim();
    let (id, _) = token.split_once('.').unwrap();
    assert_eq!(fleetadm(&inventory, &["token", "create", token]).expect(3).stdout, "");

    let listed = fleetadm(&inventory, &["token", "list"]).expect(0).stdout;
    assert!(listed.lines().nth(1).unwrap().starts_with(token), "{listed}");
    let columns = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(columns.contains("authentication,signing two words system:bootstrappers:"), "{listed}");

    let joined =
        fleetadm(&inventory, &["token", "create", "--print-join-command"]).expect(0).stdout;
    let words: Vec<&str> = joined.split_whitespace().collect();
    let address = format!("{}:6443", lab.address(CONTROL_PLANE));
    assert_eq!(words[..4], ["kubeadm", "join", address.as_str(), "--token"], "{joined}");
    fleetadm(&inventory, &["token", "delete", id, words[4]]).expect(0);
    fleetadm(&inventory, &["token", "delete", id]).expect(3);
    no_bootstrap_token_is_left(lab);
}

/// The administrator and a named user reach the API server through a tunnel, and nothing stays on the workstation.
pub fn kubeconfigs(lab: &Lab) {
    let inventory = lab.usual();
    let kubectl = lab.binaries.join("kubectl");
    let kubectl = kubectl.to_str().unwrap();
    // kubectl's own cache would be something left on the workstation.
    let cache = lab.directory.path().join("cache");
    let through = ["tunnel", "--", kubectl, "--cache-dir", cache.to_str().unwrap()];
    let run = |words: &[&str]| fleetadm(&inventory, &[&through[..], words].concat());
    let nodes = run(&["get", "nodes", "-o", "name"]).expect(0).stdout;
    assert_eq!(nodes.lines().count(), HOSTS.len(), "{nodes}");
    run(&["get", "node", "nobody"]).expect(1);

    let file = lab.directory.path().join("operator.conf");
    let path = file.to_str().unwrap();
    let merge = |words: &[&str]| {
        fleetadm(&inventory, &[&["kubeconfig", "--merge", path][..], words].concat())
    };
    assert_eq!(merge(&[]).expect(0).stdout, "");
    let jane = ["--client-name", "jane", "--org", "dev", "--org", "ops", "--validity", "1h"];
    merge(&jane).expect(0);
    let before = read(&file);
    merge(&jane).expect(0);
    merge(&[]).expect(0);
    assert_eq!(read(&file), before, "a second run changes nothing");
    assert!(before.contains("current-context: kubernetes-admin@kubernetes"));
    let as_jane = ["--kubeconfig", path, "--context", "jane@kubernetes"];
    let server = format!("https://{}:6443", lab.address(CONTROL_PLANE));
    let refused = std::process::Command::new(kubectl)
        .args(as_jane)
        .args(["--server", &server, "get", "nodes"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("User \"jane\" cannot list resource \"nodes\""), "{said}");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
