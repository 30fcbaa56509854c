//! The objects fleetadm writes against those kubeadm wrote, for the oldest and the newest release.
//!
//! `init-dry-run.txt` holds every object as kubeadm sends it; `k8s/` holds what a real cluster had. Data
//! that only the cluster layer can render (configuration documents, the CA) is taken from the golden
//! object itself, so what is compared is everything around it.

#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on should panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleetadm::inventory::Taint;
use fleetadm::kubernetes::Object;
use fleetadm::kubernetes::compare::{HASH_ANNOTATION, overlay, satisfied};
use fleetadm::kubernetes::objects::bootstrap_token::{BootstrapToken, TokenOptions};
use fleetadm::kubernetes::objects::coredns::{CoreDnsOptions, CoreDnsRelease};
use fleetadm::kubernetes::objects::kube_proxy::KubeProxyOptions;
use fleetadm::kubernetes::objects::{
    bootstrap_token, cluster_admins, cluster_info, coredns, kube_proxy, node, upload_certs,
    upload_config,
};
use serde_json::{Map, Value, json};

/// Where fleetadm's objects are meant to differ from kubeadm's: release (or any), object, JSON pointer,
/// why.
const INTENDED: &[(&str, &str, &str, &str)] = &[
    (
        "1.20.2",
        "ClusterRole kubeadm:get-nodes",
        "/metadata/namespace",
        "a cluster-scoped object has no namespace; the server drops it",
    ),
    (
        "1.20.2",
        "ClusterRoleBinding kubeadm:get-nodes",
        "/metadata/namespace",
        "a cluster-scoped object has no namespace; the server drops it",
    ),
    (
        "",
        "Service kube-system/kube-dns",
        "/metadata/resourceVersion",
        "kubeadm replaces the Service blindly; fleetadm reads it first",
    ),
];

const MASTER_OR_CONTROL_PLANE: [&str; 2] =
    ["node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane"];

struct Release {
    version: &'static str,
    golden: PathBuf,
    old: bool,
}

fn releases() -> Vec<Release> {
    let golden = std::env::var_os("FLEETADM_GOLDEN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden"),
        PathBuf::from,
    );
    if !golden.is_dir() {
        eprintln!("SKIPPED: no golden data at {}", golden.display());
        return Vec::new();
    }
    [("1.20.2", true), ("1.36.2", false)]
        .map(|(version, old)| Release { version, golden: golden.join(version), old })
        .into()
}

