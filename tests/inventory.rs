//! What an operator writes or has printed, and what they are told when it is wrong.

#[path = "inventory/artifacts.rs"]
mod artifacts;
#[path = "inventory/document_mistakes.rs"]
mod document_mistakes;
#[path = "inventory/etcd.rs"]
mod etcd;
#[path = "inventory/host_mistakes.rs"]
mod host_mistakes;
#[path = "inventory/import.rs"]
mod import;
#[path = "inventory/load_balancer.rs"]
mod load_balancer;
#[path = "inventory/registries.rs"]
mod registries;
#[path = "inventory/sources.rs"]
mod sources;
#[path = "inventory/ssh_keys.rs"]
mod ssh_keys;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fleetadm::inventory::{
    self, Become, HookWhen, Host, Inventory, InventoryError, Role, Sources, fold_hosts, select,
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/inventories");

/// A document that is right, to put one mistake in at a time.
const CLUSTER: &str = r#"
[cluster]
kubernetes_version = "1.36.2"
[[hosts]]
name = "cp1"
role = "control-plane"
"#;

/// A selection without lists.
struct NoLists;

impl Sources for NoLists {
    fn file(&self, path: &str) -> Result<String, String> {
        Err(path.to_owned())
    }

    fn failed(&self) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

fn parse(text: &str) -> Result<Inventory, InventoryError> {
    inventory::parse(text, Path::new(EXAMPLES), "fleet.toml")
}

/// A document without mistakes.
fn inventory_of(text: &str) -> Inventory {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn mistakes(text: &str) -> String {
    parse(text).expect_err("the document has a mistake").to_string()
}

/// The mistakes of a document that is right but for `more`.
fn mistakes_with(more: &str) -> String {
    mistakes(&format!("{CLUSTER}{more}"))
}

fn host<'a>(inventory: &'a Inventory, name: &str) -> &'a Host {
    inventory.hosts.iter().find(|host| host.name == name).expect("the host is there")
}

#[test]
fn every_example_loads() {
    let mut loaded = 0;
    for entry in fs::read_dir(EXAMPLES).unwrap() {
        let entry = entry.unwrap();
        // Documents, and programs that print one; what they name is in the directories beside them.
        if entry.file_type().unwrap().is_file() {
            inventory::load(&entry.path()).unwrap_or_else(|error| panic!("{error}"));
            loaded += 1;
        }
    }
    assert!(loaded >= 3);
}

#[test]
fn minimal_means_kubeadm_defaults() {
    let inventory = inventory::load(&Path::new(EXAMPLES).join("minimal.toml")).unwrap();
    let cluster = inventory.cluster.as_ref().unwrap();
    assert_eq!(cluster.name, "kubernetes");
    assert_eq!(cluster.api_server.bind_port, 6443);
    assert_eq!(cluster.etcd.data_dir, "/var/lib/etcd");
    assert_eq!(cluster.networking.dns_domain, "cluster.local");
    assert_eq!(cluster.networking.service_subnet, ["10.96.0.0/12".parse().unwrap()]);
    let names: Vec<&str> = inventory.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(fold_hosts(&names), "cp1,node[1-2]");
    let node = host(&inventory, "node2");
    assert_eq!((node.address.as_str(), node.role), ("192.0.2.12", Role::Worker));
    assert!(node.ssh.port.is_none() && node.ssh.become_root.is_none());
    assert_eq!(node.taints, None);
}

#[test]
fn settings_fold_from_the_outside_in() {
    let inventory = inventory::load(&Path::new(EXAMPLES).join("production-like.toml")).unwrap();
    let gpu = host(&inventory, "gpu-5");
    assert_eq!(gpu.address, "198.51.100.35");
    let ssh = &gpu.ssh;
    assert_eq!(ssh.user.as_ref().unwrap().value, "gpu-ops");
    assert_eq!(ssh.port.as_ref().unwrap().value, 2222);
    assert_eq!(ssh.connect_timeout.as_ref().unwrap().value, Duration::from_secs(30));
    assert_eq!(ssh.command_timeout.as_ref().unwrap().value, Duration::from_secs(600));
    assert_eq!(ssh.become_root.as_ref().unwrap().value, Become::Sudo);
    assert_eq!(gpu.labels.len(), 2);
    assert_eq!(gpu.taints.as_ref().unwrap()[0].effect, "NoSchedule");
    let storage = host(&inventory, "storage-1");
    assert_eq!(storage.vars["data_disk"], "/dev/nvme1n1");

    let cluster = inventory.cluster.as_ref().unwrap();
    let arguments: Vec<&str> =
        cluster.api_server.extra_args.iter().map(|(name, _)| name.as_str()).collect();
    let issuer = "service-account-issuer";
    assert_eq!(arguments, ["audit-log-maxage", "profiling", issuer, issuer]);
    assert_eq!(cluster.kubelet_configuration["maxPods"], 200);
    assert_eq!(inventory.files[0].hosts.len(), inventory.hosts.len());
    assert_eq!(inventory.files[1].hosts.len(), 23);
    assert_eq!(inventory.hooks[0].when, HookWhen::Before);
    assert_eq!(inventory.hooks[0].hosts, ["storage-1", "storage-2", "storage-3"]);
    assert!(inventory.manifests[0].is_absolute());
    assert_eq!(inventory.preflight_ignore, ["swap"]);
}

#[test]
fn later_groups_and_the_host_win() {
    let inventory = parse(
        r#"
        [groups.a]
        taints = ["x=1:NoSchedule", "y:NoExecute"]
        labels = { tier = "a", rack = 7 }
        [groups.b]
        taints = ["x=2:NoSchedule"]
        labels = { tier = "b" }
        [[hosts]]
        name = "ab"
        groups = ["a", "b"]
        [[hosts]]
        name = "ba"
        groups = ["b", "a"]
        labels = { rack = 8 }
        taints = []
        "#,
    )
    .unwrap();
    let (ab, ba) = (host(&inventory, "ab"), host(&inventory, "ba"));
    assert_eq!((&*ab.labels["tier"], &*ab.labels["rack"]), ("b", "7"));
    assert_eq!((&*ba.labels["tier"], &*ba.labels["rack"]), ("a", "8"));
    let taints = ab.taints.as_ref().unwrap();
    let shown: Vec<String> = taints.iter().map(|t| format!("{}={}", t.key, t.value)).collect();
    assert_eq!(shown, ["y=", "x=2"]);
    assert_eq!(ba.taints.as_deref(), Some(&[][..]));
}

#[test]
fn hosts_behind_one_address_differ_by_port() {
    let inventory = parse(
        r#"
        [[hosts]]
        name = "a"
        address = "127.0.0.1"
        ssh = { port = 2201 }
        [[hosts]]
        name = "b"
        address = "127.0.0.1"
        ssh = { port = 2202 }
        "#,
    );
    assert_eq!(inventory.unwrap().hosts.len(), 2);
}

#[test]
fn ten_thousand_hosts_are_nothing() {
    let mut one_by_one = String::from("[groups.workers.labels]\ntier = \"general\"\n");
    for number in 0..10_000 {
        let (high, low) = (number / 250, number % 250);
        one_by_one.push_str(&format!(
            "[[hosts]]\nname = \"node-{number:05}\"\naddress = \"10.1.{high}.{low}\"\ngroups = [\"workers\"]\n"
        ));
    }
    // The goal is 100 ms in a release build; the best of a few runs tells the code from the machine.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 100 });
    for text in [one_by_one.as_str(), "[[hosts]]\nname = \"node-[00000-09999]\""] {
        let timed = (0..5).map(|_| {
            let started = Instant::now();
            parse(text).unwrap();
            started.elapsed()
        });
        let best = timed.min().unwrap();
        assert!(best < limit, "took {best:?}");
    }
    let hosts = parse(&one_by_one).unwrap().hosts;
    assert_eq!(select(&hosts, "node-0[0000-4999],!node-0000?", &NoLists).unwrap().len(), 4990);
}

#[test]
fn an_unreadable_file_is_named() {
    let error = inventory::load(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the inventory no/such.toml: "), "{error}");
}

#[test]
fn colour_is_only_there_when_asked_for() {
    let error = parse("nonsense = 1").unwrap_err();
    assert!(error.render(true).contains('\u{1b}'));
    assert!(!error.render(false).contains('\u{1b}'));
    assert_eq!(error.render(false), error.to_string());
}
