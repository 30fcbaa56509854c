//! The binding that makes `admin.conf` an administrator (1.29 and later; before, its certificate was).

use super::rbac::{Subject, cluster_role_binding};
use crate::kubernetes::object::Object;

/// The group of `admin.conf`, and the name of its binding.
pub const CLUSTER_ADMINS: &str = "kubeadm:cluster-admins";

/// The ClusterRoleBinding. Until it exists only `super-admin.conf` may write it, or anything else.
pub fn binding() -> Object {
    cluster_role_binding(CLUSTER_ADMINS, "cluster-admin", Subject::Group(CLUSTER_ADMINS))
}
