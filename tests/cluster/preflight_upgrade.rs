//! What `preflight upgrade` asks a cluster that runs, before the next release: nothing is wrong with a healthy one, and
//! what is wrong is told.

use std::panic::catch_unwind;
use std::path::Path;

use serde_json::{Value, json};

use super::lab::{CONTROL_PLANE, Lab};
use super::nodes;
use super::runner::fleetadm;

const PLUGINS: &str = "CoreDNSUnsupportedPlugins";
const MIGRATION: &str = "CoreDNSMigration";
const NODES: &str = "ControlPlaneNodesReady";

/// The healthy cluster, then with one thing wrong after the other; it is left as it was.
pub fn asks_the_cluster(lab: &Lab) {
    let minor = lab.minor();
    if minor >= 36 {
        println!("SKIPPED: there is no release to come that an inventory may name");
        return;
    }
    let version = |version: &str| format!("kubernetes_version = \"{version}\"");
    let (now, next) = (version(&lab.version), version(&format!("1.{}.0", minor + 1)));
    let inventory = lab.changed("next-release.toml", &[(&now, &next)]);

    let healthy = checks(&inventory, 0);
    for name in [PLUGINS, MIGRATION, NODES] {
        let made: Vec<_> = healthy.iter().filter(|check| check["name"] == name).collect();
        assert_eq!(made.len(), 1, "{name}: {healthy:?}");
        assert_eq!(made[0]["host"], CONTROL_PLANE);
        assert_eq!(made[0]["severity"], "passed", "{}", made[0]);
    }

    let config_map = lab.get(&["configmap", "coredns", "--namespace=kube-system"]);
    let corefile = config_map["data"]["Corefile"].as_str().unwrap();
    set_corefile(lab, &corefile.replacen("errors", "errors\n    fancy", 1));
    let found = catch_unwind(|| checks(&inventory, 3));
    set_corefile(lab, corefile);
    expect_only(&found.unwrap(), PLUGINS, &["plugin fancy"]);

    let found = while_not_ready(lab, || checks(&inventory, 3));
    expect_only(&found, NODES, &["NotReady", CONTROL_PLANE]);

    // Without the administrator's kubeconfig nobody can ask, which is no failure of the host.
    lab.sh(CONTROL_PLANE, "mv /etc/kubernetes/admin.conf /etc/kubernetes/away.conf");
    let found = catch_unwind(|| checks(&inventory, 3));
    lab.sh(CONTROL_PLANE, "mv /etc/kubernetes/away.conf /etc/kubernetes/admin.conf");
    expect_only(&found.unwrap(), NODES, &["no control plane yet"]);

    nodes::wait_ready(lab);
    nodes::are_kubeadms(lab);
    checks(&inventory, 0);
}

/// kubeadm's checks.
fn checks(inventory: &Path, status: i32) -> Vec<Value> {
    let run = fleetadm(inventory, &["preflight", "upgrade", "--output", "json"]).expect(status);
    let is_kubeadms = |event: &Value| event["kind"] == "check" && event["scope"] == "host";
    run.events().into_iter().filter(is_kubeadms).collect()
}

/// One error, of this check, on the control plane.
fn expect_only(checks: &[Value], name: &str, words: &[&str]) {
    let errors: Vec<_> = checks.iter().filter(|check| check["severity"] == "error").collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((&errors[0]["name"], &errors[0]["host"]), (&json!(name), &json!(CONTROL_PLANE)));
    for word in words {
        assert!(errors[0]["message"].as_str().unwrap().contains(word), "{word}: {}", errors[0]);
    }
}

fn set_corefile(lab: &Lab, corefile: &str) {
    let patch = json!({"data": {"Corefile": corefile}}).to_string();
    lab.kubectl(&["patch", "configmap", "coredns", "--namespace=kube-system", "--patch", &patch]);
}

/// The control plane's node says that it is not Ready, and its kubelet, halted, cannot say otherwise.
fn while_not_ready<T>(lab: &Lab, look: impl FnOnce() -> T + std::panic::UnwindSafe) -> T {
    let kubelet =
        |signal: &str| lab.sh(CONTROL_PLANE, &format!("systemctl kill --signal={signal} kubelet"));
    kubelet("STOP");
    let mut node = lab.get(&["node", CONTROL_PLANE]);
    node["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    for condition in node["status"]["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Ready" {
            condition["status"] = json!("False");
        }
    }
    let path = format!("/api/v1/nodes/{CONTROL_PLANE}/status");
    let kubectl =
        ["env", "HOME=/tmp", "/usr/bin/kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"];
    let command = [&kubectl[..], &["replace", "--raw", &path, "--filename=-"]].concat();
    let found = catch_unwind(|| {
        lab.bytes(CONTROL_PLANE, &command, node.to_string().as_bytes());
        look()
    });
    kubelet("CONT");
    found.unwrap()
}
