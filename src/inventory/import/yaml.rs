//! YAML with line numbers, as Ansible reads it: inventories, and files of variables.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Spanned};

use super::ansible::{GroupId, Inventory, Variable, Variables};
use super::error::ImportError;
use super::notes::{Line, Notes};
use super::patterns;

/// How a document begins that ansible-vault has encrypted.
const VAULT: &str = "$ANSIBLE_VAULT;";

/// Adds what an inventory says.
pub(super) fn read(
    inventory: &mut Inventory,
    document: &Arc<str>,
    text: &str,
    notes: &mut Notes,
) -> Result<(), ImportError> {
    let mut reader = Reader { inventory, document, notes };
    let whole = reader.line(0);
    if text.starts_with(VAULT) {
        return Err(ImportError::at(
            &whole,
            "it is encrypted; decrypt it with ansible-vault first",
        ));
    }
    let node = parse(document, text)?;
    let Node::Map(groups) = node else {
        return Err(ImportError::at(&whole, "expected a mapping of groups"));
    };
    for (key, _) in &groups {
        let line = reader.line(key.line);
        if key.name == "_meta" {
            let advice = "this is the JSON of a dynamic inventory; import what \
                `ansible-inventory --list --yaml` prints";
            return Err(ImportError::at(&line, advice));
        }
        if key.name == "plugin" {
            let advice = "this configures an inventory plugin; import what \
                `ansible-inventory --list --yaml` prints with it";
            return Err(ImportError::at(&line, advice));
        }
    }
    for (key, node) in groups {
        reader.group(&key, node)?;
    }
    Ok(())
}

/// Reads a file of variables.
pub(super) fn variables(
    document: &Arc<str>,
    text: &str,
    notes: &mut Notes,
) -> Result<Variables, ImportError> {
    let line = |number| Line { document: document.clone(), number };
    if text.starts_with(VAULT) {
        notes.at(&line(0), "it is encrypted by ansible-vault; its variables are left out");
        return Ok(Variables::new());
    }
    match parse(document, text)? {
        Node::Map(entries) => Ok(entries
            .into_iter()
            .map(|(key, node)| {
                (key.name, Variable { value: node.into_value(), line: line(key.line) })
            })
            .collect()),
        Node::Scalar(Value::Null) => Ok(Variables::new()),
        _ => Err(ImportError::at(&line(0), "expected a mapping of variables")),
    }
}

/// Reads the one document of a text; nothing is null.
fn parse(document: &Arc<str>, text: &str) -> Result<Node, ImportError> {
    // As Ansible reads it: 0644 is octal, and the last one of equal keys counts.
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        budget: serde_saphyr::budget! { max_events: 20_000_000, max_nodes: 10_000_000 },
    };
    let line = |number| Line { document: document.clone(), number };
    let mut nodes: Vec<Node> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
            let number = error.location().and_then(|place| usize::try_from(place.line()).ok());
            let message = error.without_snippet().to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            ImportError::at(&line(number.unwrap_or(0)), format!("not valid YAML: {message}"))
        })?;
    if nodes.len() > 1 {
        return Err(ImportError::at(&line(0), "expected one YAML document, found several"));
    }
    Ok(nodes.pop().unwrap_or(Node::Scalar(Value::Null)))
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    document: &'a Arc<str>,
    notes: &'a mut Notes,
}

