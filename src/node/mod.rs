//! One host as root sees it: facts, files, services, container runtime.
//!
//! Knows nothing of Kubernetes' API, and never decides what should be on a host.

pub mod facts;
