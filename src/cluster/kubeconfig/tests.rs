use super::*;
use crate::pki::{Algorithm, AuthorityName, Purpose};
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

fn authority() -> Authority {
    let requirements = pki::Requirements {
        node_name: "n1".to_owned(),
        advertise_address: [10, 0, 0, 1].into(),
        service_address: [10, 96, 0, 1].into(),
        dns_domain: "cluster.local".to_owned(),
        control_plane_host: None,
        api_server_sans: vec![],
        etcd_server_sans: vec![],
        etcd_peer_sans: vec![],
        purpose: Purpose::ControlPlaneOfExternalEtcd,
        profile: pki::Profile::V1_36,
        now: NOW,
        ca_validity: pki::CA_VALIDITY,
        leaf_validity: pki::LEAF_VALIDITY,
    };
    let mut pool = KeyPool::new(Algorithm::EcdsaP256);
    let outcome = pki::ensure(&pki::Existing::new(), &requirements, &mut pool).unwrap();
    outcome.authorities.into_iter().find(|(name, _)| *name == AuthorityName::Kubernetes).unwrap().1
}

fn requirements() -> Requirements {
    Requirements {
        cluster_name: "prod".to_owned(),
        node_name: "n1".to_owned(),
        control_plane_url: "https://k8s.example.com:6443".to_owned(),
        local_url: "https://10.0.0.1:6443".to_owned(),
        workflow: Workflow::Init,
        profile: Profile::V1_36,
        pki: pki::Profile::V1_36,
        validity: pki::LEAF_VALIDITY,
        now: NOW,
    }
}

fn files(outcome: &Outcome) -> BTreeMap<String, Zeroizing<Vec<u8>>> {
    outcome.files.iter().map(|file| (file.name.to_owned(), file.content.clone())).collect()
}

#[test]
fn the_files_of_each_workflow_and_release() {
    let list = |profile, workflow| {
        let specs = specs(&profile, workflow, "n1");
        specs.iter().map(|spec| format!("{} {:?}", spec.phase, spec.server)).collect::<Vec<_>>()
    };
    assert_eq!(
        list(Profile::V1_36, Workflow::Init),
        [
            "admin ControlPlane",
            "super-admin ControlPlane",
            "kubelet Local",
            "controller-manager Local",
            "scheduler Local"
        ]
    );
    assert_eq!(
        list(Profile::V1_20, Workflow::Init),
        [
            "admin ControlPlane",
            "kubelet ControlPlane",
            "controller-manager Local",
            "scheduler Local"
        ]
    );
    assert_eq!(
        list(Profile::V1_36, Workflow::Join),
        ["admin ControlPlane", "controller-manager Local", "scheduler Local"]
    );
}

#[test]
fn a_second_run_changes_nothing_and_a_lost_file_comes_back() {
    let authority = authority();
    let mut pool = KeyPool::new(Algorithm::EcdsaP256);
    let first = ensure(&BTreeMap::new(), &authority, &requirements(), &mut pool).unwrap();
    assert_eq!(first.files.len(), keys_needed(&BTreeMap::new(), &requirements()));
    let mut existing = files(&first);
    let second = ensure(&existing, &authority, &requirements(), &mut pool).unwrap();
    assert!(second.warnings.is_empty() && second.files.iter().all(|file| !file.created));
    assert_eq!(files(&second), existing);

    existing.remove("scheduler.conf");
    let third = ensure(&existing, &authority, &requirements(), &mut pool).unwrap();
    let created: Vec<_> = third.files.iter().filter(|f| f.created).map(|f| f.name).collect();
    assert_eq!(created, ["scheduler.conf"]);
}

#[test]
fn another_authority_is_an_error_and_expiry_is_a_warning() {
    let authority = authority();
    let mut pool = KeyPool::new(Algorithm::EcdsaP256);
    let existing =
        files(&ensure(&BTreeMap::new(), &authority, &requirements(), &mut pool).unwrap());

    let error = ensure(&existing, &self::authority(), &requirements(), &mut pool).unwrap_err();
    assert!(matches!(error, Error::OtherAuthority { ref file } if file == "admin.conf"), "{error}");

    let mut later = requirements();
    later.now = NOW + Duration::days(400);
    let outcome = ensure(&existing, &authority, &later, &mut pool).unwrap();
    assert!(outcome.files.iter().all(|file| !file.created));
    assert_eq!(outcome.warnings.len(), 5, "{:#?}", outcome.warnings);

    // The kubelet rotates its own certificate; its file then only names a path.
    let mut kubelet = Kubeconfig::parse(&existing["kubelet.conf"]).unwrap();
    assert!(kubelet.use_client_file(KUBELET_CLIENT_FILE));
    let content = kubelet.render().unwrap();
    let warnings = check("kubelet.conf", &content, &authority.certificate, later.now);
    assert!(warnings.unwrap().is_empty());
}

