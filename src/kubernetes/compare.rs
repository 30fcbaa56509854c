//! Whether a live object already is what fleetadm wants, and what it would be after an update.
//!
//! Pure. The API server fills in defaults and other parties add fields of their own, so "wanted" means:
//! our fields are there with our values. Only fields whose surplus would mean something else (`data`,
//! RBAC `rules`) are compared as a whole.

use serde_json::{Map, Value};

use super::object::{Kind, Object, Ownership};

/// kubeadm's mark on component configuration it generated itself; absent on what a user supplied.
pub const HASH_ANNOTATION: &str = "kubeadm.kubernetes.io/component-config.hash";

/// The metadata fields fleetadm sets; the rest belongs to the server.
const OUR_METADATA: [&str; 3] = ["labels", "annotations", "ownerReferences"];

/// True when the live object needs no update.
pub fn satisfied(want: &Object, live: &Value) -> bool {
    overlay(want, live) == *live
}

/// The live object with our fields over it; equal to `live` when nothing is missing.
///
/// Keeps everything the server or others put there, the resource version among it, so that it can be
/// sent as an update.
pub fn overlay(want: &Object, live: &Value) -> Value {
    let (Value::Object(wanted), Value::Object(present)) = (want.body(), live) else {
        return want.body().clone();
    };
    if want.ownership() == Ownership::Existence {
        return live.clone();
    }
    let mut result = present.clone();
    for (field, value) in wanted {
        match field.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                let metadata = result.entry("metadata").or_insert_with(|| Map::new().into());
                overlay_metadata(metadata, value, want.key().kind);
            }
            "data" | "binaryData" | "rules" if want.ownership() == Ownership::Whole => {
                result.insert(field.clone(), value.clone());
            }
            _ => set(&mut result, field, value),
        }
    }
    // Removing the last key of a field removes the field itself.
    if want.ownership() == Ownership::Whole && want.key().kind == Kind::ConfigMap {
        for field in ["data", "binaryData"] {
            if !wanted.contains_key(field) {
                result.remove(field);
            }
        }
    }
    // A Deployment may have been scaled since; kubeadm keeps the count as well.
    if want.key().kind == Kind::Deployment
        && let Some(replicas) = live.pointer("/spec/replicas")
        && let Some(Value::Object(spec)) = result.get_mut("spec")
    {
        spec.insert("replicas".into(), replicas.clone());
    }
    Value::Object(result)
}

