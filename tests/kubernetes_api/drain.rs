//! Draining a node against a real API server: which pods go, what a budget holds back, and what is taken back.

use std::sync::Mutex;
use std::time::Duration;

use fleetadm::kubernetes::drain::{self, DrainOptions};
use fleetadm::kubernetes::{ApiClient, Kind, Object, ObjectKey, manifests, nodes};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// No kubelet runs here: what has been evicted is as good as gone.
const NODE: &str = "drained";

pub async fn respects_budgets_and_controllers(client: &ApiClient) {
    let text = format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {NODE}}}\n---\n\
         apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: default, namespace: default}}\n"
    );
    let documents = manifests::parse("node.yaml", &text).unwrap();
    manifests::apply(client, &documents).await.unwrap();
    let cancel = CancellationToken::new();
    let options = DrainOptions { timeout: Duration::from_secs(3), force: false };

    assert!(drain::cordon(client, NODE).await.unwrap());
    assert!(!drain::cordon(client, NODE).await.unwrap(), "a second time changes nothing");
    let missing = drain::cordon(client, "nobody").await.unwrap_err();
    assert!(missing.to_string().contains("there is no Node nobody"), "{missing}");

    create(client, "web", Some("ReplicaSet"), "free").await;
    create(client, "held", Some("StatefulSet"), "held").await;
    create(client, "agent", Some("DaemonSet"), "free").await;
    create(client, "bare", None, "free").await;
    budget(client).await;
    let evicted = Mutex::new(Vec::new());
    let tell = |pod: &drain::PodRef| evicted.lock().unwrap().push(pod.name.clone());

    let blocked = drain::drain(client, NODE, options, &cancel, tell).await.unwrap_err();
    assert!(blocked.to_string().contains("default/bare"), "{blocked}");
    assert!(evicted.lock().unwrap().is_empty(), "nothing goes before all may");

    let forced = DrainOptions { force: true, ..options };
    let late = drain::drain(client, NODE, forced, &cancel, tell).await.unwrap_err().to_string();
    assert!(late.contains("1 pod left: default/held (") && late.contains("budget"), "{late}");
    evicted.lock().unwrap().sort();
    assert_eq!(*evicted.lock().unwrap(), ["bare", "web"]);

    // A pod without a budget goes at once, and is not evicted again.
    relabel(client, "held").await;
    drain::drain(client, NODE, forced, &cancel, tell).await.unwrap();
    assert_eq!(evicted.lock().unwrap().len(), 3);
    drain::drain(client, NODE, options, &cancel, tell).await.unwrap();
    assert_eq!(evicted.lock().unwrap().len(), 3);
    let left = drain::pods_on(client, NODE).await.unwrap();
    let living = |pod: &&Value| !pod["metadata"]["deletionTimestamp"].is_string();
    let living: Vec<&str> =
        left.iter().filter(living).filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    assert_eq!(living, ["agent"]);

    drain::uncordon(client, NODE).await.unwrap();
    let node = nodes::get(client, NODE).await.unwrap().unwrap();
    assert_ne!(node["spec"]["unschedulable"], true);
    drain::uncordon(client, "nobody").await.unwrap();
    nodes::delete(client, NODE).await.unwrap();
}

async fn create(client: &ApiClient, name: &str, kind: Option<&str>, app: &str) {
    let owners: Vec<Value> = kind
        .map(|kind| {
            json!({"apiVersion": "apps/v1", "kind": kind, "name": "owner", "uid": "1", "controller": true})
        })
        .into_iter()
        .collect();
    let pod = json!({
        "metadata": {"labels": {"app": app}, "ownerReferences": owners},
        "spec": {
            "nodeName": NODE,
            "automountServiceAccountToken": false,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "c", "image": "nowhere/image"}],
        },
    });
    let key = ObjectKey::namespaced(Kind::Pod, "default", name);
    client.create(&Object::new(key.clone(), pod)).await.unwrap();
    // A pod that has not begun is nobody's disruption.
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    patch_status(client, &key, &status).await;
}

async fn patch_status(client: &ApiClient, key: &ObjectKey, status: &Value) {
    use fleetadm::kubernetes::client::PatchKind;
    let status_of = ObjectKey { name: format!("{}/status", key.name), ..key.clone() };
    client.patch(&status_of, PatchKind::StrategicMerge, status).await.unwrap();
}

async fn relabel(client: &ApiClient, name: &str) {
    use fleetadm::kubernetes::client::PatchKind;
    let key = ObjectKey::namespaced(Kind::Pod, "default", name);
    let labels = json!({"metadata": {"labels": {"app": "free"}}});
    client.patch(&key, PatchKind::StrategicMerge, &labels).await.unwrap();
}

/// A budget that allows nothing, in whichever version the release serves.
async fn budget(client: &ApiClient) {
    let text = |version: &str| {
        format!(
            "apiVersion: policy/{version}\nkind: PodDisruptionBudget\n\
             metadata: {{name: held, namespace: default}}\n\
             spec: {{maxUnavailable: 0, selector: {{matchLabels: {{app: held}}}}}}\n"
        )
    };
    for version in ["v1", "v1beta1"] {
        let documents = manifests::parse("budget.yaml", &text(version)).unwrap();
        if manifests::apply(client, &documents).await.is_ok() {
            return;
        }
    }
    panic!("no version of PodDisruptionBudget is served");
}
