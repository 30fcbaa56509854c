//! kubeadm's reset phases, and what comes before and after them so that the cluster lives on without the host.
//!
//! Where hosts stay, a host leaves in order: its pods are moved away, its member of etcd is taken out, the host is
//! cleaned, its Node is deleted. Until the first of that cannot be undone any more, a failure lets pods back onto it.

pub mod check_cluster;
pub mod cleanup_leftovers;
pub mod cleanup_node;
pub(super) mod cluster;
pub mod delete_node;
pub(super) mod departure;
pub mod drain;
pub(super) mod etcd;
mod mounts;
pub mod preflight;
pub mod prune;
pub(super) mod quorum;
pub mod remove_etcd_member;
pub mod update_cluster_status;

use std::time::Duration;

use crate::node::Leftover;

pub use cluster::{Shared, take_back};

/// How long draining a node may take, unless the command line says otherwise.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);

/// How a reset behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Every host of the inventory is reset: there is no cluster left to be careful with.
    pub whole: bool,
    /// Go on where that is refused otherwise.
    pub force: bool,
    /// Remove Nodes and members of etcd that no host stands for.
    pub prune: bool,
    /// How long draining one node may take.
    pub drain_timeout: Duration,
    /// What kubeadm leaves and shall go as well.
    pub cleanup: Vec<Leftover>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            whole: false,
            force: false,
            prune: false,
            drain_timeout: DRAIN_TIMEOUT,
            cleanup: Vec::new(),
        }
    }
}
