//! Every path into [`Facts`](crate::node::facts::Facts), in words. A test holds it against the facts themselves.

/// Paths and what is there. A word in capitals stands for any key. What is said of a list is said of each of its
/// elements.
pub(super) const PATHS: &[(&str, &str)] = &[
    ("hostname", "name, as its kernel says it"),
    ("euid", "user id that facts were gathered with"),
    ("kernel_name", "for example Linux"),
    ("kernel_release", "release of the kernel"),
    ("machine", "for example x86_64"),
    ("os.id", "distribution, for example debian"),
    ("os.version", "its version"),
    ("cpus", "logical CPUs"),
    ("memory_mb", "memory, in MiB"),
    ("virtualization", "what it runs in or on, for example kvm or none"),
    ("uptime", "seconds since the kernel started"),
    ("default_addresses", "addresses it reaches others from"),
    ("addresses", "all addresses"),
    ("interfaces.name", "network interfaces"),
    ("interfaces.mac", "their hardware addresses"),
    ("interfaces.mtu", "bytes in their largest packets"),
    ("interfaces.state", "up, down or unknown"),
    ("interfaces.physical", "whether there is a device behind them"),
    ("interfaces.addresses", "their addresses"),
    ("routes.network", "where routes lead"),
    ("routes.device", "by which interfaces"),
    ("routes.gateway", "by which routers"),
    ("hostname_addresses", "addresses its own name has there"),
    ("resolved.NAME", "addresses that other names have there"),
    ("name_servers.FILE", "name servers in /etc/resolv.conf and systemd-resolved's"),
    ("listening_tcp_ports", "TCP ports that something listens on"),
    ("swaps", "swap devices"),
    ("commands.NAME", "where a command is, for example commands.crictl"),
    ("sysctls.NAME", "a kernel parameter, for example sysctls.net/ipv4/ip_forward"),
    ("modules", "kernel modules that matter and are there"),
    ("kernel_config.NAME", "an option the kernel was built with, without CONFIG_"),
    ("cgroup_version", "1 or 2; 0 for none"),
    ("cgroup_controllers", "enabled cgroup controllers"),
    ("init.kind", "systemd, openrc or none"),
    (
        "init.services.NAME.exists",
        "whether a service is known, for example init.services.kubelet.exists",
    ),
    ("init.services.NAME.enabled", "whether it starts at boot"),
    ("init.services.NAME.active", "whether it runs"),
    ("kubelet_version", "version of the kubelet"),
    ("cri_sockets", "endpoints of container runtimes"),
    ("runtime.socket", "endpoint of the container runtime that was asked"),
    ("runtime.name", "its name"),
    ("runtime.version", "its version"),
    ("runtime.ready", "whether it is ready"),
    ("runtime.error", "why it is not"),
    ("proxy_environment.NAME", "a proxy variable of root's login, for example HTTP_PROXY"),
    ("paths.PATH", "file, directory or empty_directory, under the paths of a cluster"),
    ("leftovers.changed.PATH", "when a file of an earlier cluster changed, in seconds since 1970"),
    ("leftovers.servers.PATH", "the server a kubeconfig file names"),
    ("leftovers.ca_sha256", "SHA-256 of the cluster's CA certificate"),
    (
        "disks.PATH.mount_point",
        "where the file system behind a path is mounted, for example disks./var.mount_point",
    ),
    ("disks.PATH.file_system", "its type"),
    ("disks.PATH.options", "its mount options"),
    ("disks.PATH.size_mb", "its size, in MiB"),
    ("disks.PATH.free_mb", "what is free, in MiB"),
    ("disks.PATH.inodes", "inodes in all"),
    ("disks.PATH.inodes_free", "inodes that are free"),
    ("fsync.directory", "where small synchronous writes were timed; only preflight does"),
    ("fsync.writes", "how many"),
    ("fsync.seconds", "seconds for one"),
    ("clock", "its clock, in seconds since 1970"),
    ("clock_offset.seconds", "seconds it is ahead of the workstation's clock"),
    ("clock_offset.uncertainty", "by how much that may be wrong"),
    ("machine_id", "/etc/machine-id"),
    ("product_uuid", "UUID of the mainboard"),
    ("ssh_host_keys", "its SSH host keys"),
    ("selinux", "enforcing, permissive or disabled"),
    ("selinux_container_policy", "whether a policy for containers is installed"),
    ("apparmor", "whether AppArmor is enforced"),
    ("firewalls", "what filters incoming packets"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::node::facts::{
        Disk, Facts, Fsync, Interface, Leftovers, Route, Runtime, ServiceState,
    };

    /// Facts with something everywhere, all keys called `KEY`.
    fn full() -> Facts {
        let key = || "KEY".to_owned();
        let text = || [(key(), String::new())].into();
        let mut facts = Facts {
            interfaces: vec![Interface::default()],
            routes: vec![Route {
                network: "10.0.0.0/8".parse().unwrap(),
                device: String::new(),
                gateway: None,
            }],
            resolved: [(key(), Vec::new())].into(),
            name_servers: [(key(), Vec::new())].into(),
            commands: text(),
            sysctls: text(),
            kernel_config: Some(text()),
            runtime: Some(Runtime::default()),
            proxy_environment: text(),
            paths: [(key(), crate::node::facts::PathState::File)].into(),
            leftovers: Leftovers {
                changed: [(key(), 0)].into(),
                servers: text(),
                ca_sha256: String::new(),
            },
            disks: [(key(), Disk::default())].into(),
            fsync: Some(Fsync::default()),
            clock_offset: Some(crate::node::facts::ClockOffset::default()),
            ..Facts::default()
        };
        facts.init.services.insert(key(), ServiceState::default());
        facts
    }

    fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        let below =
            |name: &str| if path.is_empty() { name.into() } else { format!("{path}.{name}") };
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| leaves(value, &below(name), found));
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                items.iter().for_each(|item| leaves(item, path, found));
            }
            _ => drop(found.insert(path.to_owned())),
        }
    }

    #[test]
    fn it_is_complete() {
        let mut found = BTreeSet::new();
        leaves(&serde_json::to_value(full()).unwrap(), "", &mut found);
        let word = |word: &str| match word.starts_with(|c: char| c.is_ascii_uppercase()) {
            true => "KEY".to_owned(),
            false => word.to_owned(),
        };
        let said = |path: &str| path.split('.').map(word).collect::<Vec<_>>().join(".");
        let listed: BTreeSet<String> = PATHS.iter().map(|(path, _)| said(path)).collect();
        assert_eq!(listed.len(), PATHS.len());
        assert_eq!(listed, found);
    }
}
