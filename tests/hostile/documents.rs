//! Documents that people hand to fleetadm, and those that it finds on hosts and in clusters, damaged.

use std::fs;
use std::path::Path;

use fleetadm::cluster::Release;
use fleetadm::cluster::kubeadm_config::{
    ClusterStatus, Documents, Kind, defaults, running_version,
};
use fleetadm::cluster::patches::{PatchFile, Patches, Target};
use fleetadm::cluster::release::ConfigApi;
use fleetadm::cluster::{etcd_unit, static_pods};
use fleetadm::inventory::{self, Inventory, KubernetesVersion};
use fleetadm::kubernetes::manifests;
use fleetadm::ssh::ExpectedKeys;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::noise::{expect_harmless, near, near_text};

/// What may stand in a message that shows part of a document.
const LINES: [char; 2] = ['\n', '\t'];

fn examples() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/inventories"))
}

/// The example inventories, in TOML.
fn inventories() -> Vec<String> {
    let files = fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let texts: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(!texts.is_empty());
    texts
}

fn as_json(document: &str) -> String {
    serde_json::to_string_pretty(&toml::from_str::<Value>(document).unwrap()).unwrap()
}

fn bytes(texts: Vec<String>) -> Vec<Vec<u8>> {
    texts.into_iter().map(String::into_bytes).collect()
}

fn read_inventory(text: &str) -> Option<Inventory> {
    let read = inventory::parse(text, examples(), "inventory");
    read.map_err(|error| expect_harmless(&error.to_string(), &LINES)).ok()
}

