//! What a host is like, in a few tables for the page. What it says is untrusted, and escaped where it is shown.

use std::fmt::Display;

use crate::node::facts::{Disk, Facts, Interface, ServiceState};
use crate::report::FactSheet;

/// The facts that an operator looks for.
pub fn sheets(facts: &Facts) -> Vec<FactSheet> {
    let sheets = [
        ("System", system(facts)),
        ("Memory and disks", disks(facts)),
        ("Network", network(facts)),
        ("Software", software(facts)),
        ("Services", services(facts)),
        ("Kernel settings", settings(facts)),
    ];
    let sheets = sheets.into_iter().filter(|(_, rows)| !rows.is_empty());
    sheets.map(|(title, rows)| FactSheet { title: title.to_owned(), rows }).collect()
}

type Rows = Vec<(String, String)>;

/// Rows, without those that have no value.
fn rows<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Rows {
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(what, value)| (what.to_owned(), value)).collect()
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn system(facts: &Facts) -> Rows {
    let clock = facts.clock_offset.map_or_else(String::new, |offset| {
        format!("{:+.3} s ± {:.3} s from the workstation's", offset.seconds, offset.uncertainty)
    });
    rows([
        ("Host name", facts.hostname.clone()),
        ("Operating system", format!("{} {}", facts.os.id, facts.os.version)),
        ("Kernel", format!("{} {}", facts.kernel_name, facts.kernel_release)),
        ("Architecture", facts.machine.clone()),
        ("Virtualization", facts.virtualization.clone()),
        ("Up for", duration(facts.uptime)),
        ("Clock", clock),
        ("Machine id", facts.machine_id.clone()),
        ("Product UUID", facts.product_uuid.clone()),
        ("Control groups", format!("v{}", facts.cgroup_version)),
        ("SELinux", facts.selinux.clone()),
        ("AppArmor", if facts.apparmor { "on" } else { "off" }.to_owned()),
    ])
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn disks(facts: &Facts) -> Rows {
    let mut found = rows([
        ("CPUs", facts.cpus.to_string()),
        ("Memory", format!("{} MB", facts.memory_mb)),
        ("Swap", list(&facts.swaps)),
    ]);
    found.extend(facts.disks.iter().map(|(path, disk)| (path.clone(), of_disk(disk))));
    if let Some(fsync) = &facts.fsync {
        let value = format!("{:.1} ms for a small synchronous write", fsync.seconds * 1000.0);
        found.push((fsync.directory.clone(), value));
    }
    found
}

fn of_disk(disk: &Disk) -> String {
    let Disk { mount_point, file_system, size_mb, free_mb, .. } = disk;
    format!("{free_mb} of {size_mb} MB free ({file_system} at {mount_point})")
}

fn network(facts: &Facts) -> Rows {
    let mut found = rows([("Default address", list(&facts.default_addresses))]);
    let interfaces = facts.interfaces.iter().filter(|found| !found.addresses.is_empty());
    found.extend(interfaces.map(|interface| (interface.name.clone(), of_interface(interface))));
    let servers = facts.name_servers.iter();
    found.extend(servers.map(|(file, servers)| (file.clone(), list(servers))));
    found.extend(rows([
        ("TCP ports in use", list(&facts.listening_tcp_ports)),
        ("Firewalls", list(&facts.firewalls)),
        ("Proxy variables", list(facts.proxy_environment.keys())),
    ]));
    found
}

fn of_interface(interface: &Interface) -> String {
    let Interface { mac, mtu, state, addresses, .. } = interface;
    format!("{}; MTU {mtu}, {state} {mac}", list(addresses)).trim_end().to_owned()
}

fn software(facts: &Facts) -> Rows {
    let runtime = facts.runtime.as_ref().map_or_else(String::new, |runtime| {
        format!("{} {} at {}", runtime.name, runtime.version, runtime.socket)
    });
    rows([
        ("Container runtime", runtime),
        ("kubelet", facts.kubelet_version.clone()),
        ("Commands", list(facts.commands.keys())),
    ])
}

fn services(facts: &Facts) -> Rows {
    let there = facts.init.services.iter().filter(|(_, state)| state.exists);
    there.map(|(name, state)| (name.clone(), of_service(*state))).collect()
}

fn of_service(state: ServiceState) -> String {
    let active = if state.active { "active" } else { "not active" };
    let enabled = if state.enabled { "starts at boot" } else { "does not start at boot" };
    format!("{active}, {enabled}")
}

fn settings(facts: &Facts) -> Rows {
    let modules = (!facts.modules.is_empty()).then(|| ("modules".to_owned(), list(&facts.modules)));
    facts.sysctls.iter().map(|(key, value)| (key.clone(), value.clone())).chain(modules).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_takes_no_room() {
        let sheets = sheets(&Facts::default());
        let rows = sheets.iter().flat_map(|sheet| &sheet.rows);
        assert!(rows.clone().all(|(what, value)| !what.is_empty() && !value.is_empty()));
        assert!(rows.count() < 10, "{sheets:?}");
    }

    #[test]
    fn times_up() {
        assert_eq!(duration(59 * 60), "59 min");
        assert_eq!(duration(3 * 3600 + 120), "3 h 2 min");
        assert_eq!(duration(400 * 86400 + 7200), "400 d 2 h");
    }
}
