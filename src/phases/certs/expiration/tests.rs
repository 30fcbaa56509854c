//! Hosts' files made here, looked at as those of real hosts.

use time::macros::datetime;

use super::*;
use crate::cluster::kubeconfig::{self, KUBELET_CLIENT_FILE};
use crate::pki::{
    Algorithm, Authority, ClientCertificate, Existing, KeyPool, Outcome, PkiFile, Profile, Purpose,
    Requirements, ensure,
};

const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

fn pki() -> Outcome {
    let requirements = Requirements {
        node_name: "cp-1".to_owned(),
        advertise_address: "10.0.0.11".parse().unwrap(),
        service_address: "10.96.0.1".parse().unwrap(),
        dns_domain: "cluster.local".to_owned(),
        control_plane_host: None,
        api_server_sans: Vec::new(),
        etcd_server_sans: Vec::new(),
        etcd_peer_sans: Vec::new(),
        purpose: Purpose::ControlPlane,
        profile: Profile::V1_36,
        now: NOW,
        ca_validity: Duration::hours(87_600),
        leaf_validity: Duration::hours(8760),
    };
    ensure(&Existing::new(), &requirements, &mut KeyPool::new(Algorithm::EcdsaP256)).unwrap()
}

/// A kubeconfig as the host shows it: without its key.
fn kubeconfig(authority: &Authority, user: &str, hours: i64) -> Vec<u8> {
    let client = ClientCertificate {
        common_name: user,
        organizations: &[],
        validity: Duration::hours(hours),
    };
    let mut pool = KeyPool::new(Algorithm::EcdsaP256);
    let config =
        kubeconfig::client_config("prod", "s", &client, authority, &Profile::V1_36, NOW, &mut pool);
    let text = String::from_utf8(config.unwrap().render().unwrap().to_vec()).unwrap();
    let lines = text.lines().filter(|line| !line.contains("client-key-data"));
    lines.map(|line| format!("{line}\n")).collect::<String>().into_bytes()
}

fn part(content: impl Into<Vec<u8>>) -> PublicPart {
    PublicPart { content: content.into(), modified: 0 }
}

fn control_plane(made: &Outcome) -> Files {
    let public = |file: &PkiFile| match file.secret {
        true => part(""),
        false => part(file.content.to_vec()),
    };
    let mut files: Files =
        made.files.iter().map(|file| (pki_path(&file.name), public(file))).collect();
    let authority = &made.authorities[&AuthorityName::Kubernetes];
    for name in ["admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf"] {
        files.insert(places::kubeconfig_path(name), part(kubeconfig(authority, name, 8760)));
    }
    files
}

fn table(found: &[Found], now: OffsetDateTime) -> String {
    let row = |one: &Found| {
        let authority = one.authority.unwrap_or("-");
        format!("{} | {authority} | {:?}\n", one.cells(now).join(" | "), one.external)
    };
    found.iter().map(row).collect()
}

