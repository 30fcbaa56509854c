//! What a group and a host may both say, and how one is laid over the other.
//!
//! `[ssh]`, then the host's groups in the order it lists them, then the host.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::items;
use crate::inventory::document::{Entries, Group, HostEntry, Scalar, Texts, Verbatim};
use crate::inventory::error::Problems;
use crate::inventory::model::Taint;
use crate::inventory::rules;
use crate::inventory::ssh::SshSettings;

/// One layer: what it does not set shows the one below.
#[derive(Debug, Default, Clone)]
pub(super) struct Layer {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) taints: Option<Vec<Taint>>,
    pub(super) kubelet_extra_args: BTreeMap<String, String>,
    pub(super) vars: Map<String, Value>,
    pub(super) ssh: SshSettings,
}

impl Layer {
    pub(super) fn of_group(raw: &Group, ssh: SshSettings, problems: &mut Problems) -> Self {
        Self {
            labels: labels(&raw.labels, problems),
            taints: taints(&raw.taints, problems),
            kubelet_extra_args: arguments(&raw.kubelet_extra_args, problems),
            vars: vars(&raw.vars),
            ssh,
        }
    }

    pub(super) fn of_host(raw: &HostEntry, ssh: SshSettings, problems: &mut Problems) -> Self {
        Self {
            labels: labels(&raw.labels, problems),
            taints: taints(&raw.taints, problems),
            kubelet_extra_args: arguments(&raw.kubelet_extra_args, problems),
            vars: vars(&raw.vars),
            ssh,
        }
    }

    /// Lays a group over this: its taints come in addition.
    pub(super) fn add_group(&mut self, group: &Self) {
        if let Some(more) = &group.taints {
            let taints = self.taints.get_or_insert_default();
            taints.retain(|old| !more.iter().any(|new| same_taint(old, new)));
            taints.extend_from_slice(more);
        }
        self.add_rest(group);
    }

    /// Lays a host over this: its taints replace those of its groups, so that `[]` removes them.
    pub(super) fn add_host(&mut self, host: &Self) {
        if host.taints.is_some() {
            self.taints.clone_from(&host.taints);
        }
        self.add_rest(host);
    }

    fn add_rest(&mut self, upper: &Self) {
        let copy = |(key, value): (&String, &String)| (key.clone(), value.clone());
        self.labels.extend(upper.labels.iter().map(copy));
        self.kubelet_extra_args.extend(upper.kubelet_extra_args.iter().map(copy));
        self.vars.extend(upper.vars.iter().map(|(key, value)| (key.clone(), value.clone())));
        self.ssh.add(&upper.ssh);
    }
}

/// Kubernetes tells taints apart by key and effect.
fn same_taint(left: &Taint, right: &Taint) -> bool {
    left.key == right.key && left.effect == right.effect
}

fn labels(entries: &Entries<Scalar>, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, value) in entries {
        problems.check(key, |key| rules::label_key(key));
        problems.check(value, |value| rules::label_value(&value.0));
        labels.insert(key.get_ref().clone(), value.get_ref().0.clone());
    }
    labels
}

fn arguments(entries: &Entries<Scalar>, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut arguments = BTreeMap::new();
    for (name, value) in entries {
        problems.check(name, |name| rules::argument_name(name));
        problems.check(value, |value| rules::argument_value(&value.0));
        arguments.insert(name.get_ref().clone(), value.get_ref().0.clone());
    }
    arguments
}

fn taints(texts: &Texts, problems: &mut Problems) -> Option<Vec<Taint>> {
    let check = |item: &_| problems.check(item, |text: &&str| rules::taint(text));
    texts.is_some().then(|| items(texts).iter().filter_map(check).collect())
}

fn vars(entries: &Entries<Verbatim>) -> Map<String, Value> {
    entries.iter().map(|(key, value)| (key.get_ref().clone(), value.get_ref().0.clone())).collect()
}
