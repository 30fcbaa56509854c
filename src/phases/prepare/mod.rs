//! What a host needs before kubeadm's own phases: binaries, images and the operator's files.

pub mod artifacts;
pub mod binaries;
pub mod files;
pub mod images;
pub mod registries;
