//! Where etcd is: on the control planes, on hosts of its own, or somebody else's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fleetadm::inventory::{
    EtcdClientFiles, EtcdManager, EtcdOwner, ExternalEtcd, Inventory, InventoryError,
};

use super::{CLUSTER, parse};

fn external(inventory: &Inventory) -> Option<&ExternalEtcd> {
    inventory.cluster.as_ref().expect("there is a cluster").etcd.external.as_ref()
}

fn with(more: &str) -> Inventory {
    parse(&format!("{CLUSTER}{more}")).expect("nothing is wrong")
}

/// What is wrong, a line for each, in document order.
fn wrong(result: Result<Inventory, InventoryError>) -> Vec<String> {
    match result {
        Err(InventoryError::Invalid(mistakes)) => mistakes.messages().map(str::to_owned).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hosts_of_etcd_are_its_endpoints() {
    assert_eq!(external(&with("")), None);
    let inventory = with(
        r#"
[cluster.etcd]
manager = "systemd"
[[hosts]]
name = "etcd-[1-2]"
address = "10.1.0.[1-2]"
role = "etcd"
[[hosts]]
name = "etcd-3"
advertise_address = "fd00::3"
role = "etcd"
"#,
    );
    let endpoints = ["https://10.1.0.1:2379", "https://10.1.0.2:2379", "https://[fd00::3]:2379"];
    let expected = ExternalEtcd {
        endpoints: endpoints.map(str::to_owned).into(),
        owner: EtcdOwner::Inventory,
    };
    assert_eq!(external(&inventory), Some(&expected));
    assert_eq!(inventory.cluster.as_ref().unwrap().etcd.manager, EtcdManager::Systemd);
    assert!(inventory.not_yet.is_none());
}

#[test]
fn a_host_of_etcd_without_an_address_can_only_be_looked_at() {
    let inventory = with("[[hosts]]\nname = \"etcd-1\"\nrole = \"etcd\"\n");
    let mistakes = inventory.not_yet.unwrap();
    assert_eq!(mistakes.messages().collect::<Vec<_>>(), ["a host of etcd needs an IP address"]);
    assert!(mistakes.to_string().contains("advertise_address"), "{mistakes}");
}

#[test]
fn somebody_elses_etcd_comes_with_files_of_the_workstation() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["ca.crt", "client.crt", "client.key"] {
        fs::write(path(name), "").unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = format!(
        r#"
[cluster.etcd.external]
endpoints = ["https://etcd.example.com:2379"]
ca_file = "{0}/ca.crt"
cert_file = "{0}/client.crt"
key_file = "{0}/client.key"
"#,
        directory.path().display()
    );
    let inventory = with(&text);
    let files = EtcdClientFiles {
        ca: Some(path("ca.crt")),
        client: Some((path("client.crt"), path("client.key"))),
    };
    assert_eq!(external(&inventory).unwrap().owner, EtcdOwner::SomebodyElse(files));

    fs::set_permissions(path("client.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let told = wrong(parse(&format!("{CLUSTER}{text}")));
    assert!(told.len() == 1 && told[0].ends_with("can be read by others"), "{told:?}");
}

#[test]
fn what_does_not_go_together() {
    let told = wrong(parse(&format!(
        r#"{CLUSTER}
[cluster.etcd]
manager = "systemctl"
[cluster.etcd.external]
endpoints = ["http://10.0.0.1:2379"]
cert_file = "minimal.toml"
[[hosts]]
name = "etcd-1"
address = "10.1.0.1"
role = "etcd"
"#
    )));
    assert_eq!(
        told,
        [
            "`systemctl` does not run etcd",
            "etcd is both the inventory's and external",
            "`http://10.0.0.1:2379` is not an endpoint of etcd",
            "missing key `key_file`",
            "missing key `ca_file`",
        ]
    );
    let told = wrong(parse(&format!("{CLUSTER}\n[cluster.etcd.external]\n")));
    assert_eq!(told, ["missing key `endpoints`"]);
}

#[test]
fn members_behind_one_address_are_a_mistake_only_in_a_cluster() {
    let hosts = "[[hosts]]\nname = \"a1\"\naddress = \"192.0.2.6\"\nrole = \"etcd\"\n\n\
        [[hosts]]\nname = \"a2\"\naddress = \"192.0.2.6\"\nrole = \"etcd\"\nssh = { port = 1 }\n";
    let parse = |text: &str| fleetadm::inventory::parse(text, std::path::Path::new("/"), "test");
    let alone = parse(hosts).unwrap();
    assert!(alone.hosts.iter().all(|host| host.advertise_address.is_some()));
    let cluster = format!("[cluster]\nkubernetes_version = \"1.36.2\"\n\n{hosts}");
    let error = parse(&cluster).unwrap_err().to_string();
    assert!(error.contains("advertise address `192.0.2.6` is used twice"), "{error}");
}
