//! Renewing what was made here.

use time::macros::datetime;

use super::*;
use crate::cluster::kubeconfig::client_config;
use crate::pki;
use crate::pki::{
    Algorithm, ClientCertificate, Existing, KeyPool, Outcome, Purpose, Requirements, Usage, ensure,
};

const MADE: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

fn made(profile: Profile) -> Outcome {
    let requirements = Requirements {
        node_name: "cp-1".to_owned(),
        advertise_address: "10.0.0.11".parse().unwrap(),
        service_address: "10.96.0.1".parse().unwrap(),
        dns_domain: "cluster.local".to_owned(),
        control_plane_host: Some("k8s.example.com".to_owned()),
        api_server_sans: Vec::new(),
        etcd_server_sans: Vec::new(),
        etcd_peer_sans: Vec::new(),
        purpose: Purpose::ControlPlane,
        profile,
        now: MADE,
        ca_validity: pki::CA_VALIDITY,
        leaf_validity: pki::LEAF_VALIDITY,
    };
    ensure(&Existing::new(), &requirements, &mut KeyPool::new(Algorithm::EcdsaP256)).unwrap()
}

/// The host's files, with modes that are the operator's own.
fn host(made: &Outcome) -> BTreeMap<String, RemoteFile> {
    let mut files: BTreeMap<String, RemoteFile> = made
        .files
        .iter()
        .map(|file| {
            let path = places::pki_path(&file.name);
            (path, RemoteFile { content: file.content.clone(), mode: file.mode | 0o040 })
        })
        .collect();
    let client = ClientCertificate {
        common_name: "kubernetes-admin",
        organizations: &["system:masters"],
        validity: pki::LEAF_VALIDITY,
    };
    let (authority, mut pool) = (&made.authorities[&AuthorityName::Kubernetes], pool());
    let profile = Profile::V1_20;
    let config = client_config("prod", "s", &client, authority, &profile, MADE, &mut pool);
    let content = config.unwrap().render().unwrap();
    files.insert(places::kubeconfig_path("admin.conf"), RemoteFile { content, mode: 0o600 });
    files
}

fn pool() -> KeyPool {
    KeyPool::new(Algorithm::EcdsaP256)
}

fn rules(within: Option<Duration>, profile: Profile) -> Rules {
    Rules { profile, now: NOW, validity: Duration::hours(100), within }
}

const ALL: &[&str] = &crate::phases::certs::renew::NAMES;

fn renewed(made: &Outcome, rules: &Rules) -> BTreeMap<String, NodeFile> {
    let targets = targets(Role::ControlPlane, &host(made), ALL, rules).unwrap();
    let files = targets.iter().flat_map(|target| {
        let key = pool().take().unwrap();
        target.renew(&made.authorities[&target.authority], rules, &key).unwrap()
    });
    files.map(|file| (file.path.clone(), file)).collect()
}

fn only(pem: &[u8]) -> Certificate {
    Certificate::from_pem(pem).unwrap().remove(0)
}

#[test]
fn all_but_key_and_validity_stays() {
    let made = made(Profile::V1_36);
    let files = renewed(&made, &rules(None, Profile::V1_36));
    assert_eq!(files.len(), 2 * 7 + 1, "{:?}", files.keys());
    for (path, before) in host(&made) {
        let Some(file) = files.get(&path) else { continue };
        assert_eq!(file.mode, before.mode, "{path}");
        assert!(file.content != before.content, "{path}");
        let Some(base) = path.strip_suffix(".crt") else { continue };
        let (old, new) = (only(&before.content), only(&file.content));
        let says = |it: &Certificate| {
            (it.common_name.clone(), it.organizations.clone(), it.alt_names.clone(), it.usage)
        };
        assert_eq!(says(&old), says(&new), "{path}");
        assert_eq!(new.not_before, NOW - Duration::minutes(5));
        assert_eq!(new.not_after, NOW + Duration::hours(100));
        let key = PrivateKey::from_pem(&files[&format!("{base}.key")].content).unwrap();
        assert!(key.belongs_to(&new) && !key.belongs_to(&old), "{path}");
    }
    let apiserver = only(&files["/etc/kubernetes/pki/apiserver.crt"].content);
    assert!(apiserver.alt_names.dns.contains("k8s.example.com"));
    assert_eq!(apiserver.usage, Some(Usage::Server));
    let admin = Kubeconfig::parse(&files["/etc/kubernetes/admin.conf"].content).unwrap();
    let admin = only(&admin.current_user().unwrap().certificate_pem().unwrap());
    assert_eq!(admin.organizations, ["system:masters"]);
    assert!(admin.is_signed_by(&made.authorities[&AuthorityName::Kubernetes].certificate));
}