#[test]
fn administrators_are_led_to_another_server_whichever_workflow_it_is() {
    let authority = authority();
    let mut pool = KeyPool::new(Algorithm::EcdsaP256);
    let mut existing =
        files(&ensure(&BTreeMap::new(), &authority, &requirements(), &mut pool).unwrap());
    let moved = Requirements {
        control_plane_url: "https://other.example.com:6443".to_owned(),
        local_url: "https://10.0.0.9:6443".to_owned(),
        workflow: Workflow::Join,
        ..requirements()
    };
    let outcome = ensure(&existing, &authority, &moved, &mut pool).unwrap();
    assert!(outcome.files.iter().all(|file| !file.created));
    let changed = files(&outcome).into_iter().filter(|(name, content)| existing[name] != *content);
    let names: Vec<_> = changed.map(|(name, _)| name).collect();
    assert_eq!(names, ["admin.conf", "super-admin.conf"]);
    insta::assert_snapshot!(outcome.warnings.join("\n"), @r"
    controller-manager.conf is kept although its server is not https://10.0.0.9:6443: its component would have to be restarted
    scheduler.conf is kept although its server is not https://10.0.0.9:6443: its component would have to be restarted
    ");
    let again = ensure(&files(&outcome), &authority, &moved, &mut pool).unwrap();
    assert_eq!(files(&again), files(&outcome));
    // What joined has no super-admin.conf, and gets none.
    existing.remove("super-admin.conf");
    let joined = ensure(&existing, &authority, &moved, &mut pool).unwrap();
    assert!(joined.files.iter().all(|file| file.name != "super-admin.conf"));
}

#[test]
fn an_external_authority_needs_every_file() {
    let mut authority = authority();
    let mut pool = KeyPool::new(Algorithm::EcdsaP256);
    let mut existing =
        files(&ensure(&BTreeMap::new(), &authority, &requirements(), &mut pool).unwrap());
    authority.key = None;
    assert!(ensure(&existing, &authority, &requirements(), &mut pool).is_ok());
    existing.remove("kubelet.conf");
    let error = ensure(&existing, &authority, &requirements(), &mut pool).unwrap_err();
    assert!(matches!(error, Error::ExternalAuthority { ref file } if file == "kubelet.conf"));
}

#[test]
fn rubbish_is_refused_by_name() {
    let existing = BTreeMap::from([(
        "admin.conf".to_owned(),
        Zeroizing::new(b"current-context: gone".to_vec()),
    )]);
    let mut pool = KeyPool::new(Algorithm::EcdsaP256);
    let error = ensure(&existing, &authority(), &requirements(), &mut pool).unwrap_err();
    insta::assert_snapshot!(error, @"admin.conf cannot be used: its current context names no cluster in it; restore it from a backup, or remove it to have it made anew");
}

#[test]
fn a_named_user_has_all_its_groups_and_keeps_a_certificate_that_is_fresh() {
    let authority = authority();
    let mut pool = KeyPool::new(Algorithm::EcdsaP256);
    let mut issue = |organizations: &[&str]| {
        let client =
            ClientCertificate { common_name: "jane", organizations, validity: Duration::days(10) };
        let profile = pki::Profile::V1_36;
        let url = "https://10.0.0.1:6443";
        let config =
            client_config("prod", url, &client, &authority, &profile, NOW, &mut pool).unwrap();
        config.users.into_iter().next().unwrap().user
    };
    let several = issue(&["system:masters", "\u{fc}ber", "dev"]);
    let certificate = Certificate::from_pem(&several.certificate_pem().unwrap()).unwrap().remove(0);
    assert_eq!(certificate.common_name, "jane");
    let mut groups = certificate.organizations.clone();
    groups.sort();
    assert_eq!(groups, ["dev", "system:masters", "\u{fc}ber"]);
    assert!(authority.verifies(&[certificate]));

    let client = |organizations, validity| ClientCertificate {
        common_name: "jane",
        organizations,
        validity: Duration::days(validity),
    };
    let groups: &[&str] = &["dev", "\u{fc}ber", "system:masters"];
    let fresh = |user: &User, client, days| {
        is_fresh(user, &client, &authority.certificate, NOW + Duration::days(days))
    };
    assert!(fresh(&several, client(groups, 10), 0) && fresh(&several, client(groups, 10), 5));
    assert!(!fresh(&several, client(groups, 10), 6), "little is left");
    assert!(!fresh(&several, client(groups, 9), 0), "more is left than wanted");
    assert!(!fresh(&several, client(&groups[..2], 10), 0), "another group");
    assert!(!fresh(&User::default(), client(groups, 10), 0));
    let mixed = User { client_key_data: issue(groups).client_key_data, ..several };
    assert!(!fresh(&mixed, client(groups, 10), 0), "another key");
}
