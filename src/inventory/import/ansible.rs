//! An Ansible inventory as it is written: hosts, groups, who belongs to whom, and variables with the line
//! they stand in. What a host ends up with is for `precedence` to say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::notes::Line;

/// A place in [`Inventory::groups`].
pub(super) type GroupId = usize;
/// A place in [`Inventory::hosts`].
pub(super) type HostId = usize;

/// The group of every host.
pub(super) const ALL: GroupId = 0;
/// The group of hosts that are in no other.
pub(super) const UNGROUPED: GroupId = 1;

/// The variable that is none: it orders groups.
const PRIORITY: &str = "ansible_group_priority";

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) value: Value,
    pub(super) line: Line,
}

/// Variables by name.
pub(super) type Variables = BTreeMap<String, Variable>;

/// A group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// Where it is first named; `None` for the two groups that are always there.
    pub(super) line: Option<Line>,
    /// Among groups of one depth, the higher priority wins.
    pub(super) priority: i64,
    pub(super) parents: BTreeSet<GroupId>,
    /// Variables of the inventory itself.
    pub(super) variables: Variables,
    /// Variables of `group_vars`.
    pub(super) file_variables: Variables,
}

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// Where it is first named.
    pub(super) line: Line,
    /// The groups that list it.
    pub(super) groups: BTreeSet<GroupId>,
    /// Variables of the inventory itself.
    pub(super) variables: Variables,
    /// Variables of `host_vars`.
    pub(super) file_variables: Variables,
}

/// The whole inventory, hosts and groups in the order in which they are first named.
#[derive(Debug)]
pub(super) struct Inventory {
    pub(super) groups: Vec<Group>,
    pub(super) hosts: Vec<Host>,
    group_ids: HashMap<String, GroupId>,
    host_ids: HashMap<String, HostId>,
}

impl Inventory {
    pub(super) fn new() -> Self {
        let mut inventory = Self {
            groups: Vec::new(),
            hosts: Vec::new(),
            group_ids: HashMap::new(),
            host_ids: HashMap::new(),
        };
        for name in ["all", "ungrouped"] {
            inventory.new_group(name, None);
        }
        inventory
    }

    fn new_group(&mut self, name: &str, line: Option<Line>) -> GroupId {
        let id = self.groups.len();
        self.group_ids.insert(name.to_owned(), id);
        self.groups.push(Group {
            name: name.to_owned(),
            line,
            priority: 1,
            parents: BTreeSet::new(),
            variables: Variables::new(),
            file_variables: Variables::new(),
        });
        id
    }

    /// The group of a name, made where there is none.
    pub(super) fn group(&mut self, name: &str, line: &Line) -> GroupId {
        self.find_group(name).unwrap_or_else(|| self.new_group(name, Some(line.clone())))
    }

    pub(super) fn find_group(&self, name: &str) -> Option<GroupId> {
        self.group_ids.get(name).copied()
    }

    pub(super) fn find_host(&self, name: &str) -> Option<HostId> {
        self.host_ids.get(name).copied()
    }

    /// Lists a host in a group. The port counts where the host is named first, and only there.
    pub(super) fn add_host(
        &mut self,
        group: GroupId,
        name: &str,
        port: Option<u16>,
        line: &Line,
    ) -> HostId {
        let id = self.find_host(name).unwrap_or_else(|| {
            let id = self.hosts.len();
            self.host_ids.insert(name.to_owned(), id);
            let port = port.map(|port| {
                let variable = Variable { value: port.into(), line: line.clone() };
                ("ansible_port".to_owned(), variable)
            });
            self.hosts.push(Host {
                name: name.to_owned(),
                line: line.clone(),
                groups: BTreeSet::new(),
                variables: port.into_iter().collect(),
                file_variables: Variables::new(),
            });
            id
        });
        self.hosts[id].groups.insert(group);
        id
    }

    /// Puts a group into another.
    pub(super) fn add_child(&mut self, parent: GroupId, child: GroupId) -> Result<(), String> {
        if child == ALL || self.with_ancestors(parent).contains(&child) {
            let [child, parent] = [child, parent].map(|id| &self.groups[id].name);
            return Err(format!("group `{child}` cannot be in `{parent}`: that is a circle"));
        }
        self.groups[child].parents.insert(parent);
        Ok(())
    }

    /// A group, the groups it is in, and so on.
    pub(super) fn with_ancestors(&self, group: GroupId) -> BTreeSet<GroupId> {
        let mut found = BTreeSet::new();
        let mut open = vec![group];
        while let Some(id) = open.pop() {
            if found.insert(id) {
                open.extend(&self.groups[id].parents);
            }
        }
        found
    }

    /// Sets a variable of a group; a later one replaces an earlier one.
    pub(super) fn set(
        &mut self,
        group: GroupId,
        name: String,
        variable: Variable,
    ) -> Result<(), String> {
        let group = &mut self.groups[group];
        if name != PRIORITY {
            group.variables.insert(name, variable);
            return Ok(());
        }
        let number = match &variable.value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        group.priority = number.ok_or_else(|| format!("`{PRIORITY}` has to be a number"))?;
        Ok(())
    }

    /// Puts groups without a parent into `all`, and hosts into `ungrouped` where they are in no other.
    pub(super) fn settle(&mut self) {
        for group in self.groups.iter_mut().skip(1) {
            if group.parents.is_empty() {
                group.parents.insert(ALL);
            }
        }
        for host in &mut self.hosts {
            if host.groups.iter().any(|group| ![ALL, UNGROUPED].contains(group)) {
                host.groups.remove(&UNGROUPED);
            } else {
                host.groups.insert(UNGROUPED);
            }
        }
    }
}
