//! YAML as kubeadm writes it: alphabetical keys, lists not indented. Knows no schema.

mod emit;
pub mod located;
mod scalar;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::report::printable;

/// Text that is not the YAML it should be.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It could not be read.
    #[error("{what} is not the YAML that was expected: {}", printable(&source.to_string()))]
    Read {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It could not be written.
    #[error("{what} cannot be written as YAML: {message}")]
    Write {
        /// What was being written.
        what: &'static str,
        /// What the writer said.
        message: String,
    },
}

/// Reads one document, by way of JSON as Kubernetes does. A parser of YAML for each type would take megabytes of code: the
/// types of the API are large.
pub fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, YamlError> {
    let value: Value = serde_saphyr::from_str(text)
        .map_err(|source| YamlError::Read { what, source: Box::new(source) })?;
    serde_json::from_value(value)
        .map_err(|source| YamlError::Read { what, source: Box::new(source) })
}

/// Writes one document, keys in alphabetical order.
pub fn write<T: Serialize>(what: &'static str, value: &T) -> Result<String, YamlError> {
    let fail = |message: String| YamlError::Write { what, message };
    // Through a Value, whose maps are sorted: struct fields would come in declaration order.
    let sorted = serde_json::to_value(value).map_err(|error| fail(error.to_string()))?;
    Ok(emit::document(&sorted))
}

/// Lays `over` on top of `base`: maps merge key by key, everything else replaces.
pub fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_not_indented_and_keys_are_sorted() {
        let text = write(
            "test",
            &json!({"b": ["x", "12:30", ""], "a": {}, "c": [{"z": 1, "y": "on"}], "d": null,
                    "e": "0s", "f": "v1.20.2", "g": "0", "h": "*,x", "i": [[1, "a\nb\n"], [], ["127.0.0.1"]],
                    "j": {"k": "x\n\ny", "l": [1.5, true]}}),
        )
        .unwrap();
        insta::assert_snapshot!(text, @r#"
        a: {}
        b:
        - x
        - "12:30"
        - ""
        c:
        - "y": "on"
          z: 1
        d: null
        e: 0s
        f: v1.20.2
        g: "0"
        h: '*,x'
        i:
        - - 1
          - |
            a
            b
        - []
        - - 127.0.0.1
        j:
          k: |-
            x

            y
          l:
          - 1.5
          - true
        "#);
        let back: Value = read("test", &text).unwrap();
        assert_eq!(back["c"][0]["y"], "on");
        assert_eq!(back["i"][0][1], "a\nb\n");
        assert_eq!(back["j"]["k"], "x\n\ny");
    }
}
