//! The desired state of a cluster: spec, per-release tables, manifests, kubelet configuration.
//! Pure: never does I/O and knows nothing of SSH.

pub mod component_config;
pub mod images;
pub mod kube_proxy;
pub mod kubeadm_config;
pub mod kubeconfig;
pub mod kubelet;
pub mod node_flags;
pub mod release;
pub mod spec;
pub mod static_pods;

mod yaml;

pub use release::Release;
pub use spec::{Cluster, ControlPlaneNode};
pub use yaml::YamlError;