impl Reader<'_> {
    fn line(&self, number: usize) -> Line {
        Line { document: self.document.clone(), number }
    }

    fn group(&mut self, key: &Key, node: Node) -> Result<Option<GroupId>, ImportError> {
        let (name, line) = (&key.name, self.line(key.line));
        let entries = match node {
            Node::Map(entries) => entries,
            Node::Scalar(Value::Null) => Vec::new(),
            _ => {
                self.notes
                    .at(&line, format!("`{name}` is not a group, which is a mapping; left out"));
                return Ok(None);
            }
        };
        let group = self.inventory.group(name, &line);
        for (key, node) in entries {
            let line = self.line(key.line);
            match key.name.as_str() {
                "vars" => {
                    for (key, node) in self.mapping(&key, node)? {
                        let line = self.line(key.line);
                        let variable = Variable { value: node.into_value(), line: line.clone() };
                        let set = self.inventory.set(group, key.name, variable);
                        set.map_err(|problem| ImportError::at(&line, problem))?;
                    }
                }
                "children" => {
                    for (key, node) in self.mapping(&key, node)? {
                        let line = self.line(key.line);
                        if let Some(child) = self.group(&key, node)? {
                            let added = self.inventory.add_child(group, child);
                            added.map_err(|problem| ImportError::at(&line, problem))?;
                        }
                    }
                }
                "hosts" => {
                    for (key, node) in self.mapping(&key, node)? {
                        self.hosts(group, &key, node)?;
                    }
                }
                other => self.notes.at(
                    &line,
                    format!(
                        "`{other}` is not a key of a group (`hosts`, `vars`, `children`); left out"
                    ),
                ),
            }
        }
        Ok(Some(group))
    }

    fn hosts(&mut self, group: GroupId, key: &Key, node: Node) -> Result<(), ImportError> {
        let line = self.line(key.line);
        let (names, port) =
            patterns::expand(&key.name).map_err(|problem| ImportError::at(&line, problem))?;
        let variables: Vec<(String, Variable)> = self
            .mapping(key, node)?
            .into_iter()
            .map(|(key, node)| {
                let line = self.line(key.line);
                (key.name, Variable { value: node.into_value(), line })
            })
            .collect();
        for name in names {
            let host = self.inventory.add_host(group, &name, port, &line);
            self.inventory.hosts[host].variables.extend(variables.iter().cloned());
        }
        Ok(())
    }

    /// A mapping; a single word is one with one key, and nothing an empty one.
    fn mapping(&self, key: &Key, node: Node) -> Result<Vec<(Key, Node)>, ImportError> {
        match node {
            Node::Map(entries) => Ok(entries),
            Node::Scalar(Value::Null) => Ok(Vec::new()),
            Node::Scalar(Value::String(name)) if ["hosts", "children"].contains(&&*key.name) => {
                Ok(vec![(Key { name, line: key.line }, Node::Scalar(Value::Null))])
            }
            _ => {
                let problem = format!("expected a mapping under `{}`", key.name);
                Err(ImportError::at(&self.line(key.line), problem))
            }
        }
    }
}

/// What stands in a document.
#[derive(Debug)]
enum Node {
    Scalar(Value),
    List(Vec<Node>),
    /// In document order; a key given again replaces the first one.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
struct Key {
    name: String,
    line: usize,
}

impl Node {
    fn into_value(self) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::List(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Map(entries) => {
                let entries = entries.into_iter().map(|(key, node)| (key.name, node.into_value()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Nodes;
        impl<'de> Visitor<'de> for Nodes {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Node, E> {
                Ok(Node::Scalar(truth.into()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Scalar(number.into()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Scalar(number.into()))
            }
            // JSON has no larger integers, and TOML neither: their digits are a text.
            fn visit_i128<E: Error>(self, number: i128) -> Result<Node, E> {
                Ok(Node::Scalar(number.to_string().into()))
            }
            fn visit_u128<E: Error>(self, number: u128) -> Result<Node, E> {
                Ok(Node::Scalar(number.to_string().into()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Node, E> {
                Ok(Node::Scalar(number.into()))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Scalar(text.into()))
            }
            fn visit_unit<E: Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map: Vec<(Key, Node)> = Vec::new();
                let mut places: HashMap<String, usize> = HashMap::new();
                while let Some((key, node)) = entries.next_entry::<Spanned<String>, Node>()? {
                    let line = usize::try_from(key.referenced.line()).unwrap_or_default();
                    let key = Key { name: key.value, line };
                    let place = *places.entry(key.name.clone()).or_insert(map.len());
                    match map.get_mut(place) {
                        Some(known) => *known = (key, node),
                        None => map.push((key, node)),
                    }
                }
                Ok(Node::Map(map))
            }
        }
        deserializer.deserialize_any(Nodes)
    }
}
