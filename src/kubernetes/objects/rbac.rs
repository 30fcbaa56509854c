//! Roles and bindings in the few shapes kubeadm uses.

use serde_json::{Value, json};

use crate::kubernetes::object::{Kind, Object, ObjectKey};

const API_GROUP: &str = "rbac.authorization.k8s.io";

/// Who a binding is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Group(&'a str),
    User(&'a str),
}

impl Subject<'_> {
    fn to_value(self) -> Value {
        match self {
            Self::Group(name) => json!({"kind": "Group", "name": name}),
            Self::User(name) => json!({"kind": "User", "name": name}),
        }
    }
}

/// A Role named `name` to get one object, and its binding of the same name.
pub(super) fn readable_by(
    namespace: &str,
    name: &str,
    resource: &str,
    object: &str,
    subjects: &[Subject<'_>],
) -> [Object; 2] {
    let rule = json!({
        "apiGroups": [""], "resources": [resource], "resourceNames": [object], "verbs": ["get"]
    });
    let role =
        Object::new(ObjectKey::namespaced(Kind::Role, namespace, name), json!({"rules": [rule]}));
    let binding = Object::new(
        ObjectKey::namespaced(Kind::RoleBinding, namespace, name),
        json!({"roleRef": role_ref("Role", name), "subjects": values(subjects)}),
    );
    [role, binding]
}

pub(super) fn cluster_role(name: &str, rules: Value) -> Object {
    Object::new(ObjectKey::cluster(Kind::ClusterRole, name), json!({"rules": rules}))
}

pub(super) fn cluster_role_binding(name: &str, role: &str, subject: Subject<'_>) -> Object {
    Object::new(
        ObjectKey::cluster(Kind::ClusterRoleBinding, name),
        json!({"roleRef": role_ref("ClusterRole", role), "subjects": values(&[subject])}),
    )
}

fn role_ref(kind: &str, name: &str) -> Value {
    json!({"apiGroup": API_GROUP, "kind": kind, "name": name})
}

fn values(subjects: &[Subject<'_>]) -> Vec<Value> {
    subjects.iter().map(|subject| subject.to_value()).collect()
}
