//! addon/kube-proxy: service addresses on every node.

use serde::Serialize;
use serde_json::json;

use super::template::{TemplateError, objects as render};
use super::upload_config::component_config_metadata;
use crate::kubernetes::object::{Kind, Object, ObjectKey};

const TEMPLATE: &str = include_str!("../../../templates/addons/kube-proxy.yaml");

/// What goes into the add-on.
#[derive(Debug, Clone)]
pub struct KubeProxyOptions {
    /// Full image name.
    pub image: String,
    /// The KubeProxyConfiguration document.
    pub config_yaml: String,
    /// The operator supplied kube-proxy configuration of their own.
    pub user_supplied: bool,
    /// The control plane endpoint: `https://host:port`.
    pub server_url: String,
    /// The DaemonSet names the CriticalAddonsOnly taint although it tolerates all (1.20).
    pub tolerate_critical_addons_only: bool,
}

#[derive(Serialize)]
struct Values<'a> {
    image: &'a str,
    metadata: serde_json::Value,
    data: serde_json::Value,
    tolerate_critical_addons_only: bool,
}

/// ConfigMap, DaemonSet, ServiceAccount, ClusterRoleBinding, Role and RoleBinding, in this order.
pub fn objects(options: &KubeProxyOptions) -> Result<Vec<Object>, TemplateError> {
    let data = json!({
        // kubeadm leaves no newline at the end of either, and its hash is over the text.
        "config.conf": options.config_yaml.trim_end_matches('\n'),
        "kubeconfig.conf": kubeconfig(&options.server_url),
    });
    let mut metadata = component_config_metadata(&data, options.user_supplied);
    metadata["name"] = "kube-proxy".into();
    metadata["namespace"] = super::KUBE_SYSTEM.into();
    metadata["labels"] = json!({"app": "kube-proxy"});
    let values = Values {
        image: &options.image,
        metadata,
        data,
        tolerate_critical_addons_only: options.tolerate_critical_addons_only,
    };
    render("kube-proxy", TEMPLATE, &values)
}

/// The DaemonSet among them.
pub fn daemon_set_key() -> ObjectKey {
    ObjectKey::namespaced(Kind::DaemonSet, super::KUBE_SYSTEM, "kube-proxy")
}

/// kube-proxy logs in with its service account.
fn kubeconfig(server: &str) -> String {
    const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - cluster:\n\
         \x20   certificate-authority: {ACCOUNT}/ca.crt\n\
         \x20   server: {server}\n\
         \x20 name: default\n\
         contexts:\n\
         - context:\n\
         \x20   cluster: default\n\
         \x20   namespace: default\n\
         \x20   user: default\n\
         \x20 name: default\n\
         current-context: default\n\
         users:\n\
         - name: default\n\
         \x20 user:\n\
         \x20   tokenFile: {ACCOUNT}/token"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::compare::HASH_ANNOTATION;

    fn options() -> KubeProxyOptions {
        KubeProxyOptions {
            image: "registry.example/kube-proxy:v1".into(),
            config_yaml: "kind: KubeProxyConfiguration\n".into(),
            user_supplied: false,
            server_url: "https://10.0.0.1:6443".into(),
            tolerate_critical_addons_only: false,
        }
    }

    #[test]
    fn gives_the_six_objects_in_order() {
        let keys: Vec<_> =
            objects(&options()).unwrap().iter().map(|object| object.key().to_string()).collect();
        assert_eq!(
            keys,
            [
                "ConfigMap kube-system/kube-proxy",
                "DaemonSet kube-system/kube-proxy",
                "ServiceAccount kube-system/kube-proxy",
                "ClusterRoleBinding kubeadm:node-proxier",
                "Role kube-system/kube-proxy",
                "RoleBinding kube-system/kube-proxy",
            ]
        );
    }

    #[test]
    fn configuration_of_the_operator_carries_no_hash() {
        let annotation = |user_supplied| {
            let objects = objects(&KubeProxyOptions { user_supplied, ..options() }).unwrap();
            objects[0].body()["metadata"]["annotations"].get(HASH_ANNOTATION).is_some()
        };
        assert!(annotation(false));
        assert!(!annotation(true));
    }
}
