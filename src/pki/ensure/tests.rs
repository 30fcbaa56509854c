use super::*;
use crate::pki::{Algorithm, CA_VALIDITY, LEAF_VALIDITY, Profile, Purpose};
use time::Duration;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

fn requirements() -> Requirements {
    Requirements {
        node_name: "n1".to_owned(),
        advertise_address: [10, 0, 0, 1].into(),
        service_address: [10, 96, 0, 1].into(),
        dns_domain: "cluster.local".to_owned(),
        control_plane_host: Some("k8s.example.com".to_owned()),
        api_server_sans: vec!["extra.example.com".to_owned(), "not a name".to_owned()],
        etcd_server_sans: vec![],
        etcd_peer_sans: vec![],
        purpose: Purpose::ControlPlane,
        profile: Profile::V1_36,
        now: NOW,
        ca_validity: CA_VALIDITY,
        leaf_validity: LEAF_VALIDITY,
    }
}

fn run(existing: &Existing) -> Result<Outcome, Error> {
    run_with(existing, &requirements())
}

fn run_with(existing: &Existing, requirements: &Requirements) -> Result<Outcome, Error> {
    ensure(existing, requirements, &mut KeyPool::new(Algorithm::EcdsaP256))
}

fn files(outcome: &Outcome) -> Existing {
    outcome.files.iter().map(|file| (file.name.clone(), file.content.clone())).collect()
}

fn fresh() -> Existing {
    files(&run(&Existing::new()).unwrap())
}

fn created(outcome: &Outcome) -> Vec<&str> {
    outcome.created().map(|file| file.name.as_str()).collect()
}

#[test]
fn from_nothing_to_everything_and_then_nothing_more() {
    let first = run(&Existing::new()).unwrap();
    assert_eq!(first.files.len(), 22);
    assert_eq!(keys_needed(&Existing::new(), &requirements()), 11);
    assert_eq!(first.warnings.len(), 1, "{:?}", first.warnings);
    assert!(first.warnings[0].contains("`not a name`"));
    for file in &first.files {
        assert_eq!(file.secret, file.name.ends_with(".key"));
        let expected = if file.name.ends_with(".crt") { 0o644 } else { 0o600 };
        assert_eq!(file.mode, expected, "{}", file.name);
    }
    let second = run(&files(&first)).unwrap();
    assert_eq!(created(&second), [""; 0]);
    assert_eq!(files(&second), files(&first));
    assert_eq!(keys_needed(&files(&first), &requirements()), 0);
}

/// Whatever prefix of the files a crash leaves behind, the next run completes it, and what was there stays.
#[test]
fn every_crash_is_completed() {
    let outcome = run(&Existing::new()).unwrap();
    for written in 0..outcome.files.len() {
        let existing: Existing = outcome.files[..written]
            .iter()
            .map(|file| (file.name.clone(), file.content.clone()))
            .collect();
        let next = run(&existing).unwrap_or_else(|error| panic!("after {written}: {error}"));
        assert_eq!(next.files.len(), outcome.files.len());
        for (name, content) in &existing {
            assert_eq!(&next.file(name).unwrap().content, content, "{name} after {written}");
        }
        let last = run(&files(&next)).unwrap();
        assert_eq!(created(&last), [""; 0], "after {written}");
    }
}

#[test]
fn half_a_leaf_is_made_whole() {
    let mut existing = fresh();
    existing.remove("apiserver.key");
    let outcome = run(&existing).unwrap();
    assert_eq!(created(&outcome), ["apiserver.key", "apiserver.crt"]);

    // The crash in between: the new key is there, the old certificate still is too.
    existing
        .insert("apiserver.key".to_owned(), outcome.file("apiserver.key").unwrap().content.clone());
    let next = run(&existing).unwrap();
    assert_eq!(created(&next), ["apiserver.crt"]);

    existing.remove("apiserver.crt");
    assert_eq!(created(&run(&existing).unwrap()), ["apiserver.crt"]);
}

#[test]
fn an_external_authority_is_used_but_not_extended() {
    let mut existing = fresh();
    existing.remove("front-proxy-ca.key");
    let outcome = run(&existing).unwrap();
    assert_eq!(created(&outcome), [""; 0]);
    assert!(outcome.authorities[&AuthorityName::FrontProxy].key.is_none());
    assert!(outcome.file("front-proxy-ca.key").is_none());
    assert!(outcome.warnings.iter().any(|warning| warning.contains("external")));

    existing.remove("front-proxy-client.key");
    let error = run(&existing).unwrap_err();
    insta::assert_snapshot!(error, @"front-proxy-client.key is missing, and front-proxy-ca.key, which could sign it, is missing too; put the certificate and key in place (external authority), or restore front-proxy-ca.key");
}

#[test]
fn what_does_not_fit_together_is_refused_by_name() {
    let (mine, other) = (fresh(), fresh());
    let swap = |name: &str| {
        let mut mixed = mine.clone();
        mixed.insert(name.to_owned(), other[name].clone());
        run(&mixed).unwrap_err().to_string()
    };
    insta::assert_snapshot!(swap("ca.key"), @"ca.crt does not belong to ca.key; put the matching pair in place, or remove both if no cluster uses them yet");
    insta::assert_snapshot!(swap("apiserver.crt"), @"apiserver.crt is not signed by ca.crt; remove it and its key to have them made anew, or put back the authority that signed it");

    let mut leaf_as_authority = mine.clone();
    for extension in ["crt", "key"] {
        let leaf = mine[&format!("apiserver.{extension}")].clone();
        leaf_as_authority.insert(format!("ca.{extension}"), leaf);
    }
    assert!(
        matches!(run(&leaf_as_authority), Err(Error::NotAnAuthority { file }) if file == "ca.crt")
    );

    let mut damaged = mine.clone();
    damaged.insert("etcd/peer.crt".to_owned(), Zeroizing::new(b"x".to_vec()));
    insta::assert_snapshot!(run(&damaged).unwrap_err(), @"etcd/peer.crt cannot be read: it holds no certificate; restore it from a backup, or remove it and its counterpart to have both made anew");
}