impl Release {
    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.golden.join(file)).unwrap()
    }

    /// Every object of the dry run that would be created, by key.
    fn dry_run(&self) -> BTreeMap<String, Value> {
        let text = self.read("init-dry-run.txt");
        let mut objects = BTreeMap::new();
        let mut creating = false;
        let mut yaml: Option<String> = None;
        for line in text.lines().chain(["[end]"]) {
            // Lines of the log are interleaved with the YAML.
            let is_log = line.len() > 5
                && matches!(line.as_bytes()[0], b'I' | b'W')
                && line[1..5].bytes().all(|byte| byte.is_ascii_digit());
            if is_log {
                continue;
            }
            if line.starts_with('[') || (line.is_empty() && yaml.is_some()) {
                if let Some(body) = yaml.take() {
                    let mut body: Value = serde_saphyr::from_str(&body).unwrap();
                    strip(&mut body);
                    objects.insert(key_of(&body), body);
                }
                if line.contains("Would perform action") {
                    creating = line.contains("action CREATE");
                }
                if creating && line == "[dryrun] Attached object:" {
                    yaml = Some(String::new());
                    creating = false;
                }
            } else if let Some(yaml) = &mut yaml {
                // 1.20 indents each line by a tab.
                yaml.push_str(line.strip_prefix('\t').unwrap_or(line));
                yaml.push('\n');
            }
        }
        assert!(objects.len() > 20, "{}: {:?}", self.version, objects.keys());
        objects
    }

    /// Every object of the real cluster, by key.
    fn live(&self) -> BTreeMap<String, Value> {
        let mut objects = BTreeMap::new();
        for entry in std::fs::read_dir(self.golden.join("k8s")).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let mut list: Value = serde_saphyr::from_str(&text).unwrap();
            if let Value::Array(items) = list["items"].take() {
                objects.extend(items.into_iter().map(|item| (key_of(&item), item)));
            }
        }
        objects
    }

    fn node(&self) -> &'static str {
        if self.old { "y1" } else { "n1" }
    }

    fn coredns(&self) -> CoreDnsOptions {
        let (image, taints) = if self.old {
            ("k8s.gcr.io/coredns:1.7.0", &MASTER_OR_CONTROL_PLANE[..])
        } else {
            ("registry.k8s.io/coredns/coredns:v1.14.2", &MASTER_OR_CONTROL_PLANE[1..])
        };
        CoreDnsOptions {
            image: image.to_owned(),
            dns_domain: "cluster.local".to_owned(),
            dns_ip: "10.96.0.10".parse().unwrap(),
            replicas: 2,
            release: CoreDnsRelease {
                anti_affinity: !self.old,
                named_probe_ports: !self.old,
                no_cache_for_domain: !self.old,
                endpoint_slices: !self.old,
                get_nodes: self.old,
                control_plane_taints: taints.iter().map(|&key| key.to_owned()).collect(),
                service_name: if self.old { "KubeDNS" } else { "CoreDNS" }.to_owned(),
                drop_capabilities: if self.old { "all" } else { "ALL" }.to_owned(),
            },
        }
    }

    /// Everything fleetadm writes in an init, with documents and secrets as in `golden`.
    fn ours(&self, golden: &BTreeMap<String, Value>) -> Vec<Object> {
        let text = |key: &str, field: &str| {
            golden[key]["data"][field].as_str().unwrap_or_default().to_owned()
        };
        let kubeadm_config = "ConfigMap kube-system/kubeadm-config";
        let status = text(kubeadm_config, "ClusterStatus");
        let mut objects = upload_config::kubeadm_config(
            &text(kubeadm_config, "ClusterConfiguration"),
            self.old.then_some(status.as_str()),
        );
        let name = if self.old { "kubelet-config-1.20" } else { "kubelet-config" };
        objects.extend(upload_config::kubelet_config(
            name,
            &text(&format!("ConfigMap kube-system/{name}"), "kubelet"),
            true,
        ));
        objects.extend(bootstrap_token::rbac(!self.old));
        let kubeconfig = text("ConfigMap kube-public/cluster-info", "kubeconfig");
        let kubeconfig: Value = serde_saphyr::from_str(&kubeconfig).unwrap();
        let cluster = &kubeconfig["clusters"][0]["cluster"];
        let ca = STANDARD.decode(cluster["certificate-authority-data"].as_str().unwrap()).unwrap();
        let server = cluster["server"].as_str().unwrap();
        objects.extend(cluster_info::objects(&ca, server, self.old));
        objects.extend(coredns::objects(&self.coredns()).unwrap());
        objects.extend(
            kube_proxy::objects(&KubeProxyOptions {
                image: if self.old {
                    "k8s.gcr.io/kube-proxy:v1.20.2"
                } else {
                    "registry.k8s.io/kube-proxy:v1.36.2"
                }
                .to_owned(),
                config_yaml: text("ConfigMap kube-system/kube-proxy", "config.conf") + "\n",
                user_supplied: false,
                server_url: server.to_owned(),
                tolerate_critical_addons_only: self.old,
            })
            .unwrap(),
        );
        objects
    }
}

/// Removes what kubeadm's types print without meaning it.
fn strip(body: &mut Value) {
    body.as_object_mut().unwrap().remove("status");
    drop_nulls(body);
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| {
                drop_nulls(field);
                !field.is_null() && field != &json!({})
            });
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn key_of(body: &Value) -> String {
    let kind = body["kind"].as_str().unwrap();
    let name = body["metadata"]["name"].as_str().unwrap();
    match body["metadata"]["namespace"].as_str() {
        Some(namespace) if !kind.starts_with("Cluster") => format!("{kind} {namespace}/{name}"),
        _ => format!("{kind} {name}"),
    }
}

