//! `[[hosts]]` and `[groups]`: ranges to hosts, layers to settings, and what must be unique.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use toml::Spanned;

use super::items;
use super::layers::Layer;
use super::ssh::Tables;
use super::subnets::{self, Subnet};
use crate::inventory::document::{Document, HostEntry, Text};
use crate::inventory::error::{Fault, Problems, Span, quoted};
use crate::inventory::model::{Host, Role};
use crate::inventory::suggest::nearest;
use crate::inventory::{ranges, rules};

/// Every host in document order.
pub(super) fn resolve(
    document: &Document,
    subnets: &[Subnet],
    tables: &Tables<'_>,
    problems: &mut Problems,
) -> Vec<Arc<Host>> {
    let base = Layer { ssh: tables.read("[ssh]", &document.ssh, problems), ..Layer::default() };
    let mut groups = BTreeMap::new();
    for (name, group) in &document.groups {
        problems.check(name, |name| rules::group_name(name));
        let (name, group) = (name.get_ref().as_str(), group.get_ref());
        let ssh = tables.read(&format!("[groups.{name}.ssh]"), &group.ssh, problems);
        groups.insert(name, Layer::of_group(group, ssh, problems));
    }
    if document.hosts.is_empty() {
        let fault = Fault::new("the inventory has no hosts", "expected at least one `[[hosts]]`");
        problems.push(fault.help("add `[[hosts]]` with a `name`").at(0..0));
    }
    let mut hosts = Vec::new();
    let mut entries = Vec::new();
    for entry in &document.hosts {
        let start = hosts.len();
        expand(entry, &base, &groups, tables, &mut hosts, problems);
        entries.push((Places::of(entry), start..hosts.len()));
    }
    // Without a cluster, hosts behind one address are told apart by their ports, whatever their role.
    if document.cluster.is_some() || document.kubeadm_config.is_some() {
        advertise_members(&mut hosts);
    }
    let mut taken = Taken::default();
    for (places, range) in &entries {
        let hosts = &hosts[range.clone()];
        check_subnets(hosts, places, subnets, problems);
        taken.check(hosts, places, problems);
    }
    for name in document.groups.keys() {
        if let Some(span) = taken.names.get(name.get_ref().as_str()) {
            let title = format!("{} is a group and a host", quoted(name.get_ref()));
            let fault = Fault::new(title, "selections could not tell the group from the host");
            problems.push(fault.at(name.span()).also((*span).clone(), "the host"));
        }
    }
    // A cluster may still come from the command line.
    advertise_members(&mut hosts);
    hosts
}

/// Everyone has to be told where members of etcd are before anyone has been asked: by default where SSH connects.
fn advertise_members(hosts: &mut [Arc<Host>]) {
    for host in hosts.iter_mut().filter(|host| host.role == Role::Etcd) {
        let host = Arc::make_mut(host);
        host.advertise_address = host.advertise_address.or(host.address.parse().ok());
    }
}

/// Adds the hosts of one entry.
fn expand(
    entry: &Spanned<HostEntry>,
    base: &Layer,
    groups: &BTreeMap<&str, Layer>,
    tables: &Tables<'_>,
    hosts: &mut Vec<Arc<Host>>,
    problems: &mut Problems,
) {
    let raw = entry.get_ref();
    let memberships = memberships(raw, groups, problems);
    let mut layer = base.clone();
    for group in memberships.iter().filter_map(|name| groups.get(name.as_str())) {
        layer.add_group(group);
    }
    let written = raw.name.as_ref().map_or("", |name| name.get_ref());
    let ssh = tables.read(&format!("host {written}"), &raw.ssh, problems);
    layer.add_host(&Layer::of_host(raw, ssh, problems));
    let role = problems.check_opt(raw.role.as_ref(), |text| rules::role(text));
    let spots = spots(&entry.span(), raw, problems).unwrap_or_default();
    let ssh = std::mem::take(&mut layer.ssh);
    let ssh = match hosts.last() {
        Some(last) if *last.ssh == ssh => Arc::clone(&last.ssh),
        _ => Arc::new(ssh),
    };
    let shared = std::iter::repeat_n((memberships, layer), spots.len());
    hosts.extend(spots.into_iter().zip(shared).map(|(spot, (groups, layer))| {
        Arc::new(Host {
            name: spot.name,
            address: spot.address,
            advertise_address: spot.advertise_address,
            role: role.unwrap_or(Role::Worker),
            groups,
            labels: layer.labels,
            taints: layer.taints,
            kubelet_extra_args: layer.kubelet_extra_args,
            ssh: Arc::clone(&ssh),
            vars: layer.vars,
        })
    }));
}

