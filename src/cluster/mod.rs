//! The desired state of a cluster: spec, per-release tables, manifests, kubelet configuration.
//! Pure: never does I/O and knows nothing of SSH.

pub mod kubeconfig;
