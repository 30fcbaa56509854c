//! A healthy fleet, for tests to make ill.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{FleetHost, evaluate};
use crate::cluster::spec::tests::section;
use crate::inventory::{ClusterSection, Endpoint, Role};
use crate::node::facts::{
    ClockOffset, Disk, Facts, Fsync, Init, InitKind, Interface, Os, Route, Runtime, ServiceState,
};
use crate::preflight::links::{self, Link, LinkState};
use crate::preflight::{CheckResult, Membership};
use crate::report::Severity;

/// What hosts there are, and what they say.
pub(super) struct Fleet {
    pub(super) cluster: ClusterSection,
    /// Roles of hosts that do not answer.
    pub(super) silent: Vec<Role>,
    members: Vec<Member>,
    pub(super) links: Vec<(Link, LinkState)>,
}

struct Member {
    name: String,
    address: String,
    role: Role,
    advertise: Option<IpAddr>,
    already: Membership,
    facts: Facts,
}

impl Fleet {
    /// `cp-1`, ... and `node-1`, ..., all in order; no links were tried.
    pub(super) fn healthy(control_planes: usize, workers: usize) -> Self {
        let cluster = section(36, 2);
        let mut fleet =
            Self { cluster, silent: Vec::new(), members: Vec::new(), links: Vec::new() };
        for number in 1..=control_planes {
            fleet.add(&format!("cp-{number}"), Role::ControlPlane);
        }
        for number in 1..=workers {
            fleet.add(&format!("node-{number}"), Role::Worker);
        }
        fleet
    }

    pub(super) fn add(&mut self, name: &str, role: Role) {
        let number = self.members.iter().filter(|member| member.role == role).count() + 1;
        let network = match role {
            Role::ControlPlane => 10,
            Role::Worker => 256,
            Role::Etcd => 20,
        };
        // 10.0.0.11 and on, 10.0.1.1 and on, 10.0.0.21 and on.
        let address = 0x0a00_0000 + network + u32::try_from(number).unwrap();
        let address = IpAddr::V4(address.into());
        let facts = facts(name, address, self.members.len());
        self.members.push(Member {
            name: name.to_owned(),
            address: address.to_string(),
            role,
            advertise: None,
            already: Membership::None,
            facts,
        });
    }

    fn index(&self, name: &str) -> usize {
        self.members.iter().position(|member| member.name == name).unwrap()
    }

    pub(super) fn facts(&self, name: &str) -> &Facts {
        &self.members[self.index(name)].facts
    }

    pub(super) fn host(&mut self, name: &str, change: impl FnOnce(&mut Facts)) {
        let index = self.index(name);
        change(&mut self.members[index].facts);
    }

    pub(super) fn all(&mut self, change: impl FnMut(&mut Facts)) {
        self.members.iter_mut().map(|member| &mut member.facts).for_each(change);
    }

    pub(super) fn advertise(&mut self, name: &str, address: &str) {
        let index = self.index(name);
        self.members[index].advertise = Some(address.parse().unwrap());
    }

    pub(super) fn member(&mut self, name: &str, already: Membership) {
        let index = self.index(name);
        self.members[index].already = already;
    }

    pub(super) fn endpoint(&mut self, host: &str) {
        self.cluster.control_plane_endpoint = Some(Endpoint { host: host.to_owned(), port: None });
    }

    /// Tries every planned link: `state(from, to, port)`.
    pub(super) fn links(&mut self, state: impl Fn(&str, &str, u16) -> LinkState) {
        let roles: Vec<Role> = self.members.iter().map(|member| member.role).collect();
        let name = |index: usize| self.members[index].name.as_str();
        let links = links::plan(&roles, 6443, links::Coverage::EveryHost).links.into_iter();
        self.links = links
            .map(|link| {
                let state = state(name(link.from), name(link.to), link.port);
                (link, state)
            })
            .collect();
    }

    pub(super) fn evaluate(&self) -> Vec<Vec<CheckResult>> {
        let hosts: Vec<FleetHost<'_>> = self.members.iter().map(Member::host).collect();
        let mut everyone: Vec<Role> = hosts.iter().map(|host| host.role).collect();
        everyone.extend(&self.silent);
        evaluate(Some(&self.cluster), &everyone, &hosts, &self.links)
    }

    /// Whether a host has this check, passed or not.
    pub(super) fn has(&self, host: &str, check: &str) -> bool {
        self.evaluate()[self.index(host)].iter().any(|result| result.name == check)
    }

    /// The findings of one check.
    pub(super) fn only(&self, check: &str) -> String {
        self.told(|result| result.name == check)
    }

    fn told(&self, wanted: impl Fn(&CheckResult) -> bool) -> String {
        let mut text = String::new();
        for (member, results) in self.members.iter().zip(self.evaluate()) {
            for result in results.iter().filter(|result| wanted(result)) {
                for finding in &result.findings {
                    let severity = match finding.severity {
                        Severity::Error => "error",
                        Severity::Warning => "warning",
                        Severity::Passed => "passed",
                    };
                    let (name, message) = (&result.name, &finding.message);
                    writeln!(text, "{} {severity} {name}: {message}", member.name).unwrap();
                }
            }
        }
        text
    }

