//! What an operator gets out of a cluster that is there: tokens, kubeconfigs, and a way to its API server.
//!
//! No phases: nothing here is part of a workflow, and nothing changes a host. Secrets are returned to whoever asked for
//! them and kept nowhere.

pub mod kubeconfig;
pub mod tokens;
pub mod tunnel;
