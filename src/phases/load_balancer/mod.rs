//! What serves the control plane's endpoint: haproxy with keepalived, or kube-vip, as `[cluster.load_balancer]` says.
//!
//! The operator's own haproxy and keepalived are left alone: what runs here are services of our own, with configuration
//! in a directory of its own. A host that serves the endpoint no more, in an inventory that says who does, is cleaned up;
//! so is every host that is reset.

mod daemon;
pub mod haproxy;
pub mod keepalived;
pub mod kube_vip;

use std::net::IpAddr;

use crate::cluster::load_balancer::{self, Daemon};
use crate::inventory::{LoadBalancer, LoadBalancerKind};

use super::{Context, PhaseError};

/// `[cluster.load_balancer]`, where there is one.
fn section(context: &Context) -> Option<&LoadBalancer> {
    context.run.cluster().section.load_balancer.as_ref()
}

/// haproxy's group, where this host is one of those that run it.
fn served_here(context: &Context) -> Option<(&LoadBalancer, u8)> {
    let balancer = section(context)?;
    match balancer.kind {
        LoadBalancerKind::Haproxy { virtual_router_id }
            if balancer.hosts.contains(&context.host().name) =>
        {
            Some((balancer, virtual_router_id))
        }
        _ => None,
    }
}

/// The interface of this host that gets the virtual address.
async fn interface(
    context: &Context,
    balancer: &LoadBalancer,
    address: IpAddr,
    own: IpAddr,
) -> Result<String, PhaseError> {
    if let Some(name) = &balancer.interface {
        return Ok(name.clone());
    }
    let found = load_balancer::interface_for(context.facts().await?, address, own);
    found.map(str::to_owned).ok_or_else(|| {
        PhaseError::State(format!(
            "no interface of the host has {own} or a network with {address} in it; set `interface` in \
             [cluster.load_balancer]"
        ))
    })
}

/// Take away what serves the endpoint here, as far as it was put here.
///
/// # Errors
/// What the host said.
pub async fn remove(context: &Context) -> Result<(), PhaseError> {
    for daemon in Daemon::ALL.into_iter().rev() {
        daemon::remove(context, daemon).await?;
    }
    kube_vip::remove(context).await?;
    if let Some(LoadBalancer {
        kind: LoadBalancerKind::KubeVip { .. },
        address: Some(address),
        ..
    }) = section(context)
    {
        // kube-vip was killed with the other pods, and gave nothing back.
        context.report_all(context.node().await?.unassign(*address).await?);
    }
    Ok(())
}
