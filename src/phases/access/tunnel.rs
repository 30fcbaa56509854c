//! The way to the API servers of a cluster, for programs on the workstation.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::fleet::{Forward, Service};
use crate::inventory::Host;
use crate::phases::{PhaseError, Run};

/// Have `listener` lead to the API servers of `hosts`.
///
/// # Errors
/// The listener cannot be waited for.
pub fn open(
    run: &Arc<Run>,
    hosts: &[Arc<Host>],
    listener: TcpListener,
) -> Result<Forward, PhaseError> {
    let cluster = run.cluster();
    let service = |host: &Arc<Host>| Service {
        host: host.clone(),
        address: api_address(cluster, host).to_string(),
        port: cluster.section.api_server.bind_port,
    };
    let services = hosts.iter().map(service).collect();
    Forward::new(listener, run.fleet().clone(), services, run.reporter().clone(), "tunnel")
        .map_err(|error| PhaseError::Local(format!("the port of the tunnel: {error}")))
}

/// Where the API server of a host listens, as the host sees it: on every address, unless it is told otherwise.
fn api_address(cluster: &Cluster, host: &Host) -> IpAddr {
    let arguments = cluster.section.api_server.extra_args.iter().rev();
    let told = arguments.filter(|(name, _)| name == "bind-address").map(|(_, value)| value);
    let told = told.flat_map(|text| text.parse::<IpAddr>()).next();
    told.filter(|address| !address.is_unspecified())
        .or(host.advertise_address)
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
