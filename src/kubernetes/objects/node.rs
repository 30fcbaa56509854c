//! mark-control-plane and its relatives: labels, annotations and taints of a Node.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::inventory::Taint;
use crate::kubernetes::object::{Kind, Object, ObjectKey};

/// The control plane's label, and since 1.24 the key of its taint.
pub const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// The control plane's older label and taint key.
pub const MASTER: &str = "node-role.kubernetes.io/master";

/// Keeps cloud load balancers from sending traffic to a control plane (1.21 and later).
pub const EXCLUDE_FROM_LOAD_BALANCERS: &str =
    "node.kubernetes.io/exclude-from-external-load-balancers";

/// Where kubeadm before 1.36 keeps a node's container runtime socket.
pub const CRI_SOCKET: &str = "kubeadm.alpha.kubernetes.io/cri-socket";

/// What a Node should carry. What it carries beyond that is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeMarks {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Taints; one of the same key and effect is replaced.
    pub taints: Vec<Taint>,
}

/// What the Node lacks of `marks`, or has with another value.
pub fn missing(node: &Value, marks: &NodeMarks) -> NodeMarks {
    let lacking = |field: &str, wanted: &BTreeMap<String, String>| {
        let lacks = |(name, value): &(&String, &String)| {
            node["metadata"][field][name.as_str()] != value.as_str()
        };
        let lacking = wanted.iter().filter(lacks);
        lacking.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let present = node["spec"]["taints"].as_array();
    let is_there = |taint: &Taint| {
        present.into_iter().flatten().any(|other| {
            other["key"] == taint.key.as_str()
                && other["effect"] == taint.effect.as_str()
                && other["value"].as_str().unwrap_or_default() == taint.value
        })
    };
    NodeMarks {
        labels: lacking("labels", &marks.labels),
        annotations: lacking("annotations", &marks.annotations),
        taints: marks.taints.iter().filter(|taint| !is_there(taint)).cloned().collect(),
    }
}

/// The patch that adds what is missing, or `None` when nothing is.
///
/// It carries the Node's resource version: taints are one list, and the node controller edits it too.
pub fn patch(node: &Value, marks: &NodeMarks) -> Option<Value> {
    let missing = missing(node, marks);
    let mut changes = Map::new();
    for (field, missing) in [("labels", missing.labels), ("annotations", missing.annotations)] {
        if !missing.is_empty() {
            changes.insert(field.to_owned(), json!(missing));
        }
    }
    let taints = (!missing.taints.is_empty())
        .then(|| merged_taints(&node["spec"]["taints"], &missing.taints));
    if changes.is_empty() && taints.is_none() {
        return None;
    }
    if let Some(version) = node["metadata"]["resourceVersion"].as_str() {
        changes.insert("resourceVersion".to_owned(), version.into());
    }
    let mut patch = Map::new();
    if !changes.is_empty() {
        patch.insert("metadata".to_owned(), changes.into());
    }
    if let Some(taints) = taints {
        patch.insert("spec".to_owned(), json!({ "taints": taints }));
    }
    Some(patch.into())
}

/// The whole new list: those that are there with the missing ones, which take the place of others of their key and effect.
fn merged_taints(present: &Value, missing: &[Taint]) -> Vec<Value> {
    let mut taints = present.as_array().cloned().unwrap_or_default();
    for taint in missing {
        let value = to_value(taint);
        let same = |other: &&mut Value| {
            other["key"] == taint.key.as_str() && other["effect"] == taint.effect.as_str()
        };
        match taints.iter_mut().find(same) {
            Some(other) => *other = value,
            None => taints.push(value),
        }
    }
    taints
}

fn to_value(taint: &Taint) -> Value {
    let mut value = json!({"key": taint.key, "effect": taint.effect});
    if !taint.value.is_empty() {
        value["value"] = taint.value.as_str().into();
    }
    value
}

/// A Node that is there before its kubelet makes it: with the labels of the kubelet's `--node-labels` and the taints of its
/// configuration, which it gives to a Node of its own making only. What else a Node has it adds to any; but a kubelet of
/// 1.20 that finds one without any capacity dies of it.
pub fn ahead_of_kubelet(name: &str, node_labels: Option<&str>, taints: Option<&Value>) -> Object {
    let pairs = node_labels.unwrap_or_default().split(',').filter_map(|it| it.split_once('='));
    let labels: BTreeMap<_, _> = pairs.map(|(key, value)| (key.trim(), value.trim())).collect();
    let nothing_yet = json!({ "pods": "0" });
    let fields = json!({
        "metadata": { "labels": labels },
        "spec": { "taints": taints },
        "status": { "capacity": nothing_yet, "allocatable": nothing_yet },
    });
    Object::new(ObjectKey::cluster(Kind::Node, name), fields)
}

/// True once the kubelet has registered the Node completely: kubeadm's sign is the hostname label.
pub fn is_registered(node: &Value) -> bool {
    node.pointer("/metadata/labels/kubernetes.io~1hostname").is_some()
}

/// Whether the Node has any of this resource for pods, as far as its kubelet has told.
pub fn offers(node: &Value, resource: &str) -> bool {
    node["status"]["allocatable"][resource].as_str().is_some_and(|quantity| quantity != "0")
}

/// Whether no new pods are let onto the Node.
pub fn is_cordoned(node: &Value) -> bool {
    node["spec"]["unschedulable"] == true
}

/// The Ready condition: `Ok` when true, else why not in a few words.
pub fn ready(node: &Value) -> Result<(), String> {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let Some(ready) = conditions.into_iter().flatten().find(|it| it["type"] == "Ready") else {
        return Err("the kubelet has not reported its state yet".to_owned());
    };
    if ready["status"] == "True" {
        return Ok(());
    }
    let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
    Err(format!("{}: {}", text("reason"), text("message")))
}

/// When the kubelet last reported the node's state, by its own clock.
pub fn heartbeat(node: &Value) -> Option<&str> {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions.iter().find(|it| it["type"] == "Ready")?["lastHeartbeatTime"].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> NodeMarks {
        NodeMarks {
            labels: BTreeMap::from([(CONTROL_PLANE.to_owned(), String::new())]),
            annotations: BTreeMap::new(),
            taints: vec![Taint {
                key: CONTROL_PLANE.to_owned(),
                value: String::new(),
                effect: "NoSchedule".to_owned(),
            }],
        }
    }

    #[test]
    fn adds_what_is_missing_and_keeps_others_taints() {
        let node = json!({
            "metadata": {"name": "a", "resourceVersion": "9", "labels": {"x": "y"}},
            "spec": {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]},
        });
        assert_eq!(
            patch(&node, &marks()).unwrap(),
            json!({
                "metadata": {"resourceVersion": "9", "labels": {CONTROL_PLANE: ""}},
                "spec": {"taints": [
                    {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
                    {"key": CONTROL_PLANE, "effect": "NoSchedule"},
                ]},
            })
        );
    }

    #[test]
    fn nothing_missing_is_no_patch() {
        let node = json!({
            "metadata": {"name": "a", "labels": {CONTROL_PLANE: ""}},
            "spec": {"taints": [{"key": CONTROL_PLANE, "effect": "NoSchedule"}]},
        });
        assert_eq!(patch(&node, &marks()), None);
    }

    #[test]
    fn a_taint_of_another_value_is_replaced() {
        let node = json!({"spec": {"taints": [
            {"key": CONTROL_PLANE, "effect": "NoSchedule", "value": "x"},
            {"key": CONTROL_PLANE, "effect": "NoExecute"},
        ]}});
        let marks = NodeMarks { labels: BTreeMap::new(), ..marks() };
        assert_eq!(
            patch(&node, &marks).unwrap()["spec"]["taints"],
            json!([
                {"key": CONTROL_PLANE, "effect": "NoSchedule"},
                {"key": CONTROL_PLANE, "effect": "NoExecute"},
            ])
        );
    }

    #[test]
    fn a_node_made_ahead_has_what_its_kubelet_would_not_add() {
        let taints = json!([{ "key": "x", "effect": "NoSchedule" }]);
        let node = ahead_of_kubelet("a", Some("disk=ssd,zone="), Some(&taints));
        let body = node.body();
        assert_eq!(body["metadata"]["name"], "a");
        assert_eq!(body["metadata"]["labels"], json!({ "disk": "ssd", "zone": "" }));
        assert_eq!(body["spec"]["taints"], taints);
        let bare = ahead_of_kubelet("a", None, None);
        assert_eq!(bare.body()["metadata"]["labels"], json!({}));
        assert!(!is_registered(bare.body()) && !offers(bare.body(), "cpu"));
        assert_eq!(bare.body()["status"]["capacity"], json!({ "pods": "0" }));
    }

    #[test]
    fn readiness_is_told_with_its_reason() {
        let node = |status: &str| {
            json!({"status": {"conditions": [{"type": "DiskPressure", "status": "False"},
                {"type": "Ready", "status": status, "reason": "KubeletNotReady",
                 "message": "cni plugin not initialized"}]}})
        };
        assert_eq!(ready(&node("True")), Ok(()));
        assert_eq!(
            ready(&node("False")).unwrap_err(),
            "KubeletNotReady: cni plugin not initialized"
        );
        assert!(ready(&json!({})).is_err());
        assert!(!is_registered(&json!({"metadata": {"labels": {}}})));
        let named = json!({"metadata": {"labels": {"kubernetes.io/hostname": "a"}}});
        assert!(is_registered(&named));
    }
}
