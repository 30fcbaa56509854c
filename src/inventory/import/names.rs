//! Names of hosts and groups that fleetadm takes.

use std::collections::{BTreeMap, HashSet};

use super::ansible::{GroupId, Inventory};
use super::notes::{Line, Notes};
use crate::inventory::{fold_hosts, rules};

/// The name of each host; `None` for a host that cannot have one.
///
/// A name that is no node name is written in lower case, with `-` for `_`, where that is a node name that
/// no other host has.
pub(super) fn hosts(inventory: &Inventory, notes: &mut Notes) -> Vec<Option<String>> {
    let valid = |name: &str| rules::host_name(name).is_ok();
    let mut taken: HashSet<String> =
        inventory.hosts.iter().map(|host| host.name.clone()).filter(|name| valid(name)).collect();
    // By line: what stands for many hosts is one note.
    let mut changed: BTreeMap<&Line, (Vec<&str>, Vec<String>)> = BTreeMap::new();
    let mut refused: BTreeMap<&Line, Vec<&str>> = BTreeMap::new();
    let mut names = Vec::new();
    for host in &inventory.hosts {
        let name = host.name.to_lowercase().replace('_', "-");
        names.push(if valid(&host.name) {
            Some(host.name.clone())
        } else if valid(&name) && taken.insert(name.clone()) {
            let (before, after) = changed.entry(&host.line).or_default();
            before.push(&host.name);
            after.push(name.clone());
            Some(name)
        } else {
            refused.entry(&host.line).or_default().push(&host.name);
            None
        });
    }
    for (line, (before, after)) in changed {
        let after: Vec<&str> = after.iter().map(String::as_str).collect();
        let (before, after) = (fold_hosts(&before), fold_hosts(&after));
        notes.at(line, format!("`{before}` is called `{after}` here: host names are node names"));
    }
    for (line, names) in refused {
        let why = "no host name can be made of it that is a node name (DNS-1123) and nobody else's";
        notes.at(line, format!("`{}` is left out: {why}", fold_hosts(&names)));
    }
    names
}

/// The name of each of these groups. Selections have to tell groups from hosts and roles, so what is one
/// of those gets a longer name.
pub(super) fn groups(
    inventory: &Inventory,
    groups: &[GroupId],
    hosts: &HashSet<&str>,
    notes: &mut Notes,
) -> BTreeMap<GroupId, String> {
    let free = |name: &str| rules::group_name(name).is_ok() && !hosts.contains(name);
    let mut taken: HashSet<String> = groups
        .iter()
        .map(|id| inventory.groups[*id].name.clone())
        .filter(|name| free(name))
        .collect();
    let mut names = BTreeMap::new();
    for &id in groups {
        let group = &inventory.groups[id];
        if free(&group.name) {
            names.insert(id, group.name.clone());
            continue;
        }
        let name = unique(&group.name, |name| free(name) && !taken.contains(name));
        taken.insert(name.clone());
        let why = if hosts.contains(group.name.as_str()) {
            "a host has its name"
        } else if rules::role(&group.name).is_ok() {
            "its name is a role's"
        } else {
            "names of groups are letters, digits, `-`, `_` and `.`"
        };
        let text = format!("group `{}` is called `{name}` here: {why}", group.name);
        match &group.line {
            Some(line) => notes.at(line, text),
            None => notes.general(text),
        }
        names.insert(id, name);
    }
    names
}

/// A name like the one given that is still free.
pub(super) fn unique(name: &str, free: impl Fn(&str) -> bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name.chars().map(|c| if plain(c) { c } else { '_' }).take(40).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = if name.is_empty() { "group" } else { name };
    let numbered = (2_u64..).map(|number| format!("{name}-hosts-{number}"));
    let mut candidates = [name.to_owned(), format!("{name}-hosts")].into_iter().chain(numbered);
    candidates.find(|name| free(name)).unwrap_or_default()
}
