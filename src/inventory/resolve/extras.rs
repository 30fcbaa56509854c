//! What is put on hosts and run there besides the cluster: registries, files, manifests, hooks; and
//! the preflight checks to ignore.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;

use super::items;
use crate::inventory::document::{
    Entries, FileEntry, HookEntry, ManifestEntry, Preflight, RegistryEntry, Text, Texts,
};
use crate::inventory::error::{Fault, Problems, Span, quoted};
use crate::inventory::model::{FileSection, HookSection, HookWhen, Host, RegistrySection};
use crate::inventory::paths::Paths;
use crate::inventory::rules;
use crate::inventory::selection::{Selection, words};
use crate::inventory::suggest::nearest;

const DEFAULT_MODE: u32 = 0o644;

/// For who puts one into the URL of a registry's mirror.
const NO_PASSWORD: &str = "the kubelet takes credentials of registries from image pull secrets or its credential providers";

/// The phases a hook can be tied to, as kubeadm names them.
const PHASES: [&str; 39] = [
    "init/preflight",
    "init/certs",
    "init/kubeconfig",
    "init/etcd",
    "init/control-plane",
    "init/kubelet-start",
    "init/wait-control-plane",
    "init/upload-config",
    "init/upload-certs",
    "init/mark-control-plane",
    "init/bootstrap-token",
    "init/kubelet-finalize",
    "init/addon/coredns",
    "init/addon/kube-proxy",
    "init/show-join-command",
    "etcd/preflight",
    "etcd/certs",
    "etcd/member-certs",
    "etcd/kubelet-start",
    "etcd/init",
    "etcd/join",
    "etcd/client-certs",
    "join/preflight",
    "join/kubelet-start",
    "join/kubelet-wait-bootstrap",
    "prepare/binaries",
    "prepare/files",
    "prepare/registries",
    "prepare/images",
    "load-balancer/haproxy",
    "load-balancer/keepalived",
    "load-balancer/kube-vip",
    "cluster/endpoint",
    "cluster/node-labels",
    "cluster/manifests",
    "reset/preflight",
    "reset/delete-node",
    "reset/remove-etcd-member",
    "reset/cleanup-node",
];

/// What resolving these sections needs.
pub(super) struct Extras<'a> {
    pub(super) text: &'a str,
    pub(super) paths: &'a Paths,
    /// Absent when hosts have mistakes: then selections are not looked at.
    pub(super) hosts: Option<&'a [Arc<Host>]>,
}

impl Extras<'_> {
    pub(super) fn registries(
        &self,
        entries: &Entries<RegistryEntry>,
        problems: &mut Problems,
    ) -> Vec<RegistrySection> {
        let mut sections = Vec::new();
        for (name, entry) in entries {
            let registry = problems.check(name, |name| rules::registry(name));
            let RegistryEntry { mirrors, ca_file } = entry.get_ref();
            let listed = problems.required(&name.span(), "mirrors", mirrors.as_ref());
            let items = items(mirrors);
            if let Some(list) = listed.filter(|_| items.is_empty()) {
                let fault = Fault::new("a registry without mirrors", "expected at least one URL");
                problems.push(fault.at(list.span()));
            }
            let check = |url: &&str| rules::mirror(url, NO_PASSWORD);
            let urls = items.iter().map(|item| problems.check(item, check));
            let mirrors = urls.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>();
            let ca_file = problems.check_opt(ca_file.as_ref(), |text| self.paths.file(text));
            if let (Some(name), Some(mirrors)) = (registry, mirrors) {
                sections.push(RegistrySection { name, mirrors, ca_file });
            }
        }
        sections
    }

    pub(super) fn files(
        &self,
        entries: &[Spanned<FileEntry>],
        problems: &mut Problems,
    ) -> Vec<FileSection> {
        let mut sections: Vec<(FileSection, Span)> = Vec::new();
        for entry in entries {
            let raw = entry.get_ref();
            let source = self.file("source", &raw.source, &entry.span(), problems);
            let dest = problems.required(&entry.span(), "dest", raw.dest.as_ref());
            let target = problems.check_opt(dest, |text| destination(text, raw.template));
            let written =
                raw.mode.as_ref().and_then(|mode| self.text.get(mode.span())).unwrap_or_default();
            let mode = problems.check_opt(raw.mode.as_ref(), |mode| rules::mode(mode, written));
            let hosts = self.hosts(&raw.hosts, problems);
            if let (Some(source), Some(target), Some(dest)) = (source, target, dest) {
                let mode = mode.unwrap_or(DEFAULT_MODE);
                let template = raw.template;
                let section = FileSection { source, dest: target, mode, hosts, template };
                check_destination(&sections, &section, &dest.span(), problems);
                sections.push((section, dest.span()));
            }
        }
        sections.into_iter().map(|(section, _)| section).collect()
    }

    pub(super) fn manifests(
        &self,
        entries: &[Spanned<ManifestEntry>],
        problems: &mut Problems,
    ) -> Vec<PathBuf> {
        let file = |entry: &Spanned<ManifestEntry>| {
            self.file("path", &entry.get_ref().path, &entry.span(), problems)
        };
        entries.iter().filter_map(file).collect()
    }

    pub(super) fn hooks(
        &self,
        entries: &[Spanned<HookEntry>],
        problems: &mut Problems,
    ) -> Vec<HookSection> {
        let mut sections = Vec::new();
        for entry in entries {
            let raw = entry.get_ref();
            let script = self.file("script", &raw.script, &entry.span(), problems);
            let hosts = self.hosts(&raw.hosts, problems);
            let (when, phase) = match (&raw.before, &raw.after) {
                (Some(phase), None) => (HookWhen::Before, phase),
                (None, Some(phase)) => (HookWhen::After, phase),
                (None, None) => {
                    let fault = Fault::new("missing key `before` or `after`", "when does it run?")
                        .help("name a phase, as `before = \"init/kubelet-start\"`");
                    problems.push(fault.at(entry.span()));
                    continue;
                }
                (Some(before), Some(after)) => {
                    let fault = Fault::new("both `before` and `after`", "expected one of them")
                        .help("write two hooks");
                    problems.push(fault.at(after.span()).also(before.span(), "the other one"));
                    continue;
                }
            };
            let phase = problems.check(phase, |text| known_phase(text));
            if let (Some(script), Some(phase)) = (script, phase) {
                sections.push(HookSection { script, when, phase, hosts });
            }
        }
        sections
    }

    fn file(
        &self,
        key: &str,
        text: &Text,
        header: &Span,
        problems: &mut Problems,
    ) -> Option<PathBuf> {
        let text = problems.required(header, key, text.as_ref());
        problems.check_opt(text, |text| self.paths.file(text))
    }

    /// The names a `hosts` key selects; every host when it is left out.
    pub(super) fn hosts(&self, texts: &Texts, problems: &mut Problems) -> Vec<String> {
        let Some(hosts) = self.hosts else { return Vec::new() };
        let names = |hosts: &[&Arc<Host>]| hosts.iter().map(|host| host.name.clone()).collect();
        let Some(list) = texts else { return names(&hosts.iter().collect::<Vec<_>>()) };
        let mut selection = Selection::new(hosts);
        for item in items(texts) {
            for word in words(item.get_ref()) {
                if let Err(error) = selection.add(word) {
                    let label = "expected host names, globs, ranges, groups or roles";
                    problems.push(Fault::new(error.to_string(), label).at(item.span()));
                    return Vec::new();
                }
            }
        }
        match selection.finish() {
            Ok(picked) => names(&picked),
            Err(error) => {
                let fault = Fault::new(error.to_string(), "selects no host")
                    .help("leave `hosts` out to mean every host");
                problems.push(fault.at(list.span()));
                Vec::new()
            }
        }
    }
}

