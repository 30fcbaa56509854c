//! YAML as kubeadm writes it: alphabetical keys, lists not indented. Knows no schema.

use std::net::Ipv4Addr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Text that is not the YAML it should be.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It could not be read.
    #[error("{what} is not the YAML that was expected: {source}")]
    Read {
        /// What was being read.
        what: &'static str,
        /// What the parser said.
        source: Box<serde_saphyr::Error>,
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

/// Reads one document.
pub fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, YamlError> {
    serde_saphyr::from_str(text)
        .map_err(|source| YamlError::Read { what, source: Box::new(source) })
}

/// Writes one document, keys in alphabetical order.
pub fn write<T: Serialize>(what: &'static str, value: &T) -> Result<String, YamlError> {
    let fail = |message: String| YamlError::Write { what, message };
    // Through a Value, whose maps are sorted: struct fields would come in declaration order.
    let sorted = serde_json::to_value(value).map_err(|error| fail(error.to_string()))?;
    // Without block scalars, since long strings would be folded over several lines.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(&sorted, options)
        .map_err(|error| fail(error.to_string()))?;
    Ok(text.split('\n').map(plain_address).collect::<Vec<_>>().join("\n"))
}

/// Takes the quotes off an IPv4 address. The writer thinks that it looks like a number; kubeadm's does not, and
/// hashes of configuration are hashes of text.
fn plain_address(line: &str) -> String {
    let plain = || {
        let (before, value) = line.strip_suffix('"')?.split_once('"')?;
        value.parse::<Ipv4Addr>().ok()?;
        // Elsewhere quotes are part of a text.
        let is_whole =
            before.ends_with(": ") || before.split(' ').all(|part| matches!(part, "" | "-"));
        is_whole.then(|| format!("{before}{value}"))
    };
    plain().unwrap_or_else(|| line.to_owned())
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
                    "e": "0s", "f": "v1.20.2", "g": "0", "h": "*,x", "i": ["0.0.0.0", "say - \"1.2.3.4\"", {"j": "10.0.0.1"}]}),
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
        h: "*,x"
        i:
        - 0.0.0.0
        - say - "1.2.3.4"
        - j: 10.0.0.1
        "#);
        let back: Value = read("test", &text).unwrap();
        assert_eq!(back["c"][0]["y"], "on");
    }
}
