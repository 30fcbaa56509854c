//! Pod and service networks: kubeadm's size rules, and what must not overlap.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::Spanned;

use super::items;
use crate::inventory::document::{NetworkingEntry, Texts};
use crate::inventory::error::{Fault, Problem, Problems, Span, quoted};
use crate::inventory::model::ExtraArgs;

/// Addresses kubeadm wants in a service network: the DNS service takes the tenth.
const SERVICE_ADDRESSES: u32 = 10;
/// Addresses kubeadm wants in a pod network.
const POD_ADDRESSES: u32 = 14;
/// The API server keeps a bitmap of service addresses, so there is a largest network.
const SERVICE_HOST_BITS: u8 = 20;
/// The controller manager can hand out 2^16 node networks.
const NODE_BITS: u8 = 16;

const DEFAULT_SERVICES: [u8; 4] = [10, 96, 0, 0];

/// A network, where it is written if it is, and what it is for.
#[derive(Debug)]
pub(super) struct Subnet {
    pub(super) net: IpNet,
    span: Option<Span>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pod,
    Service,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Service => "service",
        }
    }

    fn fewest_addresses(self) -> u32 {
        match self {
            Self::Pod => POD_ADDRESSES,
            Self::Service => SERVICE_ADDRESSES,
        }
    }
}

impl Subnet {
    /// Points the problem at this network too, or says that it is the default.
    fn mention(&self, problem: Problem, fallback: &Span) -> Problem {
        let word = self.kind.word();
        match &self.span {
            Some(span) => problem.also(span.clone(), format!("the {word} subnet")),
            None => problem
                .also(fallback.clone(), format!("{} is the default {word} subnet here", self.net)),
        }
    }
}

/// Both kinds of networks; `cluster` is the header, `arguments` the controller manager's.
pub(super) fn resolve(
    raw: &NetworkingEntry,
    arguments: &ExtraArgs,
    cluster: &Span,
    problems: &mut Problems,
) -> Vec<Subnet> {
    let mut subnets = read(&raw.pod_subnet, Kind::Pod, problems);
    let pods = subnets.len();
    for subnet in &subnets {
        let span = subnet.span.clone().unwrap_or_default();
        if let Err(fault) = check_node_mask(&subnet.net, pods > 1, arguments) {
            problems.push(fault.at(span));
        }
    }
    if raw.service_subnet.is_some() {
        subnets.extend(read(&raw.service_subnet, Kind::Service, problems));
    } else if let Ok(net) = IpNet::new(DEFAULT_SERVICES.into(), 12) {
        subnets.push(Subnet { net, span: None, kind: Kind::Service });
    }
    for (index, left) in subnets.iter().enumerate() {
        for right in &subnets[index + 1..] {
            let overlap = left.net.contains(&right.net) || right.net.contains(&left.net);
            if left.kind != right.kind && overlap {
                let title =
                    format!("pod subnet {} overlaps service subnet {}", left.net, right.net);
                let fault = Fault::new(title, "the pod subnet")
                    .help("pods and services need networks of their own");
                let span = left.span.clone().unwrap_or_default();
                problems.push(right.mention(fault.at(span), cluster));
            }
        }
    }
    subnets
}

/// One network or two of different families, as `"a,b"` or `["a", "b"]`.
fn read(texts: &Texts, kind: Kind, problems: &mut Problems) -> Vec<Subnet> {
    let mut subnets: Vec<Subnet> = Vec::new();
    let items = items(texts);
    let words = items.iter().flat_map(|item| {
        let words = item.get_ref().split(',').map(str::trim);
        words.map(|word| Spanned::new(item.span(), word))
    });
    for word in words {
        let Some(net) = problems.check(&word, |text| network(text, kind)) else { continue };
        let same_family = |other: &&Subnet| other.net.addr().is_ipv4() == net.addr().is_ipv4();
        if let Some(other) = subnets.iter().find(same_family) {
            let title =
                format!("two {} subnets of one family: {} and {net}", kind.word(), other.net);
            let fault = Fault::new(title, "expected one network, or one IPv4 and one IPv6 network");
            problems.push(fault.at(word.span()));
            continue;
        }
        subnets.push(Subnet { net, span: Some(word.span()), kind });
    }
    if let Some(texts) = texts
        && items.is_empty()
    {
        let fault =
            Fault::new(format!("no {} subnet in the list", kind.word()), "expected a network");
        problems.push(fault.help("leave the key out for the default").at(texts.span()));
    }
    subnets
}