fn overlay_metadata(metadata: &mut Value, wanted: &Value, kind: Kind) {
    let Value::Object(metadata) = metadata else { return };
    for field in OUR_METADATA {
        if let Some(value) = wanted.get(field) {
            set(metadata, field, value);
        }
    }
    // Left behind, it would claim that the operator's own configuration was generated.
    if kind == Kind::ConfigMap
        && wanted.get("annotations").and_then(|all| all.get(HASH_ANNOTATION)).is_none()
        && let Some(Value::Object(annotations)) = metadata.get_mut("annotations")
    {
        annotations.remove(HASH_ANNOTATION);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

fn set(fields: &mut Map<String, Value>, field: &str, wanted: &Value) {
    match fields.get_mut(field) {
        Some(present) => merge(present, wanted),
        // The server does not keep empty values, so adding one would never settle.
        None if is_empty(wanted) => {}
        None => {
            fields.insert(field.to_owned(), wanted.clone());
        }
    }
}

/// Objects merge key by key; a list or scalar is ours entirely unless it already says what we want.
fn merge(present: &mut Value, wanted: &Value) {
    if is_empty(wanted) || covers(present, wanted) {
        return;
    }
    match (present, wanted) {
        (Value::Object(present), Value::Object(wanted)) => {
            for (field, value) in wanted {
                set(present, field, value);
            }
        }
        (present, wanted) => *present = wanted.clone(),
    }
}

/// True when `present` has everything `wanted` has; lists must have the same length.
fn covers(present: &Value, wanted: &Value) -> bool {
    match (present, wanted) {
        (Value::Object(present), Value::Object(wanted)) => wanted.iter().all(|(field, value)| {
            present.get(field).map_or_else(|| is_empty(value), |live| covers(live, value))
        }),
        (Value::Array(present), Value::Array(wanted)) => {
            present.len() == wanted.len()
                && present.iter().zip(wanted).all(|(live, value)| covers(live, value))
        }
        _ => present == wanted || wanted.is_null(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::kubernetes::object::ObjectKey;

    fn object(kind: Kind, fields: Value) -> Object {
        Object::new(ObjectKey::namespaced(kind, "kube-system", "x"), fields)
    }

    fn live(kind: Kind, fields: Value) -> Value {
        let mut body = object(kind, fields).body().clone();
        body["metadata"]["resourceVersion"] = "7".into();
        body["metadata"]["uid"] = "u".into();
        body
    }

    #[test]
    fn server_defaults_are_no_difference() {
        let want = object(
            Kind::DaemonSet,
            json!({"spec": {"template": {"spec": {"containers": [
                {"name": "a", "image": "i", "resources": {}}]}}}}),
        );
        let there = live(
            Kind::DaemonSet,
            json!({"spec": {"revisionHistoryLimit": 10, "template": {"spec": {
                "restartPolicy": "Always",
                "containers": [{"name": "a", "image": "i", "terminationMessagePath": "/dev"}]}}},
                "status": {"numberReady": 3}}),
        );
        assert!(satisfied(&want, &there));
    }

    #[test]
    fn a_list_element_is_never_half_ours() {
        let want = object(Kind::DaemonSet, json!({"spec": {"t": [{"operator": "Exists"}]}}));
        let there = live(
            Kind::DaemonSet,
            json!({"spec": {"t": [{"key": "master", "effect": "NoSchedule"}], "other": 1}}),
        );
        let merged = overlay(&want, &there);
        assert_eq!(merged["spec"], json!({"t": [{"operator": "Exists"}], "other": 1}));
        assert_eq!(merged["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn data_is_compared_as_a_whole_unless_shared() {
        let fields = json!({"data": {"kubeconfig": "k"}});
        let there =
            live(Kind::ConfigMap, json!({"data": {"kubeconfig": "k", "jws-kubeconfig-a": "j"}}));
        let whole = object(Kind::ConfigMap, fields.clone());
        assert_eq!(overlay(&whole, &there)["data"], json!({"kubeconfig": "k"}));
        let shared = object(Kind::ConfigMap, fields.clone()).owned(Ownership::Keys);
        assert!(satisfied(&shared, &there));
        let created = object(Kind::ConfigMap, json!({"data": {"kubeconfig": "other"}}))
            .owned(Ownership::Existence);
        assert!(satisfied(&created, &there));
    }

    #[test]
    fn more_rules_than_ours_is_a_difference() {
        let rule = json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]});
        let want = object(Kind::Role, json!({"rules": [rule]}));
        let wider = live(
            Kind::Role,
            json!({"rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"],
                "resourceNames": ["a"]}]}),
        );
        assert!(!satisfied(&want, &wider));
        assert!(satisfied(&want, &live(Kind::Role, json!({"rules": [rule]}))));
    }

    #[test]
    fn subjects_get_their_api_group_from_the_server() {
        let want = object(
            Kind::RoleBinding,
            json!({"subjects": [{"kind": "Group", "name": "system:nodes"}]}),
        );
        let there = live(
            Kind::RoleBinding,
            json!({"subjects": [{"kind": "Group", "name": "system:nodes",
                "apiGroup": "rbac.authorization.k8s.io"}]}),
        );
        assert!(satisfied(&want, &there));
    }

    #[test]
    fn others_labels_stay_and_the_hash_goes_with_the_generated_configuration() {
        let want = object(
            Kind::ConfigMap,
            json!({"data": {"a": "b"}, "metadata": {"labels": {"app": "x"}}}),
        );
        let there = live(
            Kind::ConfigMap,
            json!({"data": {"a": "b"}, "metadata": {
                "labels": {"team": "y"}, "annotations": {HASH_ANNOTATION: "sha256:0"}}}),
        );
        let merged = overlay(&want, &there);
        assert_eq!(merged["metadata"]["labels"], json!({"app": "x", "team": "y"}));
        assert_eq!(merged["metadata"].get("annotations"), None);
    }

    #[test]
    fn a_scaled_deployment_stays_scaled() {
        let want = object(Kind::Deployment, json!({"spec": {"replicas": 2, "paused": false}}));
        let there = live(Kind::Deployment, json!({"spec": {"replicas": 5, "paused": false}}));
        assert!(satisfied(&want, &there));
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3i64).prop_map(Value::from),
            "[ab]?".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_update_settles(
            wanted in json_value(), present in json_value(),
            kind in prop::sample::select(vec![Kind::ConfigMap, Kind::Role, Kind::Service, Kind::Deployment]),
        ) {
            let want = object(kind, json!({"spec": wanted, "data": wanted, "rules": wanted}));
            let there = live(kind, json!({"spec": present, "data": present, "rules": present}));
            let updated = overlay(&want, &there);
            prop_assert!(satisfied(&want, &updated));
        }
    }
}
