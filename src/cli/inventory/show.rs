//! `fleetadm inventory show`: how hosts are reached, and who says so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::args::OutputFormat;
use crate::cli::failure::Failure;
use crate::cli::value::{is_nothing, text};
use crate::inventory::{Hop, Host};
use crate::report::{aligned, printable};
use crate::ssh::{Connector, Setting, Settings};

/// Every host: a table for people, an object per line for programs.
pub(super) fn table(
    hosts: &[Arc<Host>],
    connector: &Connector,
    format: OutputFormat,
) -> Result<String, Failure> {
    if format == OutputFormat::Json {
        return hosts.iter().map(|host| Ok(format!("{}\n", object(host, connector)?))).collect();
    }
    let header = ["NAME", "ROLE", "ADDRESS", "USER", "PORT", "BECOME", "GROUPS"].map(str::to_owned);
    let row = |host: &Arc<Host>| {
        let ssh = connector.settings(host).map_err(Failure::usage)?;
        Ok([
            host.name.clone(),
            host.role.to_string(),
            host.address.clone(),
            ssh.user.value.unwrap_or_else(|| "-".to_owned()),
            ssh.port.value.to_string(),
            ssh.become_root.value.as_str().to_owned(),
            if host.groups.is_empty() { "-".to_owned() } else { host.groups.join(",") },
        ])
    };
    let rows = hosts.iter().map(row).collect::<Result<Vec<_>, Failure>>()?;
    Ok(aligned(&header, &rows))
}

/// One host, and the jump hosts on the way to it, with all settings and where they come from.
pub(super) fn host(
    host: &Host,
    connector: &Connector,
    format: OutputFormat,
) -> Result<String, Failure> {
    if format == OutputFormat::Json {
        return Ok(format!("{}\n", object(host, connector)?));
    }
    let (hops, settings) = way(host, connector)?;
    let facts: Vec<[String; 2]> = facts(host)
        .into_iter()
        .filter(|(_, value)| !is_nothing(value))
        .map(|(name, value)| [name.to_owned(), text(&value)])
        .collect();
    let header = ["SETTING", "VALUE", "FROM"].map(str::to_owned);
    let rows = |settings: Vec<Row>| settings.into_iter().map(Row::cells).collect::<Vec<_>>();
    let mut out = aligned(&[], &facts);
    let mut all = connection(&settings);
    all.extend(host_only(&settings));
    // Writing to a String cannot fail.
    let _ = write!(out, "\n{}", aligned(&header, &rows(all)));
    for hop in &hops {
        let name = printable(&hop.name);
        let _ = write!(out, "\nby way of {name}:\n{}", aligned(&header, &rows(connection(hop))));
    }
    Ok(out)
}

fn object(host: &Host, connector: &Connector) -> Result<Value, Failure> {
    let (hops, settings) = way(host, connector)?;
    let object = |rows: Vec<Row>| {
        let entry = |row: Row| (row.name.to_owned(), json!({"value": row.value, "from": row.from}));
        Value::Object(rows.into_iter().map(entry).collect())
    };
    let mut all = connection(&settings);
    all.extend(host_only(&settings));
    let mut fields: Map<String, Value> =
        facts(host).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let hop = |hop: &Settings| json!({"name": hop.name, "ssh": object(connection(hop))});
    fields.insert("jump_hosts".to_owned(), hops.iter().map(hop).collect());
    fields.insert("ssh".to_owned(), object(all));
    Ok(Value::Object(fields))
}

/// The jump hosts, the nearest to the workstation first, and the host itself.
fn way(host: &Host, connector: &Connector) -> Result<(Vec<Settings>, Settings), Failure> {
    let mut hops = connector.way(host).map_err(Failure::usage)?;
    let last = hops.pop().ok_or_else(|| Failure::internal("there is no way to the host"))?;
    Ok((hops, last))
}

