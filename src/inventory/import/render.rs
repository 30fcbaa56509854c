//! What was imported, as a TOML inventory.

use serde::{Serialize, Serializer};

use crate::inventory::Role;
use crate::inventory::ranges::{self, Pattern};

/// Longer runs of hosts are written in parts: a range has a limit.
const RUN: usize = 10_000;

/// What an inventory says.
#[derive(Debug, Default, Serialize)]
pub(super) struct Fleet {
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub(super) ssh: toml::Table,
    /// In the order in which they are written.
    #[serde(serialize_with = "by_name", skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<(String, Group)>,
    pub(super) hosts: Vec<Host>,
}

/// `[groups.NAME]`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Group {
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub(super) ssh: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub(super) vars: toml::Table,
}

/// `[[hosts]]`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Host {
    pub(super) name: String,
    /// Where it differs from the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    #[serde(serialize_with = "word", skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<Role>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<String>,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub(super) ssh: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub(super) vars: toml::Table,
}

fn by_name<S: Serializer>(groups: &[(String, Group)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(groups.iter().map(|(name, group)| (name, group)))
}

fn word<S: Serializer>(role: &Option<Role>, serializer: S) -> Result<S::Ok, S::Error> {
    role.map(Role::as_str).serialize(serializer)
}

/// The whole document; `origin` is where it comes from.
pub(super) fn document(fleet: Fleet, origin: &str) -> Result<String, toml::ser::Error> {
    let fleet = Fleet { hosts: folded(fleet.hosts), ..fleet };
    let origin: String = origin.chars().filter(|c| !c.is_control()).collect();
    let head = format!(
        "# Imported from the Ansible inventory {origin} by `fleetadm inventory import`.\n\
         # To make a cluster of these hosts, add [cluster] with a kubernetes_version.\n\n"
    );
    Ok(head + &toml::to_string(&fleet)?)
}

/// Hosts that follow one another and differ only in a number, in name and address alike, as ranges.
fn folded(hosts: Vec<Host>) -> Vec<Host> {
    let mut runs: Vec<Vec<Host>> = Vec::new();
    for host in hosts {
        match runs.last_mut() {
            Some(run) if run.len() < RUN && run.last().is_some_and(|last| follows(last, &host)) => {
                run.push(host);
            }
            _ => runs.push(vec![host]),
        }
    }
    runs.into_iter().filter_map(|run| one(&run)).collect()
}

fn follows(last: &Host, next: &Host) -> bool {
    let alike = last.role == next.role
        && last.groups == next.groups
        && last.ssh == next.ssh
        && last.vars == next.vars;
    let names = || step(&last.name, &next.name);
    alike
        && match (&last.address, &next.address) {
            (None, None) => names().is_some(),
            (Some(a), Some(b)) => names().is_some_and(|grows| step(a, b) == Some(grows)),
            _ => false,
        }
}

/// How much the one number grows that two texts differ in.
fn step(last: &str, next: &str) -> Option<u64> {
    let ((last_pattern, last), (next_pattern, next)) = (ranges::split(last), ranges::split(next));
    let grows = ranges::number(next)?.checked_sub(ranges::number(last)?)?;
    (last_pattern == next_pattern && grows > 0).then_some(grows)
}

/// A run of hosts as one entry.
fn one(run: &[Host]) -> Option<Host> {
    let (first, more) = run.split_first()?;
    if more.is_empty() {
        return Some(first.clone());
    }
    let fold = |text: &dyn Fn(&Host) -> Option<&str>| -> Option<String> {
        let parts: Vec<(Pattern<'_>, &str)> =
            run.iter().filter_map(text).map(ranges::split).collect();
        let (pattern, _) = *parts.first()?;
        let numbers: Vec<&str> = parts.iter().map(|(_, number)| *number).collect();
        Some(ranges::fold_in_order(pattern, &numbers))
    };
    Some(Host {
        name: fold(&|host| Some(&host.name))?,
        address: fold(&|host| host.address.as_deref()),
        ..first.clone()
    })
}