/// Pointers at which two values differ.
fn differences(at: String, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(two)) => {
            let mut names: Vec<_> = one.keys().chain(two.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                let field = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or_default();
                differences(at, &field(one), &field(two), found);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (index, (one, two)) in one.iter().zip(two).enumerate() {
                differences(format!("{at}/{index}"), one, two, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{at}: ours {ours}, kubeadm's {theirs}")),
    }
}

fn is_intended(release: &Release, key: &str, difference: &str) -> bool {
    INTENDED.iter().any(|(version, object, pointer, _)| {
        (version.is_empty() || *version == release.version)
            && *object == key
            && difference.strip_prefix(pointer).is_some_and(|rest| rest.starts_with(':'))
    })
}

#[test]
fn objects_are_those_of_the_dry_run() {
    for release in releases() {
        let mut golden = release.dry_run();
        let mut problems = Vec::new();
        for object in release.ours(&golden) {
            let key = object.key().to_string();
            let Some(theirs) = golden.remove(&key) else {
                problems.push(format!("{key}: kubeadm does not write it"));
                continue;
            };
            let mut ours = object.body().clone();
            strip(&mut ours);
            let mut found = Vec::new();
            differences(String::new(), &ours, &theirs, &mut found);
            found.retain(|difference| !is_intended(&release, &key, difference));
            problems.extend(found.into_iter().map(|difference| format!("{key} {difference}")));
        }
        // The token is random; it has a test of its own.
        golden.retain(|key, _| !key.starts_with("Secret kube-system/bootstrap-token-"));
        problems.extend(golden.keys().map(|key| format!("{key}: fleetadm does not write it")));
        assert!(problems.is_empty(), "{}:\n{}", release.version, problems.join("\n"));
    }
}

/// On a cluster that kubeadm made, fleetadm finds nothing to change.
#[test]
fn a_cluster_made_by_kubeadm_needs_no_update() {
    for release in releases() {
        let live = release.live();
        let mut ours = release.ours(&live);
        ours.extend(upload_certs::access());
        if !release.old {
            ours.push(cluster_admins::binding());
        }
        for object in ours {
            let key = object.key().to_string();
            let there = live.get(&key).unwrap_or_else(|| panic!("{key} is not in the cluster"));
            assert!(
                satisfied(&object, there),
                "{}: {key} would be updated:\n{:#}",
                release.version,
                overlay(&object, there)
            );
        }
    }
}

#[test]
fn the_token_has_the_fields_of_the_dry_run() {
    for release in releases() {
        let golden = release.dry_run();
        let (_, theirs) = golden.iter().find(|(key, _)| key.contains("/bootstrap-token-")).unwrap();
        let text = |field: &str| {
            String::from_utf8(STANDARD.decode(theirs["data"][field].as_str().unwrap()).unwrap())
                .unwrap()
        };
        let token: BootstrapToken =
            format!("{}.{}", text("token-id"), text("token-secret")).parse().unwrap();
        let expires = time::OffsetDateTime::parse(
            &text("expiration"),
            &time::format_description::well_known::Rfc3339,
        )
        .unwrap();
        let ours = bootstrap_token::secret(&token, &TokenOptions::joining(Some(expires)));
        assert_eq!(ours.body(), theirs, "{}", release.version);
    }
}

#[test]
fn hashes_of_generated_configuration_are_kubeadms() {
    for release in releases() {
        let config_map = &release.dry_run()["ConfigMap kube-system/kube-proxy"];
        assert_eq!(
            upload_config::component_config_hash(&config_map["data"]),
            config_map["metadata"]["annotations"][HASH_ANNOTATION],
            "{}",
            release.version
        );
    }
}

#[test]
fn cluster_info_is_written_byte_for_byte() {
    for release in releases() {
        let live = &release.live()["ConfigMap kube-public/cluster-info"];
        let kubeconfig = live["data"]["kubeconfig"].as_str().unwrap();
        let ours = release.ours(&release.live());
        let config_map = ours.iter().find(|object| object.key().name == "cluster-info").unwrap();
        assert_eq!(config_map.body()["data"]["kubeconfig"], kubeconfig);
    }
}

#[test]
fn the_node_patch_is_that_of_the_dry_run() {
    for release in releases() {
        let name = release.node();
        let registered =
            json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
        let labels: &[&str] = if release.old {
            &[node::MASTER, node::CONTROL_PLANE]
        } else {
            &[node::CONTROL_PLANE, node::EXCLUDE_FROM_LOAD_BALANCERS]
        };
        let taint = if release.old { node::MASTER } else { node::CONTROL_PLANE };
        let marks = node::NodeMarks {
            labels: labels.iter().map(|&label| (label.to_owned(), String::new())).collect(),
            annotations: BTreeMap::new(),
            taints: vec![Taint {
                key: taint.to_owned(),
                value: String::new(),
                effect: "NoSchedule".to_owned(),
            }],
        };
        let patch = node::patch(&registered, &marks).unwrap();
        if release.old {
            // 1.36 prints the patched object instead of the patch.
            let text = release.read("init-dry-run.txt");
            let line = text.lines().find(|line| line.contains("\"taints\"")).unwrap();
            let theirs: Value = serde_json::from_str(line.trim()).unwrap();
            assert_eq!(patch, theirs);
        }
        let live = &release.live()[&format!("Node {name}")];
        assert_eq!(node::patch(live, &marks), None, "{}", release.version);
        assert!(node::is_registered(live) && node::ready(live).is_ok());
    }
}
