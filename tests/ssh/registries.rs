//! `[registries]` on a host with a containerd that only tells its configuration, and what the real one makes of the files.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleetadm::cluster::registries;
use fleetadm::inventory::RegistrySection;

use crate::machine::Machine;
use crate::mirror;
use crate::operator::{Finished, finish};
use crate::sshd::login_user;

const HOSTS: &str = "/etc/containerd/certs.d/registry.k8s.io/hosts.toml";

/// The operator's desk for one machine.
pub struct Desk<'a>(pub &'a Machine);

impl Desk<'_> {
    pub fn write(&self, cluster: &str, registries: &str) {
        let server = &self.0.server;
        let text = format!(
            "[cluster]\nkubernetes_version = \"1.36.2\"\n{cluster}\n[ssh]\nuser = \"ops\"\nport = {}\nidentity_file = {:?}\n\
             known_hosts = {:?}\nbecome = \"sudo\"\n[[hosts]]\nname = \"node\"\naddress = \"127.0.0.1\"\n\
             role = \"control-plane\"\n{registries}",
            server.port,
            server.path("id_ed25519"),
            server.path("known_hosts"),
        );
        fs::write(server.path("inventory.toml"), text).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        let server = &self.0.server;
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetadm"));
        command
            .arg("--inventory")
            .arg(server.path("inventory.toml"))
            .args(["--output", "json"])
            .args(arguments)
            .env("HOME", server.path("home"))
            .env("XDG_STATE_HOME", server.path("state"))
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null());
        finish(command)
    }

    pub fn changes(&self, arguments: &[&str]) -> i64 {
        let ran = self.run(arguments).expect(0);
        ran.events_of("summary")[0]["changes"].as_i64().unwrap()
    }
}

const PHASE: [&str; 3] = ["init", "phase", "prepare/registries"];
const FOLLOWS: &str = "version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"/etc/containerd/certs.d\"";

