//! Text to a document: syntax, unknown keys, wrong types.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::document;
use super::error::{Fault, Problem, Problems, Span, quoted};
use super::json;
use super::suggest::nearest;

/// The two ways to write a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Toml,
    Json,
}

impl Syntax {
    /// What a text is written in, by its first character or its name.
    pub(super) fn of(text: &str, origin: &str) -> Self {
        if json::is_json(text) || origin.ends_with(".json") { Self::Json } else { Self::Toml }
    }

    fn parse(self, text: &str) -> Result<Spanned<DeTable<'_>>, Problem> {
        match self {
            Self::Toml => DeTable::parse(text).map_err(|error| toml_mistake(text, &error)),
            Self::Json => json::parse(text),
        }
    }

    fn unknown_key(self) -> &'static str {
        match self {
            Self::Toml => "not a key of this table",
            Self::Json => "not a key of this object",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Toml => "a table",
            Self::Json => "an object",
        }
    }

    fn tables(self) -> &'static str {
        match self {
            Self::Toml => "an array of tables, each under its own `[[...]]` header",
            Self::Json => "an array of objects",
        }
    }
}

/// Reading is repeated without each mistake to find the next; this many are enough for one run.
const ATTEMPTS: usize = 20;

/// Keys that are often written one table too high, and where they belong.
const ELSEWHERE: [(&str, &[&str]); 4] = [
    ("`[cluster.networking]`", &["pod_subnet", "service_subnet", "dns_domain"]),
    ("`[cluster.api_server]`", &["bind_port", "cert_sans"]),
    ("`[cluster.etcd]`", &["data_dir"]),
    (
        "an `ssh` table",
        &[
            "user",
            "port",
            "identity_file",
            "certificate_file",
            "identities_only",
            "identity_agent",
            "known_hosts",
            "host_key_alias",
            "host_key_policy",
            "jump",
            "connect_timeout",
            "command_timeout",
            "keepalive",
            "become",
            "become_user",
            "password_command",
            "become_password_command",
        ],
    ),
];

/// Reads a whole document or one table, or says everything that keeps it from being read.
pub(super) fn read<T: DeserializeOwned>(
    text: &str,
    syntax: Syntax,
    problems: &mut Problems,
) -> Option<T> {
    let error = match syntax.parse(text) {
        Ok(table) => match T::deserialize(Deserializer::from(table)) {
            Ok(document) => return Some(document),
            Err(error) => error,
        },
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    // Deserializing stops at the first mistake; the others are found by leaving it out.
    let mut rest = syntax.parse(text).ok()?;
    let mut next = Some(error);
    for _ in 0..ATTEMPTS {
        let Some(error) = next else { break };
        let span = error.span().unwrap_or(0..0);
        problems.push(fault(error.message(), syntax).at(span.clone()));
        if !prune_table(rest.get_mut(), &span) {
            break;
        }
        next = T::deserialize(Deserializer::from(rest.clone())).err();
    }
    None
}

fn prune_table(table: &mut DeTable<'_>, span: &Span) -> bool {
    let before = table.len();
    let entries = std::mem::take(table).into_iter();
    *table = entries.filter(|(key, value)| key.span() != *span && value.span() != *span).collect();
    table.len() < before || table.iter_mut().any(|(_, value)| prune(value.get_mut(), span))
}

fn prune(value: &mut DeValue<'_>, span: &Span) -> bool {
    match value {
        DeValue::Table(table) => prune_table(table, span),
        DeValue::Array(items) => {
            let before = items.len();
            let kept = std::mem::replace(items, DeArray::new())
                .into_iter()
                .filter(|item| item.span() != *span);
            *items = kept.collect();
            items.len() < before || items.iter_mut().any(|item| prune(item.get_mut(), span))
        }
        _ => false,
    }
}

fn toml_mistake(text: &str, error: &toml::de::Error) -> Problem {
    let message = error.message();
    let (title, label) = message.split_once(", expected ").unwrap_or((message, ""));
    let label = match (title, label) {
        ("duplicate key", _) => "this table has the key already".to_owned(),
        (_, "") => "here".to_owned(),
        (_, expected) => format!("expected {expected}"),
    };
    let end = text.trim_end().len();
    Fault::new(format!("not valid TOML: {title}"), label).at(error.span().unwrap_or(end..end))
}

/// serde's words in ours. A message it words differently one day is still shown, as it is.
fn fault(message: &str, syntax: Syntax) -> Fault {
    let message = message.trim_end();
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((key, rest)) = rest.split_once('`')
    {
        let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        let fault = Fault::new(format!("unknown key {}", quoted(key)), syntax.unknown_key());
        let meant = nearest(key, known.iter().copied());
        let elsewhere = || {
            let find = |(table, keys): &(&str, &[&'static str])| {
                Some((table.to_string(), nearest(key, keys.iter().copied())?))
            };
            ELSEWHERE.iter().find_map(find)
        };
        return if meant.is_some() {
            fault.suggest(meant)
        } else if let Some((table, key)) = elsewhere() {
            fault.help(format!("`{key}` belongs in {table}"))
        } else {
            let works: Vec<&str> =
                known.into_iter().filter(|key| !document::UNSUPPORTED.contains(key)).collect();
            fault.help(format!("known keys here: {}", works.join(", ")))
        };
    }
    if let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        let found = match found {
            "map" => syntax.table(),
            "sequence" => "an array",
            other => other,
        };
        let expected = match expected {
            "a map" | "a table" => syntax.table(),
            "a sequence" => syntax.tables(),
            other => other,
        };
        let fault =
            Fault::new(format!("{found} is not of the right type"), format!("expected {expected}"));
        let bare = ["integer", "floating", "boolean"].iter().any(|kind| found.starts_with(kind));
        return if expected == "a string" && bare { fault.help("put it in quotes") } else { fault };
    }
    Fault::new(message, "here")
}
