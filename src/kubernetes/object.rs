//! An API object that fleetadm writes: its kind, its key, its body, and how much of it is ours.

use std::fmt;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use crate::cluster::wipe;

/// What stands where a secret value would in text for people.
pub const WITHHELD: &str = "<value withheld>";

/// The kinds fleetadm writes or reads. Known here, so that no discovery round trip is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// core/v1.
    ConfigMap,
    /// core/v1.
    Secret,
    /// core/v1.
    ServiceAccount,
    /// core/v1.
    Service,
    /// core/v1, cluster-scoped.
    Node,
    /// core/v1.
    Pod,
    /// rbac.authorization.k8s.io/v1.
    Role,
    /// rbac.authorization.k8s.io/v1.
    RoleBinding,
    /// rbac.authorization.k8s.io/v1, cluster-scoped.
    ClusterRole,
    /// rbac.authorization.k8s.io/v1, cluster-scoped.
    ClusterRoleBinding,
    /// apps/v1.
    Deployment,
    /// apps/v1.
    DaemonSet,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::ConfigMap,
        Self::Secret,
        Self::ServiceAccount,
        Self::Service,
        Self::Node,
        Self::Pod,
        Self::Role,
        Self::RoleBinding,
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::Deployment,
        Self::DaemonSet,
    ];

    /// The kind of an `apiVersion` and `kind` pair.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.api_version() == api_version && k.as_str() == kind)
    }

    /// `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ConfigMap
            | Self::Secret
            | Self::ServiceAccount
            | Self::Service
            | Self::Node
            | Self::Pod => "v1",
            Self::Role | Self::RoleBinding | Self::ClusterRole | Self::ClusterRoleBinding => {
                "rbac.authorization.k8s.io/v1"
            }
            Self::Deployment | Self::DaemonSet => "apps/v1",
        }
    }

    /// `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::ServiceAccount => "ServiceAccount",
            Self::Service => "Service",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
            Self::ClusterRole => "ClusterRole",
            Self::ClusterRoleBinding => "ClusterRoleBinding",
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// The resource's name in paths.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::ServiceAccount => "serviceaccounts",
            Self::Service => "services",
            Self::Node => "nodes",
            Self::Pod => "pods",
            Self::Role => "roles",
            Self::RoleBinding => "rolebindings",
            Self::ClusterRole => "clusterroles",
            Self::ClusterRoleBinding => "clusterrolebindings",
            Self::Deployment => "deployments",
            Self::DaemonSet => "daemonsets",
        }
    }

    /// False for kinds that live in no namespace.
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Node | Self::ClusterRole | Self::ClusterRoleBinding)
    }

    /// The collection's path; `None` spans all namespaces.
    pub fn collection(self, namespace: Option<&str>) -> String {
        let version = self.api_version();
        let root = if version.contains('/') { "apis" } else { "api" };
        match namespace {
            Some(namespace) => {
                format!("/{root}/{version}/namespaces/{namespace}/{}", self.plural())
            }
            None => format!("/{root}/{version}/{}", self.plural()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an object is. Prints as `ConfigMap kube-system/kubeadm-config`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; `None` for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of a namespaced object.
    pub fn namespaced(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: Some(namespace.to_owned()), name: name.to_owned() }
    }

    /// The key of a cluster-scoped object.
    pub fn cluster(kind: Kind, name: &str) -> Self {
        Self { kind, namespace: None, name: name.to_owned() }
    }

    /// The collection's path.
    pub fn collection(&self) -> String {
        self.kind.collection(self.namespace.as_deref())
    }

    /// The object's own path.
    pub fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// How much of an object fleetadm answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// All of its content: `data`, `rules` and the like are made exactly ours.
    Whole,
    /// The keys it sets; others put more keys beside them (the signer in cluster-info).
    Keys,
    /// Only that it exists: what an operator made of it since is left alone.
    Existence,
}

/// An object as fleetadm wants it. Debug shows only its key; a Secret's body is wiped when dropped.
#[derive(Clone, PartialEq)]
pub struct Object {
    key: ObjectKey,
    body: Value,
    ownership: Ownership,
}

impl Object {
    /// An object from its kind, place and remaining fields (`data`, `rules`, `spec`, ...).
    ///
    /// `fields` may bring `metadata` with labels and annotations.
    pub fn new(key: ObjectKey, fields: Value) -> Self {
        let mut body = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        body.insert("apiVersion".into(), key.kind.api_version().into());
        body.insert("kind".into(), key.kind.as_str().into());
        let metadata = body.entry("metadata").or_insert_with(|| json!({}));
        metadata["name"] = key.name.clone().into();
        if let Some(namespace) = &key.namespace {
            metadata["namespace"] = namespace.clone().into();
        }
        Self { key, body: Value::Object(body), ownership: Ownership::Whole }
    }

    /// An object from a complete body.
    pub fn from_body(body: Value) -> Result<Self, ApiError> {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let (Some(version), Some(kind), Some(name)) =
            (text("/apiVersion"), text("/kind"), text("/metadata/name"))
        else {
            let problem = "apiVersion, kind or metadata.name is missing".to_owned();
            return Err(ApiError::Object { problem });
        };
        let Some(kind) = Kind::of(version, kind) else {
            return Err(ApiError::Object { problem: format!("unknown kind {version} {kind}") });
        };
        let namespace = text("/metadata/namespace").map(str::to_owned);
        if kind.is_namespaced() != namespace.is_some() {
            let problem = format!("{kind} {name}: a namespace is missing or has no place");
            return Err(ApiError::Object { problem });
        }
        let key = ObjectKey { kind, namespace, name: name.to_owned() };
        Ok(Self { key, body, ownership: Ownership::Whole })
    }

    /// The same object with another ownership.
    #[must_use]
    pub fn owned(mut self, ownership: Ownership) -> Self {
        self.ownership = ownership;
        self
    }

    /// Where it is.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Everything that is sent.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// How much of it is ours.
    pub fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// YAML for people: no secret values.
    pub fn to_yaml(&self) -> String {
        to_yaml(&withhold(self.body.clone()))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({}, {:?})", self.key, self.ownership)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if self.key.kind == Kind::Secret {
            wipe(&mut self.body);
        }
    }
}

