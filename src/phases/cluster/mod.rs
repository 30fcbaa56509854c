//! What the inventory says of the cluster beyond kubeadm: node labels and manifests.

pub mod endpoint;
pub mod manifests;
pub mod node_labels;
