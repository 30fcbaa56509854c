//! JSON values as text for people. Never for programs: they get JSON.

use serde_json::Value;

use crate::report::printable;

/// A value for people.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text).into_owned(),
        value if is_nothing(value) => "-".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name}={}", text(value));
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        other => printable(&other.to_string()).into_owned(),
    }
}

/// Nothing that would be worth a line.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_readable() {
        assert_eq!(text(&json!(["a", 1, true])), "a, 1, true");
        assert_eq!(text(&json!({"tier": "db", "rack": 7})), "rack=7, tier=db");
        assert_eq!((text(&json!(null)), text(&json!([]))), ("-".to_owned(), "-".to_owned()));
        assert_eq!(text(&json!("a\u{1b}[31mb")), printable("a\u{1b}[31mb"));
    }
}