/// The same body with a Secret's values replaced.
pub(super) fn withhold(mut body: Value) -> Value {
    if body["kind"] == "Secret" {
        // kubectl keeps a copy of the whole object here.
        let copy = body
            .pointer_mut("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
        if let Some(copy) = copy {
            wipe(copy);
            *copy = WITHHELD.into();
        }
        for field in ["data", "stringData"] {
            if let Some(Value::Object(data)) = body.get_mut(field) {
                for value in data.values_mut() {
                    wipe(value);
                    *value = WITHHELD.into();
                }
            }
        }
    }
    body
}

/// YAML text; JSON when the value cannot be written as YAML.
pub(super) fn to_yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_kind() {
        let path = |key: ObjectKey| key.path();
        assert_eq!(
            path(ObjectKey::namespaced(Kind::ConfigMap, "kube-system", "kubeadm-config")),
            "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
        );
        assert_eq!(
            path(ObjectKey::cluster(Kind::ClusterRole, "kubeadm:get-nodes")),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/kubeadm:get-nodes"
        );
        assert_eq!(
            path(ObjectKey::namespaced(Kind::DaemonSet, "kube-system", "kube-proxy")),
            "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
        );
        assert_eq!(Kind::Node.collection(None), "/api/v1/nodes");
    }

    #[test]
    fn a_body_must_name_itself() {
        assert!(Object::from_body(json!({"kind": "ConfigMap"})).is_err());
        let pod_group = json!({"apiVersion": "x/v1", "kind": "Y", "metadata": {"name": "z"}});
        assert!(Object::from_body(pod_group).is_err());
        let lost = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "z"}});
        assert!(Object::from_body(lost).is_err());
    }

    #[test]
    fn secrets_are_withheld_from_text() {
        let key = ObjectKey::namespaced(Kind::Secret, "kube-system", "s");
        let secret = Object::new(key, json!({"data": {"key": "aHVudGVyMg=="}}));
        assert!(!format!("{secret:?}").contains("aHVudGVyMg"));
        let yaml = secret.to_yaml();
        assert!(!yaml.contains("aHVudGVyMg") && yaml.contains(WITHHELD), "{yaml}");
    }
}
