//! How long it takes to resolve the settings of 1000 hosts, and of the jump hosts before them, files included:
//! `cargo bench --bench ssh_config`. The aim is 200 ms for each of these.

#![expect(clippy::unwrap_used, reason = "there is nothing to measure when this fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fleetadm::inventory::{Host, Role};
use fleetadm::ssh::{Connector, Environment, SshConfig};

const HOSTS: usize = 1000;
const RUNS: usize = 5;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (name, text) in [
        ("one block for all", one_block()),
        ("one block for each host", block_for_each()),
        ("one file for each ten hosts", file_for_each_ten(path)),
        ("matches and a final pass", matches()),
    ] {
        let config = path.join("config");
        fs::write(&config, &text).unwrap();
        let mut times: Vec<_> = (0..RUNS).map(|_| resolve(&config)).collect();
        times.sort_unstable();
        let lines = text.lines().count();
        println!("{name}: {:?} for {HOSTS} hosts, {lines} lines", times[RUNS / 2]);
    }
}

/// From nothing read to every host resolved, with its way.
fn resolve(config: &Path) -> std::time::Duration {
    let hosts: Vec<Host> = (0..HOSTS).map(host).collect();
    let begun = Instant::now();
    let ssh_config = SshConfig::File(config.to_owned());
    let connector = Connector::new(Environment { ssh_config, ..Environment::current() });
    connector.check().unwrap();
    for host in &hosts {
        assert_eq!(connector.way(host).unwrap().len(), 2);
    }
    begun.elapsed()
}

fn one_block() -> String {
    "Host bastion\nPort 2222\nHost * !bastion\nUser ops\nProxyJump bastion\nIdentityFile ~/.ssh/%r@%h\n".to_owned()
}

fn block_for_each() -> String {
    let mut text = String::new();
    for index in 0..HOSTS {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "Host node-{index:04}\n  HostName 10.0.{}.{}\n  Port 2222\n  User ops\n  \
             IdentityFile ~/.ssh/fleet-%h\n  UserKnownHostsFile ~/.ssh/known_hosts.d/%k\n",
            index / 250,
            index % 250
        );
    }
    text + &one_block()
}

fn file_for_each_ten(directory: &Path) -> String {
    let text = block_for_each();
    let blocks: Vec<&str> = text.split("\n\n").collect();
    for (index, ten) in blocks.chunks(10).enumerate() {
        fs::write(directory.join(format!("{index:03}.conf")), ten.join("\n\n")).unwrap();
    }
    format!("Include {}/*.conf\n", directory.display())
}

fn matches() -> String {
    let criteria: String = (0..100)
        .map(|index| {
            format!("Match final host 10.0.{index}.* user ops\n  ServerAliveInterval {index}\n")
        })
        .collect();
    criteria + "Match exec true\n  ConnectTimeout 5\n" + &one_block()
}

fn host(index: usize) -> Host {
    Host {
        name: format!("node-{index:04}"),
        address: format!("node-{index:04}"),
        advertise_address: None,
        role: Role::Worker,
        groups: Vec::new(),
        labels: BTreeMap::new(),
        taints: None,
        kubelet_extra_args: BTreeMap::new(),
        ssh: Arc::default(),
        vars: serde_json::Map::new(),
    }
}
