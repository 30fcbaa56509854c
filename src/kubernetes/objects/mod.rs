//! The objects of each kubeadm phase, as data. Pure: never talks to an API server.
//!
//! What differs between releases comes in as parameters; which release has what is the cluster layer's
//! knowledge.

pub mod bootstrap_token;
pub mod cluster_admins;
pub mod cluster_info;
pub mod coredns;
pub mod kube_proxy;
pub mod node;
mod rbac;
mod template;
pub mod upload_certs;
pub mod upload_config;

pub use template::TemplateError;

/// The namespace of the control plane's own objects.
pub const KUBE_SYSTEM: &str = "kube-system";

/// The namespace anonymous clients may read selected objects of.
pub const KUBE_PUBLIC: &str = "kube-public";

/// The group every bootstrap token's user is in.
pub const BOOTSTRAPPERS: &str = "system:bootstrappers:kubeadm:default-node-token";

/// The group of every kubelet.
pub const NODES: &str = "system:nodes";
