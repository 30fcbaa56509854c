//! `fleetadm inventory show`.

use serde_json::{Value, json};

use crate::cli::args::OutputFormat;
use crate::cli::failure::Failure;
use crate::inventory::Host;
use crate::ssh::{Connector, Setting, Settings};

/// Every host: a table for people, an object per line for programs.
pub(super) fn table(
    hosts: &[Host],
    connector: &Connector,
    format: OutputFormat,
) -> Result<String, Failure> {
    let settings = |host| connector.settings(host).map_err(Failure::usage);
    if format == OutputFormat::Json {
        return hosts
            .iter()
            .map(|host| Ok(format!("{}\n", object(host, &settings(host)?))))
            .collect();
    }
    let header = ["NAME", "ROLE", "ADDRESS", "USER", "PORT", "BECOME", "GROUPS"].map(str::to_owned);
    let rows = hosts
        .iter()
        .map(|host| {
            let ssh = settings(host)?;
            Ok([
                host.name.clone(),
                host.role.to_string(),
                host.address.clone(),
                ssh.user.value.unwrap_or_else(|| "-".to_owned()),
                ssh.port.value.to_string(),
                ssh.become_root.value.as_str().to_owned(),
                if host.groups.is_empty() { "-".to_owned() } else { host.groups.join(",") },
            ])
        })
        .collect::<Result<Vec<[String; 7]>, Failure>>()?;
    let width = |column: usize| {
        rows.iter().chain([&header]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    Ok(std::iter::once(&header).chain(&rows).map(line).collect())
}

/// One host, with all its settings and where they come from.
pub(super) fn host(
    host: &Host,
    connector: &Connector,
    format: OutputFormat,
) -> Result<String, Failure> {
    let value = object(host, &connector.settings(host).map_err(Failure::usage)?);
    Ok(if format == OutputFormat::Json { format!("{value}\n") } else { settings(&value) })
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
