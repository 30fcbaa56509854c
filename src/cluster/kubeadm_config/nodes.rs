//! What the documents beside ClusterConfiguration mean for an inventory: for its hosts, its timeouts and the configuration
//! of its components.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::documents::{Documents, Kind};
use super::fields::{goes_without_saying, pairs};
use super::inventory::{no_counterpart, set_duration};
use super::values::spell_taint;
use crate::cluster::yaml::located::{Content, Entry, Node};
use crate::inventory::{
    ClusterSection, Fault, Host, Inventory, Problems, Role, Taint, quoted, taint,
};

/// The documents beside ClusterConfiguration on their way into an inventory.
pub(super) struct Mapping<'a> {
    pub(super) inventory: &'a mut Inventory,
    pub(super) section: ClusterSection,
    /// Where relative paths start.
    pub(super) directory: &'a Path,
    pub(super) problems: Problems,
}

impl Mapping<'_> {
    /// Everything but the ClusterConfiguration, whose section is there already.
    pub(super) fn documents(&mut self, documents: &Documents) {
        for document in &documents.documents {
            let body = &document.body;
            match document.kind {
                Kind::Init => self.init(body),
                Kind::Join => self.join(body),
                Kind::Kubelet => self.section.kubelet_configuration = own_fields(body),
                Kind::KubeProxy => self.section.kube_proxy_configuration = own_fields(body),
                Kind::Cluster => self.networks(body),
                Kind::Reset | Kind::Upgrade | Kind::ClusterStatus => {
                    for entry in fields(body).filter(|entry| !goes_without_saying(entry)) {
                        match entry.key.as_str() {
                            "timeouts" => self.timeouts(&entry.node),
                            "criSocket" => self.cri_socket(&entry.node),
                            _ => self.refuse(entry, "say it as an option of the command"),
                        }
                    }
                }
            }
        }
    }

    /// What workflows need of the hosts' roles, as where the section is the inventory's own.
    pub(super) fn roles(&self, documents: &Documents) -> Problems {
        let mut problems = Problems::default();
        let place = documents.of(Kind::Cluster).map_or(0..0, |it| it.body.span.clone());
        let count = |role| self.inventory.hosts.iter().filter(|host| host.role == role).count();
        let fault = match count(Role::ControlPlane) {
            0 => Fault::new("no host has the role `control-plane`", "this cluster needs one")
                .help("add `role = \"control-plane\"` to a host of the inventory"),
            2.. if self.section.control_plane_endpoint.is_none() => Fault::new(
                "several control planes need `controlPlaneEndpoint`",
                "expected a name or an address that leads to whichever of them is up",
            ),
            _ if self.inventory.hosts.iter().any(|host| host.is_etcd_without_address()) => {
                Fault::new(
                    "a host of etcd needs an IP address",
                    "members of etcd know each other by address",
                )
                .help("set `advertise_address` for it in the inventory")
            }
            _ => return problems,
        };
        problems.push(fault.at(place));
        problems
    }

    fn refuse(&mut self, entry: &Entry, advice: &str) {
        self.problems.push(no_counterpart(entry, advice));
    }

    fn init(&mut self, body: &Node) {
        let names: Vec<String> = self.names(|host| host.role == Role::ControlPlane);
        for entry in fields(body) {
            match entry.key.as_str() {
                "nodeRegistration" => self.node_registration(&entry.node, &names, true),
                "localAPIEndpoint" => self.local_endpoint(&entry.node, names.first()),
                "patches" => self.patches(&entry.node),
                "timeouts" => self.timeouts(&entry.node),
                _ if goes_without_saying(entry) => {}
                "bootstrapTokens" => {
                    self.refuse(entry, "leave it out; a token is made for each run and deleted");
                }
                "certificateKey" => {
                    self.refuse(entry, "leave it out; SSH carries the certificates")
                }
                _ => self.refuse_option(entry),
            }
        }
    }

    fn join(&mut self, body: &Node) {
        let control_plane = body.entry("controlPlane").is_some();
        let first = self.names(|host| host.role == Role::ControlPlane).into_iter().next();
        let names: Vec<String> = self.names(|host| match control_plane {
            true => host.role == Role::ControlPlane && Some(&host.name) != first.as_ref(),
            false => host.role == Role::Worker,
        });
        for entry in fields(body) {
            match entry.key.as_str() {
                "nodeRegistration" => self.node_registration(&entry.node, &names, false),
                "patches" => self.patches(&entry.node),
                "timeouts" => self.timeouts(&entry.node),
                "controlPlane" => {
                    if let Some(endpoint) = entry.node.at(&["localAPIEndpoint"]) {
                        self.local_endpoint(endpoint, None);
                    }
                    if let Some(key) = entry.node.entry("certificateKey") {
                        self.refuse(key, "leave it out; SSH carries the certificates");
                    }
                }
                _ if goes_without_saying(entry) => {}
                "discovery" | "caCertPath" => {
                    self.refuse(entry, "leave it out; SSH carries the cluster's authority");
                }
                _ => self.refuse_option(entry),
            }
        }
    }

    fn refuse_option(&mut self, entry: &Entry) {
        let advice = match entry.key.as_str() {
            "skipPhases" => "leave it out and say --skip-phases",
            "dryRun" => "leave it out and say --dry-run",
            _ => "leave it out",
        };
        self.refuse(entry, advice);
    }

    fn names(&self, wanted: impl Fn(&Host) -> bool) -> Vec<String> {
        self.inventory
            .hosts
            .iter()
            .filter(|host| wanted(host))
            .map(|host| host.name.clone())
            .collect()
    }

    /// `first` tells that the first of `names` is the host that kubeadm would run on.
    fn node_registration(&mut self, node: &Node, names: &[String], first: bool) {
        let mut settings = NodeSettings::default();
        for entry in node.entries() {
            match entry.key.as_str() {
                "taints" => settings.taints = taints(&entry.node),
                "kubeletExtraArgs" => settings.arguments = self.kubelet_arguments(&entry.node),
                "criSocket" => self.cri_socket(&entry.node),
                "ignorePreflightErrors" => {
                    let checks = entry.node.items().iter().filter_map(Node::text);
                    for check in checks.map(str::to_lowercase) {
                        if !self.inventory.preflight_ignore.contains(&check) {
                            self.inventory.preflight_ignore.push(check);
                        }
                    }
                }
                _ if goes_without_saying(entry) => {}
                "name" => {
                    let name = entry.node.text().unwrap_or_default().trim().to_lowercase();
                    if !first || names.first() != Some(&name) {
                        self.refuse(entry, "leave it out; a node has its host's name");
                    }
                }
                _ => self.refuse(entry, "leave it out"),
            }
        }
        for host in self.inventory.hosts.iter_mut().filter(|host| names.contains(&host.name)) {
            let host = Arc::make_mut(host);
            if host.taints.is_none() {
                host.taints.clone_from(&settings.taints);
            }
            for (name, value) in &settings.arguments {
                host.kubelet_extra_args.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    fn kubelet_arguments(&mut self, node: &Node) -> BTreeMap<String, String> {
        let mut arguments = BTreeMap::new();
        for (name, value, place) in pairs(node) {
            if arguments.insert(name.to_owned(), value.to_owned()).is_some() {
                let title = format!("the kubelet's argument {} is given twice", quoted(name));
                self.problems.push(Fault::new(title, "expected it once").at(place));
            }
        }
        arguments
    }

    fn cri_socket(&mut self, node: &Node) {
        let Some(text) = node.text().filter(|text| !text.is_empty()) else { return };
        let socket = format!("unix://{}", text.strip_prefix("unix://").unwrap_or(text));
        match &self.section.cri_socket {
            Some(other) if *other != socket => {
                let label = "an inventory has one `cri_socket` for every host";
                let title =
                    format!("two container runtimes: {} and {}", quoted(other), quoted(text));
                self.problems.push(Fault::new(title, label).at(node.span.clone()));
            }
            _ => self.section.cri_socket = Some(socket),
        }
    }

    /// `host` is the one whose address it is; `None` where that cannot be told.
    fn local_endpoint(&mut self, node: &Node, host: Option<&String>) {
        if let Some(entry) = node.entry("bindPort")
            && let Content::Number(number) = &entry.node.value
        {
            // 0 is Go's "not set".
            let port = number.as_u64().and_then(|it| u16::try_from(it).ok()).filter(|it| *it > 0);
            self.section.api_server.bind_port = port.unwrap_or(self.section.api_server.bind_port);
        }
        let Some(entry) = node.entry("advertiseAddress") else { return };
        let address = entry.node.text().and_then(|text| text.parse::<IpAddr>().ok());
        let Some(address) = address.filter(|address| !address.is_unspecified()) else { return };
        let Some(name) = host else {
            self.refuse(entry, "say it as `advertise_address` of the host");
            return;
        };
        let host = self.inventory.hosts.iter_mut().find(|host| host.name == *name);
        match host.map(|host| Arc::make_mut(host).advertise_address.get_or_insert(address)) {
            Some(own) if *own != address => {
                let title = format!("host {} advertises {own} in the inventory", quoted(name));
                let fault = Fault::new(title, "expected the same address, or none here");
                self.problems.push(fault.at(entry.node.span.clone()));
            }
            _ => {}
        }
    }

    fn patches(&mut self, node: &Node) {
        let Some(node) = node.at(&["directory"]) else { return };
        let Some(text) = node.text().filter(|text| !text.is_empty()) else { return };
        let path = self.directory.join(text);
        match &self.section.patches {
            Some(other) if *other != path => {
                let label = "an inventory has one directory of patches for every host";
                self.problems
                    .push(Fault::new("two directories of patches", label).at(node.span.clone()));
            }
            _ => self.section.patches = Some(path),
        }
    }

    fn timeouts(&mut self, node: &Node) {
        for entry in node.entries() {
            let timeouts = &mut self.section.timeouts;
            let timeout = match entry.key.as_str() {
                "controlPlaneComponentHealthCheck" => {
                    &mut timeouts.control_plane_component_health_check
                }
                "kubeletHealthCheck" => &mut timeouts.kubelet_health_check,
                "discovery" => &mut timeouts.discovery,
                "tlsBootstrap" => &mut timeouts.tls_bootstrap,
                "etcdAPICall" => &mut timeouts.etcd_api_call,
                _ => {
                    if !goes_without_saying(entry) {
                        self.refuse(entry, "leave it out");
                    }
                    continue;
                }
            };
            set_duration(timeout, &entry.node);
        }
    }

    /// What an inventory checks for its own networks.
    fn networks(&mut self, body: &Node) {
        let networking = &self.section.networking;
        for (name, networks) in
            [("podSubnet", &networking.pod_subnet), ("serviceSubnet", &networking.service_subnet)]
        {
            let place =
                body.at(&["networking", name]).map_or(body.span.clone(), |it| it.span.clone());
            let found = self.inventory.hosts.iter().find_map(|host| {
                let address = host.address.parse::<IpAddr>().ok();
                let own = address.into_iter().chain(host.advertise_address);
                own.into_iter().find_map(|own| {
                    let network = networks.iter().find(|network| network.contains(&own))?;
                    Some((host.name.clone(), own, *network))
                })
            });
            if let Some((host, address, network)) = found {
                let title =
                    format!("host {} has address {address} inside {network}", quoted(&host));
                let label = "hosts, pods and services need networks of their own";
                self.problems.push(Fault::new(title, label).at(place));
            }
        }
    }
}

/// What `nodeRegistration` says about hosts.
#[derive(Default)]
struct NodeSettings {
    taints: Option<Vec<Taint>>,
    arguments: BTreeMap<String, String>,
}

/// Null is the default, an empty list no taint.
fn taints(node: &Node) -> Option<Vec<Taint>> {
    match &node.value {
        Content::List(items) => {
            Some(items.iter().filter_map(|item| taint(&spell_taint(item)).ok()).collect())
        }
        _ => None,
    }
}

/// The fields beside those that say what the document is.
fn fields(body: &Node) -> impl Iterator<Item = &Entry> {
    body.entries().iter().filter(|entry| !["apiVersion", "kind"].contains(&&*entry.key))
}

fn own_fields(body: &Node) -> Map<String, Value> {
    fields(body).map(|entry| (entry.key.clone(), entry.node.to_value())).collect()
}
