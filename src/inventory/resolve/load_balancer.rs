//! `[cluster.load_balancer]`: what serves the control plane's endpoint, and whether the two go together.

use std::net::IpAddr;
use std::sync::Arc;

use toml::Spanned;

use super::extras::Extras;
use super::subnets::{self, Subnet};
use crate::inventory::document::{self, LoadBalancerEntry};
use crate::inventory::error::{Fault, Problems, Span, quoted};
use crate::inventory::model::{ClusterSection, Host, LoadBalancer, LoadBalancerKind, Role};
use crate::inventory::rules;
use crate::inventory::suggest::nearest;

const DEFAULT_VIRTUAL_ROUTER_ID: u8 = 51;
const KINDS: [&str; 2] = ["haproxy", "kube-vip"];

/// The table, where there is one. `section` is what was resolved of the cluster so far.
pub(super) fn resolve(
    raw: &document::Cluster,
    section: &ClusterSection,
    subnets: &[Subnet],
    extras: &Extras<'_>,
    problems: &mut Problems,
) -> Option<LoadBalancer> {
    let table = raw.load_balancer.as_ref()?;
    let (header, entry) = (table.span(), table.get_ref());
    let kind = problems.required(&header, "kind", entry.kind.as_ref());
    let kind = problems.check_opt(kind, |text| known_kind(text));
    let address = problems.check_opt(entry.address.as_ref(), |text| rules::advertise_address(text));
    let interface = problems.check_opt(entry.interface.as_ref(), |text| rules::interface(text));
    let places = Places::of(entry, &header);
    let kind = match kind? {
        "kube-vip" => kube_vip(entry, &places, problems),
        _ => haproxy(entry, &places, problems),
    };
    let all = extras.hosts?;
    // Left out, `hosts` means the control planes, and all of these with kube-vip, whatever is selected.
    let hosts = match (&entry.hosts, &kind) {
        (Some(_), Some(LoadBalancerKind::Haproxy { .. })) => extras.hosts(&entry.hosts, problems),
        _ => control_planes(all).map(|host| host.name.clone()).collect(),
    };
    if matches!(kind, Some(LoadBalancerKind::Haproxy { .. }))
        && address.is_none()
        && hosts.len() > 1
    {
        let title = format!("a load balancer of {} hosts needs `address`", hosts.len());
        let fault = Fault::new(title, "without it only one of them could be reached")
            .help("a free address of their network, which one of them has at a time");
        problems.push(fault.at(places.hosts.clone()));
    }
    if let (Some(address), Some(span)) = (address, &places.address) {
        check_address(address, span, all, subnets, problems);
    }
    let balancer = LoadBalancer { kind: kind?, address, interface, hosts };
    check_endpoint(&balancer, raw, section, all, &places, problems);
    Some(balancer)
}

/// Where the table says what.
struct Places {
    header: Span,
    address: Option<Span>,
    /// The header where it is left out.
    hosts: Span,
}

impl Places {
    fn of(entry: &LoadBalancerEntry, header: &Span) -> Self {
        Self {
            header: header.clone(),
            address: entry.address.as_ref().map(Spanned::span),
            hosts: entry.hosts.as_ref().map_or(header.clone(), Spanned::span),
        }
    }
}

fn known_kind(text: &str) -> Result<&'static str, Fault> {
    KINDS.into_iter().find(|kind| *kind == text).ok_or_else(|| {
        Fault::new(
            format!("{} is not a load balancer", quoted(text)),
            "expected `haproxy` or `kube-vip`",
        )
        .suggest(nearest(text, KINDS))
    })
}

fn kube_vip(
    entry: &LoadBalancerEntry,
    places: &Places,
    problems: &mut Problems,
) -> Option<LoadBalancerKind> {
    if let Some(hosts) = &entry.hosts {
        let fault = Fault::new(
            "`hosts` goes with haproxy only",
            "kube-vip runs on every control plane, beside its API server",
        );
        problems.push(fault.at(hosts.span()));
    }
    if let Some(id) = &entry.virtual_router_id {
        let fault = Fault::new(
            "`virtual_router_id` goes with haproxy only",
            "kube-vip has no virtual router: it elects a leader in the cluster",
        );
        problems.push(fault.at(id.span()));
    }
    problems.required(&places.header, "address", entry.address.as_ref());
    let image = problems.required(&places.header, "image", entry.image.as_ref());
    let image = problems.check_opt(image, |text| rules::image(text))?;
    Some(LoadBalancerKind::KubeVip { image })
}