#[test]
fn an_organization_goes_when_the_release_has_no_use_for_it() {
    let made = made(Profile::V1_20);
    let organizations = |profile| {
        let files = renewed(&made, &rules(None, profile));
        only(&files["/etc/kubernetes/pki/apiserver-etcd-client.crt"].content).organizations
    };
    assert_eq!(organizations(Profile::V1_20), ["system:masters"]);
    assert!(organizations(Profile::V1_36).is_empty());
}

#[test]
fn only_what_is_due_and_pairs_that_are_none() {
    let made = made(Profile::V1_36);
    let mut files = host(&made);
    let left = MADE + pki::LEAF_VALIDITY - NOW;
    let names = |files: &BTreeMap<String, RemoteFile>, within| -> Vec<&str> {
        let rules = rules(Some(within), Profile::V1_36);
        let targets = targets(Role::ControlPlane, files, ALL, &rules).unwrap();
        targets.iter().map(|target| target.name).collect()
    };
    assert_eq!(names(&files, left).len(), 8);
    assert!(names(&files, left - Duration::SECOND).is_empty());
    // Cut short between the key and its certificate.
    let key = pool().take().unwrap();
    let content = Zeroizing::new(key.pem().as_bytes().to_vec());
    files.insert(places::pki_path("etcd/peer.key"), RemoteFile { content, mode: 0o600 });
    files.remove(&places::pki_path("front-proxy-client.key"));
    assert_eq!(names(&files, Duration::ZERO), ["front-proxy-client", "etcd-peer"]);
    // What is not there is not made.
    files.remove(&places::pki_path("etcd/peer.crt"));
    assert_eq!(names(&files, Duration::ZERO), ["front-proxy-client"]);
}

#[test]
fn intermediate_authorities_stay_behind_the_leaf() {
    let made = made(Profile::V1_36);
    let mut files = host(&made);
    let path = places::pki_path("apiserver.crt");
    let intermediate = made.authorities[&AuthorityName::FrontProxy].certificate.clone();
    let mut content = files[&path].content.clone();
    content.extend(intermediate.pem().as_bytes());
    files.insert(path.clone(), RemoteFile { content, mode: 0o644 });
    let rules = rules(None, Profile::V1_36);
    let targets = targets(Role::ControlPlane, &files, &["apiserver"], &rules).unwrap();
    let key = pool().take().unwrap();
    let authority = &made.authorities[&AuthorityName::Kubernetes];
    let written = targets[0].renew(authority, &rules, &key).unwrap();
    assert_eq!(written[1].path, path);
    let chain = Certificate::from_pem(&written[1].content).unwrap();
    assert_eq!(chain[1..], [intermediate]);
}

#[test]
fn the_kubelets_file_holds_both() {
    let made = made(Profile::V1_36);
    let authority = &made.authorities[&AuthorityName::Kubernetes];
    let client = ClientCertificate {
        common_name: "system:node:node-1",
        organizations: &["system:nodes"],
        validity: pki::LEAF_VALIDITY,
    };
    let profile = Profile::V1_36;
    let config = client_config("prod", "s", &client, authority, &profile, MADE, &mut pool());
    let mut config = config.unwrap();
    let user = config.current_user().unwrap();
    let mut content = Zeroizing::new(user.certificate_pem().unwrap());
    content.extend(user.key_pem().unwrap().iter());
    let conf = places::kubelet_client().path;
    let embedded = config.render().unwrap();
    assert!(config.use_client_file("/x.pem"));
    let rules = rules(None, Profile::V1_36);

    let client = kubelet_client(&conf, &config.render().unwrap()).unwrap();
    let files = BTreeMap::from([("/x.pem".to_owned(), RemoteFile { content, mode: 0o600 })]);
    let target = kubelet_target(&client, &files, &rules).unwrap().unwrap();
    let key = pool().take().unwrap();
    let written = target.renew(authority, &rules, &key).unwrap();
    assert_eq!(written.len(), 1);
    assert!(written[0].content.starts_with(b"-----BEGIN CERTIFICATE-----"));
    let read = PrivateKey::from_pem(&written[0].content).unwrap();
    assert!(read.belongs_to(&only(&written[0].content)));
    assert_eq!(only(&written[0].content).organizations, ["system:nodes"]);
    assert!(kubelet_target(&client, &BTreeMap::new(), &rules).is_err());

    let client = kubelet_client(&conf, &embedded).unwrap();
    let files = BTreeMap::from([(conf, RemoteFile { content: embedded, mode: 0o600 })]);
    let target = kubelet_target(&client, &files, &rules).unwrap().unwrap();
    assert!(matches!(target.wrapping, Wrapping::Kubeconfig { .. }));
}
