//! Writes YAML byte for byte as Kubernetes' own tools do, whose writer is a Go library. A file that says the
//! same with other quotes would be replaced, and what runs with it restarted, when a cluster made by kubeadm
//! is taken over. Knows block style only, and nothing of tags, anchors and comments.

use serde_json::Value;

use super::scalar::{self, Style};

/// One document. Maps are written in the order they have.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(&mut text, value, 0),
        Value::Array(list) if !list.is_empty() => block(&mut text, value, 0),
        _ => inline(&mut text, value, 0),
    }
    text
}

/// The lines of a map or list, the first of them without its indentation, which the caller wrote.
fn block(text: &mut String, value: &Value, indent: usize) {
    let mut first = true;
    let mut start_line = |text: &mut String| {
        if !std::mem::take(&mut first) {
            spaces(text, indent);
        }
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                start_line(text);
                string(text, key);
                text.push(':');
                match value {
                    Value::Object(below) if !below.is_empty() => {
                        text.push('\n');
                        spaces(text, indent + 2);
                        block(text, value, indent + 2);
                    }
                    Value::Array(below) if !below.is_empty() => {
                        text.push('\n');
                        spaces(text, indent);
                        block(text, value, indent);
                    }
                    _ => {
                        text.push(' ');
                        inline(text, value, indent + 2);
                    }
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                start_line(text);
                text.push_str("- ");
                match value {
                    Value::Object(below) if !below.is_empty() => block(text, value, indent + 2),
                    Value::Array(below) if !below.is_empty() => block(text, value, indent + 2),
                    _ => inline(text, value, indent + 2),
                }
            }
        }
        _ => inline(text, value, indent),
    }
}

/// What stands on the line of its key or dash.
fn inline(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(value) if scalar::style(value) == Style::Literal => {
            literal(text, value, indent);
            return;
        }
        Value::String(value) => string(text, value),
        Value::Object(_) => text.push_str("{}"),
        Value::Array(_) => text.push_str("[]"),
        other => text.push_str(&other.to_string()),
    }
    text.push('\n');
}

fn string(text: &mut String, value: &str) {
    match scalar::style(value) {
        Style::Plain => text.push_str(value),
        Style::Single => {
            text.push('\'');
            text.push_str(&value.replace('\'', "''"));
            text.push('\'');
        }
        // A key is never a block.
        Style::Double | Style::Literal => scalar::double_quote(text, value),
    }
}

fn literal(text: &mut String, value: &str, indent: usize) {
    let body = value.trim_end_matches('\n');
    text.push_str(match value.len() - body.len() {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
        if !line.is_empty() {
            spaces(text, indent);
            text.push_str(line);
        }
        text.push('\n');
    }
}

fn spaces(text: &mut String, count: usize) {
    text.extend(std::iter::repeat_n(' ', count));
}
