//! What of a host's facts is shown, by name: a few columns made for people, and any path into the facts. Pure.

use std::borrow::Cow;

use serde_json::Value;

use super::catalogue::PATHS;
use crate::cli::value::{is_nothing, text};
use crate::inventory::{Host, nearest};
use crate::node::facts::Facts;
use crate::report::{aligned, printable_line};

/// What is shown where nobody chose. On a terminal of 100 columns it fits for hosts of usual names.
pub(super) const DEFAULT: &[&str] =
    &["host", "os", "kernel", "machine", "cpus", "memory", "address", "runtime", "kubelet"];

/// A column made for people: its name, what it is, and what it says of a host; nothing where that is not known.
type Named = (&'static str, &'static str, fn(&Host, &Facts) -> String);

const NAMED: &[Named] = &[
    ("host", "name in the inventory", |host, _| host.name.clone()),
    ("role", "role in the inventory", |host, _| host.role.to_string()),
    ("groups", "groups in the inventory", |host, _| host.groups.join(", ")),
    ("os", "distribution and version", |_, facts| {
        format!("{} {}", facts.os.id, facts.os.version).trim().to_owned()
    }),
    ("kernel", "release of the kernel", |_, facts| facts.kernel_release.clone()),
    ("memory", "memory, in GiB", |_, facts| match facts.memory_mb {
        0 => String::new(),
        mb => format!("{}.{}G", mb / 1024, mb % 1024 * 10 / 1024),
    }),
    ("address", "the address it reaches others from", |_, facts| {
        facts.default_addresses.first().map(ToString::to_string).unwrap_or_default()
    }),
    ("runtime", "container runtime and its version", |_, facts| {
        let runtime = facts.runtime.as_ref();
        runtime.map(|r| format!("{} {}", r.name, r.version).trim().to_owned()).unwrap_or_default()
    }),
    ("kubelet", "version of the kubelet", |_, facts| facts.kubelet_version.clone()),
];

/// One column.
pub(super) struct Column {
    /// As it was asked for.
    pub(super) name: String,
    /// For one made for people; any other is a path.
    named: Option<&'static Named>,
}

/// There is no such column.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no column `{name}`{}; `--columns help` lists them",
    .meant.as_ref().map(|meant| format!(", did you mean `{meant}`?")).unwrap_or_default())]
pub(super) struct UnknownColumn {
    name: String,
    meant: Option<String>,
}

impl Column {
    /// The column of this name, or the path into the facts.
    pub(super) fn find(name: &str) -> Result<Self, UnknownColumn> {
        let named = NAMED.iter().find(|(known, ..)| *known == name);
        if named.is_some() || is_path(name) {
            Ok(Self { name: name.to_owned(), named })
        } else {
            Err(UnknownColumn { name: name.to_owned(), meant: meant(name) })
        }
    }

    /// What stands above the column for people: longer paths have keys in them, as they are.
    pub(super) fn title(&self) -> String {
        if self.name.contains('.') { self.name.clone() } else { self.name.to_uppercase() }
    }
}

/// What the columns say of a host, on one line each and without control characters; empty where nothing is known.
pub(super) fn cells(columns: &[Column], host: &Host, facts: &Facts) -> Vec<String> {
    // Facts are numbers, words and maps of words; none of these fails.
    let all = columns.iter().any(|column| column.named.is_none());
    let all = if all { serde_json::to_value(facts).unwrap_or_default() } else { Value::Null };
    let cell = |column: &Column| {
        let said = match column.named {
            Some((_, _, say)) => say(host, facts),
            None => at(&all, &column.name)
                .filter(|value| !is_nothing(value))
                .map(|value| text(&value))
                .unwrap_or_default(),
        };
        printable_line(&said, usize::MAX)
    };
    columns.iter().map(cell).collect()
}

/// Every column there is, a line each.
pub(super) fn help() -> String {
    let named = NAMED.iter().map(|(name, what, _)| [(*name).to_owned(), (*what).to_owned()]);
    let paths = PATHS.iter().map(|(path, what)| [(*path).to_owned(), (*what).to_owned()]);
    aligned(&[], &named.chain(paths).collect::<Vec<_>>())
}