/// A template may compute its own place, so what it starts with is all that can be said.
fn destination(text: &str, template: bool) -> Result<String, Fault> {
    if template && text.starts_with("{{") {
        return Ok(text.to_owned());
    }
    let path = rules::absolute_path(text)?;
    if path.ends_with('/') {
        let fault =
            Fault::new(format!("{} names a directory", quoted(text)), "expected a file's path");
        return Err(fault);
    }
    Ok(path)
}

/// Two files for one place would overwrite each other in every run.
fn check_destination(
    earlier: &[(FileSection, Span)],
    section: &FileSection,
    span: &Span,
    problems: &mut Problems,
) {
    let mut same = earlier.iter().filter(|(other, _)| other.dest == section.dest).peekable();
    if section.template && section.dest.contains("{{") || same.peek().is_none() {
        return;
    }
    let own: HashSet<&String> = section.hosts.iter().collect();
    for (other, first) in same {
        if let Some(host) = other.hosts.iter().find(|host| own.contains(host)) {
            let title = format!("two files for {} on host {}", quoted(&section.dest), quoted(host));
            let fault = Fault::new(title, "again here");
            problems.push(fault.at(span.clone()).also(first.clone(), "first here"));
            return;
        }
    }
}

fn known_phase(text: &str) -> Result<String, Fault> {
    if PHASES.contains(&text) {
        return Ok(text.to_owned());
    }
    let same_phase = PHASES
        .iter()
        .copied()
        .find(|phase| phase.split_once('/').is_some_and(|(_, name)| name == text));
    let fault = Fault::new(
        format!("unknown phase {}", quoted(text)),
        "expected `workflow/phase`, as `init/kubelet-start`",
    );
    Err(match nearest(text, PHASES).or(same_phase) {
        None => fault.help(format!("the phases are {}", PHASES.join(", "))),
        meant => fault.suggest(meant),
    })
}

/// Check names in lower case; `all` cannot stand with others.
pub(super) fn preflight_ignore(raw: &Preflight, problems: &mut Problems) -> Vec<String> {
    let items = items(&raw.ignore);
    let mut names: Vec<String> = Vec::new();
    for item in &items {
        let name = item.get_ref().trim().to_lowercase();
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ',') {
            let fault = Fault::new(
                format!("{} is not a check", quoted(item.get_ref())),
                "expected one name",
            );
            problems.push(fault.at(item.span()));
        } else if name == "all" && items.len() > 1 {
            let fault =
                Fault::new("`all` stands with other checks", "expected it alone, or not at all");
            problems.push(fault.at(item.span()));
        } else if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
