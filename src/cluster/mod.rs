//! The desired state of a cluster: spec, per-release tables, manifests, kubelet configuration.
//! Pure: never does I/O and knows nothing of SSH.

pub mod component_config;
pub mod etcd_kubelet;
pub mod etcd_unit;
pub mod images;
pub mod join_command;
pub mod kube_proxy;
pub mod kubeadm_config;
pub mod kubeconfig;
pub mod kubelet;
pub mod load_balancer;
pub mod node_flags;
pub mod patches;
pub mod registries;
pub mod release;
pub mod spec;
pub mod static_pods;
pub mod template;

mod wipe;
mod yaml;

pub use release::Release;
pub use spec::{Cluster, ControlPlaneNode};
pub use wipe::wipe;
pub use yaml::YamlError;