fn network(text: &str, kind: Kind) -> Result<IpNet, Fault> {
    let net: IpNet = text.parse().map_err(|_| {
        Fault::new(
            format!("{} is not a network", quoted(text)),
            "expected CIDR notation such as `10.244.0.0/16`",
        )
    })?;
    if net.trunc() != net {
        let fault =
            Fault::new(format!("{net} is an address inside a network"), "expected a network");
        return Err(fault.suggest(Some(&net.trunc().to_string())));
    }
    let host_bits = net.max_prefix_len() - net.prefix_len();
    let fewest = kind.fewest_addresses();
    if 1u32.checked_shl(host_bits.into()).is_some_and(|size| size < fewest) {
        return Err(Fault::new(
            format!("{} subnet {net} is too small", kind.word()),
            format!("expected at least {fewest} addresses"),
        ));
    }
    if kind == Kind::Service && host_bits > SERVICE_HOST_BITS {
        return Err(Fault::new(
            format!("service subnet {net} is too large"),
            format!("expected a mask of /{} or longer", net.max_prefix_len() - SERVICE_HOST_BITS),
        ));
    }
    Ok(net)
}

/// Whether every node can get its own part of the pod network.
fn check_node_mask(net: &IpNet, dual: bool, arguments: &ExtraArgs) -> Result<(), Fault> {
    let argument = |name: &str| {
        arguments.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    };
    if argument("allocate-node-cidrs") == Some("false") {
        return Ok(());
    }
    let (family, default) = match net.addr() {
        IpAddr::V4(_) => ("node-cidr-mask-size-ipv4", 24),
        IpAddr::V6(_) => ("node-cidr-mask-size-ipv6", 64),
    };
    let plain = if dual { None } else { argument("node-cidr-mask-size") };
    let mask = match argument(family).or(plain) {
        None => default,
        Some(text) => {
            text.parse::<u8>().ok().filter(|mask| *mask <= net.max_prefix_len()).ok_or_else(
                || {
                    Fault::new(
                        format!("{} is not a node mask for this network", quoted(text)),
                        "checked against `node-cidr-mask-size` of the controller manager",
                    )
                },
            )?
        }
    };
    let help = "see `node-cidr-mask-size` of the controller manager";
    match mask.checked_sub(net.prefix_len()) {
        None => Err(Fault::new(
            format!("pod subnet {net} is smaller than one node's part of it"),
            format!("expected a mask of /{mask} or shorter"),
        )
        .help(help)),
        Some(bits) if bits > NODE_BITS => Err(Fault::new(
            format!("pod subnet {net} is too large for node networks of /{mask}"),
            format!("expected a mask of /{} or longer", mask - NODE_BITS),
        )
        .help(help)),
        Some(_) => Ok(()),
    }
}

/// Says so when a host's address lies inside a network of the cluster.
pub(super) fn check_host(
    name: &str,
    address: IpAddr,
    span: &Span,
    subnets: &[Subnet],
) -> Option<Problem> {
    let what = format!("host {} has address {address}", quoted(name));
    check_outside(&what, "the host's address", address, span, subnets)
}

/// Says so when the load balancer's address lies inside a network of the cluster.
pub(super) fn check_virtual_address(
    address: IpAddr,
    span: &Span,
    subnets: &[Subnet],
) -> Option<Problem> {
    let what = format!("the load balancer's address {address} is");
    check_outside(&what, "expected a free address of the hosts' network", address, span, subnets)
}

fn check_outside(
    what: &str,
    label: &str,
    address: IpAddr,
    span: &Span,
    subnets: &[Subnet],
) -> Option<Problem> {
    let subnet = subnets.iter().find(|subnet| subnet.net.contains(&address))?;
    let (word, net) = (subnet.kind.word(), subnet.net);
    let fault = Fault::new(format!("{what} inside the {word} subnet {net}"), label).help(
        match subnet.span {
            Some(_) => "hosts, pods and services need networks of their own",
            None => "this is the default; set `service_subnet` in `[cluster.networking]`",
        },
    );
    let problem = fault.at(span.clone());
    Some(match subnet.span {
        Some(_) => subnet.mention(problem, span),
        None => problem,
    })
}
