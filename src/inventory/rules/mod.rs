//! What one value may look like: kubeadm's rules and Kubernetes' name syntax, without any context.
//!
//! Pure functions from text to a typed value or a fault.

mod cluster;
mod names;
mod values;

pub(super) use cluster::*;
pub(super) use names::*;
pub(super) use values::*;