/// What the inventory says about a host besides how it is reached.
fn facts(host: &Host) -> Vec<(&'static str, Value)> {
    let taint =
        |taint: &crate::inventory::Taint| format!("{}={}:{}", taint.key, taint.value, taint.effect);
    let taints = host.taints.as_ref().map(|taints| taints.iter().map(taint).collect::<Vec<_>>());
    vec![
        ("name", json!(host.name)),
        ("role", json!(host.role.as_str())),
        ("address", json!(host.address)),
        ("advertise_address", json!(host.advertise_address)),
        ("groups", json!(host.groups)),
        ("labels", json!(host.labels)),
        ("taints", json!(taints)),
        ("kubelet_extra_args", json!(host.kubelet_extra_args)),
        ("vars", json!(host.vars)),
    ]
}

/// One setting, named as in the inventory where it can be said there.
struct Row {
    name: &'static str,
    value: Value,
    /// The value for people, where it is not simply that.
    shown: Option<String>,
    from: String,
}

impl Row {
    fn new<T>(name: &'static str, setting: &Setting<T>, value: impl Into<Value>) -> Self {
        Self { name, value: value.into(), shown: None, from: setting.origin.to_string() }
    }

    fn cells(self) -> [String; 3] {
        let shown = self.shown.unwrap_or_else(|| text(&self.value));
        [self.name.to_owned(), shown, printable(&self.from).into_owned()]
    }
}

/// What a jump host has as well.
fn connection(settings: &Settings) -> Vec<Row> {
    let s = settings;
    vec![
        plain("host_name", &s.host_name),
        plain("port", &s.port),
        plain("user", &s.user),
        paths("identity_file", &s.identity_files),
        paths("certificate_file", &s.certificate_files),
        plain("identities_only", &s.identities_only),
        Row::new("identity_agent", &s.identity_agent, s.identity_agent.value.as_ref().map(path)),
        plain("pubkey_authentication", &s.pubkey_authentication),
        plain("password_authentication", &s.password_authentication),
        plain("kbd_interactive_authentication", &s.kbd_interactive_authentication),
        paths("known_hosts", &s.known_hosts),
        paths("global_known_hosts", &s.global_known_hosts),
        plain("host_key_alias", &s.host_key_alias),
        Row::new("host_key_policy", &s.host_key_policy, s.host_key_policy.value.as_str()),
        Row::new("jump", &s.jump, s.jump.value.iter().map(hop).collect::<Vec<_>>()),
        plain("proxy_command", &s.proxy_command),
        duration("connect_timeout", &s.connect_timeout),
        plain("connection_attempts", &s.connection_attempts),
        duration("keepalive", &s.keepalive),
        plain("keepalive_count", &s.keepalive_count),
        plain("password_command", &s.password_command),
    ]
}

/// What only matters at the end of the way.
fn host_only(settings: &Settings) -> Vec<Row> {
    let s = settings;
    vec![
        duration("command_timeout", &s.command_timeout),
        Row::new("become", &s.become_root, s.become_root.value.as_str()),
        plain("become_user", &s.become_user),
        plain("become_password_command", &s.become_password_command),
    ]
}

fn plain<T: Clone + Into<Value>>(name: &'static str, setting: &Setting<T>) -> Row {
    Row::new(name, setting, setting.value.clone())
}

fn paths(name: &'static str, setting: &Setting<Vec<PathBuf>>) -> Row {
    Row::new(name, setting, setting.value.iter().map(path).collect::<Vec<_>>())
}

fn path(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// In seconds.
fn duration(name: &'static str, setting: &Setting<Duration>) -> Row {
    let seconds = setting.value.as_secs_f64();
    Row { shown: Some(format!("{seconds} s")), ..Row::new(name, setting, seconds) }
}

/// As `jump` has it.
fn hop(hop: &Hop) -> String {
    let user = hop.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    match hop.port {
        Some(port) if hop.host.contains(':') => format!("{user}[{}]:{port}", hop.host),
        Some(port) => format!("{user}{}:{port}", hop.host),
        None => format!("{user}{}", hop.host),
    }
}