/// kubeadm's documents of every version of its API, and a cluster's.
fn kubeadm_documents() -> Vec<String> {
    let version = |minor| KubernetesVersion { major: 1, minor, patch: 2 };
    let components = [Kind::Kubelet, Kind::KubeProxy];
    let mut texts = Vec::new();
    for minor in [20, 24, 36] {
        texts.push(defaults::init_defaults(version(minor), &components).unwrap());
        texts.push(defaults::join_defaults(version(minor)).unwrap());
    }
    texts.push(defaults::reset_defaults(version(36)).unwrap());
    texts.push(defaults::upgrade_defaults(version(36)).unwrap());
    texts.push(
        "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nkubernetesVersion: v1.24.0\n\
         controlPlaneEndpoint: k8s.example.com:6443\napiServer:\n  timeoutForControlPlane: 8m0s\n  extraArgs:\n    v: \"4\"\n  \
         certSANs: [a.example.com]\netcd:\n  external:\n    endpoints: [https://10.0.0.1:2379]\n    caFile: /ca\n    \
         certFile: /crt\n    keyFile: /key\nnetworking:\n  podSubnet: 10.244.0.0/16,fd00::/48\n"
            .to_owned(),
    );
    texts
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: etcd\n  namespace: kube-system\nspec:\n  containers:\n  - command:\n    \
    - etcd\n    - --initial-cluster=n1=https://10.0.0.1:2380\n    image: registry.k8s.io/kube-apiserver:v1.36.2\n    name: etcd\n    \
    resources: {}\n  hostNetwork: true\nstatus: {}\n";

const MANIFESTS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\ndata: {x: \"1\"}\n---\n\
    apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: c}\n---\n# nothing\n";

/// What the first container of a pod runs.
fn command(pod: &k8s_openapi::api::core::v1::Pod) -> Vec<String> {
    let containers = pod.spec.as_ref().map(|spec| &spec.containers[..]).unwrap_or_default();
    containers.first().and_then(|container| container.command.clone()).unwrap_or_default()
}

#[test]
fn toml_and_json_say_the_same() {
    for text in inventories() {
        let names = |inventory: Inventory| -> Vec<String> {
            inventory
                .hosts
                .into_iter()
                .map(|host| format!("{} {}", host.name, host.address))
                .collect()
        };
        let [toml, json] =
            [text.clone(), as_json(&text)].map(|text| read_inventory(&text).map(names));
        assert!(toml.is_some() && toml == json, "{text}");
    }
}

#[test]
fn kubeadms_documents_survive_a_migration() {
    for text in kubeadm_documents() {
        let documents = Documents::read(&text, "x").unwrap();
        let new = documents.migrate(ConfigApi::V1Beta4).unwrap().text;
        let again = Documents::read(&new, "x").unwrap();
        let kinds = |documents: &Documents| documents.kinds().map(Kind::as_str).collect::<Vec<_>>();
        let gone = |kind: &&str| *kind != "ClusterStatus";
        let expected: Vec<_> = kinds(&documents).into_iter().filter(gone).collect();
        assert!(expected.iter().all(|kind| kinds(&again).contains(kind)), "{text}\n{new}");
        assert_eq!(again.migrate(ConfigApi::V1Beta4).unwrap().text, new);
    }
}

#[test]
fn a_cluster_status_survives() {
    let mut status = ClusterStatus::default();
    let text = "apiEndpoints:\n  n1: {advertiseAddress: 'fd00::1', bindPort: 6443}\napiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterStatus\n";
    status.api_endpoints = ClusterStatus::from_yaml(text).unwrap().api_endpoints;
    assert_eq!(ClusterStatus::from_yaml(&status.to_yaml().unwrap()).unwrap(), status);
}

#[test]
fn keys_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let pki = directory.path().join("pki");
    fs::create_dir(&pki).unwrap();
    for name in ["ca.crt", "ca.key"] {
        fs::write(pki.join(name), "x").unwrap();
    }
    let text = "[cluster]\nkubernetes_version = \"1.36.2\"\n[cluster.pki]\ndirectory = \"pki\"\n\
        [[hosts]]\nname = \"a\"\naddress = \"10.0.0.1\"\nrole = \"control-plane\"\n";
    for (mode, refused) in [(0o644, true), (0o640, true), (0o600, false)] {
        fs::set_permissions(pki.join("ca.key"), PermissionsExt::from_mode(mode)).unwrap();
        let error =
            inventory::parse(text, directory.path(), "x").err().map(|error| error.to_string());
        let said = error.as_ref().is_some_and(|error| error.contains("others can read the key in"));
        assert_eq!(said, refused, "{mode:o} {error:?}");
        assert_eq!(error.is_some(), refused, "{mode:o} {error:?}");
    }
}

proptest! {
    #[test]
    fn any_inventory_is_read_or_refused(text in near_text(bytes(inventories()))) {
        read_inventory(&text);
    }

    #[test]
    fn any_inventory_in_json_is_read_or_refused(
        text in near_text(inventories().iter().map(|text| as_json(text).into_bytes()).collect()),
    ) {
        read_inventory(&text);
        read_inventory(&format!("{{{text}"));
    }

    #[test]
    fn any_kubeadm_configuration_is_read_or_refused(text in near_text(bytes(kubeadm_documents()))) {
        let documents = match Documents::read(&text, "kubeadm.yaml") {
            Ok(documents) => documents,
            Err(mistakes) => {
                expect_harmless(&mistakes.to_string(), &LINES);
                return Ok(());
            }
        };
        let mut inventory = read_inventory("[[hosts]]\nname = \"a\"\naddress = \"10.0.0.1\"\nrole = \"control-plane\"\n").unwrap();
        let outcomes = [documents.validate(), documents.describe(&mut inventory, examples())];
        for mistakes in outcomes.into_iter().filter_map(Result::err) {
            expect_harmless(&mistakes.to_string(), &LINES);
        }
        if let Ok(migrated) = documents.migrate(ConfigApi::V1Beta4) {
            let again = Documents::read(&migrated.text, "kubeadm.yaml");
            if let Err(mistakes) = again { prop_assert!(false, "{}\n{mistakes}", migrated.text) }
        }
    }

    #[test]
    fn anything_found_in_a_cluster_is_read_or_refused(text in near_text(bytes(
        [kubeadm_documents(), vec![POD.to_owned(), MANIFESTS.to_owned(), "etcd[12]: n1=https://10.0.0.1:2380".to_owned()]].concat(),
    ))) {
        let refused = |error: &dyn std::fmt::Display| expect_harmless(&error.to_string(), &LINES);
        if let Err(error) = running_version(&text) { refused(&error) }
        match ClusterStatus::from_yaml(&text) {
            Ok(status) => prop_assert_eq!(ClusterStatus::from_yaml(&status.to_yaml().unwrap()).unwrap(), status),
            Err(error) => refused(&error),
        }
        match static_pods::from_yaml(&text) {
            Ok(pod) => {
                let _ = (static_pods::running_version(&pod), static_pods::etcd::told(&command(&pod)));
                let release = Release::of(KubernetesVersion { major: 1, minor: 36, patch: 2 }).unwrap();
                let written = static_pods::to_yaml(&pod, &release).unwrap();
                prop_assert!(static_pods::from_yaml(&written).is_ok(), "{}", written);
            }
            Err(error) => refused(&error),
        }
        if let Err(error) = manifests::parse("a.yaml", &text) { refused(&error) }
        let _ = etcd_unit::initial_cluster(&text);
    }

    #[test]
    fn any_patch_is_laid_over_or_refused(text in near_text(bytes(vec![
        "spec:\n  containers:\n  - name: etcd\n    $patch: delete\n  - $setElementOrder/containers: [{name: a}]\n".to_owned(),
        "[{\"op\": \"replace\", \"path\": \"/spec/containers/0/name\", \"value\": 1}, {\"op\": \"move\", \"from\": \"/spec\", \"path\": \"/a/-\"}]".to_owned(),
        POD.to_owned(),
    ])), kind in prop::sample::select(vec!["strategic", "merge", "json"])) {
        let release = Release::of(KubernetesVersion { major: 1, minor: 36, patch: 2 }).unwrap();
        let name = format!("etcd0+{kind}.yaml");
        let file = PatchFile { shown: name.clone(), name, text };
        let refused = |error: &dyn std::fmt::Display| expect_harmless(&error.to_string(), &LINES);
        match Patches::read(vec![file], &release) {
            Ok(patches) => {
                let mut document = json!({"spec": {"containers": [{"name": "etcd"}]}});
                if let Err(error) = patches.apply(Target::Etcd, &mut document) { refused(&error) }
            }
            Err(error) => refused(&error),
        }
    }

    #[test]
    fn any_list_of_fingerprints_is_read_or_refused(bytes in near(vec![
        b"node-1 SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDaSaiM1nRdW1ZaBIs\n256 SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDaSaiM1nRdW1ZaBIs root@a (ED25519)\n\
          10.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQtTWVTzd2t27+t0DEHBPW7iOD23TUiYLio\n".to_vec(),
    ])) {
        if let Err(error) = ExpectedKeys::parse(&String::from_utf8_lossy(&bytes)) {
            expect_harmless(&error, &[]);
        }
    }
}
