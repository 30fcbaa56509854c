//! Strategic merge patches, as Kubernetes' API machinery applies them: maps merge key by key, lists of Pods and what holds
//! Pods merge by a key of their items, every other list is replaced. Pure; knows no files.

use serde_json::{Map, Value};

/// How a list is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListMerge {
    /// As a whole: the patch's takes its place.
    Atomic,
    /// Item by item, those that have the same value under this key being the same.
    ByKey(&'static str),
    /// A set of values that are no maps.
    Set,
}

/// A patch that does not fit the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrategicError {
    /// An item of a list that is merged by a key lacks that key.
    #[error("{path}: an item of the patch has no `{key}`, by which it is told from others")]
    NoKey {
        /// Where, with dots.
        path: String,
        /// The key.
        key: &'static str,
    },
    /// A directive that does not exist.
    #[error("{path}: `$patch: {word}` does not exist; expected delete, replace or merge")]
    UnknownDirective {
        /// Where, with dots.
        path: String,
        /// What it says.
        word: String,
    },
    /// A directive that needs another value.
    #[error("{path}: `{directive}` needs a list")]
    NotAList {
        /// Where, with dots.
        path: String,
        /// The directive.
        directive: String,
    },
    /// A map for a list, a list for a map, or the like.
    #[error("{path}: the patch has {patch}, the document {document}")]
    OtherType {
        /// Where, with dots.
        path: String,
        /// What the patch has.
        patch: &'static str,
        /// What the document has.
        document: &'static str,
    },
}

const DIRECTIVE: &str = "$patch";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const RETAIN_KEYS: &str = "$retainKeys";

/// How the list at a place is merged, the place being the names of fields from the top, without those of items. The
/// same field means the same wherever a Pod's specification stands.
pub(super) type Lists = fn(&[&str]) -> ListMerge;

/// Lays a patch over a document.
pub(super) fn apply(
    document: &Value,
    patch: &Value,
    lists: Lists,
) -> Result<Value, StrategicError> {
    let mut merge = Merge { lists, path: Vec::new() };
    match (document, patch) {
        (Value::Object(document), Value::Object(patch)) => {
            Ok(Value::Object(merge.maps(document.clone(), patch)?))
        }
        _ => Err(merge.other_type(patch, document)),
    }
}

struct Merge<'a> {
    lists: Lists,
    path: Vec<&'a str>,
}

impl<'a> Merge<'a> {
    fn place(&self) -> String {
        if self.path.is_empty() { "the document".to_owned() } else { self.path.join(".") }
    }

    fn other_type(&self, patch: &Value, document: &Value) -> StrategicError {
        let (patch, document) = (describe(patch), describe(document));
        StrategicError::OtherType { path: self.place(), patch, document }
    }

    /// What `$patch` of a map says.
    fn directive(&self, patch: &Map<String, Value>) -> Result<Option<Directive>, StrategicError> {
        match patch.get(DIRECTIVE) {
            None => Ok(None),
            Some(Value::String(word)) if word == "delete" => Ok(Some(Directive::Delete)),
            Some(Value::String(word)) if word == "replace" => Ok(Some(Directive::Replace)),
            Some(Value::String(word)) if word == "merge" => Ok(None),
            Some(other) => {
                let word = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                Err(StrategicError::UnknownDirective { path: self.place(), word })
            }
        }
    }

