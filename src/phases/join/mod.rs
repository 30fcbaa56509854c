//! kubeadm's join phases, on workers.

pub mod kubelet_start;
pub mod kubelet_wait_bootstrap;
pub mod preflight;
