//! `[cluster]`, with kubeadm's defaults.

use std::time::Duration;

use serde_json::{Map, Value};
use toml::Spanned;

use super::subnets::{self, Kind, Subnet};
use super::{components, etcd, items};
use crate::inventory::document::{self, ApiServerEntry, Arg, Entries, EtcdEntry, Texts, Verbatim};
use crate::inventory::error::{Fault, Problems, quoted};
use crate::inventory::model::{
    Addon, ApiServer, ClusterSection, Etcd, ExtraArgs, Networking, Timeouts,
};
use crate::inventory::paths::Paths;
use crate::inventory::rules;
use crate::inventory::suggest::nearest;

const DEFAULT_BIND_PORT: u16 = 6443;
const DEFAULT_DATA_DIR: &str = "/var/lib/etcd";
const DEFAULT_DNS_DOMAIN: &str = "cluster.local";
const DEFAULT_CERTIFICATE_VALIDITY: Duration = Duration::from_secs(8760 * 3600);
const DEFAULT_CA_VALIDITY: Duration = Duration::from_secs(87_600 * 3600);
const DEFAULT_NAME: &str = "kubernetes";

fn timeouts(raw: &document::TimeoutsEntry, problems: &mut Problems) -> Timeouts {
    let mut limit = |number: &document::Opt<document::Number>, default: Duration| {
        problems.check_opt(number.as_ref(), rules::duration).unwrap_or(default)
    };
    let defaults = Timeouts::default();
    Timeouts {
        control_plane_component_health_check: limit(
            &raw.control_plane_component_health_check,
            defaults.control_plane_component_health_check,
        ),
        kubelet_health_check: limit(&raw.kubelet_health_check, defaults.kubelet_health_check),
        discovery: limit(&raw.discovery, defaults.discovery),
        tls_bootstrap: limit(&raw.tls_bootstrap, defaults.tls_bootstrap),
        etcd_api_call: limit(&raw.etcd_api_call, defaults.etcd_api_call),
    }
}

/// The section, unless its version is missing or wrong, and its networks with their places.
pub(super) fn resolve(
    raw: &Spanned<document::Cluster>,
    paths: &Paths,
    problems: &mut Problems,
) -> (Option<ClusterSection>, Vec<Subnet>) {
    let header = raw.span();
    let raw = raw.get_ref();
    problems.unsupported(&[
        ("certificates_dir", &raw.certificates_dir),
        ("feature_gates", &raw.feature_gates),
    ]);
    let version = problems.required(&header, "kubernetes_version", raw.kubernetes_version.as_ref());
    let kubernetes_version = problems.check_opt(version, |text| rules::kubernetes_version(text));
    let controller_manager = extra_args(&raw.controller_manager.extra_args, problems);
    let subnets = subnets::resolve(&raw.networking, &controller_manager, &header, problems);
    let nets = |kind| subnets.iter().filter(|s| s.kind == kind).map(|s| s.net).collect();
    let networking = Networking {
        pod_subnet: nets(Kind::Pod),
        service_subnet: nets(Kind::Service),
        dns_domain: problems
            .check_opt(raw.networking.dns_domain.as_ref(), |text| rules::dns_domain(text))
            .unwrap_or_else(|| DEFAULT_DNS_DOMAIN.to_owned()),
    };
    let mut text = |value: &document::Text, rule: fn(&str) -> Result<String, Fault>| {
        problems.check_opt(value.as_ref(), |text| rule(text))
    };
    let name = text(&raw.name, rules::cluster_name).unwrap_or_else(|| DEFAULT_NAME.to_owned());
    let image_repository = text(&raw.image_repository, rules::image_repository);
    let cri_socket = text(&raw.cri_socket, rules::cri_socket);
    let dns = Addon {
        disabled: raw.dns.disabled,
        image_repository: text(&raw.dns.image_repository, rules::image_repository),
        image_tag: text(&raw.dns.image_tag, rules::image_tag),
    };
    let control_plane_endpoint =
        problems.check_opt(raw.control_plane_endpoint.as_ref(), |text| rules::endpoint(text));
    let encryption_algorithm = problems
        .check_opt(raw.encryption_algorithm.as_ref(), |text| rules::encryption_algorithm(text))
        .unwrap_or_default();
    let mut validity = |period: &document::Opt<document::Number>, default| {
        problems.check_opt(period.as_ref(), rules::validity_period).unwrap_or(default)
    };
    let certificate_validity_period =
        validity(&raw.certificate_validity_period, DEFAULT_CERTIFICATE_VALIDITY);
    let ca_certificate_validity_period =
        validity(&raw.ca_certificate_validity_period, DEFAULT_CA_VALIDITY);
    let pki_directory = problems
        .check_opt(raw.pki.directory.as_ref(), |text| paths.directory_with_private_keys(text));
    let api_server = api_server(&raw.api_server, problems);
    let scheduler = extra_args(&raw.scheduler.extra_args, problems);
    let etcd = etcd(&raw.etcd, paths, problems);
    let extras = components::extras(raw, kubernetes_version, problems);
    let kubelet_configuration = configuration(
        &raw.kubelet_configuration,
        ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"),
        problems,
    );
    let kube_proxy_configuration = configuration(
        &raw.kube_proxy_configuration,
        ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"),
        problems,
    );
    let timeouts = timeouts(&raw.timeouts, problems);
    let section = kubernetes_version.map(|kubernetes_version| ClusterSection {
        name,
        kubernetes_version,
        control_plane_endpoint,
        // Names hosts, so it is resolved once these are.
        load_balancer: None,
        image_repository,
        cri_socket,
        encryption_algorithm,
        certificate_validity_period,
        ca_certificate_validity_period,
        pki_directory,
        networking,
        api_server,
        controller_manager,
        scheduler,
        etcd,
        extras,
        dns,
        timeouts,
        proxy: Addon { disabled: raw.proxy.disabled, ..Addon::default() },
        kubelet_configuration,
        kube_proxy_configuration,
        patches: None,
    });
    (section, subnets)
}