    fn maps(
        &mut self,
        mut document: Map<String, Value>,
        patch: &'a Map<String, Value>,
    ) -> Result<Map<String, Value>, StrategicError> {
        match self.directive(patch)? {
            Some(Directive::Delete) => return Ok(Map::new()),
            Some(Directive::Replace) => {
                let mut patch = patch.clone();
                patch.remove(DIRECTIVE);
                return Ok(without_directives(patch));
            }
            None => {}
        }
        if let Some(retained) = patch.get(RETAIN_KEYS) {
            let retained = self.names(RETAIN_KEYS, retained)?;
            document.retain(|key, _| retained.contains(&key.as_str()));
        }
        for (key, value) in patch {
            if let Some(list) = key.strip_prefix(DELETE_FROM) {
                let gone = value.as_array().ok_or_else(|| self.not_a_list(key))?;
                if let Some(Value::Array(items)) = document.get_mut(list) {
                    items.retain(|item| !gone.contains(item));
                }
                continue;
            }
            // Lists keep the order of the document, as without it.
            if key == DIRECTIVE || key == RETAIN_KEYS || key.starts_with(ELEMENT_ORDER) {
                continue;
            }
            if value.is_null() {
                document.remove(key);
                continue;
            }
            self.path.push(key);
            let merged = match document.remove(key).filter(|below| !below.is_null()) {
                None => self.fresh(value)?,
                Some(below) => self.values(below, value)?,
            };
            self.path.pop();
            if let Some(merged) = merged {
                document.insert(key.clone(), merged);
            }
        }
        Ok(document)
    }

    fn values(
        &mut self,
        document: Value,
        patch: &'a Value,
    ) -> Result<Option<Value>, StrategicError> {
        match (document, patch) {
            (Value::Object(document), Value::Object(patch)) => {
                let deleted = matches!(self.directive(patch)?, Some(Directive::Delete));
                let merged = self.maps(document, patch)?;
                Ok((!deleted).then_some(Value::Object(merged)))
            }
            (Value::Array(document), Value::Array(patch)) => {
                Ok(Some(Value::Array(self.list(document, patch)?)))
            }
            // A type of its own says which of two is meant, as for ports by number or name.
            (document, patch) if is_container(&document) || is_container(patch) => {
                Err(self.other_type(patch, &document))
            }
            (_, patch) => Ok(Some(patch.clone())),
        }
    }

    /// What the document does not have.
    fn fresh(&mut self, patch: &'a Value) -> Result<Option<Value>, StrategicError> {
        match patch {
            Value::Object(map) => match self.directive(map)? {
                Some(Directive::Delete) => Ok(None),
                _ => Ok(Some(Value::Object(self.maps(Map::new(), map)?))),
            },
            Value::Array(items) => Ok(Some(Value::Array(self.list(Vec::new(), items)?))),
            other => Ok(Some(other.clone())),
        }
    }

    fn list(
        &mut self,
        document: Vec<Value>,
        patch: &'a [Value],
    ) -> Result<Vec<Value>, StrategicError> {
        match (self.lists)(&self.path) {
            ListMerge::Atomic => Ok(patch.to_vec()),
            ListMerge::Set => {
                let order = document.clone();
                let mut merged: Vec<Value> = Vec::new();
                for item in document.into_iter().chain(patch.iter().cloned()) {
                    if !merged.contains(&item) {
                        merged.push(item);
                    }
                }
                Ok(interleave(merged, patch, &order, |left, right| left == right))
            }
            ListMerge::ByKey(key) => self.list_by_key(document, patch, key),
        }
    }

    fn list_by_key(
        &mut self,
        document: Vec<Value>,
        patch: &'a [Value],
        key: &'static str,
    ) -> Result<Vec<Value>, StrategicError> {
        let mut merged = document;
        let mut ordinary = Vec::new();
        let mut replaced = false;
        for item in patch {
            let Value::Object(map) = item else {
                return Err(self.other_type(item, &Value::Object(Map::new())));
            };
            let directive = self.directive(map)?;
            match (directive, map.get(key).filter(|name| !name.is_null())) {
                (Some(Directive::Replace), _) => replaced = true,
                (_, None) => return Err(StrategicError::NoKey { path: self.place(), key }),
                (Some(Directive::Delete), Some(name)) => {
                    merged.retain(|other| other.get(key) != Some(name));
                }
                (None, Some(name)) => ordinary.push((name, map, item)),
            }
        }
        if replaced {
            let items = ordinary.into_iter().map(|(_, map, _)| map.clone());
            return Ok(items.map(|map| Value::Object(without_directives(map))).collect());
        }
        let order = merged.clone();
        for (name, map, _) in &ordinary {
            match merged.iter_mut().find(|other| other.get(key) == Some(*name)) {
                Some(slot) => {
                    let below = slot.as_object().cloned().unwrap_or_default();
                    *slot = Value::Object(self.maps(below, map)?);
                }
                None => merged.push(Value::Object(self.maps(Map::new(), map)?)),
            }
        }
        let patched: Vec<Value> = ordinary.into_iter().map(|(_, _, item)| item.clone()).collect();
        Ok(interleave(merged, &patched, &order, |left, right| left.get(key) == right.get(key)))
    }

