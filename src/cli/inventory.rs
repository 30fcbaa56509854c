//! `fleetadm inventory`: what the document resolves to. No host is contacted.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::inventory::{Become, Host, Inventory, Role, fold_hosts};

use super::args::{Global, InventoryCommand, OutputFormat};
use super::failure::Failure;
use super::{print, session};

pub fn run(global: &Global, command: InventoryCommand) -> Result<u8, Failure> {
    let selected = session::select(global)?;
    match command {
        InventoryCommand::Check => print(&checked(&selected.inventory)),
        InventoryCommand::Show { host: None } if global.output == OutputFormat::Json => print(
            &selected.hosts.iter().map(|host| format!("{}\n", object(host))).collect::<String>(),
        ),
        InventoryCommand::Show { host: None } => print(&table(&selected.hosts)),
        InventoryCommand::Show { host: Some(name) } => {
            let host = selected.hosts.iter().find(|host| host.name == name).ok_or_else(|| {
                Failure::usage(format!(
                    "there is no host {name:?} in {}",
                    global.inventory.display()
                ))
            })?;
            let value = object(host);
            print(&if global.output == OutputFormat::Json {
                format!("{value}\n")
            } else {
                settings(&value)
            })
        }
    }
}

fn checked(inventory: &Inventory) -> String {
    let mut out = String::new();
    if let Some(cluster) = &inventory.cluster {
        // Writing to a String cannot fail.
        let _ =
            writeln!(out, "cluster {}: Kubernetes {}", cluster.name, cluster.kubernetes_version);
    }
    for role in [Role::ControlPlane, Role::Worker, Role::Etcd] {
        let names: Vec<&str> = inventory
            .hosts
            .iter()
            .filter(|host| host.role == role)
            .map(|host| host.name.as_str())
            .collect();
        if !names.is_empty() {
            let _ = writeln!(out, "{role}: {} ({})", names.len(), fold_hosts(&names));
        }
    }
    out
}

fn table(hosts: &[Host]) -> String {
    let header = ["NAME", "ROLE", "ADDRESS", "USER", "PORT", "BECOME", "GROUPS"].map(str::to_owned);
    let rows: Vec<[String; 7]> = hosts
        .iter()
        .map(|host| {
            [
                host.name.clone(),
                host.role.to_string(),
                host.address.clone(),
                host.ssh.user.clone().unwrap_or_else(|| "-".to_owned()),
                host.ssh.port.to_string(),
                become_word(host.ssh.become_root).to_owned(),
                if host.groups.is_empty() { "-".to_owned() } else { host.groups.join(",") },
            ]
        })
        .collect();
    let width = |column: usize| {
        rows.iter().chain([&header]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    std::iter::once(&header).chain(&rows).map(line).collect()
}

fn settings(value: &Value) -> String {
    let Value::Object(fields) = value else { return String::new() };
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    fields.iter().map(|(key, value)| format!("{key:<width$}  {}\n", text(value))).collect()
}

fn become_word(become_root: Become) -> &'static str {
    match become_root {
        Become::None => "none",
        Become::Sudo => "sudo",
    }
}

fn object(host: &Host) -> Value {
    json!({
        "name": host.name,
        "role": host.role.as_str(),
        "address": host.address,
        "advertise_address": host.advertise_address,
        "groups": host.groups,
        "labels": host.labels,
        "taints": host.taints.as_ref().map(|taints| {
            taints.iter().map(|t| format!("{}={}:{}", t.key, t.value, t.effect)).collect::<Vec<_>>()
        }),
        "kubelet_extra_args": host.kubelet_extra_args,
        "vars": host.vars,
        "ssh_user": host.ssh.user,
        "ssh_port": host.ssh.port,
        "ssh_identity_file": host.ssh.identity_files,
        "ssh_identity_agent": host.ssh.identity_agent,
        "ssh_known_hosts": host.ssh.known_hosts,
        "ssh_connect_timeout_seconds": host.ssh.connect_timeout.as_secs(),
        "ssh_command_timeout_seconds": host.ssh.command_timeout.as_secs(),
        "ssh_keepalive_seconds": host.ssh.keepalive.as_secs(),
        "ssh_become": become_word(host.ssh.become_root),
    })
}
