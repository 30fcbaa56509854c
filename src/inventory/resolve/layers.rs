//! What a group and a host may both say, and how one is laid over the other.
//!
//! Built-in defaults, then `[ssh]`, then the host's groups in the order it lists them, then the host.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::items;
use crate::inventory::document::{
    Entries, Group, HostEntry, Number, Opt, Scalar, Ssh, Texts, Verbatim,
};
use crate::inventory::error::Problems;
use crate::inventory::model::{Become, SshSettings, Taint};
use crate::inventory::paths::Paths;
use crate::inventory::rules;

/// One layer: what it does not set shows the one below.
#[derive(Debug, Default, Clone)]
pub(super) struct Layer {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) taints: Option<Vec<Taint>>,
    pub(super) kubelet_extra_args: BTreeMap<String, String>,
    pub(super) vars: Map<String, Value>,
    pub(super) ssh: SshLayer,
}

/// The `[ssh]` keys of one layer.
#[derive(Debug, Default, Clone)]
pub(super) struct SshLayer {
    user: Option<String>,
    port: Option<u16>,
    identity_files: Option<Vec<PathBuf>>,
    identity_agent: Option<PathBuf>,
    known_hosts: Option<Vec<PathBuf>>,
    connect_timeout: Option<Duration>,
    command_timeout: Option<Duration>,
    keepalive: Option<Duration>,
    become_root: Option<Become>,
}

impl Layer {
    pub(super) fn of_group(raw: &Group, paths: &Paths, problems: &mut Problems) -> Self {
        Self {
            labels: labels(&raw.labels, problems),
            taints: taints(&raw.taints, problems),
            kubelet_extra_args: arguments(&raw.kubelet_extra_args, problems),
            vars: vars(&raw.vars),
            ssh: SshLayer::read(&raw.ssh, paths, problems),
        }
    }

    pub(super) fn of_host(raw: &HostEntry, paths: &Paths, problems: &mut Problems) -> Self {
        Self {
            labels: labels(&raw.labels, problems),
            taints: taints(&raw.taints, problems),
            kubelet_extra_args: arguments(&raw.kubelet_extra_args, problems),
            vars: vars(&raw.vars),
            ssh: SshLayer::read(&raw.ssh, paths, problems),
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

impl SshLayer {
    pub(super) fn read(raw: &Ssh, paths: &Paths, problems: &mut Problems) -> Self {
        problems.unsupported(&[
            ("jump", &raw.jump),
            ("certificate_file", &raw.certificate_file),
            ("password_command", &raw.password_command),
            ("become_user", &raw.become_user),
        ]);
        problems.check_opt(raw.host_key_policy.as_ref(), |text| rules::host_key_policy(text));
        let mut duration =
            |number: &Opt<Number>| problems.check_opt(number.as_ref(), rules::duration);
        let connect_timeout = duration(&raw.connect_timeout);
        let command_timeout = duration(&raw.command_timeout);
        let keepalive = duration(&raw.keepalive);
        let mut files = |texts: &Texts| {
            let expand = |item: &_| problems.check(item, |text: &&str| paths.expand(text));
            texts.is_some().then(|| items(texts).iter().filter_map(expand).collect())
        };
        let identity_files = files(&raw.identity_file);
        let known_hosts = files(&raw.known_hosts);
        Self {
            user: problems.check_opt(raw.user.as_ref(), |text| rules::user(text)),
            port: problems.check_opt(raw.port.as_ref(), |number| rules::port(*number)),
            identity_files,
            identity_agent: problems
                .check_opt(raw.identity_agent.as_ref(), |text| paths.expand(text)),
            known_hosts,
            connect_timeout,
            command_timeout,
            keepalive,
            become_root: problems
                .check_opt(raw.become_root.as_ref(), |text| rules::become_root(text)),
        }
    }

    fn add(&mut self, upper: &Self) {
        fn put<T: Clone>(lower: &mut Option<T>, upper: &Option<T>) {
            if upper.is_some() {
                lower.clone_from(upper);
            }
        }
        put(&mut self.user, &upper.user);
        put(&mut self.port, &upper.port);
        put(&mut self.identity_files, &upper.identity_files);
        put(&mut self.identity_agent, &upper.identity_agent);
        put(&mut self.known_hosts, &upper.known_hosts);
        put(&mut self.connect_timeout, &upper.connect_timeout);
        put(&mut self.command_timeout, &upper.command_timeout);
        put(&mut self.keepalive, &upper.keepalive);
        put(&mut self.become_root, &upper.become_root);
    }

    /// The settings, with the built-in defaults below everything.
    pub(super) fn settle(self) -> SshSettings {
        SshSettings {
            user: self.user,
            port: self.port.unwrap_or(22),
            identity_files: self.identity_files.unwrap_or_default(),
            identity_agent: self.identity_agent,
            known_hosts: self.known_hosts.unwrap_or_default(),
            connect_timeout: self.connect_timeout.unwrap_or(Duration::from_secs(15)),
            command_timeout: self.command_timeout.unwrap_or(Duration::from_secs(600)),
            keepalive: self.keepalive.unwrap_or(Duration::from_secs(15)),
            become_root: self.become_root.unwrap_or(Become::None),
        }
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
