//! What holds for all fleet checks together.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::testing::{Fleet, found};
use super::*;
use crate::node::facts::{ClockOffset, Fsync, Interface, PathState, Route};
use crate::preflight::catalogue::{self, Source};
use crate::preflight::links::LinkState;
use crate::report::Severity;
use ipnet::IpNet;

#[test]
fn a_healthy_fleet_has_nothing_to_tell() {
    let mut fleet = Fleet::healthy(3, 4);
    fleet.links(|_, _, _| LinkState::Open);
    assert_eq!(found(&fleet), "");
    let names = |fleet: &Fleet, host: usize| {
        let results = fleet.evaluate();
        results[host].iter().map(|result| result.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    insta::assert_snapshot!(names(&fleet, 0), @"UniqueHostname UniqueMachineID UniqueProductUUID UniqueMAC UniqueHostKeys AdvertiseAddress ClockSkew TimeSync ResolverLoop Reachability PathMTU NetworkOverlap PodCapacity MixedArchitectures MixedOS MixedKernels MixedCgroups MixedRuntimes MixedRuntimeVersions ControlPlaneCount EtcdDisk DiskSpace Inodes MountOptions SELinux AppArmor Firewall LeftoverState BootServices Entropy FileLimits");
    insta::assert_snapshot!(names(&fleet, 3), @"UniqueHostname UniqueMachineID UniqueProductUUID UniqueMAC UniqueHostKeys AdvertiseAddress ClockSkew TimeSync ResolverLoop Reachability PathMTU NetworkOverlap PodCapacity MixedArchitectures MixedOS MixedKernels MixedCgroups MixedRuntimes MixedRuntimeVersions DiskSpace Inodes MountOptions SELinux AppArmor Firewall LeftoverState BootServices Entropy FileLimits");
}

#[test]
fn every_check_is_explained_and_every_explanation_has_a_check() {
    let mut fleet = Fleet::healthy(1, 1);
    fleet.add("etcd-1", Role::Etcd);
    fleet.endpoint("k8s.example.com");
    fleet.all(|facts| drop(facts.resolved.insert("k8s.example.com".to_owned(), Vec::new())));
    fleet.links(|_, _, _| LinkState::Open);
    let made: BTreeSet<String> =
        fleet.evaluate().into_iter().flatten().map(|result| result.name.to_string()).collect();
    // That one looks at one host at a time, in every workflow.
    let is_ours = |name: &str| name != "ControlPlaneEndpoint";
    let of_fleet = catalogue::all().filter(|it| it.source == Source::Fleet && is_ours(it.name));
    let explained: BTreeSet<String> = of_fleet.map(|found| found.name.to_owned()).collect();
    assert_eq!(made, explained);
}

#[test]
fn containers_on_one_machine_are_healthy() {
    let mut fleet = Fleet::healthy(1, 2);
    fleet.all(|facts| {
        facts.virtualization = "docker".to_owned();
        facts.product_uuid = "4c4c4544-0042-3510-8053-b4c04f564433".to_owned();
        facts.interfaces[1].physical = false;
        facts.commands.remove("apparmor_parser");
        facts.init.services.remove("systemd-timesyncd");
        for disk in facts.disks.values_mut() {
            disk.file_system = "overlay".to_owned();
        }
    });
    assert_eq!(found(&fleet), "");
}

#[test]
fn members_and_two_families_are_healthy() {
    let mut fleet = Fleet::healthy(3, 3);
    let networking = &mut fleet.cluster.networking;
    networking.pod_subnet.push("fd00:10:244::/48".parse().unwrap());
    networking.service_subnet.push("fd00:10:96::/112".parse().unwrap());
    let mut number = 0;
    fleet.all(|facts| {
        number += 1;
        let own: IpAddr = format!("2001:db8::{number}").parse().unwrap();
        let link_local: IpAddr = format!("fe80::{number}").parse().unwrap();
        facts.addresses.extend([own, link_local]);
        facts.default_addresses.push(own);
        facts.interfaces[1].addresses.extend([own, link_local]);
        let route = |network: String, device: &str, gateway: Option<&str>| Route {
            network: network.parse().unwrap(),
            device: device.to_owned(),
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        };
        facts.routes.extend([
            route("::/0".to_owned(), "eth0", Some("fe80::1")),
            route("2001:db8::/64".to_owned(), "eth0", None),
            route("10.244.0.0/16".to_owned(), "cni0", None),
            route(format!("fd00:10:244:{number}::/64"), "cni0", None),
            route("172.17.0.0/16".to_owned(), "docker0", None),
        ]);
        let bridge = |name: &str, address: &str| Interface {
            name: name.to_owned(),
            mac: "02:42:0a:f4:00:01".to_owned(),
            mtu: 1450,
            state: "up".to_owned(),
            physical: false,
            addresses: vec![address.parse().unwrap()],
        };
        facts.interfaces.push(bridge("cni0", "10.244.1.1"));
        facts.interfaces.push(bridge("kube-ipvs0", "10.96.0.1"));
        facts.leftovers.ca_sha256 = "a1".repeat(32);
        facts.listening_tcp_ports = vec![22, 6443, 10250, 2379, 2380];
        for path in ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki/ca.crt"] {
            facts.paths.insert(path.to_owned(), PathState::File);
        }
        facts.paths.insert("/var/lib/etcd".to_owned(), PathState::Directory);
    });
    for number in 1..=3 {
        fleet.member(&format!("cp-{number}"), Membership::ControlPlane);
        fleet.member(&format!("node-{number}"), Membership::Worker);
    }
    fleet.links(|_, _, _| LinkState::Open);
    assert_eq!(found(&fleet), "");
}

#[test]
fn what_is_not_told_is_not_held_against_a_host() {
    let mut fleet = Fleet::healthy(2, 2);
    fleet.silent.push(Role::ControlPlane);
    fleet.all(|facts| *facts = Facts::default());
    assert_eq!(found(&fleet), "");
}

#[test]
fn without_a_cluster_hosts_are_compared_all_the_same() {
    let facts = [Facts::default(), Facts::default()]
        .map(|facts| Facts { machine_id: "c0ffee".to_owned(), ..facts });
    let hosts: Vec<_> = facts.iter().map(Fleet::host_of).collect();
    let results = evaluate(None, &[Role::Worker; 2], &hosts, &[]);
    let errors = results.iter().flatten().filter(|result| result.severity == Severity::Error);
    assert!(errors.map(|result| result.name.as_ref()).eq(["UniqueMachineID"; 2]));
}

/// How long so many hosts take, with sampled links and everything wrong everywhere.
fn evaluation_of(hosts: usize) -> Duration {
    let mut fleet = Fleet::healthy(3, hosts - 3);
    fleet.links(|_, _, _| LinkState::Silent);
    let names: Vec<String> = (1..=30).map(|number| format!("node-{number}")).collect();
    fleet.all(|facts| {
        facts.machine_id = "c0ffee".to_owned();
        facts.firewalls = vec!["firewalld".to_owned()];
        facts.resolved =
            names.iter().map(|name| (name.clone(), vec!["10.9.9.9".parse().unwrap()])).collect();
    });
    assert!(fleet.links.len() > hosts * 39 / 10);
    let took = (0..3).map(|_| {
        let started = Instant::now();
        assert_eq!(fleet.evaluate().len(), hosts);
        started.elapsed()
    });
    took.min().expect("it is done three times")
}

/// Ten times the hosts take about ten times as long, and quadratic work would take a hundred times; a busy machine is
/// somewhere between.
#[test]
fn ten_times_the_hosts_take_no_hundred_times_as_long() {
    let (few, many) = (evaluation_of(100), evaluation_of(1000));
    assert!(many < few * 50, "{few:?}, and {many:?} for ten times the hosts");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ -~]{0,12}",
        "\\PC{0,8}",
        Just("enforcing".to_owned()),
        Just("nftables inet filter input".to_owned()),
        Just("99999999999999999999".to_owned()),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

prop_compose! {
    fn any_facts()(
        texts in proptest::collection::vec(text(), 12),
        addresses in proptest::collection::vec(address(), 0..4),
        numbers in any::<[u64; 6]>(),
        floats in any::<[f64; 3]>(),
        resolved in proptest::collection::btree_map(
            text(),
            proptest::collection::vec(address(), 0..3),
            0..4,
        ),
        prefix in 0..=32_u8,
    ) -> Facts {
        let own = addresses.first().copied().unwrap_or(IpAddr::from([0; 4]));
        let mut facts = super::testing::facts(&texts[0], own, 1);
        facts.addresses.clone_from(&addresses);
        facts.default_addresses = addresses;
        facts.machine_id.clone_from(&texts[1]);
        facts.product_uuid.clone_from(&texts[2]);
        facts.kernel_release.clone_from(&texts[3]);
        facts.selinux.clone_from(&texts[4]);
        facts.firewalls = vec![texts[5].clone()];
        facts.ssh_host_keys = vec![(texts[6].clone(), texts[7].clone())];
        facts.leftovers.ca_sha256.clone_from(&texts[8]);
        facts.leftovers.changed.insert(texts[9].clone(), numbers[0]);
        facts.name_servers.insert("/etc/resolv.conf".to_owned(), vec![texts[10].clone()]);
        facts.sysctls.insert("fs/file-max".to_owned(), texts[11].clone());
        facts.resolved = resolved;
        facts.clock = numbers[1];
        facts.clock_offset = Some(ClockOffset { seconds: floats[0], uncertainty: floats[1] });
        facts.fsync = Some(Fsync { directory: texts[0].clone(), writes: 1, seconds: floats[2] });
        for disk in facts.disks.values_mut() {
            (disk.size_mb, disk.free_mb) = (numbers[2], numbers[3]);
            (disk.inodes, disk.inodes_free) = (numbers[4], numbers[5]);
        }
        if let Some(address) = facts.addresses.iter().find(|address| address.is_ipv4()) {
            let network = IpNet::new(*address, prefix).unwrap();
            facts.routes.push(Route { network, device: texts[1].clone(), gateway: None });
        }
        facts
    }
}

proptest! {
    #[test]
    fn whatever_hosts_say_is_judged(all in proptest::collection::vec(any_facts(), 1..5)) {
        let mut fleet = Fleet::healthy(2, 3);
        let mut facts = all.into_iter();
        fleet.all(|host| *host = facts.next().unwrap_or_default());
        prop_assert_eq!(fleet.evaluate().len(), 5);
    }
}