fn api_server(raw: &ApiServerEntry, problems: &mut Problems) -> ApiServer {
    ApiServer {
        bind_port: problems
            .check_opt(raw.bind_port.as_ref(), |number| rules::port(*number))
            .unwrap_or(DEFAULT_BIND_PORT),
        extra_args: extra_args(&raw.extra_args, problems),
        cert_sans: sans(&raw.cert_sans, problems),
    }
}

fn etcd(raw: &EtcdEntry, paths: &Paths, problems: &mut Problems) -> Etcd {
    Etcd {
        data_dir: problems
            .check_opt(raw.data_dir.as_ref(), |text| rules::absolute_path(text))
            .unwrap_or_else(|| DEFAULT_DATA_DIR.to_owned()),
        extra_args: extra_args(&raw.extra_args, problems),
        image_repository: problems
            .check_opt(raw.image_repository.as_ref(), |text| rules::image_repository(text)),
        image_tag: problems.check_opt(raw.image_tag.as_ref(), |text| rules::image_tag(text)),
        server_cert_sans: sans(&raw.server_cert_sans, problems),
        peer_cert_sans: sans(&raw.peer_cert_sans, problems),
        manager: problems
            .check_opt(raw.manager.as_ref(), |text| rules::etcd_manager(text))
            .unwrap_or_default(),
        external: raw.external.as_ref().map(|raw| etcd::external(raw, paths, problems)),
    }
}

fn sans(texts: &Texts, problems: &mut Problems) -> Vec<String> {
    let items = items(texts);
    items.iter().filter_map(|item| problems.check(item, |text| rules::san(text))).collect()
}

/// Arguments in document order: the reader sorts keys, their places restore the order.
fn extra_args(entries: &Entries<Arg>, problems: &mut Problems) -> ExtraArgs {
    let mut ordered: Vec<_> = entries.iter().collect();
    ordered.sort_by_key(|(name, _)| name.span().start);
    let mut arguments = ExtraArgs::new();
    for (name, values) in ordered {
        problems.check(name, |name| rules::argument_name(name));
        for value in &values.get_ref().0 {
            problems.check(values, |_| rules::argument_value(value));
            arguments.push((name.get_ref().clone(), value.clone()));
        }
    }
    arguments
}

/// A component's own configuration, verbatim. Its type is known, so `apiVersion` and `kind` may only
/// repeat it, and are left out.
fn configuration(
    entries: &Entries<Verbatim>,
    (api_version, kind): (&str, &str),
    problems: &mut Problems,
) -> Map<String, Value> {
    let mut fields = Map::new();
    for (key, value) in entries {
        let expected = match key.get_ref().as_str() {
            "apiVersion" => Some(api_version),
            "kind" => Some(kind),
            _ => None,
        };
        if let Some(expected) = expected {
            if value.get_ref().0 != expected {
                let title = format!("`{}` cannot be changed here", key.get_ref());
                let fault = Fault::new(title, format!("expected `{expected}`"));
                problems.push(fault.help("leave it out").at(value.span()));
            }
            continue;
        }
        problems.check(key, |key| field_name(key, kind));
        fields.insert(key.get_ref().clone(), value.get_ref().0.clone());
    }
    fields
}

/// The API's fields are in camelCase; a snake_case one would be dropped without a word.
fn field_name(key: &str, kind: &str) -> Result<(), Fault> {
    let lower = key.starts_with(|c: char| c.is_ascii_lowercase());
    if lower && key.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    let camel = camel_case(key);
    let fault = Fault::new(
        format!("{} is not a field of {kind}", quoted(key)),
        "fields are written as the Kubernetes API has them, in camelCase",
    );
    Err(fault.suggest(nearest(key, [camel.as_str()])))
}

fn camel_case(key: &str) -> String {
    let mut words = key.split(['_', '-']);
    let mut camel = words.next().unwrap_or_default().to_ascii_lowercase();
    for word in words {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        camel.push_str(&first.to_uppercase());
        camel.push_str(rest);
    }
    camel
}
