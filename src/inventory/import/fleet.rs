//! From Ansible's inventory to fleetadm's: the same hosts, reached the same way, with the same variables.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use serde_json::Value;

use super::ansible::{ALL, GroupId, Host, Inventory, UNGROUPED};
use super::layers::{Settings, Table, Wanted, lay_out};
use super::notes::{Line, Notes};
use super::precedence::{Effective, Precedence};
use super::roles::Roles;
use super::templates::Templates;
use super::{connection, names, render, roles, variables};
use crate::inventory::{Role, fold_hosts, rules};

/// The group that has the variables of `all`: fleetadm keeps that word for selections.
const EVERY_HOST: &str = "all-hosts";

/// The SSH port of hosts that say none.
const SSH_PORT: i64 = 22;

/// A host on its way.
struct Carried<'a> {
    host: &'a Host,
    name: String,
    address: Option<String>,
    groups: Vec<GroupId>,
    roles: Roles,
    ssh: Table<'static, Wanted<toml::Value>>,
    variables: Table<'a, Wanted<&'a Value>>,
}

/// Carries over what can be; the rest goes into the notes.
pub(super) fn carry_over(inventory: &Inventory, notes: &mut Notes) -> render::Fleet {
    let hosts = distinct(carried(inventory, notes), notes);
    note_roles(&hosts, notes);
    note_privilege(&hosts, notes);
    note_empty_groups(inventory, &hosts, notes);

    let ssh = hosts.iter().map(|host| Settings { groups: &host.groups, wanted: &host.ssh });
    let ssh = lay_out(&ssh.collect::<Vec<_>>());
    let variables =
        hosts.iter().map(|host| Settings { groups: &host.groups, wanted: &host.variables });
    let variables = lay_out(&variables.collect::<Vec<_>>());

    let mut used: BTreeSet<GroupId> = hosts.iter().flat_map(|host| host.groups.clone()).collect();
    used.retain(|id| {
        let says = ssh.groups.contains_key(id) || variables.groups.contains_key(id);
        says || (*id != UNGROUPED && !is_role(*id, inventory, &hosts))
    });
    let used: Vec<GroupId> = used.into_iter().collect();
    let host_names: HashSet<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    let group_names = names::groups(inventory, &used, &host_names, notes);
    let every_host = (!variables.all.is_empty()).then(|| {
        let taken = |name: &str| group_names.values().any(|group| group == name);
        names::unique(EVERY_HOST, |name| !taken(name) && !host_names.contains(name))
    });

    let keys = |table: &Table<'_, toml::Value>| -> toml::Table {
        table.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    };
    let vars = |table: &Table<'_, &Value>| -> toml::Table {
        let entries = table.iter();
        entries.map(|(name, value)| ((*name).to_owned(), variables::to_toml(value))).collect()
    };
    let every_group = every_host.iter().map(|name| {
        let group = render::Group { vars: vars(&variables.all), ..render::Group::default() };
        (name.clone(), group)
    });
    let groups = used.iter().filter_map(|id| {
        let group = render::Group {
            ssh: ssh.groups.get(id).map(keys).unwrap_or_default(),
            vars: variables.groups.get(id).map(vars).unwrap_or_default(),
        };
        Some((group_names.get(id)?.clone(), group))
    });
    let entries = hosts.iter().zip(&ssh.hosts).zip(&variables.hosts).map(|((host, ssh), own)| {
        let named = host.groups.iter().filter_map(|id| group_names.get(id));
        render::Host {
            name: host.name.clone(),
            address: host.address.clone(),
            role: host.roles.role,
            groups: every_host.iter().chain(named).cloned().collect(),
            ssh: keys(ssh),
            vars: vars(own),
        }
    });
    render::Fleet {
        ssh: keys(&ssh.all),
        groups: every_group.chain(groups).collect(),
        hosts: entries.collect(),
    }
}

/// The hosts that have a name and are reached by SSH.
fn carried<'a>(inventory: &'a Inventory, notes: &mut Notes) -> Vec<Carried<'a>> {
    let precedence = Precedence::new(inventory);
    let templates = Templates::new();
    let names = names::hosts(inventory, notes);
    // By line: what stands for many hosts is one note.
    let mut nameless: BTreeMap<&Line, Vec<&str>> = BTreeMap::new();
    let mut hosts = Vec::new();
    for (host, name) in inventory.hosts.iter().zip(names) {
        let Some(name) = name else { continue };
        let effective = precedence.of(host);
        let Some(reached) = connection::read(host, &effective, &templates, notes) else { continue };
        let address = match reached.address {
            Some(address) => Some(address),
            // Without an address, Ansible's name is what its SSH connects to.
            None if rules::address(&host.name).is_ok() => Some(host.name.clone()),
            None => {
                nameless.entry(&host.line).or_default().push(&host.name);
                None
            }
        };
        hosts.push(Carried {
            host,
            address: address.filter(|address| !address.eq_ignore_ascii_case(&name)),
            name,
            roles: roles::of_host(inventory, &effective.groups),
            ssh: reached.settings,
            variables: free(&effective, notes),
            groups: effective.groups,
        });
    }
    for (line, names) in nameless {
        let why = "has no `ansible_host` and is no DNS name: SSH connects to its name here";
        notes
            .at(line, format!("`{}` {why}; say `address` where that is wrong", fold_hosts(&names)));
    }
    hosts
}

