//! etcd outside the control planes: on hosts of the inventory, or somebody else's.

use std::sync::Arc;

use toml::Spanned;

use super::items;
use crate::inventory::document::{self, Document, ExternalEtcdEntry, HostEntry};
use crate::inventory::error::{Fault, Problems, Span};
use crate::inventory::model::{Etcd, EtcdClientFiles, EtcdOwner, ExternalEtcd, Host, Role};
use crate::inventory::paths::Paths;
use crate::inventory::{ranges, rules};

const CLIENT_PORT: u16 = 2379;

/// `[cluster.etcd.external]`, by kubeadm's rules.
pub(super) fn external(
    raw: &Spanned<ExternalEtcdEntry>,
    paths: &Paths,
    problems: &mut Problems,
) -> ExternalEtcd {
    let header = raw.span();
    let raw = raw.get_ref();
    let written = items(&raw.endpoints);
    if written.is_empty() {
        let fault = Fault::new("missing key `endpoints`", "expected at least one endpoint");
        let help = "list them, as `endpoints = [\"https://10.0.0.5:2379\"]`";
        problems.push(fault.help(help).at(header.clone()));
    }
    let with_tls = [&raw.ca_file, &raw.cert_file, &raw.key_file].iter().any(|file| file.is_some());
    let endpoints = written
        .iter()
        .filter_map(|item| problems.check(item, |text| rules::etcd_endpoint(text, with_tls)))
        .collect();
    let pair = match (&raw.cert_file, &raw.key_file) {
        (Some(certificate), None) => Some(("key_file", certificate.span())),
        (None, Some(key)) => Some(("cert_file", key.span())),
        _ => None,
    };
    if let Some((missing, span)) = pair {
        let fault =
            Fault::new(format!("missing key `{missing}`"), "one is no use without the other");
        problems.push(fault.at(span));
    }
    if let (Some(certificate), None) = (&raw.cert_file, &raw.ca_file) {
        let fault = Fault::new("missing key `ca_file`", "a client certificate needs it");
        let help = "name the certificate authority of etcd's servers";
        problems.push(fault.help(help).at(certificate.span()));
    }
    let ca = problems.check_opt(raw.ca_file.as_ref(), |text| paths.file(text));
    let certificate = problems.check_opt(raw.cert_file.as_ref(), |text| paths.file(text));
    let key = problems.check_opt(raw.key_file.as_ref(), |text| paths.private_file(text));
    let files = EtcdClientFiles { ca, client: certificate.zip(key) };
    ExternalEtcd { endpoints, owner: EtcdOwner::SomebodyElse(files) }
}

/// Hosts of role `etcd` are the cluster's etcd.
pub(crate) fn use_hosts(etcd: &mut Etcd, hosts: &[Arc<Host>]) {
    let members: Vec<&Arc<Host>> = hosts.iter().filter(|host| host.role == Role::Etcd).collect();
    if members.is_empty() {
        return;
    }
    let url = |host: &&Arc<Host>| Some(rules::etcd_url(host.advertise_address?, CLIENT_PORT));
    let endpoints = members.iter().filter_map(url).collect();
    etcd.external = Some(ExternalEtcd { endpoints, owner: EtcdOwner::Inventory });
}

/// What is wrong about hosts of role `etcd`. Preflight looks at any; what only workflows need goes to `not_yet`.
pub(super) fn check(
    document: &Document,
    cluster: &Spanned<document::Cluster>,
    problems: &mut Problems,
    not_yet: &mut Problems,
) {
    let mut first: Option<Span> = None;
    for entry in &document.hosts {
        let entry = entry.get_ref();
        let Some(word) = &entry.role else { continue };
        if rules::role(word.get_ref()) != Ok(Role::Etcd) {
            continue;
        }
        first.get_or_insert(word.span());
        if let Some(span) = without_address(entry) {
            let fault = Fault::new(
                "a host of etcd needs an IP address",
                "this is a name, and members of etcd know each other by address",
            );
            not_yet.push(fault.help("set `advertise_address` for it").at(span));
        }
    }
    if let (Some(role), Some(external)) = (first, &cluster.get_ref().etcd.external) {
        let fault = Fault::new("etcd is both the inventory's and external", "an external etcd");
        let help = "leave out `[cluster.etcd.external]`, or the hosts of role `etcd`";
        problems
            .push(fault.help(help).at(external.span()).also(role, "a host of the cluster's own"));
    }
}

/// The place of the name that stands where an address is needed.
fn without_address(entry: &HostEntry) -> Option<Span> {
    if entry.advertise_address.is_some() {
        return None;
    }
    let text = entry.address.as_ref().or(entry.name.as_ref())?;
    // What does not expand has been told of already.
    let all = ranges::expand(text.get_ref()).ok()?;
    let is_name = |text: &String| text.parse::<std::net::IpAddr>().is_err();
    all.iter().any(is_name).then(|| text.span())
}