    /// A host that is nothing but what it says.
    pub(super) fn host_of(facts: &Facts) -> FleetHost<'_> {
        FleetHost {
            name: "node",
            address: "node",
            role: Role::Worker,
            advertise: None,
            already: Membership::None,
            facts,
        }
    }
}

impl Member {
    fn host(&self) -> FleetHost<'_> {
        FleetHost {
            name: &self.name,
            address: &self.address,
            role: self.role,
            advertise: self.advertise,
            already: self.already,
            facts: &self.facts,
        }
    }
}

/// All findings: `HOST SEVERITY CHECK: MESSAGE`.
pub(super) fn found(fleet: &Fleet) -> String {
    fleet.told(|_| true)
}

/// What a Debian machine in order says; `number` makes it differ from others where machines do.
pub(super) fn facts(name: &str, address: IpAddr, number: usize) -> Facts {
    let service = |active| ServiceState { exists: true, enabled: true, active };
    let disk = Disk {
        mount_point: "/".to_owned(),
        file_system: "ext4".to_owned(),
        options: vec!["rw".to_owned(), "relatime".to_owned()],
        size_mb: 100 << 10,
        free_mb: 80 << 10,
        inodes: 6_000_000,
        inodes_free: 5_900_000,
    };
    let paths = ["/", "/etc", "/var", "/var/log", "/var/lib/kubelet", "/var/lib/containerd"];
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    Facts {
        hostname: name.to_owned(),
        kernel_name: "Linux".to_owned(),
        kernel_release: "6.1.0-18-amd64".to_owned(),
        machine: "x86_64".to_owned(),
        os: Os { id: "debian".to_owned(), version: "12".to_owned() },
        virtualization: "kvm".to_owned(),
        uptime: 3600,
        default_addresses: vec![address],
        addresses: vec![loopback, address],
        interfaces: vec![
            Interface {
                name: "lo".to_owned(),
                mac: "00:00:00:00:00:00".to_owned(),
                mtu: 65_536,
                state: "unknown".to_owned(),
                physical: false,
                addresses: vec![loopback],
            },
            Interface {
                name: "eth0".to_owned(),
                mac: format!("52:54:00:00:{:02x}:{:02x}", number / 256, number % 256),
                mtu: 1500,
                state: "up".to_owned(),
                physical: true,
                addresses: vec![address],
            },
        ],
        routes: vec![
            Route {
                network: "0.0.0.0/0".parse().unwrap(),
                device: "eth0".to_owned(),
                gateway: Some("10.0.0.254".parse().unwrap()),
            },
            Route {
                network: "10.0.0.0/22".parse().unwrap(),
                device: "eth0".to_owned(),
                gateway: None,
            },
        ],
        hostname_addresses: vec!["127.0.1.1".to_owned()],
        name_servers: [("/etc/resolv.conf".to_owned(), vec!["10.0.0.254".to_owned()])].into(),
        sysctls: [
            ("fs/file-max", "9223372036854775807"),
            ("fs/nr_open", "1048576"),
            ("fs/inotify/max_user_instances", "128"),
            ("fs/inotify/max_user_watches", "65536"),
            ("kernel/random/entropy_avail", "256"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        cgroup_version: 2,
        init: Init {
            kind: InitKind::Systemd,
            services: [
                ("kubelet", service(false)),
                ("containerd", service(true)),
                ("systemd-timesyncd", service(true)),
            ]
            .map(|(name, state)| (name.to_owned(), state))
            .into(),
        },
        runtime: Some(Runtime {
            socket: "unix:///run/containerd/containerd.sock".to_owned(),
            name: "containerd".to_owned(),
            version: "1.7.24".to_owned(),
            ready: true,
            error: String::new(),
        }),
        disks: paths.map(|path| (path.to_owned(), disk.clone())).into(),
        fsync: Some(Fsync { directory: "/var/lib".to_owned(), writes: 30, seconds: 0.001 }),
        clock: 1_700_000_000,
        clock_offset: Some(ClockOffset { seconds: 0.01, uncertainty: 0.02 }),
        machine_id: format!("{number:032x}"),
        product_uuid: format!("4c4c4544-0042-3510-8053-{number:012x}"),
        ssh_host_keys: vec![
            ("ssh-ed25519".to_owned(), STANDARD.encode(format!("ed25519 {number}"))),
            ("ssh-rsa".to_owned(), STANDARD.encode(format!("rsa {number}"))),
        ],
        selinux: "disabled".to_owned(),
        commands: BTreeMap::from([(
            "apparmor_parser".to_owned(),
            "/usr/sbin/apparmor_parser".to_owned(),
        )]),
        apparmor: true,
        ..Facts::default()
    }
}