fn haproxy(
    entry: &LoadBalancerEntry,
    places: &Places,
    problems: &mut Problems,
) -> Option<LoadBalancerKind> {
    if let Some(image) = &entry.image {
        let fault =
            Fault::new("`image` goes with kube-vip only", "haproxy comes from the host's packages");
        problems.push(fault.at(image.span()));
    }
    if places.address.is_none() {
        let of_address = [
            ("interface", entry.interface.as_ref().map(Spanned::span)),
            ("virtual_router_id", entry.virtual_router_id.as_ref().map(Spanned::span)),
        ];
        for (key, span) in of_address {
            if let Some(span) = span {
                let title = format!("`{key}` needs `address`");
                let fault = Fault::new(title, "there is no virtual address that it could be about");
                problems.push(fault.at(span));
            }
        }
    }
    let id = problems
        .check_opt(entry.virtual_router_id.as_ref(), |number| rules::virtual_router_id(*number));
    Some(LoadBalancerKind::Haproxy { virtual_router_id: id.unwrap_or(DEFAULT_VIRTUAL_ROUTER_ID) })
}

fn control_planes(hosts: &[Arc<Host>]) -> impl Iterator<Item = &Arc<Host>> {
    hosts.iter().filter(|host| host.role == Role::ControlPlane)
}

/// The virtual address is nobody's, and lies where hosts are.
fn check_address(
    address: IpAddr,
    span: &Span,
    hosts: &[Arc<Host>],
    subnets: &[Subnet],
    problems: &mut Problems,
) {
    let is_taken = |host: &&Arc<Host>| {
        host.advertise_address == Some(address) || host.address.parse() == Ok(address)
    };
    if let Some(host) = hosts.iter().find(is_taken) {
        let title = format!("{address} is the address of host {}", quoted(&host.name));
        let fault = Fault::new(title, "expected a free address of the hosts' network");
        problems.push(fault.at(span.clone()));
    }
    problems.extend(subnets::check_virtual_address(address, span, subnets));
}

/// The endpoint leads to the load balancer, by a port that it can listen on.
fn check_endpoint(
    balancer: &LoadBalancer,
    raw: &document::Cluster,
    section: &ClusterSection,
    hosts: &[Arc<Host>],
    places: &Places,
    problems: &mut Problems,
) {
    let Some(written) = &raw.control_plane_endpoint else {
        let port = own_port(balancer, section, hosts);
        let host = balancer.address.map_or("k8s.example.com".to_owned(), |it| it.to_string());
        let fault =
            Fault::new("a load balancer needs `control_plane_endpoint`", "this is what serves it");
        let help =
            format!("set it in `[cluster]`, as `control_plane_endpoint = \"{host}:{port}\"`");
        problems.push(fault.help(help).at(places.header.clone()));
        return;
    };
    // A mistake in it has been told already.
    let Some(endpoint) = &section.control_plane_endpoint else { return };
    if let (Ok(named), Some(address), Some(span)) =
        (endpoint.host.parse::<IpAddr>(), balancer.address, &places.address)
        && named != address
    {
        let title = format!("the endpoint is {named}, the load balancer serves {address}");
        let fault = Fault::new(title, "leads elsewhere")
            .help("use the same address in both, or a name for it in `control_plane_endpoint`");
        problems.push(fault.at(written.span()).also(span.clone(), "served here"));
    }
    let bind_port = section.api_server.bind_port;
    let port = endpoint.port.unwrap_or(bind_port);
    match &balancer.kind {
        LoadBalancerKind::KubeVip { .. } if port != bind_port => {
            let title = format!("kube-vip cannot lead from port {port} to {bind_port}");
            let fault = Fault::new(title, format!("expected the API servers' port, {bind_port}"))
                .help("its address leads straight to an API server: leave the port out, or set `bind_port` in `[cluster.api_server]`");
            problems.push(fault.at(written.span()));
        }
        LoadBalancerKind::Haproxy { .. } if port == bind_port => {
            let shared = control_planes(hosts).find(|host| balancer.hosts.contains(&host.name));
            if let Some(host) = shared {
                let title =
                    format!("port {port} is taken on {} by its API server", quoted(&host.name));
                let fault = Fault::new(title, "haproxy runs there, too, and needs another port");
                let example = own_port(balancer, section, hosts);
                let help = format!(
                    "give the endpoint another port, as {}, or the API servers another `bind_port`",
                    quoted(&format!("{}:{example}", endpoint.host))
                );
                problems.push(fault.help(help).at(written.span()));
            }
        }
        _ => {}
    }
}

/// A port to recommend for the endpoint.
fn own_port(balancer: &LoadBalancer, section: &ClusterSection, hosts: &[Arc<Host>]) -> u16 {
    let bind_port = section.api_server.bind_port;
    let shared = control_planes(hosts).any(|host| balancer.hosts.contains(&host.name));
    match &balancer.kind {
        LoadBalancerKind::Haproxy { .. } if shared && bind_port == 8443 => 9443,
        LoadBalancerKind::Haproxy { .. } if shared => 8443,
        _ => bind_port,
    }
}
