//! The objects in the API against kubeadm's: the real kubeadm writes all of its own over ours, and nothing changes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::files::differences;
use super::lab::{CONTROL_PLANE, Lab};
use super::runner::fleetadm;

/// What a phase of kubeadm writes otherwise, depending on the release.
const AUTHORIZATION: &str = "ConfigMap kube-system/kubeadm-config: data: ClusterConfiguration: apiServer: extraArgs: \
    ours {\"authorization-mode\":\"Node,RBAC\"}, kubeadm's null";

/// What may change all the same: how the difference begins, why.
const INTENDED: &[(&str, &str)] = &[
    (
        AUTHORIZATION,
        "a whole `kubeadm init` has it there, left by an earlier phase; a phase run alone has not",
    ),
    (
        "Deployment kube-system/coredns: metadata: generation: ours 1, kubeadm's 2",
        "kubeadm's blind update drops the controller's revision annotation, which counts as one",
    ),
];

/// What kubeadm's phases write, with its configuration and its binary already on the host.
const PHASES: &str = "set -eu; export HOME=/tmp
for phase in 'upload-config all' mark-control-plane 'bootstrap-token --skip-token-print' 'addon all'; do
  /tmp/kubeadm init phase $phase --config /tmp/kubeadm.yaml
done";

/// Compare; `created` is what fleetadm said it created, `dry_run` what kubeadm says that it would.
pub fn objects_are_kubeadms(lab: &Lab, created: &[String], dry_run: &str) {
    let before = objects(lab);
    lab.sh(CONTROL_PLANE, PHASES);
    let after = objects(lab);
    let mut problems = Vec::new();
    for (key, theirs) in &after {
        match before.get(key) {
            Some(ours) => differences(key, ours, theirs, &mut problems),
            None => problems.push(format!("{key}: only kubeadm makes it")),
        }
    }
    let is_other = problems.iter().any(|line| line.starts_with(AUTHORIZATION));
    problems.retain(|line| !INTENDED.iter().any(|(beginning, _)| line.starts_with(beginning)));
    assert!(problems.is_empty(), "kubeadm changed:\n{}", problems.join("\n"));

    // And the other way round: nothing that kubeadm would not have made.
    let mut theirs = written(dry_run);
    assert!(theirs.len() > 20, "{theirs:?}");
    if lab.minor() >= 29 {
        // Made on the way to its first client of the API, which a dry run has no need of.
        theirs.insert("ClusterRoleBinding kubeadm:cluster-admins".to_owned());
    }
    let ours: BTreeSet<String> = created.iter().cloned().collect();
    assert_eq!(ours, theirs, "what fleetadm created, and what kubeadm would have");

    // Afterwards there is nothing to repair but the one difference that is intended.
    let run = fleetadm(&lab.usual(), &["apply", "-v"]).expect(0);
    assert_eq!(run.changes(), usize::from(is_other), "{}", run.stderr);
    let words = " update ConfigMap kube-system/kubeadm-config";
    assert_eq!(run.stderr.contains(words), is_other, "{}", run.stderr);

    let tokens = "--field-selector=type=bootstrap.kubernetes.io/token";
    lab.kubectl(&["delete", "secret", "--namespace=kube-system", tokens]);
    lab.sh(CONTROL_PLANE, "rm -f /tmp/kubeadm /tmp/kubeadm.yaml");
}

/// Every object of the kinds that kubeadm writes, by kind and name, without what the server keeps account of.
fn objects(lab: &Lab) -> BTreeMap<String, Value> {
    let namespaced =
        "configmaps,serviceaccounts,roles,rolebindings,services,daemonsets,deployments";
    let lists = [
        lab.get(&[namespaced, "--namespace=kube-system"]),
        lab.get(&[namespaced, "--namespace=kube-public"]),
        lab.get(&["clusterroles,clusterrolebindings,nodes"]),
    ];
    let mut all = BTreeMap::new();
    for item in lists.iter().flat_map(|list| list["items"].as_array().unwrap()) {
        let mut item = item.clone();
        let fields = item.as_object_mut().unwrap();
        fields.remove("status");
        let metadata = fields["metadata"].as_object_mut().unwrap();
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
        if let Some(data) = fields.get_mut("data").and_then(Value::as_object_mut) {
            // Signed anew for every token.
            data.retain(|name, _| !name.starts_with("jws-kubeconfig-"));
            for value in data.values_mut() {
                // Documents are compared field by field: writers order and quote differently.
                if let Ok(document @ Value::Object(_)) =
                    serde_saphyr::from_str(value.as_str().unwrap_or_default())
                {
                    *value = document;
                }
            }
        }
        all.insert(key(&item), item);
    }
    assert!(all.len() > 60, "{:?}", all.keys());
    all
}

fn key(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap();
    let name = object["metadata"]["name"].as_str().unwrap();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) if !kind.starts_with("Cluster") => format!("{kind} {namespace}/{name}"),
        _ => format!("{kind} {name}"),
    }
}

/// Objects that kubeadm's dry run would create, but for its tokens.
fn written(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut yaml: Option<String> = None;
    let mut creating = false;
    for line in text.lines().chain(["[end]"]) {
        if line.starts_with('[') || line.is_empty() {
            if let Some(text) = yaml.take() {
                let object: Value = serde_saphyr::from_str(&text).unwrap();
                all.insert(key(&object));
            }
            if line.contains("Would perform action") {
                creating = line.contains("action CREATE");
            }
            if creating && line == "[dryrun] Attached object:" {
                yaml = Some(String::new());
                creating = false;
            }
        } else if let Some(yaml) = &mut yaml {
            // Older releases indent it.
            yaml.push_str(line.strip_prefix('\t').unwrap_or(line));
            yaml.push('\n');
        }
    }
    all.retain(|key| !key.starts_with("Secret kube-system/bootstrap-token-"));
    all
}
