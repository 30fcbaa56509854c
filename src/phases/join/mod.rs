//! kubeadm's join phases, on workers and on control planes that join the first.

pub mod check_etcd;
pub mod control_plane_join;
pub mod control_plane_prepare;
pub mod etcd_join;
mod kubelet_credentials;
pub mod kubelet_start;
pub mod kubelet_wait_bootstrap;
pub mod preflight;
