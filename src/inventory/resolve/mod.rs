//! A document to an inventory: rules applied, ranges expanded, groups and defaults folded in.
//!
//! Every function here records what is wrong and goes on, so one run shows all of it. What is
//! returned means something only while there are no problems.

mod cluster;
mod extras;
mod hosts;
mod layers;
mod ssh;
mod subnets;

pub(super) use ssh::Tables;

use super::document::{Document, OneOrMany, Texts};
use super::error::{Problems, Span};
use super::model::{Inventory, Role};
use super::paths::Paths;
use super::rules;

use toml::Spanned;

/// Resolves a whole document; `text` is its source. What is right and only more than the workflows can do yet goes to
/// `not_yet`.
pub(super) fn resolve(
    document: &Document,
    text: &str,
    paths: &Paths,
    problems: &mut Problems,
    not_yet: &mut Problems,
) -> Inventory {
    let (section, subnets) = document
        .cluster
        .as_ref()
        .map(|cluster| cluster::resolve(cluster, problems))
        .unwrap_or_default();
    let tables = Tables::of_document(document, text, paths, problems);
    let hosts = hosts::resolve(document, &subnets, &tables, problems);
    if let Some(cluster) = &document.cluster {
        check_roles(document, &cluster.span(), not_yet);
    }
    // A host with a mistake is missing here; selections that name it are not mistakes too.
    let selectable = if problems.is_empty() { Some(hosts.as_slice()) } else { None };
    let extras = extras::Extras { text, paths, hosts: selectable };
    Inventory {
        directory: paths.directory().to_owned(),
        cluster: section,
        artifacts: extras.artifacts(&document.artifacts, problems),
        files: extras.files(&document.files, problems),
        manifests: extras.manifests(&document.manifests, problems),
        hooks: extras.hooks(&document.hooks, problems),
        preflight_ignore: extras::preflight_ignore(&document.preflight, problems),
        hosts,
        jump_hosts: tables.into_jump_hosts(),
        not_yet: None,
    }
}

/// What workflows need of the hosts' roles, as far as this version goes. Preflight looks at any.
fn check_roles(document: &Document, cluster: &Span, problems: &mut Problems) {
    use super::error::Fault;
    let mut first: Option<Span> = None;
    for entry in &document.hosts {
        let entry = entry.get_ref();
        let Some(word) = &entry.role else { continue };
        match rules::role(word.get_ref()) {
            Ok(Role::Etcd) => {
                let fault = Fault::unsupported("an external etcd (role `etcd` in a cluster)");
                problems.push(fault.help("etcd runs on the control plane").at(word.span()));
            }
            Ok(Role::ControlPlane) => {
                let name = entry.name.as_ref();
                let names = name.map(|name| super::ranges::expand(name.get_ref()));
                let several = matches!(names, Some(Ok(names)) if names.len() > 1);
                let span = name.map_or(word.span(), Spanned::span);
                let fault = || {
                    Fault::unsupported("more than one control-plane host")
                        .help("give one host the role `control-plane` and the others `worker`")
                };
                match &first {
                    Some(first) => {
                        let also = "the control plane is here";
                        problems.push(fault().at(word.span()).also(first.clone(), also));
                    }
                    None if several => problems.push(fault().at(span.clone())),
                    None => {}
                }
                first.get_or_insert(span);
            }
            Ok(Role::Worker) | Err(_) => {}
        }
    }
    if first.is_none() {
        let fault = Fault::new("no host has the role `control-plane`", "this cluster needs one");
        problems.push(fault.help("add `role = \"control-plane\"` to a host").at(cluster.clone()));
    }
}

/// The items of a list that may be left out.
fn items(texts: &Texts) -> Vec<Spanned<&str>> {
    texts.as_ref().map(OneOrMany::items).unwrap_or_default()
}