#[test]
fn a_control_plane_in_kubeadms_order() {
    let mut files = control_plane(&pki());
    files.remove("/etc/kubernetes/scheduler.conf");
    files.remove("/etc/kubernetes/pki/front-proxy-ca.key");
    files.insert("/etc/kubernetes/pki/etcd/peer.crt".to_owned(), part("rubbish"));
    let found = examine(&files, Role::ControlPlane, None);
    insta::assert_snapshot!(table(&found, NOW + Duration::HOUR), @r"
    admin.conf | Nov 23, 2027 10:00 UTC | 364d | ca | Some(false)
    apiserver | Nov 23, 2027 10:00 UTC | 364d | ca | Some(false)
    apiserver-etcd-client | Nov 23, 2027 10:00 UTC | 364d | etcd-ca | Some(false)
    apiserver-kubelet-client | Nov 23, 2027 10:00 UTC | 364d | ca | Some(false)
    controller-manager.conf | Nov 23, 2027 10:00 UTC | 364d | ca | Some(false)
    etcd-healthcheck-client | Nov 23, 2027 10:00 UTC | 364d | etcd-ca | Some(false)
    !UNREADABLE! etcd-peer | it holds no certificate |  | etcd-ca | Some(false)
    etcd-server | Nov 23, 2027 10:00 UTC | 364d | etcd-ca | Some(false)
    front-proxy-client | Nov 23, 2027 10:00 UTC | 364d | front-proxy-ca | Some(true)
    kubelet.conf | Nov 23, 2027 10:00 UTC | 364d | ca | Some(false)
    !MISSING! scheduler.conf |  |  | ca | Some(false)
    ca | Nov 20, 2036 10:00 UTC | 9y | ca | Some(false)
    etcd-ca | Nov 20, 2036 10:00 UTC | 9y | etcd-ca | Some(false)
    front-proxy-ca | Nov 20, 2036 10:00 UTC | 9y | front-proxy-ca | Some(true)
    ");
}

#[test]
fn a_worker_has_its_kubelets() {
    let pki = pki();
    let authority = &pki.authorities[&AuthorityName::Kubernetes];
    let mut config = Kubeconfig::parse(&kubeconfig(authority, "system:node:node-1", 8760)).unwrap();
    let pem = config.current_user().unwrap().certificate_pem().unwrap();
    assert!(config.use_client_file(KUBELET_CLIENT_FILE));
    let mut files = Files::from([
        ("/etc/kubernetes/kubelet.conf".to_owned(), part(config.render().unwrap().to_vec())),
        ("/etc/kubernetes/pki/ca.crt".to_owned(), part(authority.certificate.pem())),
    ]);
    assert_eq!(kubelet_client_file(&files).as_deref(), Some(KUBELET_CLIENT_FILE));
    let states = |files: &Files| table(&examine(files, Role::Worker, None), NOW);
    insta::assert_snapshot!(states(&files), @"!UNREADABLE! kubelet.conf | /var/lib/kubelet/pki/kubelet-client-current.pem is missing |  | ca | None");

    files.insert(KUBELET_CLIENT_FILE.to_owned(), part(pem.clone()));
    files.insert(places::KUBELET_SELF_SIGNED.to_owned(), part(self_signed()));
    insta::assert_snapshot!(states(&files), @r"
    kubelet-server | Nov 20, 2036 10:00 UTC | 10y | - | None
    kubelet.conf | Nov 23, 2027 10:00 UTC | 1y | ca | None
    ");
    files.insert(places::KUBELET_SERVER_FILE.to_owned(), part(pem));
    insta::assert_snapshot!(states(&files), @r"
    kubelet-server | Nov 23, 2027 10:00 UTC | 1y | ca | None
    kubelet.conf | Nov 23, 2027 10:00 UTC | 1y | ca | None
    ");
}

fn self_signed() -> String {
    pki().authorities[&AuthorityName::Etcd].certificate.pem()
}

#[test]
fn a_bare_host_has_none_and_etcd_elsewhere_is_not_missed() {
    assert_eq!(examine(&Files::new(), Role::ControlPlane, None), []);
    let mut files = control_plane(&pki());
    files.retain(|path, _| !path.contains("etcd"));
    let found = examine(&files, Role::ControlPlane, None);
    assert!(found.iter().all(|one| one.authority != Some("etcd-ca")), "{found:?}");
}

#[test]
fn due_is_what_ends_before_the_time_asked_for() {
    let files = control_plane(&pki());
    let found = examine(&files, Role::ControlPlane, None);
    let due = |now, within| found.iter().filter(|one| one.is_due(now, within)).count();
    assert_eq!(due(NOW, Duration::ZERO), 0);
    assert_eq!(due(NOW, Duration::hours(8759)), 0);
    assert_eq!(due(NOW, Duration::hours(8760)), 11);
    assert_eq!(due(NOW + Duration::hours(8761), Duration::ZERO), 11);
    let json = found[0].to_json("cp-1", NOW);
    assert_eq!(json["expires"], "2027-11-23T10:00:00Z");
    assert_eq!(json["residual_seconds"], 8760 * 3600);
    assert_eq!(json["externally_managed"], false);
}
