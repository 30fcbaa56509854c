//! The fields of a ClusterConfiguration as keys of an inventory's `[cluster]`: which becomes which, and how their values
//! are spelled there. Whether they are right is for the inventory's rules.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::check::duration;
use crate::cluster::yaml::located::{Content, Entry, Node, Span};

/// What becomes of a field.
#[derive(Clone, Copy)]
enum To {
    /// The key of the inventory that says the same.
    Key(&'static str),
    /// The same; looked at only where the file describes an inventory's cluster, for the key may be refused as such.
    Known(&'static str),
    /// The same for a duration, of which the inventory has other spellings.
    Period(&'static str),
    /// A table of the inventory, and what becomes of its fields.
    Table(&'static str, &'static [(&'static str, To)]),
    /// Arguments of a component.
    Arguments,
    /// Nothing; it is looked at elsewhere.
    Elsewhere,
}

use To::{Arguments, Elsewhere, Key, Known, Period, Table};

const COMPONENT: &[(&str, To)] = &[
    ("extraArgs", Arguments),
    ("extraVolumes", Known("extra_volumes")),
    ("extraEnvs", Known("extra_envs")),
];

const API_SERVER: &[(&str, To)] = &[
    ("extraArgs", Arguments),
    ("extraVolumes", Known("extra_volumes")),
    ("extraEnvs", Known("extra_envs")),
    ("certSANs", Key("cert_sans")),
    ("timeoutForControlPlane", Elsewhere),
];

const LOCAL_ETCD: &[(&str, To)] = &[
    ("imageRepository", Key("image_repository")),
    ("imageTag", Key("image_tag")),
    ("dataDir", Key("data_dir")),
    ("extraArgs", Arguments),
    ("extraEnvs", Known("extra_envs")),
    ("serverCertSANs", Key("server_cert_sans")),
    ("peerCertSANs", Key("peer_cert_sans")),
];

const NETWORKING: &[(&str, To)] = &[
    ("podSubnet", Key("pod_subnet")),
    ("serviceSubnet", Key("service_subnet")),
    ("dnsDomain", Key("dns_domain")),
];

const DNS: &[(&str, To)] = &[
    ("type", Elsewhere),
    ("imageRepository", Key("image_repository")),
    ("imageTag", Key("image_tag")),
    ("disabled", Key("disabled")),
];

const CLUSTER: &[(&str, To)] = &[
    ("clusterName", Key("name")),
    ("kubernetesVersion", Key("kubernetes_version")),
    ("controlPlaneEndpoint", Key("control_plane_endpoint")),
    ("imageRepository", Key("image_repository")),
    ("networking", Table("networking", NETWORKING)),
    ("apiServer", Table("api_server", API_SERVER)),
    ("controllerManager", Table("controller_manager", COMPONENT)),
    ("scheduler", Table("scheduler", COMPONENT)),
    ("etcd", Elsewhere),
    ("dns", Table("dns", DNS)),
    ("proxy", Table("proxy", &[("disabled", Key("disabled"))])),
    ("certificatesDir", Known("certificates_dir")),
    ("featureGates", Known("feature_gates")),
    ("encryptionAlgorithm", Known("encryption_algorithm")),
    ("certificateValidityPeriod", Period("certificate_validity_period")),
    ("caCertificateValidityPeriod", Period("ca_certificate_validity_period")),
    ("useHyperKubeImage", Elsewhere),
];

/// What happens anyway. Fields that say nothing else need no counterpart.
const ANYWAY: [(&str, &str); 11] = [
    ("certificatesDir", "/etc/kubernetes/pki"),
    ("encryptionAlgorithm", "RSA-2048"),
    ("certificateValidityPeriod", "8760h0m0s"),
    ("caCertificateValidityPeriod", "87600h0m0s"),
    ("caCertPath", "/etc/kubernetes/pki/ca.crt"),
    ("imagePullPolicy", "IfNotPresent"),
    ("imagePullSerial", "true"),
    ("kubernetesAPICall", "1m0s"),
    ("upgradeManifests", "5m0s"),
    ("type", "CoreDNS"),
    ("useHyperKubeImage", "false"),
];

/// Whether a field says nothing, or what happens anyway.
pub(super) fn goes_without_saying(entry: &Entry) -> bool {
    let same = |said: &str| {
        ANYWAY.iter().any(|(name, usual)| {
            *name == entry.key
                && (*usual == said
                    || duration(usual).is_some() && duration(usual) == duration(said))
        })
    };
    match &entry.node.value {
        Content::Null => true,
        Content::Text(text) => text.is_empty() || same(text),
        Content::Bool(truth) => !truth || same("true"),
        Content::Number(_) => false,
        Content::List(items) => items.is_empty(),
        Content::Map(entries) => entries.iter().all(goes_without_saying),
    }
}

/// A table in the making, with places in a kubeadm file.
#[derive(Default)]
pub(super) struct Builder(pub(super) DeTable<'static>);

impl Builder {
    fn set(&mut self, key: &'static str, entry: &Entry, value: DeValue<'static>) {
        let key = Spanned::new(entry.key_span.clone(), Cow::Borrowed(key));
        self.0.insert(key, Spanned::new(entry.node.span.clone(), value));
    }

    /// What a mapping says, by a list of fields. `whole` is set where the file describes an inventory's cluster.
    fn fields(&mut self, node: &Node, fields: &[(&str, To)], whole: bool) {
        for entry in node.entries().iter().filter(|entry| !says_nothing(&entry.node)) {
            let to = fields.iter().find(|(name, _)| *name == entry.key).map(|(_, to)| *to);
            match to {
                Some(Key(key)) => self.set(key, entry, scalar_or_list(&entry.node)),
                Some(Known(key)) if whole && !goes_without_saying(entry) => {
                    self.set(key, entry, scalar_or_list(&entry.node));
                }
                Some(Period(key)) if whole && !goes_without_saying(entry) => {
                    let nanoseconds = entry.node.text().and_then(duration).unwrap_or_default();
                    let period = format!("{}s", nanoseconds / 1_000_000_000);
                    self.set(key, entry, DeValue::String(Cow::Owned(period)));
                }
                Some(Table(key, fields)) => {
                    let mut below = Self::default();
                    below.fields(&entry.node, fields, whole);
                    self.set(key, entry, DeValue::Table(below.0));
                }
                Some(Arguments) => self.set("extra_args", entry, arguments(&entry.node)),
                Some(Known(_) | Period(_) | Elsewhere) | None => {}
            }
        }
    }
}

fn says_nothing(node: &Node) -> bool {
    match &node.value {
        Content::Null => true,
        Content::Text(text) => text.is_empty(),
        Content::List(items) => items.is_empty(),
        _ => false,
    }
}

/// A value as TOML has it.
fn scalar_or_list(node: &Node) -> DeValue<'static> {
    match &node.value {
        Content::Null => DeValue::String(Cow::Borrowed("")),
        Content::Bool(truth) => DeValue::Boolean(*truth),
        // No field of a ClusterConfiguration is a number.
        Content::Number(number) => DeValue::String(Cow::Owned(number.to_string())),
        Content::Text(text) => DeValue::String(Cow::Owned(text.clone())),
        Content::List(items) => {
            let mut list = DeArray::new();
            for item in items {
                list.push(Spanned::new(item.span.clone(), scalar_or_list(item)));
            }
            DeValue::Array(list)
        }
        Content::Map(entries) => {
            let mut table = DeTable::new();
            for entry in entries.iter().filter(|entry| !entry.node.is_null()) {
                let key = Spanned::new(entry.key_span.clone(), Cow::Owned(snake_case(&entry.key)));
                table.insert(
                    key,
                    Spanned::new(entry.node.span.clone(), scalar_or_list(&entry.node)),
                );
            }
            DeValue::Table(table)
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// What a ClusterConfiguration says, as `[cluster]` would say it.
pub(super) fn table(body: &Node, whole: bool) -> Builder {
    let mut table = Builder::default();
    table.fields(body, CLUSTER, whole);
    let Some(etcd) = body.entry("etcd") else { return table };
    let mut below = Builder::default();
    if let Some(local) = etcd.node.entry("local") {
        below.fields(&local.node, LOCAL_ETCD, whole);
    }
    table.set("etcd", etcd, DeValue::Table(below.0));
    table
}

/// Names and values of arguments, a map or a list, in the order of the file.
pub(super) fn pairs(node: &Node) -> Vec<(&str, &str, Span)> {
    match &node.value {
        Content::Map(entries) => entries
            .iter()
            .filter_map(|entry| Some((&*entry.key, entry.node.text()?, entry.key_span.clone())))
            .collect(),
        _ => node
            .items()
            .iter()
            .filter_map(|item| {
                let name = item.entry("name")?;
                let value = item.at(&["value"]).and_then(Node::text).unwrap_or_default();
                Some((name.node.text()?, value, name.node.span.clone()))
            })
            .collect(),
    }
}

/// Arguments as the inventory has them: a table, in which an array repeats one.
fn arguments(node: &Node) -> DeValue<'static> {
    let mut table = DeTable::new();
    for (name, value, place) in pairs(node) {
        let key = Spanned::new(place.clone(), Cow::Owned(name.to_owned()));
        let value = Spanned::new(place.clone(), DeValue::String(Cow::Owned(value.to_owned())));
        match table.get_mut(&key).map(Spanned::get_mut) {
            None => {
                table.insert(key, value);
            }
            Some(DeValue::Array(list)) => list.push(value),
            Some(single) => {
                let first = std::mem::replace(single, DeValue::Boolean(false));
                let mut list = DeArray::new();
                list.push(Spanned::new(place.clone(), first));
                list.push(value);
                *single = DeValue::Array(list);
            }
        }
    }
    DeValue::Table(table)
}
