//! A document to an inventory: rules applied, ranges expanded, groups and defaults folded in.
//!
//! Every function here records what is wrong and goes on, so one run shows all of it. What is
//! returned means something only while there are no problems.

mod artifacts;
mod cluster;
mod components;
mod etcd;
mod extras;
mod hosts;
mod layers;
mod load_balancer;
mod ssh;
mod subnets;

pub(crate) use etcd::use_hosts as use_etcd_hosts;
pub(super) use ssh::Tables;

use super::document::{self, Document, OneOrMany, Texts};
use super::error::{Fault, Problems, Span};
use super::model::{ClusterSection, Inventory, Role};
use super::paths::Paths;
use super::rules;
use subnets::Subnet;

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
    let (mut section, subnets) = document
        .cluster
        .as_ref()
        .map(|cluster| cluster_section(cluster, paths, problems))
        .unwrap_or_default();
    let kubeadm_config =
        problems.check_opt(document.kubeadm_config.as_ref(), |text| paths.file(text));
    if let (Some(file), Some(cluster)) = (&document.kubeadm_config, &document.cluster) {
        let fault = Fault::new(
            "both `kubeadm_config` and `[cluster]` describe the cluster",
            "expected one of them",
        );
        problems.push(fault.at(file.span()).also(cluster.span(), "the other one"));
    }
    let tables = Tables::of_document(document, text, paths, problems);
    let hosts = hosts::resolve(document, &subnets, &tables, problems);
    if let Some(cluster) = &document.cluster {
        check_roles(document, cluster, not_yet);
        etcd::check(document, cluster, problems, not_yet);
    }
    if let Some(section) = &mut section {
        etcd::use_hosts(&mut section.etcd, &hosts);
    }
    // A host with a mistake is missing here; selections that name it are not mistakes too.
    let selectable = if problems.is_empty() { Some(hosts.as_slice()) } else { None };
    let extras = extras::Extras { text, paths, hosts: selectable };
    if let (Some(cluster), Some(section)) = (&document.cluster, &mut section) {
        section.load_balancer =
            load_balancer::resolve(cluster.get_ref(), section, &subnets, &extras, problems);
    }
    Inventory {
        directory: paths.directory().to_owned(),
        kubeadm_config,
        cluster: section,
        artifacts: artifacts::resolve(&document.artifacts, paths, problems),
        registries: extras.registries(&document.registries, problems),
        files: extras.files(&document.files, problems),
        manifests: extras.manifests(&document.manifests, problems),
        hooks: extras.hooks(&document.hooks, problems),
        preflight_ignore: extras::preflight_ignore(&document.preflight, problems),
        hosts,
        jump_hosts: tables.into_jump_hosts(),
        not_yet: None,
    }
}

/// A cluster section that is not part of a document.
pub(super) fn section(
    cluster: &Spanned<document::Cluster>,
    paths: &Paths,
    problems: &mut Problems,
) -> Option<ClusterSection> {
    cluster_section(cluster, paths, problems).0
}

fn cluster_section(
    cluster: &Spanned<document::Cluster>,
    paths: &Paths,
    problems: &mut Problems,
) -> (Option<ClusterSection>, Vec<Subnet>) {
    let (section, subnets) = cluster::resolve(cluster, paths, problems);
    let patches =
        problems.check_opt(cluster.get_ref().patches.as_ref(), |text| paths.directory_at(text));
    (section.map(|section| ClusterSection { patches, ..section }), subnets)
}

/// What workflows need of the hosts' roles. Preflight looks at any.
fn check_roles(document: &Document, cluster: &Spanned<document::Cluster>, problems: &mut Problems) {
    let mut control_planes: Vec<Span> = Vec::new();
    for entry in &document.hosts {
        let entry = entry.get_ref();
        let Some(word) = &entry.role else { continue };
        match rules::role(word.get_ref()) {
            Ok(Role::ControlPlane) => {
                let name = entry.name.as_ref();
                let names = name.map(|name| super::ranges::expand(name.get_ref()));
                let count = names.and_then(Result::ok).map_or(1, |names| names.len());
                let span = name.map_or(word.span(), Spanned::span);
                control_planes.extend(std::iter::repeat_n(span, count));
            }
            Ok(Role::Worker | Role::Etcd) | Err(_) => {}
        }
    }
    match control_planes.as_slice() {
        [] => {
            let fault =
                Fault::new("no host has the role `control-plane`", "this cluster needs one");
            problems
                .push(fault.help("add `role = \"control-plane\"` to a host").at(cluster.span()));
        }
        [_] => {}
        // As kubeadm has it: what names one of them would be lost with it.
        [_, second, ..] if cluster.get_ref().control_plane_endpoint.is_none() => {
            let fault = Fault::new(
                "several control planes need `control_plane_endpoint`",
                "this is not the only control plane",
            );
            let help = "set it to a name or an address that leads to whichever of them is up, as \
                        \"k8s.example.com:6443\"";
            problems.push(fault.help(help).at(second.clone()));
        }
        _ => {}
    }
}

/// The items of a list that may be left out.
fn items(texts: &Texts) -> Vec<Spanned<&str>> {
    texts.as_ref().map(OneOrMany::items).unwrap_or_default()
}
