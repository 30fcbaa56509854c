//! The nodes: Ready, and marked as kubeadm marks them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::lab::{CONTROL_PLANE, HOSTS, Lab, eventually};

/// Wait until all nodes are Ready, and show them.
pub fn wait_ready(lab: &Lab) {
    eventually("three Ready nodes", Duration::from_secs(180), || {
        let nodes = lab.try_kubectl(&["get", "nodes", "--no-headers"])?;
        let ready = nodes.lines().filter(|line| line.split_whitespace().nth(1) == Some("Ready"));
        let is_all = ready.count() == HOSTS.len() && nodes.lines().count() == HOSTS.len();
        if is_all { Ok(()) } else { Err(nodes) }
    });
    print!("{}", lab.kubectl(&["get", "nodes", "-o", "wide"]));
}

/// Names, roles, labels, annotations and taints, compared in full once controllers have had time for theirs.
pub fn are_kubeadms(lab: &Lab) {
    let nodes = eventually("nodes with kubeadm's marks", Duration::from_secs(60), || {
        let nodes = lab.get(&["nodes"]);
        let items = nodes["items"].as_array().unwrap();
        let names: Vec<_> = items.iter().map(|node| &node["metadata"]["name"]).collect();
        assert_eq!(names, HOSTS);
        for (node, host) in items.iter().zip(HOSTS) {
            let (marks, expected) = (marks(node), expected(lab, host));
            if marks != expected {
                return Err(format!("{host}: {marks:#}\ninstead of {expected:#}"));
            }
        }
        Ok(nodes)
    });
    for (node, host) in nodes["items"].as_array().unwrap().iter().zip(HOSTS) {
        assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], format!("v{}", lab.version));
        let addresses = node["status"]["addresses"].as_array().unwrap();
        let internal = json!({"type": "InternalIP", "address": lab.address(host)});
        assert!(addresses.contains(&internal), "{addresses:?}");
        if let Some(golden) = golden(&lab.version) {
            let theirs = if host == CONTROL_PLANE { &golden[0] } else { &golden[1] };
            let text =
                theirs.to_string().replace(&theirs["name"].to_string(), &json!(host).to_string());
            let theirs: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(marks(node), theirs, "{host} against the golden node");
        }
    }
}

/// What kubeadm, the kubelet and the controller manager put on a node of this release.
fn expected(lab: &Lab, host: &str) -> Value {
    assert!(matches!(lab.minor(), 20 | 36), "the marks below are of other releases");
    let is_old = lab.minor() == 20;
    let architecture =
        lab.kubectl(&["get", "node", host, "-o=jsonpath={.status.nodeInfo.architecture}"]);
    let mut value = json!({
        "name": host,
        "labels": {
            "beta.kubernetes.io/arch": architecture,
            "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": architecture,
            "kubernetes.io/hostname": host,
            "kubernetes.io/os": "linux",
        },
        "annotations": {
            "node.alpha.kubernetes.io/ttl": "0",
            "volumes.kubernetes.io/controller-managed-attach-detach": "true",
        },
        "taints": null,
    });
    if is_old {
        value["annotations"]["kubeadm.alpha.kubernetes.io/cri-socket"] =
            json!("/run/containerd/containerd.sock");
    }
    if host == CONTROL_PLANE {
        let (control_plane, master) =
            ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master");
        let (label, taint) = match is_old {
            true => (master, master),
            false => ("node.kubernetes.io/exclude-from-external-load-balancers", control_plane),
        };
        value["labels"][control_plane] = json!("");
        value["labels"][label] = json!("");
        value["taints"] = json!([{"effect": "NoSchedule", "key": taint}]);
    }
    value
}

fn marks(node: &Value) -> Value {
    json!({
        "name": node["metadata"]["name"],
        "labels": node["metadata"]["labels"],
        "annotations": node["metadata"]["annotations"],
        "taints": node["spec"]["taints"],
    })
}

/// The nodes of a cluster that kubeadm made, where this machine has them: control plane, worker, ...
fn golden(version: &str) -> Option<Vec<Value>> {
    let directory = std::env::var_os("FLEETADM_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden"), Into::into);
    let path = directory.join(version).join("k8s/nodes-labels-taints.json");
    let Ok(text) = fs::read_to_string(&path) else {
        println!("SKIPPED: no golden nodes; set FLEETADM_GOLDEN to their directory");
        return None;
    };
    let nodes = serde_json::Deserializer::from_str(&text).into_iter();
    Some(nodes.map(Result::unwrap).collect())
}