/// The variables that are not about reaching the host.
fn free<'a>(effective: &Effective<'a>, notes: &mut Notes) -> Table<'a, Wanted<&'a Value>> {
    let mut table = Table::new();
    for (name, found) in &effective.variables {
        let variable = found.variable;
        if name.starts_with(connection::OWN) {
            continue;
        }
        match variables::objection(name, &variable.value) {
            Some(objection) => notes.at(&variable.line, objection),
            None => {
                let wanted = Wanted { value: &variable.value, layer: found.layer };
                table.insert(*name, wanted);
            }
        }
    }
    table
}

/// Without the hosts that are others under a second name.
fn distinct<'a>(hosts: Vec<Carried<'a>>, notes: &mut Notes) -> Vec<Carried<'a>> {
    let mut taken: HashMap<(String, i64), String> = HashMap::new();
    // By line and first name: what stands for many hosts is one note.
    let mut left_out: BTreeMap<(&Line, String), Vec<&str>> = BTreeMap::new();
    let mut kept = Vec::new();
    for host in hosts {
        let address = host.address.as_ref().unwrap_or(&host.name).to_ascii_lowercase();
        let address = match address.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => address,
        };
        let port = host.ssh.get("port").and_then(|port| port.value.as_integer());
        let place = (address, port.unwrap_or(SSH_PORT));
        match taken.get(&place) {
            Some(first) => {
                let key = (&host.host.line, first.clone());
                left_out.entry(key).or_default().push(&host.host.name);
            }
            None => {
                taken.insert(place, host.name.clone());
                kept.push(host);
            }
        }
    }
    for ((line, first), names) in left_out {
        let why = format!("the address and port are those of `{first}`, and a machine is one host");
        notes.at(line, format!("`{}` is left out: {why}", fold_hosts(&names)));
    }
    kept
}

/// Whether a group is nothing but the hosts of the role it is called like.
fn is_role(id: GroupId, inventory: &Inventory, hosts: &[Carried<'_>]) -> bool {
    let name = &inventory.groups[id].name;
    hosts.iter().all(|host| {
        let has = host.roles.role.is_some_and(|role| role.as_str() == name);
        has == host.groups.contains(&id)
    }) && rules::role(name).is_ok()
}

fn note_roles(hosts: &[Carried<'_>], notes: &mut Notes) {
    let listed = |such: &dyn Fn(&Roles) -> bool| {
        let such = hosts.iter().filter(|host| such(&host.roles));
        let names: Vec<&str> = such.map(|host| host.name.as_str()).collect();
        (!names.is_empty()).then(|| fold_hosts(&names))
    };
    if hosts.is_empty() {
        return;
    }
    if hosts.iter().all(|host| host.roles.role.is_none()) {
        let text = "no group says what a host is for: every host is a worker until it says \
                    `role = \"control-plane\"`";
        notes.general(text);
    } else if let Some(names) = listed(&|roles| roles.role.is_none()) {
        let why =
            "is in no group that says what it is for, so a worker; take out what is not to join";
        notes.general(format!("`{names}` {why}"));
    }
    for role in [Role::ControlPlane, Role::Etcd] {
        if let Some(names) = listed(&|roles| roles.several && roles.role == Some(role)) {
            let why = format!("is in groups of several roles, and a host has one: {role}");
            notes.general(format!("`{names}` {why}"));
        }
    }
}

fn note_privilege(hosts: &[Carried<'_>], notes: &mut Notes) {
    let root = |host: &Carried<'_>| {
        host.ssh.get("user").is_some_and(|user| user.value.as_str() == Some("root"))
    };
    let silent = hosts.iter().filter(|host| !root(host) && !host.ssh.contains_key("become"));
    let names: Vec<&str> = silent.map(|host| host.name.as_str()).collect();
    if !names.is_empty() {
        let why = "has no `ansible_become`, which playbooks may say instead; say `become = \"sudo\"` \
                   where the login user is not root";
        notes.general(format!("`{}` {why}", fold_hosts(&names)));
    }
}

/// Groups whose variables reach no host.
fn note_empty_groups(inventory: &Inventory, hosts: &[Carried<'_>], notes: &mut Notes) {
    let used: HashSet<GroupId> = hosts.iter().flat_map(|host| host.groups.clone()).collect();
    for (id, group) in inventory.groups.iter().enumerate() {
        let says = !group.variables.is_empty() || !group.file_variables.is_empty();
        if says && id != ALL && !used.contains(&id) {
            let variables = group.variables.values().chain(group.file_variables.values());
            let line = group.line.as_ref().or(variables.map(|variable| &variable.line).next());
            let text =
                format!("group `{}` has no hosts and is left out with its variables", group.name);
            match line {
                Some(line) => notes.at(line, text),
                None => notes.general(text),
            }
        }
    }
}

/// What each host has to end up with: its name, its `ssh` keys and its variables.
#[cfg(test)]
pub(super) fn wanted(inventory: &Inventory) -> Vec<(String, Table<'static, toml::Value>, Value)> {
    let mut notes = Notes::default();
    let hosts = distinct(carried(inventory, &mut notes), &mut notes);
    let host = |host: Carried<'_>| {
        let ssh = host.ssh.into_iter().map(|(key, wanted)| (key, wanted.value)).collect();
        let variables = host.variables.into_iter();
        let variables = variables.map(|(key, wanted)| (key.to_owned(), wanted.value.clone()));
        (host.name, ssh, variables.collect())
    };
    hosts.into_iter().map(host).collect()
}
