//! What KubeletConfiguration and KubeProxyConfiguration have in common: the operator's fields are kept as they
//! are, kubeadm's fields fill the gaps, and disagreement is said, not overruled.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::cluster::patches::PatchError;
use crate::cluster::yaml::YamlError;

/// Annotation on ConfigMaps whose content the operator had no say in.
pub const HASH_ANNOTATION: &str = "kubeadm.kubernetes.io/component-config.hash";

/// A field the operator set to something else than kubeadm would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {path} is {actual}, which is {}; kubeadm uses {expected}", verdict(*.kept))]
pub struct Deviation {
    /// The document's kind.
    pub kind: &'static str,
    /// Path of the field, with dots.
    pub path: String,
    /// The operator's value, as JSON.
    pub actual: String,
    /// kubeadm's value, as JSON.
    pub expected: String,
    /// Whether the operator's value stays.
    pub kept: bool,
}

fn verdict(kept: bool) -> &'static str {
    if kept { "kept" } else { "overruled" }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ComponentConfigError {
    /// It cannot be written.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// The operator's patches do not fit it.
    #[error(transparent)]
    Patch(#[from] PatchError),
}

/// A rendered component configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentConfig {
    /// The document.
    pub yaml: String,
    /// Where the operator's wishes differ from kubeadm's.
    pub deviations: Vec<Deviation>,
}

/// The value of [`HASH_ANNOTATION`] for a ConfigMap's data.
pub fn hash(data: &BTreeMap<String, String>) -> String {
    let mut hasher = Sha256::new();
    for value in data.values() {
        hasher.update(value);
    }
    let digest = hasher.finalize();
    digest.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Fills fields of one document.
pub(super) struct Defaults<'a> {
    kind: &'static str,
    fields: &'a mut Map<String, Value>,
    deviations: Vec<Deviation>,
}

impl<'a> Defaults<'a> {
    pub(super) fn new(kind: &'static str, fields: &'a mut Map<String, Value>) -> Self {
        Self { kind, fields, deviations: Vec::new() }
    }

    /// Sets the field at `path` unless the operator did; speaks up when the values differ.
    pub(super) fn fill(&mut self, path: &[&str], expected: Value) {
        let Some(slot) = slot(self.fields, path) else { return };
        if is_unset(slot) {
            *slot = expected;
        } else if *slot != expected {
            let actual = slot.to_string();
            self.tell(path, actual, &expected, true);
        }
    }

    /// Leaves a top-level field out unless the operator set it; speaks up when it is not `expected`.
    pub(super) fn expect(&mut self, name: &str, expected: &Value) {
        if let Some(actual) = self.fields.get(name)
            && actual != expected
        {
            let actual = actual.to_string();
            self.tell(&[name], actual, expected, true);
        }
    }

    /// Sets the field at `path` whatever the operator said; speaks up when that was something else.
    pub(super) fn force(&mut self, path: &[&str], value: Value) {
        let Some(slot) = slot(self.fields, path) else { return };
        let actual = std::mem::replace(slot, value.clone());
        if !is_unset(&actual) && actual != value {
            self.tell(path, actual.to_string(), &value, false);
        }
    }

    fn tell(&mut self, path: &[&str], actual: String, expected: &Value, kept: bool) {
        self.deviations.push(Deviation {
            kind: self.kind,
            path: path.join("."),
            actual,
            expected: expected.to_string(),
            kept,
        });
    }

    /// What was found to differ.
    pub(super) fn finish(self) -> Vec<Deviation> {
        self.deviations
    }
}

/// Go's zero values: what kubeadm takes for "not set".
pub(super) fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn slot<'a>(fields: &'a mut Map<String, Value>, path: &[&str]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    let entry = fields.entry(*first).or_insert(Value::Null);
    if rest.is_empty() {
        return Some(entry);
    }
    if entry.is_null() {
        *entry = Value::Object(Map::new());
    }
    // A scalar where a map belongs is the operator's; the component itself will refuse it.
    slot(entry.as_object_mut()?, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn gaps_are_filled_and_differences_are_told() {
        let mut fields =
            json!({"a": {"b": false}, "c": "", "d": "mine", "e": 1}).as_object().unwrap().clone();
        let mut defaults = Defaults::new("Test", &mut fields);
        defaults.fill(&["a", "b"], json!(false));
        defaults.fill(&["a", "x"], json!(true));
        defaults.fill(&["c"], json!("filled"));
        defaults.fill(&["d"], json!("ours"));
        defaults.fill(&["e", "f"], json!("nowhere"));
        let deviations = defaults.finish();
        assert_eq!(
            Value::Object(fields),
            json!({"a": {"b": false, "x": true}, "c": "filled", "d": "mine", "e": 1})
        );
        let told: Vec<_> = deviations.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["Test: d is \"mine\", which is kept; kubeadm uses \"ours\""]);
    }

    #[test]
    fn the_hash_covers_values_in_key_order() {
        let data = BTreeMap::from([("b".into(), "2".into()), ("a".into(), "1".into())]);
        // SHA-256 of the text `12`.
        assert_eq!(
            hash(&data),
            "sha256:6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918"
        );
    }
}
