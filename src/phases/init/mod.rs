//! kubeadm's init phases, on the first control plane.

pub mod addon;
pub mod bootstrap_token;
pub mod certs;
pub mod control_plane;
pub mod etcd;
pub mod kubeconfig;
pub mod kubelet_finalize;
pub mod kubelet_start;
pub mod mark_control_plane;
pub mod preflight;
mod provided;
pub mod show_join_command;
pub mod upload_certs;
pub mod upload_config;
pub mod wait_control_plane;
