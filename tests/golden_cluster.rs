//! Compares what fleetadm would put on hosts and into the cluster with what real kubeadm left there, field by field.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetadm::cluster::static_pods::{
    self, Component, etcd, kube_apiserver, kube_controller_manager, kube_scheduler,
};
use fleetadm::cluster::{Cluster, ControlPlaneNode};
use fleetadm::cluster::{component_config, kube_proxy, kubeadm_config, kubelet, node_flags};
use fleetadm::inventory::{
    Addon, ApiServer, ClusterSection, ComponentExtras, EncryptionAlgorithm, Endpoint, Etcd,
    EtcdManager, KubernetesVersion, Networking, Role, Taint, Timeouts,
};
use serde_json::{Map, Value, json};

/// Where ours differs on purpose: release, file, path, reason. None so far.
const INTENDED: [(&str, &str, &str, &str); 0] = [];

/// One captured cluster.
struct Golden {
    directory: PathBuf,
    cluster: Cluster,
    release: &'static str,
    cp1: (&'static str, &'static str),
    cp2: (&'static str, &'static str),
    worker: &'static str,
    /// The endpoint in init.yaml; the other nodes joined with kubeadm's own choice.
    cp1_socket: &'static str,
    socket: &'static str,
}

impl Golden {
    fn text(&self, file: &str) -> String {
        let path = self.directory.join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn config_map(&self, name: &str, key: &str) -> String {
        let file = "k8s/kube-system-configmaps.yaml";
        let list = parse(file, &self.text(file));
        let items = list["items"].as_array().unwrap();
        let found = items.iter().find(|item| item["metadata"]["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no ConfigMap {name}"));
        found["data"][key].as_str().unwrap_or_else(|| panic!("{name} has no {key}")).to_owned()
    }

    fn node(&self, (name, address): (&str, &str)) -> ControlPlaneNode {
        let present = [
            "/etc/ca-certificates",
            "/usr/share/ca-certificates",
            "/usr/local/share/ca-certificates",
        ];
        ControlPlaneNode {
            name: name.to_owned(),
            advertise_address: address.parse().unwrap(),
            extra_ca_directories: present.map(ToOwned::to_owned).into(),
            proxy_environment: BTreeMap::new(),
            external_ca: false,
        }
    }

    fn advertise(&self) -> IpAddr {
        self.cp1.1.parse().unwrap()
    }

    /// Fails with the paths at which two documents differ.
    fn assert_same(&self, file: &str, ours: &Value, theirs: &Value) {
        let mut found = Vec::new();
        differences("", ours, theirs, &mut found);
        found.retain(|(path, _)| {
            !INTENDED.iter().any(|known| (known.0, known.1, known.2) == (self.release, file, path))
        });
        let lines: Vec<_> = found.iter().map(|(path, what)| format!("{path}: {what}")).collect();
        assert!(lines.is_empty(), "{} {file}:\n{}", self.release, lines.join("\n"));
    }

    /// Compares documents, whose differences read well, then every byte: a file that differs in layout alone
    /// would still be replaced, and what runs with it restarted, when a cluster of kubeadm's is taken over.
    fn assert_text(&self, file: &str, ours: &str, theirs: &str) {
        self.assert_same(file, &parse("ours", ours), &parse(file, theirs));
        assert_eq!(ours, theirs, "{} {file}", self.release);
    }
}

fn parse(what: &str, text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn differences(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<(String, String)>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                differences(&format!("{path}/{key}"), &of(a), &of(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let of = |list: &[Value]| list.get(index).cloned().unwrap_or_default();
                differences(&format!("{path}/{index}"), &of(a), &of(b), found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push((path.to_owned(), format!("ours {ours}, kubeadm's {theirs}"))),
    }
}

fn section(minor: u16, endpoint: &str, kubelet: &Value) -> ClusterSection {
    ClusterSection {
        name: "kubernetes".to_owned(),
        kubernetes_version: KubernetesVersion { major: 1, minor, patch: 2 },
        load_balancer: None,
        control_plane_endpoint: Some(Endpoint { host: endpoint.to_owned(), port: Some(6443) }),
        image_repository: None,
        cri_socket: None,
        networking: Networking {
            pod_subnet: vec!["10.244.0.0/16".parse().unwrap()],
            service_subnet: vec!["10.96.0.0/12".parse().unwrap()],
            dns_domain: "cluster.local".to_owned(),
        },
        api_server: ApiServer { bind_port: 6443, extra_args: vec![], cert_sans: vec![] },
        controller_manager: vec![],
        scheduler: vec![],
        etcd: Etcd {
            data_dir: "/var/lib/etcd".to_owned(),
            extra_args: vec![],
            image_repository: None,
            image_tag: None,
            server_cert_sans: vec![],
            peer_cert_sans: vec![],
            manager: EtcdManager::default(),
            external: None,
        },
        extras: ComponentExtras::default(),
        dns: Addon::default(),
        proxy: Addon::default(),
        timeouts: Timeouts::default(),
        kubelet_configuration: kubelet.as_object().unwrap().clone(),
        kube_proxy_configuration: Map::new(),
        patches: None,
        pki_directory: None,
        encryption_algorithm: EncryptionAlgorithm::Rsa2048,
        certificate_validity_period: Duration::from_secs(8760 * 3600),
        ca_certificate_validity_period: Duration::from_secs(87_600 * 3600),
    }
}

/// Runs a comparison against both captured releases, or says that it cannot.
fn against_golden(compare: impl Fn(&Golden)) {
    let root = std::env::var_os("FLEETADM_GOLDEN").map_or_else(
        || Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/golden")).to_owned(),
        PathBuf::from,
    );
    if !root.is_dir() {
        eprintln!("SKIPPED: no captured clusters at {}; set FLEETADM_GOLDEN", root.display());
        return;
    }
    // What the captured runs had in init.yaml.
    let old = section(20, "10.250.1.7", &json!({ "cgroupDriver": "systemd" }));
    let new = section(36, "10.250.1.1", &json!({ "failCgroupV1": false }));
    for golden in [
        Golden {
            directory: root.join("1.20.2"),
            cluster: Cluster::resolve(&old).unwrap(),
            release: "1.20.2",
            cp1: ("y1", "10.250.1.7"),
            cp2: ("y3", "10.250.1.9"),
            worker: "y2",
            cp1_socket: "/run/containerd/containerd.sock",
            socket: "/run/containerd/containerd.sock",
        },
        Golden {
            directory: root.join("1.36.2"),
            cluster: Cluster::resolve(&new).unwrap(),
            release: "1.36.2",
            cp1: ("n1", "10.250.1.1"),
            cp2: ("n3", "10.250.1.3"),
            worker: "n2",
            cp1_socket: "unix:///run/containerd/containerd.sock",
            socket: "unix:///var/run/containerd/containerd.sock",
        },
    ] {
        compare(&golden);
    }
}

#[test]
fn static_pod_manifests() {
    against_golden(|golden| {
        let member = |(name, address): (&str, &str)| etcd::Member {
            name: name.to_owned(),
            peer_url: etcd::peer_url(address.parse().unwrap()),
        };
        let both = vec![member(golden.cp2), member(golden.cp1)];
        for (host, node, initial) in [
            ("cp1", golden.cp1, etcd::InitialCluster::New),
            ("cp2", golden.cp2, etcd::InitialCluster::Existing(both)),
        ] {
            let (cluster, node) = (&golden.cluster, golden.node(node));
            for component in Component::ALL {
                let pod = match component {
                    Component::Etcd => etcd::manifest(cluster, &node, &initial),
                    Component::KubeApiserver => kube_apiserver::manifest(cluster, &node),
                    Component::KubeControllerManager => {
                        kube_controller_manager::manifest(cluster, &node)
                    }
                    Component::KubeScheduler => kube_scheduler::manifest(cluster, &node),
                };
                let ours = static_pods::to_yaml(&pod, &cluster.release).unwrap();
                let file = format!("{host}{}", component.manifest_path());
                golden.assert_text(&file, &ours, &golden.text(&file));
            }
        }
    });
}

#[test]
fn health_endpoints() {
    against_golden(|golden| {
        let read = |component: Component| {
            let text = golden.text(&format!("cp1{}", component.manifest_path()));
            let pod = static_pods::from_yaml(&text).unwrap();
            let release = &golden.cluster.release;
            let found = static_pods::probes::health_endpoint(component, &pod, release).unwrap();
            let scheme = if found.tls { "https" } else { "http" };
            format!("{scheme}://{}:{}{}", found.host, found.port, found.path)
        };
        let expected = match golden.release {
            "1.20.2" => [
                "http://127.0.0.1:2381/health",
                "https://10.250.1.7:6443/healthz",
                "https://127.0.0.1:10257/healthz",
                "https://127.0.0.1:10259/healthz",
            ],
            _ => [
                "http://127.0.0.1:2381/livez",
                "https://10.250.1.1:6443/livez",
                "https://127.0.0.1:10257/healthz",
                "https://127.0.0.1:10259/livez",
            ],
        };
        assert_eq!(Component::ALL.map(read), expected);
    });
}

#[test]
fn kubelet_files() {
    against_golden(|golden| {
        let none = BTreeMap::new();
        for (host, name, socket) in [
            ("cp1", golden.cp1.0, golden.cp1_socket),
            ("cp2", golden.cp2.0, golden.socket),
            ("worker", golden.worker, golden.socket),
        ] {
            let node = kubelet::KubeletNode {
                name,
                hostname: name,
                runtime_endpoint: socket,
                systemd_resolved: false,
                register_with_taints: &[],
                extra_args: &none,
            };
            let file = format!("{host}{}", kubelet::CONFIG_PATH);
            let config = kubelet::config_yaml(&golden.cluster, &node).unwrap();
            golden.assert_text(&file, &config.yaml, &golden.text(&file));
            assert_eq!(config.deviations, []);

            let file = format!("{host}{}", kubelet::FLAGS_PATH);
            assert_eq!(kubelet::flags_env(&golden.cluster, &node), golden.text(&file), "{file}");

            let file = format!("{host}{}", kubelet::INSTANCE_CONFIG_PATH);
            let theirs = fs::read_to_string(golden.directory.join(&file)).ok();
            assert_eq!(kubelet::instance_config_yaml(&golden.cluster, &node), theirs, "{file}");
        }
    });
}

#[test]
fn config_maps() {
    against_golden(|golden| {
        let cluster = &golden.cluster;
        let theirs = golden.config_map(kubeadm_config::CONFIG_MAP, "ClusterConfiguration");
        let ours = kubeadm_config::cluster_configuration_yaml(cluster).unwrap();
        golden.assert_text("kubeadm-config", &ours, &theirs);
        let version = kubeadm_config::running_version(&theirs).unwrap();
        assert_eq!(version, cluster.release.version);

        if cluster.release.config.cluster_status {
            let theirs = golden.config_map(kubeadm_config::CONFIG_MAP, "ClusterStatus");
            let mut status = kubeadm_config::ClusterStatus::default();
            for (name, address) in [golden.cp1, golden.cp2] {
                let advertise_address = address.parse().unwrap();
                let endpoint = kubeadm_config::ApiEndpoint { advertise_address, bind_port: 6443 };
                status.api_endpoints.insert(name.to_owned(), endpoint);
            }
            golden.assert_text("ClusterStatus", &status.to_yaml().unwrap(), &theirs);
            assert_eq!(kubeadm_config::ClusterStatus::from_yaml(&theirs).unwrap(), status);
        }

        let name = cluster.release.kubelet_config_map();
        let theirs = golden.config_map(&name, kubelet::CONFIG_MAP_KEY);
        let ours = kubelet::config_map_yaml(cluster, false).unwrap().yaml;
        golden.assert_text(&name, &ours, &theirs);

        let theirs = golden.config_map("kube-proxy", "config.conf");
        let ours = kube_proxy::config_yaml(cluster, golden.advertise()).unwrap().yaml;
        golden.assert_text("kube-proxy", &ours, &theirs);
    });
}

#[test]
fn the_hash_of_component_configs() {
    against_golden(|golden| {
        let key = |key: &str| (key.to_owned(), golden.config_map("kube-proxy", key));
        let data = BTreeMap::from([key("config.conf"), key("kubeconfig.conf")]);
        let hash = component_config::hash(&data);
        assert!(golden.text("k8s/kube-system-configmaps.yaml").contains(&hash), "{hash}");
    });
}

#[test]
fn images() {
    against_golden(|golden| {
        let ours = golden.cluster.images_for(Role::ControlPlane);
        assert_eq!(ours.join("\n"), golden.text("images.txt").trim_end());
    });
}

#[test]
fn labels_taints_and_annotations() {
    against_golden(|golden| {
        let text = golden.text("k8s/nodes-labels-taints.json");
        let release = &golden.cluster.release;
        for node in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let node = node.unwrap();
            let is_worker = node["name"] == golden.worker;
            let (labels, taints) = if is_worker {
                (BTreeMap::new(), Value::Null)
            } else {
                let spell = |taint: &Taint| json!({ "key": taint.key, "effect": taint.effect });
                let taints = node_flags::control_plane_taints(release, None);
                let taints = taints.iter().map(spell).collect();
                (node_flags::control_plane_labels(release), taints)
            };
            let only = |field: &str, prefix: &str| {
                let mut fields = node[field].as_object().unwrap().clone();
                fields.retain(|name, _| name.starts_with(prefix));
                Value::Object(fields)
            };
            golden.assert_same("labels", &json!(labels), &only("labels", "node"));
            golden.assert_same("taints", &taints, &node["taints"]);
            let annotations = json!(node_flags::annotations(release, golden.socket));
            golden.assert_same("annotations", &annotations, &only("annotations", "kubeadm"));
        }
    });
}

#[test]
fn urls() {
    against_golden(|golden| {
        let text = golden.text("cp2/etc/kubernetes/controller-manager.conf");
        let local = golden.cluster.local_endpoint_url(golden.cp2.1.parse().unwrap());
        assert!(text.contains(&format!("server: {local}\n")), "{local}");
        let text = golden.text("cp2/etc/kubernetes/admin.conf");
        let shared = golden.cluster.control_plane_url(golden.cp2.1.parse().unwrap());
        assert!(text.contains(&format!("server: {shared}\n")), "{shared}");
    });
}

#[test]
fn defaults_are_printed_as_kubeadm_prints_them() {
    use kubeadm_config::{Documents, Kind, defaults};

    against_golden(|golden| {
        let newest = golden.release == "1.36.2";
        let version = KubernetesVersion { patch: 0, ..golden.cluster.release.version };
        // Warnings of the old one, and the name of the machine it ran on where newer ones have a placeholder.
        let theirs = |file: &str| {
            let lines = golden.text(file);
            let lines = lines.lines().filter(|line| !line.starts_with('W'));
            lines.map(|line| line.replace("name: y1", "name: node") + "\n").collect::<String>()
        };
        let ours = defaults::init_defaults(version, &[Kind::Kubelet, Kind::KubeProxy]).unwrap();
        assert_eq!(ours, theirs("init-defaults-components.yaml"));
        if newest {
            assert_eq!(defaults::reset_defaults(version).unwrap(), theirs("reset-defaults.yaml"));
            assert_eq!(
                defaults::upgrade_defaults(version).unwrap(),
                theirs("upgrade-defaults.yaml")
            );
        } else {
            let theirs = theirs("join-defaults-components.yaml");
            let (theirs, _) = theirs.split_once("---\n").unwrap();
            assert_eq!(defaults::join_defaults(version).unwrap(), theirs);
        }
        Documents::read(&golden.text("init.yaml"), "init.yaml").unwrap().validate().unwrap();
    });
}
