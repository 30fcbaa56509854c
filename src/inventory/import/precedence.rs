//! Which of its variables a host ends up with, by Ansible's rules.
//!
//! Lowest first: `all`, the host's groups, the host; groups by depth, so that a child wins over its
//! parents, then by priority, then by name. Variables of `group_vars`, those of `all` too, win over all
//! that groups say in the inventory itself.

use std::collections::BTreeMap;

use super::ansible::{ALL, GroupId, Host, Inventory, Variable, Variables};

/// Where a host has a variable from, the weaker first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// The group `all`.
    All,
    /// A place in [`Effective::groups`].
    Group(usize),
    /// The host itself.
    Host,
}

/// What holds for one host.
pub(super) struct Effective<'a> {
    /// Its groups, parents included and `all` left out, the weaker first.
    pub(super) groups: Vec<GroupId>,
    pub(super) variables: BTreeMap<&'a str, Found<'a>>,
}

/// A variable, and where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) variable: &'a Variable,
    pub(super) layer: Layer,
}

/// The groups of an inventory in their order.
pub(super) struct Precedence<'a> {
    inventory: &'a Inventory,
    /// A group with all that it is in, the weaker first, `all` left out; by group.
    ancestry: Vec<Vec<GroupId>>,
    /// A group's place among all groups, the weaker first.
    rank: Vec<usize>,
}

impl<'a> Precedence<'a> {
    /// For a settled inventory.
    pub(super) fn new(inventory: &'a Inventory) -> Self {
        let depths = depths(inventory);
        let mut order: Vec<GroupId> = (0..inventory.groups.len()).collect();
        order.sort_by_key(|&id| {
            let group = &inventory.groups[id];
            (depths[id], group.priority, group.name.as_str())
        });
        let mut rank = vec![0; order.len()];
        for (place, id) in order.into_iter().enumerate() {
            rank[id] = place;
        }
        let ancestry = (0..rank.len()).map(|id| {
            let mut groups: Vec<GroupId> = inventory.with_ancestors(id).into_iter().collect();
            groups.retain(|group| *group != ALL);
            groups.sort_by_key(|group| rank[*group]);
            groups
        });
        Self { inventory, ancestry: ancestry.collect(), rank }
    }

    pub(super) fn of(&self, host: &'a Host) -> Effective<'a> {
        let mut groups: Vec<GroupId> =
            host.groups.iter().flat_map(|group| &self.ancestry[*group]).copied().collect();
        groups.sort_by_key(|group| self.rank[*group]);
        groups.dedup();
        let mut variables = BTreeMap::new();
        let mut add = |layer, list: &'a Variables| {
            for (name, variable) in list {
                variables.insert(name.as_str(), Found { variable, layer });
            }
        };
        let known = &self.inventory.groups;
        add(Layer::All, &known[ALL].variables);
        for (place, group) in groups.iter().enumerate() {
            add(Layer::Group(place), &known[*group].variables);
        }
        add(Layer::All, &known[ALL].file_variables);
        for (place, group) in groups.iter().enumerate() {
            add(Layer::Group(place), &known[*group].file_variables);
        }
        add(Layer::Host, &host.variables);
        add(Layer::Host, &host.file_variables);
        Effective { groups, variables }
    }
}

/// How far each group is from `all`, by the longest way.
fn depths(inventory: &Inventory) -> Vec<usize> {
    let groups = &inventory.groups;
    let mut children: Vec<Vec<GroupId>> = vec![Vec::new(); groups.len()];
    let mut waits_for: Vec<usize> = groups.iter().map(|group| group.parents.len()).collect();
    for (id, group) in groups.iter().enumerate() {
        for parent in &group.parents {
            children[*parent].push(id);
        }
    }
    let mut depths = vec![0; groups.len()];
    let mut ready = vec![ALL];
    while let Some(id) = ready.pop() {
        for &child in &children[id] {
            depths[child] = depths[child].max(depths[id] + 1);
            waits_for[child] -= 1;
            if waits_for[child] == 0 {
                ready.push(child);
            }
        }
    }
    depths
}
