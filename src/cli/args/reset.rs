//! What can be said to `fleetadm reset`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::RunArgs;
use crate::inventory;
use crate::node::Leftover;
use crate::phases::reset::Options;

/// `fleetadm reset`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "With some of the cluster's hosts (--limit) the others live on: pods are moved away through the \
    eviction API, the host's member of etcd is removed, the host is cleaned, its Node is deleted; control planes go one \
    after the other. A reset that would take the last control plane or the quorum of etcd from those that stay is \
    refused. With all hosts there is nobody to be careful with, and none of that is done."
)]
pub struct ResetArgs {
    /// Options of reset.
    #[command(flatten)]
    pub options: ResetOptions,
    /// One phase only.
    #[command(subcommand)]
    pub phase: Option<ResetPhaseCommand>,
}

/// `phase NAME` of reset.
#[derive(Debug, Subcommand)]
pub enum ResetPhaseCommand {
    /// Run one phase of the workflow
    Phase {
        /// Name of the phase, for example cleanup-node; without it the phases are listed
        name: Option<String>,
        /// Options of reset.
        #[command(flatten)]
        options: ResetOptions,
    },
}

/// Options of reset.
#[derive(Debug, Args)]
pub struct ResetOptions {
    /// Options of workflows.
    #[command(flatten)]
    pub run: RunArgs,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Do not ask, and go on where the reset is refused otherwise
    ///
    /// That is where it would take the last control plane or the quorum of etcd from nodes that stay, where the cluster
    /// does not answer, where pods without a controller would be lost, and where something is mounted below
    /// /var/lib/kubelet that Kubernetes has not mounted. A PodDisruptionBudget is respected all the same.
    #[arg(short, long)]
    pub force: bool,
    /// How long draining a node may take, in seconds or with a unit as 90s or 10m
    ///
    /// Pods whose PodDisruptionBudget does not let them go are tried again until then. A node that cannot be drained takes
    /// pods again, and its host is not reset; --skip-phases drain does without.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = inventory::parse_duration)]
    pub drain_timeout: Duration,
    /// Also remove dead Nodes and members of etcd that no host of the inventory stands for
    ///
    /// Without it they are only named. Living ones stay, unless --force is given as well.
    #[arg(long)]
    pub prune: bool,
    /// What kubeadm leaves and shall go as well
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub cleanup: Vec<Cleanup>,
}

/// `--cleanup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cleanup {
    /// What is in /etc/cni/net.d and no package's, interfaces of pod networks (cni0, flannel.*, cali*, cilium_*, weave and
    /// the like), /var/lib/cni
    Cni,
    /// Chains KUBE-* and CNI-* with the rules that lead there, in iptables-legacy and -nft, for IPv4 and IPv6, and
    /// kube-proxy's tables of nftables; no rule of anybody else
    Iptables,
    /// kube-ipvs0, the services of IPVS on its addresses and on node ports, ipsets KUBE-*
    Ipvs,
    /// Every image of the container runtime that no container uses and that is not pinned
    Images,
    /// The kubelet's package with what depends on it, or the binaries kubelet, kubeadm and kubectl where they are no
    /// package's; the kubelet's unit, /var/lib/kubelet
    Kubelet,
}

impl From<Cleanup> for Leftover {
    fn from(cleanup: Cleanup) -> Self {
        match cleanup {
            Cleanup::Cni => Self::Cni,
            Cleanup::Iptables => Self::Iptables,
            Cleanup::Ipvs => Self::Ipvs,
            Cleanup::Images => Self::Images,
            Cleanup::Kubelet => Self::Kubelet,
        }
    }
}

impl ResetOptions {
    /// How the run behaves, for every host of the inventory (`whole`) or for some.
    pub fn options(&self, whole: bool) -> Options {
        Options {
            whole,
            force: self.force,
            prune: self.prune,
            drain_timeout: self.drain_timeout,
            cleanup: self.cleanup.iter().copied().map(Into::into).collect(),
        }
    }
}
