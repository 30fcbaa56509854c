//! kubeadm's reset phases, and the deletion of workers from the API that comes first.

pub mod cleanup_node;
pub mod delete_node;
pub mod preflight;
pub mod remove_etcd_member;
