//! `fleetadm inventory`: what the document resolves to. No host is contacted.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::inventory::{Host, Inventory, Role, fold_hosts};
use crate::ssh::{Connector, Environment, Setting, Settings};

use super::args::{Global, InventoryCommand, OutputFormat};
use super::failure::Failure;
use super::{print, session};

pub fn run(global: &Global, command: InventoryCommand) -> Result<u8, Failure> {
    let selected = session::select(global)?;
    let connector = Connector::new(Environment::current());
    let object = |host: &Host| object(host, &connector.settings(host));
    match command {
        InventoryCommand::Check => print(&checked(&selected.inventory)),
        InventoryCommand::Show { host: None } if global.output == OutputFormat::Json => print(
            &selected.hosts.iter().map(|host| format!("{}\n", object(host))).collect::<String>(),
        ),
        InventoryCommand::Show { host: None } => print(&table(&selected.hosts, &connector)),
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

fn table(hosts: &[Host], connector: &Connector) -> String {
    let header = ["NAME", "ROLE", "ADDRESS", "USER", "PORT", "BECOME", "GROUPS"].map(str::to_owned);
    let rows: Vec<[String; 7]> = hosts
        .iter()
        .map(|host| {
            let ssh = connector.settings(host);
            [
                host.name.clone(),
                host.role.to_string(),
                host.address.clone(),
                ssh.user.value.unwrap_or_else(|| "-".to_owned()),
                ssh.port.value.to_string(),
                ssh.become_root.value.as_str().to_owned(),
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

fn object(host: &Host, ssh: &Settings) -> Value {
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
        "ssh": {
            "host_name": setting(&ssh.host_name),
            "port": setting(&ssh.port),
            "user": setting(&ssh.user),
            "identity_file": setting(&ssh.identity_files),
            "certificate_file": setting(&ssh.certificate_files),
            "identities_only": setting(&ssh.identities_only),
            "identity_agent": setting(&ssh.identity_agent),
            "known_hosts": setting(&ssh.known_hosts),
            "host_key_alias": setting(&ssh.host_key_alias),
            "connect_timeout_seconds": json!({
                "value": ssh.connect_timeout.value.as_secs_f64(),
                "from": ssh.connect_timeout.origin.to_string(),
            }),
        },
    })
}

fn setting<T: serde::Serialize>(setting: &Setting<T>) -> Value {
    json!({"value": setting.value, "from": setting.origin.to_string()})
}