#[test]
fn mirrors_come_and_go() {
    let machine = machine!();
    let desk = Desk(&machine);
    machine.write("/etc/sudoers.d/test", "ops ALL=(ALL) NOPASSWD: ALL");
    machine.run("printf '#!/bin/sh\\n[ \"$*\" = \"config dump\" ] && cat /etc/dump\\n' >/usr/bin/containerd; chmod 755 /usr/bin/containerd");
    machine.run("printf '#!/bin/sh\\n[ \"$1\" != is-active ] && [ \"$1\" != is-enabled ]\\n' >/usr/bin/systemctl; chmod 755 /usr/bin/systemctl");
    machine.write("/etc/dump", "version = 3");
    fs::write(machine.server.path("ca.crt"), "an authority\n").unwrap();
    let mirror = |url: &str| {
        format!("[registries.\"registry.k8s.io\"]\nmirrors = \"{url}\"\nca_file = \"ca.crt\"\n")
    };

    desk.write("", "");
    assert_eq!(desk.changes(&PHASE), 0);
    desk.write("", &mirror("https://mirror.example.com"));
    desk.run(&[&PHASE[..], &["--dry-run"]].concat()).expect(0);
    assert_eq!(machine.run("ls -d /etc/containerd/certs.d 2>/dev/null || :"), "");

    // The operator's own configuration is not fleetadm's to change.
    let ran = desk.run(&PHASE).expect(3);
    let said = ran.stdout;
    assert!(said.contains("containerd does not look in /etc/containerd/certs.d; add"), "{said}");
    assert!(said.contains("io.containerd.cri.v1.images"), "{said}");
    machine.write("/etc/dump", FOLLOWS);
    assert_eq!(desk.changes(&PHASE), 0);
    let text = machine.run(&format!(
        "cd {}; stat -c '%a %U %n' *; cat hosts.toml mirror-ca.crt",
        HOSTS.trim_end_matches("/hosts.toml")
    ));
    insta::assert_snapshot!(text, @r#"
    644 root hosts.toml
    644 root mirror-ca.crt
    # Written by fleetadm, from [registries] of the inventory.
    server = "https://registry.k8s.io"

    [host."https://mirror.example.com"]
    capabilities = ["pull", "resolve"]
    ca = "/etc/containerd/certs.d/registry.k8s.io/mirror-ca.crt"
    an authority
    "#);

    desk.write("", &mirror("https://other.example.com"));
    assert_eq!(desk.changes(&PHASE), 1);
    assert_eq!(desk.changes(&PHASE), 0);
    assert!(machine.run(&format!("cat {HOSTS}")).contains("other.example.com"));

    // A reset takes what is as it was put there, and nothing of the operator's.
    machine
        .run("mkdir /etc/containerd/certs.d/own; echo x >/etc/containerd/certs.d/own/hosts.toml");
    desk.run(&["reset", "phase", "cleanup-node", "--yes"]).expect(0);
    assert_eq!(machine.run("cd /etc/containerd; find certs.d -type f"), "certs.d/own/hosts.toml\n");
    assert_eq!(machine.run("ls /etc/containerd/certs.d"), "own\n");
}

#[test]
fn other_runtimes_have_other_ways() {
    let machine = machine!();
    let desk = Desk(&machine);
    machine.write("/etc/sudoers.d/test", "ops ALL=(ALL) NOPASSWD: ALL");
    let registries = "[registries._default]\nmirrors = [\"http://10.0.0.1:5000\"]\n";
    desk.write("cri_socket = \"unix:///var/run/crio/crio.sock\"", registries);
    let said = desk.run(&PHASE).expect(3).stdout;
    assert!(said.contains("[registries] is for containerd"), "{said}");
    assert_eq!(machine.run("ls -d /etc/containerd/certs.d 2>/dev/null || :"), "");
    // Without a containerd that can be asked nobody knows.
    machine
        .run("printf '#!/bin/sh\\nexit 1\\n' >/usr/bin/containerd; chmod 755 /usr/bin/containerd");
    desk.write("", registries);
    let said = desk.run(&PHASE).expect(3).stdout;
    assert!(said.contains("`containerd config dump` does not print"), "{said}");
}

#[test]
fn the_real_containerd_asks_mirrors_in_their_order() {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let is_root = login_user() == "root";
    if !is_root || !is_there("containerd") || !is_there("ctr") {
        eprintln!("SKIPPED: needs root, containerd and ctr");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (port, asked) = mirror::answering("404 Not Found", "");
    let registry = RegistrySection {
        // What is asked at last: nobody listens there.
        name: "localhost:1".to_owned(),
        mirrors: vec![
            format!("http://127.0.0.1:{port}"),
            format!("http://127.0.0.1:{port}/v2/k8s"),
        ],
        ca_file: None,
    };
    let at = directory.path().join("certs.d").join(&registry.name);
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("hosts.toml"), registries::hosts_toml(&registry)).unwrap();
    let (root, state, socket) = (path("root"), path("state"), path("sock"));
    let config = format!(
        "version = 2\nroot = {root:?}\nstate = {state:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = {socket:?}\n"
    );
    fs::write(path("config.toml"), config).unwrap();
    let log = fs::File::create(path("log")).unwrap();
    let mut containerd =
        Command::new("containerd").args(["-c", &path("config.toml")]).stderr(log).spawn().unwrap();
    let pull = || {
        Command::new("ctr")
            .args(["--address", &socket, "images", "pull", "--hosts-dir", &path("certs.d")])
            .arg("localhost:1/pause:3.10")
            .output()
            .unwrap()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut paths = Vec::new();
    while paths.len() < 2 && Instant::now() < deadline {
        pull();
        paths.extend(asked.try_iter());
        std::thread::sleep(Duration::from_millis(200));
    }
    containerd.kill().unwrap();
    containerd.wait().unwrap();
    let said = fs::read_to_string(path("log")).unwrap();
    assert!(paths.len() >= 2, "{paths:?}\n{said}");
    let expected = ["/v2/pause/manifests/3.10", "/v2/k8s/pause/manifests/3.10"];
    assert_eq!([0, 1].map(|at| paths[at].split('?').next().unwrap()), expected);
}
