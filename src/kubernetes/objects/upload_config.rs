//! upload-config: the cluster's and the kubelets' configuration, kept in the cluster.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::rbac::{Subject, readable_by};
use super::{BOOTSTRAPPERS, KUBE_SYSTEM, NODES};
use crate::kubernetes::compare::HASH_ANNOTATION;
use crate::kubernetes::object::{Kind, Object, ObjectKey};

/// Name of the ConfigMap with the cluster configuration.
pub const KUBEADM_CONFIG: &str = "kubeadm-config";

/// Key of the cluster configuration in it.
pub const CLUSTER_CONFIGURATION: &str = "ClusterConfiguration";

/// Key of the list of API endpoints in it (up to 1.21).
pub const CLUSTER_STATUS: &str = "ClusterStatus";

/// Where the cluster configuration is.
pub fn kubeadm_config_key() -> ObjectKey {
    ObjectKey::namespaced(Kind::ConfigMap, KUBE_SYSTEM, KUBEADM_CONFIG)
}

/// kubeadm-config with its Role and RoleBinding. `cluster_status` is for releases up to 1.21.
pub fn kubeadm_config(cluster_configuration: &str, cluster_status: Option<&str>) -> Vec<Object> {
    let mut data = Map::new();
    data.insert(CLUSTER_CONFIGURATION.into(), cluster_configuration.into());
    if let Some(status) = cluster_status {
        data.insert(CLUSTER_STATUS.into(), status.into());
    }
    let config_map = Object::new(kubeadm_config_key(), json!({ "data": data }));
    let access = readable_by(
        KUBE_SYSTEM,
        "kubeadm:nodes-kubeadm-config",
        "configmaps",
        KUBEADM_CONFIG,
        &[Subject::Group(BOOTSTRAPPERS), Subject::Group(NODES)],
    );
    [config_map].into_iter().chain(access).collect()
}

/// The kubelet ConfigMap with its Role and RoleBinding.
///
/// `name` is the ConfigMap's: `kubelet-config`, or `kubelet-config-1.N` up to 1.23. `user_supplied`:
/// the operator gave kubelet configuration of their own.
pub fn kubelet_config(name: &str, configuration: &str, user_supplied: bool) -> Vec<Object> {
    let data = json!({ "kubelet": configuration });
    let config_map = Object::new(
        ObjectKey::namespaced(Kind::ConfigMap, KUBE_SYSTEM, name),
        json!({ "metadata": component_config_metadata(&data, user_supplied), "data": data }),
    );
    let access = readable_by(
        KUBE_SYSTEM,
        &format!("kubeadm:{name}"),
        "configmaps",
        name,
        &[Subject::Group(NODES), Subject::Group(BOOTSTRAPPERS)],
    );
    [config_map].into_iter().chain(access).collect()
}

/// Metadata that tells kubeadm whether it may regenerate this configuration on upgrade.
pub(super) fn component_config_metadata(data: &Value, user_supplied: bool) -> Value {
    if user_supplied {
        json!({})
    } else {
        json!({"annotations": {HASH_ANNOTATION: component_config_hash(data)}})
    }
}

/// `sha256:` and the digest over the values of a ConfigMap's `data` in key order.
pub fn component_config_hash(data: &Value) -> String {
    let mut digest = Sha256::new();
    // serde_json keeps object keys sorted.
    for value in data.as_object().into_iter().flat_map(Map::values).filter_map(Value::as_str) {
        digest.update(value);
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_covers_the_values_in_key_order() {
        // printf 'onetwo' | sha256sum
        assert_eq!(
            component_config_hash(&json!({"b": "two", "a": "one"})),
            "sha256:25b6746d5172ed6352966a013d93ac846e1110d5a25e8f183b5931f4688842a1"
        );
    }

    #[test]
    fn configuration_of_the_operator_carries_no_hash() {
        let body = |user| kubelet_config("kubelet-config", "x\n", user)[0].body().clone();
        assert_eq!(body(true)["metadata"].get("annotations"), None);
        assert!(body(false)["metadata"]["annotations"][HASH_ANNOTATION].is_string());
    }

    #[test]
    fn names_follow_the_config_map() {
        let names: Vec<_> = kubelet_config("kubelet-config-1.20", "x", true)
            .iter()
            .map(|object| object.key().to_string())
            .collect();
        assert_eq!(
            names,
            [
                "ConfigMap kube-system/kubelet-config-1.20",
                "Role kube-system/kubeadm:kubelet-config-1.20",
                "RoleBinding kube-system/kubeadm:kubelet-config-1.20",
            ]
        );
    }
}
