//! What one value may look like: kubeadm's rules and Kubernetes' name syntax, without any context.
//!
//! Pure functions from text to a typed value or a fault.

mod checksums;
mod cluster;
mod names;
mod registries;
mod values;

pub(super) use checksums::*;
pub(crate) use cluster::*;
pub(crate) use names::*;
pub(super) use registries::*;
pub(super) use values::*;
