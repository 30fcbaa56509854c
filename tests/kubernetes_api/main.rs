//! Applying for real: a throw-away etcd, API server and controller manager on the loopback interface.
//!
//! Needs Kubernetes binaries: directories in `FLEETADM_KUBERNETES_BIN` (colon-separated), else those
//! under `~/.cache/fleetadm/kubernetes/`; and `etcd`, there or in `PATH`. Each directory is tried.

#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on should panic")]

mod control_plane;
mod drain;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fleetadm::inventory::Taint;
use fleetadm::kubernetes::client::{PatchKind, Timing};
use fleetadm::kubernetes::health::{HealthEndpoint, wait_api_server};
use fleetadm::kubernetes::objects::bootstrap_token::{BootstrapToken, TokenOptions};
use fleetadm::kubernetes::objects::coredns::{CoreDnsOptions, CoreDnsRelease};
use fleetadm::kubernetes::objects::kube_proxy::KubeProxyOptions;
use fleetadm::kubernetes::objects::upload_certs::{CertificateKey, EtcdCertificates};
use fleetadm::kubernetes::objects::{
    bootstrap_token, cluster_admins, cluster_info, coredns, kube_proxy, node, upload_certs,
    upload_config,
};
use fleetadm::kubernetes::{
    ApiClient, Applied, Change, Object, Poll, apply, manifests, nodes, reviews, tokens, wait,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use control_plane::{ControlPlane, authority, etcd_for};

const LONG: Poll = Poll::for_at_most(Duration::from_secs(180));

fn binaries() -> Vec<PathBuf> {
    let given: Vec<PathBuf> = match std::env::var_os("FLEETADM_KUBERNETES_BIN") {
        Some(paths) => std::env::split_paths(&paths).collect(),
        None => {
            let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
            let cache = fs::read_dir(home.join(".cache/fleetadm/kubernetes"));
            cache.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        }
    };
    let complete = |directory: &PathBuf| {
        directory.join("kube-apiserver").is_file() && etcd_for(directory).is_some()
    };
    let found: Vec<_> = given.into_iter().filter(complete).collect();
    if found.is_empty() {
        eprintln!(
            "SKIPPED: needs kube-apiserver, in FLEETADM_KUBERNETES_BIN, and etcd (etcd-server)"
        );
    }
    found
}

fn objects(ca: &str) -> Vec<Object> {
    let mut objects = vec![cluster_admins::binding()];
    objects.extend(upload_config::kubeadm_config("kind: ClusterConfiguration\n", None));
    objects.extend(upload_config::kubelet_config("kubelet-config", "kind: X\n", false));
    objects.extend(bootstrap_token::rbac(true));
    objects.extend(cluster_info::objects(ca.as_bytes(), "https://10.0.0.1:6443", false));
    objects.extend(upload_certs::access());
    objects.extend(
        coredns::objects(&CoreDnsOptions {
            image: "registry.k8s.io/coredns/coredns:v1.14.2".into(),
            dns_domain: "cluster.local".into(),
            dns_ip: "10.96.0.10".parse().unwrap(),
            replicas: 2,
            release: CoreDnsRelease {
                anti_affinity: true,
                named_probe_ports: true,
                no_cache_for_domain: true,
                endpoint_slices: true,
                get_nodes: false,
                control_plane_taints: vec![node::CONTROL_PLANE.into()],
                service_name: "CoreDNS".into(),
                drop_capabilities: "ALL".into(),
            },
        })
        .unwrap(),
    );
    objects.extend(
        kube_proxy::objects(&KubeProxyOptions {
            image: "registry.k8s.io/kube-proxy:v1.36.2".into(),
            config_yaml: "kind: KubeProxyConfiguration\n".into(),
            user_supplied: false,
            server_url: "https://10.0.0.1:6443".into(),
            tolerate_critical_addons_only: false,
        })
        .unwrap(),
    );
    objects
}

fn with(changes: &[Change], applied: Applied) -> Vec<&str> {
    changes.iter().filter(|c| c.applied == applied).map(|c| c.what.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_converges_on_a_real_api_server() {
    for directory in binaries() {
        eprintln!("with {}", directory.display());
        let control_plane = ControlPlane::start(&directory);
        let client = control_plane.client();
        let cancel = CancellationToken::new();

        nothing_is_reachable_yet(&client, control_plane.ca()).await;
        wait_api_server(&client, "/livez", LONG, &cancel).await.unwrap();
        HealthEndpoint::controller_manager("127.0.0.1", control_plane.controller_manager_port())
            .wait(ControlPlane::dial(), LONG, &cancel)
            .await
            .unwrap();
        a_foreign_ca_is_refused_at_once(&control_plane).await;
        objects_converge(&client, control_plane.ca()).await;
        tokens_let_kubelets_in_and_are_listed_and_deleted(&client).await;
        certificates_survive_the_cluster(&client).await;
        nodes_are_marked(&client).await;
        manifests_converge(&client).await;
        manifests_wait_for_the_servers_own_namespaces(&control_plane).await;
        drain::respects_budgets_and_controllers(&client).await;
        kubeadm_and_fleetadm_read_each_other(&client, &control_plane, &directory).await;
    }
}

async fn nothing_is_reachable_yet(client: &ApiClient, ca: &str) {
    let once = client.with_timing(Timing::once(Duration::from_secs(1)));
    let objects = objects(ca);
    let changes = apply::preview_all(Some(&once), &objects).await.unwrap();
    assert_eq!(with(&changes, Applied::Created).len(), objects.len());
}

async fn a_foreign_ca_is_refused_at_once(control_plane: &ControlPlane) {
    let (foreign, _) = authority();
    let start = Instant::now();
    let error = nodes::list(&control_plane.client_trusting(&foreign)).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{error} took {:?}", start.elapsed());
}

async fn objects_converge(client: &ApiClient, ca: &str) {
    let mut objects = objects(ca);
    let first = apply::apply_all(client, &objects).await.unwrap();
    assert_eq!(with(&first, Applied::Created).len(), objects.len(), "{first:#?}");
    let second = apply::apply_all(client, &objects).await.unwrap();
    assert_eq!(with(&second, Applied::Unchanged).len(), objects.len(), "{second:#?}");

    // Each kind of update: data, a list in a template, labels.
    let replacements = [
        upload_config::kubeadm_config("kind: ClusterConfiguration\nx: y\n", None).remove(0),
        edited(&objects, "kube-proxy", "DaemonSet", |body| {
            body["spec"]["template"]["spec"]["containers"][0]["image"] = "other:v2".into();
        }),
        edited(&objects, "kube-dns", "Service", |body| {
            body["metadata"]["labels"]["extra"] = "yes".into();
        }),
        edited(&objects, "kubeadm:get-nodes", "ClusterRole", |body| {
            body["rules"][0]["verbs"] = json!(["get", "list"]);
        }),
    ];
    for replacement in replacements {
        let slot = objects.iter_mut().find(|object| object.key() == replacement.key()).unwrap();
        *slot = replacement;
    }
    let preview = apply::preview_all(Some(client), &objects).await.unwrap();
    let updates = apply::apply_all(client, &objects).await.unwrap();
    let expected = [
        "ConfigMap kube-system/kubeadm-config",
        "ClusterRole kubeadm:get-nodes",
        "Service kube-system/kube-dns",
        "DaemonSet kube-system/kube-proxy",
    ];
    assert_eq!(with(&updates, Applied::Updated), expected);
    assert_eq!(with(&preview, Applied::Updated), expected);
    let again = apply::apply_all(client, &objects).await.unwrap();
    assert_eq!(with(&again, Applied::Unchanged).len(), objects.len(), "{again:#?}");
}

fn edited(objects: &[Object], name: &str, kind: &str, edit: impl Fn(&mut Value)) -> Object {
    let object = objects
        .iter()
        .find(|object| object.key().name == name && object.key().kind.as_str() == kind)
        .unwrap();
    let mut body = object.body().clone();
    edit(&mut body);
    Object::from_body(body).unwrap()
}

async fn tokens_let_kubelets_in_and_are_listed_and_deleted(client: &ApiClient) {
    let soon = time::OffsetDateTime::now_utc() + time::Duration::minutes(10);
    let token = BootstrapToken::generate().unwrap();
    let options = TokenOptions::for_one_run(soon);
    tokens::create(client, &token, &options).await.unwrap();
    let again = tokens::create(client, &token, &options).await.unwrap_err();
    assert!(again.to_string().contains("already exists"), "{again}");
    let owner = BootstrapToken::generate().unwrap();
    tokens::create(client, &owner, &TokenOptions::owning_certificates(soon)).await.unwrap();

    wait::bootstrapper_admitted(client, &token, LONG, &CancellationToken::new()).await.unwrap();
    let stranger = BootstrapToken::generate().unwrap();
    let refusal = reviews::bootstrapper(client, &stranger).await.unwrap().unwrap_err();
    assert!(refusal.contains("does not know the token"), "{refusal}");
    let refusal = reviews::bootstrapper(client, &owner).await.unwrap();
    assert!(refusal.is_err(), "a token that owns certificates lets nobody in");

    let listed = tokens::list(client).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|live| live.token.id()).collect();
    assert_eq!(ids, [token.id()]);
    assert_eq!(listed[0].token.expose(), token.expose());
    assert_eq!(listed[0].options.description, options.description);
    assert!(tokens::delete(client, owner.id()).await.unwrap());
    assert!(tokens::delete(client, token.id()).await.unwrap());
    assert!(!tokens::delete(client, token.id()).await.unwrap());
}

async fn certificates_survive_the_cluster(client: &ApiClient) {
    let soon = time::OffsetDateTime::now_utc() + upload_certs::LIFETIME;
    let owner = BootstrapToken::generate().unwrap();
    let options = TokenOptions::owning_certificates(soon);
    apply::apply(client, &bootstrap_token::secret(&owner, &options)).await.unwrap();
    let owner = client.get(&owner.key()).await.unwrap();
    let key = CertificateKey::generate().unwrap();
    let files = BTreeMap::from([("ca.crt".to_owned(), Zeroizing::new(b"certificate".to_vec()))]);
    let etcd = EtcdCertificates::Stacked;
    let secret = upload_certs::secret(&etcd, &files, &key, owner.as_ref()).unwrap();
    assert_eq!(apply::apply(client, &secret).await.unwrap(), Applied::Created);
    let live = client.get(&upload_certs::key()).await.unwrap().unwrap();
    assert_eq!(live["metadata"]["ownerReferences"][0]["uid"], owner.unwrap()["metadata"]["uid"]);
    let files = upload_certs::decode(&live, &etcd, &key).unwrap();
    assert_eq!((files.len(), files[0].contents.as_slice()), (1, b"certificate".as_slice()));
}

async fn nodes_are_marked(client: &ApiClient) {
    let text = "apiVersion: v1\nkind: Node\nmetadata:\n  name: cp-1\n  labels: {kubernetes.io/hostname: cp-1}\n\
        spec:\n  taints: [{key: other, effect: NoExecute}]\n";
    let documents = manifests::parse("node.yaml", text).unwrap();
    manifests::apply(client, &documents).await.unwrap();
    let cancel = CancellationToken::new();
    wait::node_registered(client, "cp-1", LONG, &cancel).await.unwrap();
    let short = Poll::for_at_most(Duration::from_secs(2));
    let error = wait::node_ready(client, "cp-1", short, &cancel).await.unwrap_err();
    assert!(error.to_string().contains("has not reported its state"), "{error}");

    let marks = node::NodeMarks {
        labels: BTreeMap::from([(node::CONTROL_PLANE.to_owned(), String::new())]),
        annotations: BTreeMap::from([(node::CRI_SOCKET.to_owned(), "unix:///x".to_owned())]),
        taints: vec![Taint {
            key: node::CONTROL_PLANE.to_owned(),
            value: String::new(),
            effect: "NoSchedule".to_owned(),
        }],
    };
    assert_eq!(nodes::mark(client, "cp-1", &marks).await.unwrap(), Applied::Updated);
    assert_eq!(nodes::mark(client, "cp-1", &marks).await.unwrap(), Applied::Unchanged);
    let live = nodes::get(client, "cp-1").await.unwrap().unwrap();
    let taints: Vec<_> =
        live["spec"]["taints"].as_array().unwrap().iter().map(|t| t["key"].clone()).collect();
    assert!(taints.contains(&"other".into()) && taints.contains(&node::CONTROL_PLANE.into()));
    assert!(nodes::delete(client, "cp-1").await.unwrap());
    assert!(!nodes::delete(client, "cp-1").await.unwrap());

    // What was meant for a Node that is gone does nothing to the next one of its name.
    manifests::apply(client, &documents).await.unwrap();
    let uid = live["metadata"]["uid"].as_str().unwrap();
    assert!(!client.delete_exactly(&nodes::key("cp-1"), uid).await.unwrap());
    let late = json!({"metadata": {"uid": uid}, "spec": {"unschedulable": true}});
    let refused = client.patch(&nodes::key("cp-1"), PatchKind::StrategicMerge, &late).await;
    assert!(matches!(refused.unwrap_err().status(), Some(409 | 422)));
    let next = nodes::get(client, "cp-1").await.unwrap().unwrap();
    assert_ne!(next["spec"]["unschedulable"], true);
    assert!(nodes::delete(client, "cp-1").await.unwrap());
}

/// Certificates that kubeadm uploaded are unpacked, and kubeadm lists a token of ours.
async fn kubeadm_and_fleetadm_read_each_other(
    client: &ApiClient,
    control_plane: &ControlPlane,
    binaries: &Path,
) {
    let kubeadm = binaries.join("kubeadm");
    if !kubeadm.is_file() {
        eprintln!("SKIPPED: no {}", kubeadm.display());
        return;
    }
    let directory = control_plane.directory();
    let run = |arguments: &[&str]| {
        let output = Command::new(&kubeadm).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "kubeadm {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    let version = run(&["version", "-o", "short"]);
    let api = if version.starts_with("v1.20.") { "v1beta2" } else { "v1beta4" };
    let key = CertificateKey::generate().unwrap();
    let pki = directory.join("pki");
    let config = directory.join("kubeadm.yaml");
    let documents = format!(
        "apiVersion: kubeadm.k8s.io/{api}\nkind: InitConfiguration\ncertificateKey: {}\n\
         localAPIEndpoint: {{advertiseAddress: 192.0.2.1}}\nnodeRegistration: {{criSocket: /x.sock}}\n\
         ---\napiVersion: kubeadm.k8s.io/{api}\nkind: ClusterConfiguration\n\
         kubernetesVersion: {}\ncertificatesDir: {}\n",
        key.expose().as_str(),
        version.trim(),
        pki.display()
    );
    fs::write(&config, documents).unwrap();
    let config = config.display().to_string();
    let kubeconfig = directory.join("admin.conf").display().to_string();
    run(&["init", "phase", "certs", "all", "--config", &config]);
    run(&[
        "init",
        "phase",
        "upload-certs",
        "--upload-certs",
        "--config",
        &config,
        "--kubeconfig",
        &kubeconfig,
    ]);

    let live = client.get(&upload_certs::key()).await.unwrap().unwrap();
    let files = upload_certs::decode(&live, &EtcdCertificates::Stacked, &key).unwrap();
    assert_eq!(files.len(), 8);
    for file in files {
        let path = pki.join(&file.path);
        assert_eq!(fs::read(&path).unwrap(), *file.contents, "{}", path.display());
        let private = file.path.ends_with(".key");
        assert_eq!(file.mode, if private { 0o600 } else { 0o644 }, "{}", path.display());
    }

    let token = BootstrapToken::generate().unwrap();
    let soon = time::OffsetDateTime::now_utc() + time::Duration::minutes(10);
    let secret = bootstrap_token::secret(&token, &TokenOptions::for_one_run(soon));
    apply::apply(client, &secret).await.unwrap();
    let list = run(&["token", "list", "--kubeconfig", &kubeconfig]);
    assert!(list.contains(token.expose().as_str()), "{list}");
    assert!(list.contains("created by fleetadm for one run"), "{list}");
}

/// As with a server that has just started: it is ready some time before these namespaces are there.
async fn manifests_wait_for_the_servers_own_namespaces(control_plane: &ControlPlane) {
    let document = |namespace: &str| {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: early, namespace: {namespace}}}\n"
        );
        manifests::parse("early.yaml", &text).unwrap()
    };
    // The API server looks once a minute whether they are there.
    let timing = Timing { total: Duration::from_secs(120), ..Timing::default() };
    let client = control_plane.client().with_timing(timing);
    control_plane.forget("/registry/namespaces/default");
    let changes = manifests::apply(&client, &document("default")).await.unwrap();
    assert_eq!(with(&changes, Applied::Created), ["ConfigMap default/early"]);

    let start = Instant::now();
    let error = manifests::apply(&client, &document("defualt")).await.unwrap_err().to_string();
    assert!(error.contains("namespaces \"defualt\" not found"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "nobody makes this one");
}

async fn manifests_converge(client: &ApiClient) {
    const TEXT: &str = include_str!("widgets.yaml");
    let documents = manifests::parse("widgets.yaml", TEXT).unwrap();
    let preview = manifests::preview(Some(client), &documents).await.unwrap();
    assert_eq!(with(&preview, Applied::Created).len(), documents.len(), "{preview:#?}");
    let first = manifests::apply(client, &documents).await.unwrap();
    assert_eq!(with(&first, Applied::Created).len(), documents.len(), "{first:#?}");
    let second = manifests::apply(client, &documents).await.unwrap();
    assert_eq!(with(&second, Applied::Unchanged).len(), documents.len(), "{second:#?}");
    let preview = manifests::preview(Some(client), &documents).await.unwrap();
    assert_eq!(with(&preview, Applied::Unchanged).len(), documents.len(), "{preview:#?}");

    // A field that leaves the manifest leaves the object.
    let documents =
        manifests::parse("widgets.yaml", &TEXT.replace("  colour: blue\n", "")).unwrap();
    let preview = manifests::preview(Some(client), &documents).await.unwrap();
    assert_eq!(with(&preview, Applied::Updated), ["ConfigMap shop/colours"], "{preview:#?}");
    let third = manifests::apply(client, &documents).await.unwrap();
    assert_eq!(with(&third, Applied::Updated), ["ConfigMap shop/colours"]);

    let unknown = "apiVersion: nowhere.io/v1\nkind: Thing\nmetadata: {name: a}\n";
    let unknown = manifests::parse("unknown.yaml", unknown).unwrap();
    let error = manifests::apply(client, &unknown).await.unwrap_err().to_string();
    assert!(error.starts_with("unknown.yaml, document 1 (Thing a): "), "{error}");
    assert!(error.contains("does not serve nowhere.io/v1 Thing"), "{error}");
}