#[test]
fn names_added_later_extend_the_certificate_and_names_dropped_change_nothing() {
    let mut existing = fresh();
    let mut more = requirements();
    more.api_server_sans = vec!["new.example.com".to_owned(), "10.9.9.9".to_owned()];
    let outcome = run_with(&existing, &more).unwrap();
    assert_eq!(created(&outcome), ["apiserver.crt"]);
    assert!(outcome.missing().is_none());
    let names = ["new.example.com", "10.9.9.9"].map(str::to_owned).to_vec();
    assert_eq!(outcome.extended, [Extended { file: "apiserver.crt".to_owned(), names }]);
    let content = &outcome.file("apiserver.crt").unwrap().content;
    let certificate = &Certificate::from_pem(content).unwrap()[0];
    for name in ["extra.example.com", "new.example.com", "k8s.example.com", "n1"] {
        assert!(certificate.alt_names.dns.contains(name), "{name}");
    }
    let again = run_with(&files(&outcome), &more).unwrap();
    assert_eq!((created(&again).len(), again.extended.len()), (0, 0));

    existing.remove("ca.key");
    insta::assert_snapshot!(run_with(&existing, &more).unwrap_err(), @"apiserver.crt is not valid for new.example.com, 10.9.9.9, and ca.key, which could sign another, is not here; put a certificate with these names in its place (external authority), or list no such name in the inventory");
    let existing = fresh();
    let mut fewer = requirements();
    fewer.api_server_sans.clear();
    assert!(run_with(&existing, &fewer).unwrap().warnings.is_empty());
}

#[test]
fn expiry_warns_once_per_file() {
    let mut later = requirements();
    later.now = NOW + Duration::days(366);
    later.api_server_sans.clear();
    let outcome = run_with(&fresh(), &later).unwrap();
    assert_eq!(created(&outcome), [""; 0]);
    assert_eq!(outcome.warnings.len(), 7, "{:#?}", outcome.warnings);
    insta::assert_snapshot!(outcome.warnings[0], @"the certificate in apiserver.crt expired on 2027-11-23 10:00 UTC; renew it");
}

#[test]
fn service_account_keys() {
    let mut existing = fresh();
    let public = existing.remove("sa.pub").unwrap();
    let outcome = run(&existing).unwrap();
    assert_eq!(created(&outcome), ["sa.pub"]);
    assert_eq!(outcome.file("sa.pub").unwrap().content, public);

    existing.insert("sa.pub".to_owned(), fresh()["sa.pub"].clone());
    assert!(run(&existing).unwrap().warnings.iter().any(|text| text.starts_with("sa.pub")));

    existing.remove("sa.key");
    assert!(matches!(run(&existing), Err(Error::LonelyPublicKey)));
}

#[test]
fn a_joining_control_plane_gets_the_shared_files_and_its_own_leaves() {
    let first = run(&Existing::new()).unwrap();
    assert_eq!(first.shared().count(), 8);
    let existing = adopt(Existing::new(), first.shared()).unwrap();
    let mut joining = requirements();
    joining.node_name = "n3".to_owned();
    let second = run_with(&existing, &joining).unwrap();
    assert_eq!(second.created().count(), 14);
    assert_eq!(
        second.file("ca.crt"),
        Some(first.file("ca.crt").unwrap())
            .map(|file| PkiFile { created: false, ..file.clone() })
            .as_ref()
    );

    let error = adopt(fresh(), first.shared()).unwrap_err();
    assert!(matches!(error, Error::OtherCluster { .. }));
}

#[test]
fn without_etcd_of_our_own_there_are_no_etcd_files() {
    let mut external = requirements();
    external.purpose = Purpose::ControlPlaneOfExternalEtcd;
    let outcome = run_with(&Existing::new(), &external).unwrap();
    assert!(outcome.files.iter().all(|file| !file.name.contains("etcd")));
    assert_eq!(outcome.files.len(), 12);
}

#[test]
fn a_member_of_etcd_and_its_clients_share_an_authority_of_their_own() {
    let mut member = requirements();
    member.purpose = Purpose::EtcdMember;
    let outcome = run_with(&Existing::new(), &member).unwrap();
    let names: Vec<&str> = outcome.files.iter().map(|file| file.name.as_str()).collect();
    let pair = |base: &str| [format!("etcd/{base}.key"), format!("etcd/{base}.crt")];
    let expected: Vec<String> =
        ["ca", "server", "peer", "healthcheck-client"].into_iter().flat_map(pair).collect();
    assert_eq!(names, expected);
    assert_eq!(keys_needed(&Existing::new(), &member), 4);
    assert_eq!(outcome.shared().count(), 2);

    let mut client = requirements();
    client.purpose = Purpose::EtcdClient;
    let shared = adopt(Existing::new(), outcome.shared()).unwrap();
    let made = run_with(&shared, &client).unwrap();
    assert_eq!(created(&made), ["apiserver-etcd-client.key", "apiserver-etcd-client.crt"]);
    assert_eq!(created(&run_with(&files(&made), &client).unwrap()), [""; 0]);
}

#[test]
fn private_keys_stay_out_of_debug() {
    let outcome = run(&Existing::new()).unwrap();
    let text = format!("{outcome:?}");
    let key = String::from_utf8(outcome.file("ca.key").unwrap().content.to_vec()).unwrap();
    assert!(!text.contains(key.lines().nth(1).unwrap()));
    assert!(!text.contains("PRIVATE"));
}