/// The groups an entry lists, as far as they exist.
fn memberships(
    raw: &HostEntry,
    groups: &BTreeMap<&str, Layer>,
    problems: &mut Problems,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in items(&raw.groups) {
        let name = *item.get_ref();
        if !groups.contains_key(name) {
            let label = "no `[groups.NAME]` table has this name";
            let fault = Fault::new(format!("unknown group {}", quoted(name)), label);
            let fault = match nearest(name, groups.keys().copied()) {
                None => fault.help(format!("define it, as `[groups.NAME]` for {}", quoted(name))),
                meant => fault.suggest(meant),
            };
            problems.push(fault.at(item.span()));
        } else if names.iter().any(|known| known == name) {
            let fault = Fault::new(format!("group {} is listed twice", quoted(name)), "again here");
            problems.push(fault.at(item.span()));
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

/// What one host of an entry has of its own.
struct Spot {
    name: String,
    address: String,
    advertise_address: Option<IpAddr>,
}

/// The hosts an entry stands for: its ranges side by side.
fn spots(header: &Span, raw: &HostEntry, problems: &mut Problems) -> Option<Vec<Spot>> {
    let name = problems.required(header, "name", raw.name.as_ref())?;
    let names = problems.check(name, |text| ranges::expand(text))?;
    let addresses = beside("address", &raw.address, name, names.len(), problems)?;
    let advertised =
        beside("advertise_address", &raw.advertise_address, name, names.len(), problems)?;
    // One bad name of a range says enough about the others.
    problems.check(name, |_| names.iter().try_for_each(|name| rules::host_name(name)))?;
    if let (Some(written), Some(addresses)) = (&raw.address, &addresses) {
        let all = |_: &String| addresses.iter().try_for_each(|address| rules::address(address));
        problems.check(written, all)?;
    }
    let mut advertised = match (&raw.advertise_address, advertised) {
        (Some(written), Some(list)) => {
            let parse = |_: &String| list.iter().map(|a| rules::advertise_address(a)).collect();
            problems.check::<_, Vec<IpAddr>>(written, parse)?.into_iter()
        }
        _ => Vec::new().into_iter(),
    };
    let addresses = addresses.unwrap_or_else(|| names.clone());
    let pairs = names.into_iter().zip(addresses);
    let spot = |(name, address)| Spot { name, address, advertise_address: advertised.next() };
    Some(pairs.map(spot).collect())
}

/// Expands what stands beside the name. Outer `None`: there is a mistake; inner: it is left out.
fn beside(
    key: &str,
    text: &Text,
    name: &Spanned<String>,
    count: usize,
    problems: &mut Problems,
) -> Option<Option<Vec<String>>> {
    let Some(text) = text else { return Some(None) };
    let list = problems.check(text, |text| ranges::expand(text))?;
    if list.len() == count {
        return Some(Some(list));
    }
    let title = format!("`{key}` stands for {}, `name` for {count}", list.len());
    let fault = Fault::new(title, format!("{} here", list.len()))
        .help("every host needs its own: write a range of the same length");
    problems.push(fault.at(text.span()).also(name.span(), format!("{count} here")));
    None
}

/// Where an entry says what.
struct Places {
    name: Span,
    address: Span,
    advertise_address: Span,
}

impl Places {
    fn of(entry: &Spanned<HostEntry>) -> Self {
        let raw = entry.get_ref();
        let name = raw.name.as_ref().map_or(entry.span(), Spanned::span);
        let or_name = |text: &Text| text.as_ref().map_or(name.clone(), Spanned::span);
        Self {
            address: or_name(&raw.address),
            advertise_address: or_name(&raw.advertise_address),
            name,
        }
    }
}

/// Reports the first host of an entry that lies inside a network of the cluster.
fn check_subnets(
    hosts: &[Arc<Host>],
    places: &Places,
    subnets: &[Subnet],
    problems: &mut Problems,
) {
    let found = hosts.iter().find_map(|host| {
        let connect = host.address.parse().ok().map(|address| (address, &places.address));
        let advertised = host.advertise_address.map(|address| (address, &places.advertise_address));
        connect
            .into_iter()
            .chain(advertised)
            .find_map(|(address, span)| subnets::check_host(&host.name, address, span, subnets))
    });
    if let Some(problem) = found {
        problems.push(problem);
    }
}

/// What may be used once, and where it was used first.
#[derive(Default)]
struct Taken<'a> {
    names: HashMap<&'a str, &'a Span>,
    /// With the port: hosts behind one address are told apart by it.
    addresses: HashMap<(Cow<'a, str>, Option<u16>), &'a Span>,
    advertised: HashMap<IpAddr, &'a Span>,
}

impl<'a> Taken<'a> {
    fn check(&mut self, hosts: &'a [Arc<Host>], places: &'a Places, problems: &mut Problems) {
        // The first clash of an entry says enough; 200 more would be the same mistake.
        let [mut name, mut address, mut advertised] = [None, None, None];
        for host in hosts {
            if let Some(first) = claim(&mut self.names, &*host.name, &places.name) {
                name.get_or_insert((host.name.clone(), first));
            }
            let port = host.ssh.port.as_ref().map(|port| port.value);
            let key = (same_address(&host.address), port);
            if let Some(first) = claim(&mut self.addresses, key, &places.address) {
                address.get_or_insert((host.address.clone(), first));
            }
            if let Some(own) = host.advertise_address
                && let Some(first) = claim(&mut self.advertised, own, &places.advertise_address)
            {
                advertised.get_or_insert((own.to_string(), first));
            }
        }
        // Hosts without an address share it as they share the name; one message is enough.
        let address = if name.is_some() && places.address == places.name { None } else { address };
        for (what, span, clash) in [
            ("host name", &places.name, name),
            ("address", &places.address, address),
            ("advertise address", &places.advertise_address, advertised),
        ] {
            if let Some((value, first)) = clash {
                let title = format!("{what} {} is used twice", quoted(&value));
                let problem = Fault::new(title, "used again here").at(span.clone());
                problems.push(if first == span {
                    problem
                } else {
                    problem.also(first.clone(), "first used here")
                });
            }
        }
    }
}

/// Takes the key, or says where it was taken before.
fn claim<'a, K: Hash + Eq>(
    taken: &mut HashMap<K, &'a Span>,
    key: K,
    span: &'a Span,
) -> Option<&'a Span> {
    match taken.entry(key) {
        Entry::Occupied(first) => Some(first.get()),
        Entry::Vacant(free) => {
            free.insert(span);
            None
        }
    }
}

/// One spelling for each address. IPv4 has one already.
fn same_address(text: &str) -> Cow<'_, str> {
    match text.parse() {
        Ok(IpAddr::V6(address)) => address.to_string().into(),
        Ok(IpAddr::V4(_)) => text.into(),
        Err(_) => text.to_ascii_lowercase().into(),
    }
}
