//! Settings of hosts, said as far up as they can be: once for all hosts, once for a group, or for the host.
//!
//! What comes out always gives every host exactly what it should have; the layers only make it short.

use std::collections::{BTreeMap, BTreeSet};

use super::ansible::GroupId;
use super::precedence::Layer;

/// Values by key.
pub(super) type Table<'a, V> = BTreeMap<&'a str, V>;

/// A value that a host has, and the layer that gives it.
#[derive(Debug, Clone)]
pub(super) struct Wanted<V> {
    pub(super) value: V,
    pub(super) layer: Layer,
}

/// What a host should end up with.
pub(super) struct Settings<'a, V> {
    /// Its groups, the weaker first.
    pub(super) groups: &'a [GroupId],
    pub(super) wanted: &'a Table<'a, Wanted<V>>,
}

/// The same, said in layers.
#[derive(Debug)]
pub(super) struct Layered<'a, V> {
    pub(super) all: Table<'a, V>,
    pub(super) groups: BTreeMap<GroupId, Table<'a, V>>,
    /// In the order of the hosts.
    pub(super) hosts: Vec<Table<'a, V>>,
}

/// Lays the settings of hosts out in layers.
pub(super) fn lay_out<'a, V: Clone + PartialEq>(hosts: &[Settings<'a, V>]) -> Layered<'a, V> {
    let mut layered = offers(hosts);
    let impossible = impossible(hosts, &layered);
    layered.all.retain(|key, _| !impossible.contains(key));
    for table in layered.groups.values_mut() {
        table.retain(|key, _| !impossible.contains(key));
    }
    let own = |host: &Settings<'a, V>| {
        let own = host
            .wanted
            .iter()
            .filter(|(key, wanted)| layered.seen(host.groups, key) != Some(&wanted.value));
        own.map(|(key, wanted)| (*key, wanted.value.clone())).collect()
    };
    layered.hosts = hosts.iter().map(own).collect();
    layered
}

impl<V> Layered<'_, V> {
    /// What a host of these groups has from above.
    fn seen(&self, groups: &[GroupId], key: &str) -> Option<&V> {
        let above = groups.iter().rev().filter_map(|group| self.groups.get(group));
        above.chain([&self.all]).find_map(|table| table.get(key))
    }
}

/// What each layer gives, as far as it gives the same to all of its hosts.
fn offers<'a, V: Clone + PartialEq>(hosts: &[Settings<'a, V>]) -> Layered<'a, V> {
    let mut offers: BTreeMap<(Option<GroupId>, &'a str), Option<&V>> = BTreeMap::new();
    for host in hosts {
        for (key, wanted) in host.wanted {
            let giver = match wanted.layer {
                Layer::All => None,
                Layer::Group(place) => Some(host.groups[place]),
                Layer::Host => continue,
            };
            let offer = offers.entry((giver, key)).or_insert(Some(&wanted.value));
            if *offer != Some(&wanted.value) {
                *offer = None;
            }
        }
    }
    let mut layered = Layered { all: Table::new(), groups: BTreeMap::new(), hosts: Vec::new() };
    for ((giver, key), value) in offers {
        let Some(value) = value else { continue };
        let table = match giver {
            None => &mut layered.all,
            Some(group) => layered.groups.entry(group).or_default(),
        };
        table.insert(key, value.clone());
    }
    layered
}

/// Keys that some host would get from above though it should have none: nothing below can take a value
/// away again.
fn impossible<'a, V>(hosts: &[Settings<'a, V>], layered: &Layered<'a, V>) -> BTreeSet<&'a str> {
    let mut keys = BTreeSet::new();
    for host in hosts {
        let above = host.groups.iter().filter_map(|group| layered.groups.get(group));
        let given = above.chain([&layered.all]).flat_map(|table| table.keys());
        keys.extend(given.filter(|key| !host.wanted.contains_key(*key)));
    }
    keys
}