    fn names<'b>(&self, directive: &str, value: &'b Value) -> Result<Vec<&'b str>, StrategicError> {
        let list = value.as_array().ok_or_else(|| self.not_a_list(directive))?;
        Ok(list.iter().filter_map(Value::as_str).collect())
    }

    fn not_a_list(&self, directive: &str) -> StrategicError {
        StrategicError::NotAList { path: self.place(), directive: directive.to_owned() }
    }
}

enum Directive {
    Delete,
    Replace,
}

/// The order of a merged list: items of the patch in the patch's order, the others in that of the document, and where both
/// were in the document, as there. What is new comes ahead of what the patch does not name.
fn interleave(
    merged: Vec<Value>,
    patch: &[Value],
    order: &[Value],
    same: impl Fn(&Value, &Value) -> bool,
) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(patch, item).is_some());
    named.sort_by_key(|item| place(patch, item));
    let mut result = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (None, None) => return result,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(named)) => {
                matches!((place(order, other), place(order, named)), (Some(a), Some(b)) if a < b)
            }
        };
        result.extend(if other_first { others.next() } else { named.next() });
    }
}

/// What takes the place of something keeps no directives and no nulls.
fn without_directives(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter().filter(|(key, value)| !key.starts_with('$') && !value.is_null()).collect()
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::patches::lists;
    use proptest::prelude::*;
    use serde_json::json;

    fn pod() -> Value {
        json!({
            "metadata": { "name": "x", "annotations": { "a": "1" } },
            "spec": {
                "containers": [{
                    "name": "x",
                    "command": ["x", "--a"],
                    "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
                    "ports": [{ "containerPort": 1, "name": "p" }],
                    "resources": { "requests": { "cpu": "250m" } },
                    "volumeMounts": [{ "mountPath": "/a", "name": "a" }],
                }],
                "tolerations": [{ "key": "a" }],
                "volumes": [{ "name": "a", "hostPath": { "path": "/a" } }, { "name": "b" }],
            },
        })
    }

    fn patched(patch: Value) -> Value {
        apply(&pod(), &patch, lists::pod).unwrap()
    }

    #[test]
    fn lists_of_a_pod_merge_by_their_keys() {
        let result = patched(json!({
            "metadata": { "annotations": { "b": "2", "a": null } },
            "spec": {
                "containers": [{
                    "name": "x",
                    "command": ["y"],
                    "env": [{ "name": "B", "value": "3" }],
                    "ports": [{ "containerPort": 2 }],
                    "resources": { "requests": { "memory": "1Gi" } },
                    "volumeMounts": [{ "mountPath": "/c", "name": "c", "readOnly": true }],
                }],
                "tolerations": [{ "key": "b" }],
                "volumes": [{ "name": "c" }],
            },
        }));
        let container = &result["spec"]["containers"][0];
        assert_eq!(result["metadata"]["annotations"], json!({ "b": "2" }));
        assert_eq!(container["command"], json!(["y"]));
        assert_eq!(
            container["env"],
            json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "3" }])
        );
        assert_eq!(
            container["ports"],
            json!([{ "containerPort": 2 }, { "containerPort": 1, "name": "p" }])
        );
        assert_eq!(
            container["resources"],
            json!({ "requests": { "cpu": "250m", "memory": "1Gi" } })
        );
        assert_eq!(result["spec"]["tolerations"], json!([{ "key": "b" }]));
        let names: Vec<_> =
            result["spec"]["volumes"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
        // As in Kubernetes, what is new comes first.
        assert_eq!(names, ["c", "a", "b"]);
    }

    #[test]
    fn directives_delete_replace_and_retain() {
        let result = patched(json!({
            "metadata": { "$patch": "replace", "name": "y" },
            "spec": {
                "$setElementOrder/volumes": [{ "name": "b" }],
                "containers": [{
                    "name": "x",
                    "$deleteFromPrimitiveList/command": ["--a"],
                    "env": [{ "$patch": "replace" }, { "name": "C", "value": "3" }],
                    "resources": { "$patch": "delete" },
                    "volumeMounts": [{ "mountPath": "/a", "$patch": "delete" }],
                }],
                "volumes": [{ "name": "a", "$retainKeys": ["name", "emptyDir"], "emptyDir": {} }],
            },
        }));
        let container = &result["spec"]["containers"][0];
        assert_eq!(result["metadata"], json!({ "name": "y" }));
        assert_eq!(container["command"], json!(["x"]));
        assert_eq!(container["env"], json!([{ "name": "C", "value": "3" }]));
        assert_eq!(container.get("resources"), None);
        assert_eq!(container["volumeMounts"], json!([]));
        assert_eq!(
            result["spec"]["volumes"],
            json!([{ "name": "a", "emptyDir": {} }, { "name": "b" }])
        );
    }

    #[test]
    fn patches_that_do_not_fit_say_where() {
        let told = |patch: Value| apply(&pod(), &patch, lists::pod).unwrap_err().to_string();
        let no_key = told(json!({ "spec": { "containers": [{ "image": "x" }] } }));
        assert!(no_key.starts_with("spec.containers: ") && no_key.contains("`name`"), "{no_key}");
        let word = told(json!({ "spec": { "$patch": "remove" } }));
        assert!(word.contains("`$patch: remove` does not exist"), "{word}");
        let shape = told(json!({ "spec": { "containers": { "name": "x" } } }));
        assert_eq!(shape, "spec.containers: the patch has a mapping, the document a list");
        let shape = told(json!({ "metadata": { "name": ["x"] } }));
        assert_eq!(shape, "metadata.name: the patch has a list, the document a string");
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i8>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn containers() -> impl Strategy<Value = Value> {
        let container = ("[a-d]", proptest::collection::btree_map("[e-f]", "[x-y]", 0..3));
        proptest::collection::btree_map("[a-d]", container, 0..4).prop_map(|items| {
            let items = items.into_iter().map(|(name, (_, fields))| {
                let mut item: Map<String, Value> =
                    fields.into_iter().map(|(key, value)| (key, value.into())).collect();
                item.insert("name".to_owned(), name.into());
                Value::Object(item)
            });
            json!({ "spec": { "containers": items.collect::<Vec<_>>() } })
        })
    }

    proptest! {
        #[test]
        fn nothing_changes_nothing(document in json_value()) {
            if document.is_object() {
                prop_assert_eq!(apply(&document, &json!({}), lists::atomic).unwrap(), document);
            }
        }

        #[test]
        fn twice_is_once(document in json_value(), patch in json_value()) {
            if let Ok(once) = apply(&document, &patch, lists::atomic) {
                prop_assert_eq!(apply(&once, &patch, lists::atomic).unwrap(), once);
            }
        }

        #[test]
        fn items_are_kept_and_patched(document in containers(), patch in containers()) {
            let once = apply(&document, &patch, lists::pod).unwrap();
            let items = |value: &Value| value["spec"]["containers"].as_array().unwrap().clone();
            for item in items(&document) {
                let found = items(&once).into_iter().filter(|it| it["name"] == item["name"]).count();
                prop_assert_eq!(found, 1);
            }
            for item in items(&patch) {
                let found = items(&once).into_iter().find(|it| it["name"] == item["name"]).unwrap();
                for (key, value) in item.as_object().unwrap() {
                    prop_assert_eq!(&found[key], value);
                }
            }
            // The order settles at once.
            prop_assert_eq!(apply(&once, &patch, lists::pod).unwrap(), once);
        }
    }
}