/// What is at a path. Keys may have dots in them; of a list it is what is at that path of each element.
fn at<'a>(value: &'a Value, path: &str) -> Option<Cow<'a, Value>> {
    match value {
        Value::Object(fields) => {
            let mut shorter =
                path.match_indices('.').rev().map(|(dot, _)| (&path[..dot], &path[dot + 1..]));
            let whole = fields.get(path).map(Cow::Borrowed);
            whole.or_else(|| shorter.find_map(|(key, rest)| at(fields.get(key)?, rest)))
        }
        Value::Array(items) => {
            let found = items.iter().map(|item| at(item, path).map(Cow::into_owned));
            Some(Cow::Owned(found.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

/// Whether the path leads anywhere in any host's facts.
fn is_path(path: &str) -> bool {
    let words: Vec<&str> = path.split('.').collect();
    PATHS.iter().any(|(pattern, _)| fits(&pattern.split('.').collect::<Vec<_>>(), &words))
}

/// Whether there may be something at a path: a leaf that the pattern names, or a branch before it. Capitals in the
/// pattern stand for a key, which may have dots in it where what follows says where it ends.
fn fits(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        (_, []) => true,
        ([], _) => false,
        ([key, rest @ ..], [_, more @ ..]) if key.starts_with(|c: char| c.is_ascii_uppercase()) => {
            let longest = if rest.is_empty() { more.len() } else { more.len().saturating_sub(1) };
            (0..=longest).any(|dots| fits(rest, &more[dots..]))
        }
        ([word, rest @ ..], [first, more @ ..]) => word == first && fits(rest, more),
    }
}

/// What somebody most likely meant who mistyped a column.
fn meant(name: &str) -> Option<String> {
    let named = NAMED.iter().map(|(name, ..)| *name);
    let known = nearest(name, named.chain(PATHS.iter().map(|(path, _)| *path)));
    known.map(str::to_owned).or_else(|| {
        let (head, rest) = name.split_once('.')?;
        let heads = PATHS.iter().filter_map(|(path, _)| Some(path.split_once('.')?.0));
        let whole = format!("{}.{rest}", nearest(head, heads)?);
        Some(whole).filter(|whole| is_path(whole))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inventory;

    #[test]
    fn keys_may_have_dots() {
        let value = json!({
            "disks": {"/": {"free_mb": 1}, "/var": {"free_mb": 2}, "/a.b": {"free_mb": 3, "options": []}},
            "interfaces": [{"name": "lo"}, {"name": "eth0"}],
            "runtime": null,
        });
        let text_at = |path: &str| at(&value, path).map(|value| text(&value));
        assert_eq!(text_at("disks./var.free_mb").as_deref(), Some("2"));
        assert_eq!(text_at("disks./.free_mb").as_deref(), Some("1"));
        assert_eq!(text_at("disks./a.b.free_mb").as_deref(), Some("3"));
        assert_eq!(text_at("disks./a.b").as_deref(), Some("free_mb=3, options=-"));
        assert_eq!(text_at("interfaces.name").as_deref(), Some("lo, eth0"));
        for missing in ["disks./x.free_mb", "interfaces.x", "runtime.name", "disks.", ""] {
            assert_eq!(text_at(missing), None, "{missing}");
        }
    }

    #[test]
    fn what_a_column_may_be_called() {
        for name in [
            "host",
            "os",
            "os.id",
            "cpus",
            "runtime",
            "runtime.name",
            "disks",
            "disks./var",
            "disks./var.free_mb",
            "disks./data/v1.2.free_mb",
            "sysctls.net/ipv4/ip_forward",
            "resolved.n1.example.org",
            "init.services.kubelet.active",
            "init.services.systemd-resolved",
            "interfaces.mac",
            "interfaces",
            "paths./etc/kubernetes/admin.conf",
        ] {
            assert!(Column::find(name).is_ok(), "{name}");
        }
        let reason = |name: &str| Column::find(name).err().map(|error| error.to_string());
        let reasons: Vec<String> = [
            "kernle",
            "memory-mb",
            "sysctl.fs/file-max",
            "disks./var.free",
            "os.di",
            "cpus.0",
            "",
            "x",
        ]
        .iter()
        .map(|name| reason(name).unwrap())
        .collect();
        insta::assert_snapshot!(reasons.join("\n"), @r"
        no column `kernle`, did you mean `kernel`?; `--columns help` lists them
        no column `memory-mb`, did you mean `memory_mb`?; `--columns help` lists them
        no column `sysctl.fs/file-max`, did you mean `sysctls.fs/file-max`?; `--columns help` lists them
        no column `disks./var.free`; `--columns help` lists them
        no column `os.di`, did you mean `os.id`?; `--columns help` lists them
        no column `cpus.0`, did you mean `cpus`?; `--columns help` lists them
        no column ``; `--columns help` lists them
        no column `x`; `--columns help` lists them
        ");
    }

    #[test]
    fn what_cells_say() {
        let facts = crate::node::facts::parse(
            "hostname n\nos.id debian\nos.version \"12\"\nkernel_release 6.1.0-28-amd64\nmachine x86_64\ncpus 4\n\
             memory_kb 16384000\naddress eth0 10.0.0.11\ndefault4 eth0 0\nlink eth0 - 1500 up 1\n\
             runtime.socket unix:///x\nruntime.name containerd\nruntime.version 1.7.24\n\
             kubelet_version v1.36.2\nfirewall a\u{202e}b\nend",
            None,
        )
        .unwrap();
        let inventory = inventory::parse("[[hosts]]\nname = \"node-0\"", ".".as_ref(), "test");
        let host = &inventory.unwrap().hosts[0];
        let say = |names: &[&str]| {
            let columns: Vec<Column> =
                names.iter().map(|name| Column::find(name).unwrap()).collect();
            cells(&columns, host, &facts).join(" | ")
        };
        insta::assert_snapshot!(say(DEFAULT), @"node-0 | debian 12 | 6.1.0-28-amd64 | x86_64 | 4 | 15.6G | 10.0.0.11 | containerd 1.7.24 | 1.36.2");
        let paths =
            ["role", "interfaces.addresses", "runtime.ready", "disks./", "firewalls", "fsync"];
        insta::assert_snapshot!(say(&paths), @"worker | 10.0.0.11 | false |  | ab |");
        let nothing = Facts::default();
        let columns: Vec<Column> = DEFAULT.iter().map(|name| Column::find(name).unwrap()).collect();
        assert_eq!(cells(&columns, host, &nothing).concat(), "node-00");
    }

    #[test]
    fn help_has_a_line_for_each() {
        let help = help();
        assert_eq!(help.lines().count(), NAMED.len() + PATHS.len());
        assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
    }
}
