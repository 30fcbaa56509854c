//! Variables that are not about reaching a host: what of them fleetadm can take.

use serde_json::Value;

use super::templates::is_template;

/// Deeper values are left out: TOML's reader has a limit.
const DEPTH: usize = 32;

/// Last words of names of secrets.
const SECRETS: [&str; 9] = [
    "password",
    "passwd",
    "pass",
    "passphrase",
    "secret",
    "token",
    "credentials",
    "kubeconfig",
    "key_data",
];

/// Last words of names of keys that are secret; `ssh_key` alone is not.
const SECRET_KEYS: [&str; 6] =
    ["secret_key", "private_key", "api_key", "access_key", "encryption_key", "auth_key"];

/// Why a variable is left out; `None` if it is not.
pub(super) fn objection(name: &str, value: &Value) -> Option<String> {
    if any(value, &|text| is_vault(text)) {
        return Some(format!("`{name}` is encrypted by ansible-vault and is not copied"));
    }
    if holds_secret(name, value) {
        return Some(format!(
            "`{name}` looks like a secret and is not copied; add it to `vars` if it is none"
        ));
    }
    if any(value, &is_template) {
        return Some(format!(
            "`{name}` is a template, which fleetadm does not render in `vars`; write its value"
        ));
    }
    let reason = unsayable(value, 0)?;
    Some(format!("`{name}` {reason}"))
}

/// Whether a text is what ansible-vault makes of a secret.
pub(super) fn is_vault(text: &str) -> bool {
    text.trim_start().starts_with("$ANSIBLE_VAULT;")
}

/// A value in TOML; only for values without an objection, the rest becomes text.
pub(super) fn to_toml(value: &Value) -> toml::Value {
    match value {
        Value::Null => toml::Value::String(String::new()),
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) if !number.is_nan() => number.into(),
            _ => number.to_string().into(),
        },
        Value::String(text) => text.clone().into(),
        Value::Array(items) => items.iter().map(to_toml).collect::<Vec<_>>().into(),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| (name.clone(), to_toml(value)));
            toml::Value::Table(entries.collect())
        }
    }
}

/// What keeps a value out of TOML.
fn unsayable(value: &Value, depth: usize) -> Option<&'static str> {
    if depth > DEPTH {
        return Some("is nested too deeply");
    }
    match value {
        Value::Null if depth == 0 => Some("has no value, and TOML has no word for that"),
        Value::Null => Some("holds something without a value, and TOML has no word for that"),
        Value::Number(number) if number.is_u64() && !number.is_i64() => {
            Some("is larger than an integer of TOML")
        }
        Value::Array(items) => items.iter().find_map(|item| unsayable(item, depth + 1)),
        Value::Object(entries) => entries.values().find_map(|item| unsayable(item, depth + 1)),
        _ => None,
    }
}

/// Whether a name, here or inside the value, says that its text is secret.
fn holds_secret(name: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && !is_template(text) && is_secret_name(name),
        Value::Number(_) => is_secret_name(name),
        Value::Array(items) => items.iter().any(|item| holds_secret(name, item)),
        Value::Object(entries) => entries.iter().any(|(name, value)| holds_secret(name, value)),
        Value::Null | Value::Bool(_) => false,
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    let ends_with = |word: &&str| {
        name.strip_suffix(*word).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    };
    SECRETS.iter().chain(&SECRET_KEYS).any(ends_with)
}

/// Whether any text of a value is such.
fn any(value: &Value, such: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => such(text),
        Value::Array(items) => items.iter().any(|item| any(item, such)),
        Value::Object(entries) => entries.values().any(|item| any(item, such)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out() {
        for (name, value) in [
            ("db_password", json!("x")),
            ("DB-Password", json!("x")),
            ("pin_secret", json!(1234)),
            ("password", json!("x")),
            ("aws_secret_key", json!("x")),
            ("db", json!({"user": "a", "password": "x"})),
            ("users", json!([{"token": "x"}])),
            ("x", json!("$ANSIBLE_VAULT;1.1;AES256\n31\n")),
            ("x", json!(["{{ y }}"])),
            ("x", json!("{% if y %}1{% endif %}")),
            ("x", json!(null)),
            ("x", json!({"y": null})),
            ("x", json!(u64::MAX)),
        ] {
            assert!(objection(name, &value).is_some(), "{name}: {value}");
        }
        for (name, value) in [
            ("password_file", json!("x")),
            ("use_password", json!(true)),
            ("db_password", json!("")),
            ("compass", json!("x")),
            ("ssh_public_key", json!("x")),
            ("token_ttl", json!(5)),
            ("x", json!("{ y }")),
            ("x", json!({"y": [1, 1.5, {"z": i64::MIN}]})),
        ] {
            assert_eq!(objection(name, &value), None, "{name}: {value}");
        }
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(objection("x", &deep).unwrap(), "`x` is nested too deeply");
        // A template is not the secret, but it is not a value either.
        assert!(objection("db_password", &json!("{{ y }}")).unwrap().contains("is a template"));
    }
}
