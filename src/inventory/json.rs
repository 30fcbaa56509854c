//! JSON to the tables that TOML is read into, so that everything after it works on both.
//!
//! Every key and value keeps its place in the JSON text. Only syntax is judged here.

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::error::{Fault, Problem, Span, quoted};

/// Deeper documents are refused; TOML's reader has a limit of the same size.
const DEPTH: usize = 80;

/// Whether a text can only be meant as JSON: no TOML begins with `{`.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('{')
}

/// Reads a document: one object.
pub(super) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Problem> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.take('\u{feff}');
    reader.skip_blank();
    if reader.peek() != Some('{') {
        return Err(reader.unexpected("an object: `{`"));
    }
    let document = reader.object()?;
    reader.skip_blank();
    if reader.peek().is_some() {
        return Err(reader.unexpected("the end of the document"));
    }
    Ok(Spanned::new(0..0, document))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Spanned<DeValue<'a>>, Problem> {
        let start = self.at;
        let value = match self.peek() {
            Some('{') => {
                let table = DeValue::Table(self.object()?);
                // Messages about an object point at its brace, not at all of it.
                return Ok(Spanned::new(start..start + 1, table));
            }
            Some('[') => DeValue::Array(self.array()?),
            Some('"') => DeValue::String(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            _ => self.literal()?,
        };
        Ok(Spanned::new(start..self.at, value))
    }

    fn object(&mut self) -> Result<DeTable<'a>, Problem> {
        self.enter()?;
        let mut table = DeTable::new();
        let mut more = !self.take('}');
        while more {
            if self.peek() != Some('"') {
                return Err(self.unexpected("a key in quotes"));
            }
            let start = self.at;
            let key = Spanned::new(start..start, self.string()?);
            let place = start..self.at;
            if let Some((first, _)) = table.get_key_value(&key) {
                let fault = wrong("duplicate key", "this object has the key already");
                return Err(fault.at(place).also(first.span(), "first here"));
            }
            self.skip_blank();
            if !self.take(':') {
                return Err(self.unexpected("`:` after the key"));
            }
            self.skip_blank();
            let value = self.value()?;
            table.insert(Spanned::new(place, key.into_inner()), value);
            more = self.next('}')?;
        }
        self.depth -= 1;
        Ok(table)
    }

    fn array(&mut self) -> Result<DeArray<'a>, Problem> {
        self.enter()?;
        let mut items = DeArray::new();
        let mut more = !self.take(']');
        while more {
            items.push(self.value()?);
            more = self.next(']')?;
        }
        self.depth -= 1;
        Ok(items)
    }

    /// Takes an opening bracket.
    fn enter(&mut self) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > DEPTH {
            let label = format!("expected at most {DEPTH} brackets inside one another");
            return Err(wrong("it is nested too deeply", &label).at(self.at..self.at + 1));
        }
        self.at += 1;
        self.skip_blank();
        Ok(())
    }

    /// Whether there is a further item: a comma, or `end`.
    fn next(&mut self, end: char) -> Result<bool, Problem> {
        self.skip_blank();
        if self.take(end) {
            return Ok(false);
        }
        let comma = self.at;
        if !self.take(',') {
            return Err(self.unexpected(&format!("`,` or `{end}`")));
        }
        self.skip_blank();
        if self.peek() == Some(end) {
            let label = format!("expected no comma before `{end}`");
            return Err(wrong("a comma without an item after it", &label).at(comma..comma + 1));
        }
        Ok(true)
    }

    fn string(&mut self) -> Result<DeString<'a>, Problem> {
        let start = self.at;
        let mut escaped = false;
        let inner = self.rest().get(1..).unwrap_or_default();
        let end = inner.char_indices().find(|&(_, c)| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes || c == '\n'
        });
        let Some((length, '"')) = end else {
            let line = start + self.rest().lines().next().unwrap_or_default().len();
            return Err(wrong("a string without an end", "expected `\"`").at(start..line));
        };
        self.at += length + 2;
        let content = &inner[..length];
        if !content.contains(|c: char| c == '\\' || c.is_control()) {
            return Ok(content.into());
        }
        let written = &self.text[start..self.at];
        serde_json::from_str::<String>(written).map(Into::into).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            let place = start + error.column().saturating_sub(1).min(written.len() - 1);
            wrong(reason, "in this string").at(char_at(self.text, place))
        })
    }

    fn number(&mut self) -> Result<DeValue<'a>, Problem> {
        let rest = self.rest();
        let part = |c: char| matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9');
        let written = &rest[..rest.find(|c| !part(c)).unwrap_or(rest.len())];
        let place = self.at..self.at + written.len();
        self.at = place.end;
        // Every number of JSON is one of TOML, but not the other way round.
        let valid = serde_json::from_str::<serde_json::Number>(written).is_ok();
        let value = valid.then(|| DeValue::parse(written).ok()).flatten();
        value.map(Spanned::into_inner).ok_or_else(|| {
            wrong(&format!("{} is not a number", quoted(written)), "expected a number").at(place)
        })
    }

    fn literal(&mut self) -> Result<DeValue<'a>, Problem> {
        let word = self.word();
        let place = self.at..self.at + word.len();
        match word {
            "true" | "false" => {
                self.at = place.end;
                Ok(DeValue::Boolean(word == "true"))
            }
            "null" => {
                let fault = Fault::new("`null` is not a value here", "expected a value");
                Err(fault.help("leave out what has no value").at(place))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Complains about what stands here.
    fn unexpected(&self, expected: &str) -> Problem {
        let label = format!("expected {expected}");
        let Some(found) = self.peek() else {
            let end = self.text.trim_end().len();
            return wrong("it ends too early", &label).at(end..end);
        };
        let length = self.word().len().max(found.len_utf8());
        let place = self.at..self.at + length;
        wrong(&format!("unexpected {}", quoted(&self.rest()[..length])), &label).at(place)
    }

    /// The letters and digits that stand here.
    fn word(&self) -> &'a str {
        let rest = self.rest();
        &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn skip_blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }
}

fn wrong(what: &str, label: &str) -> Fault {
    Fault::new(format!("not valid JSON: {what}"), label)
}

/// The place of the character that holds a byte.
fn char_at(text: &str, mut byte: usize) -> Span {
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let length = text[byte..].chars().next().map_or(0, char::len_utf8);
    byte..byte + length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};
    use toml::de::Deserializer;

    use super::*;

    fn value(text: &str) -> Option<Value> {
        let table = parse(text).ok()?;
        Value::deserialize(Deserializer::from(table)).ok()
    }

    #[test]
    fn says_what_json_says() {
        let text = r#"
            { "text": "a \"b\" \u00e4\ud83d\ude00\n", "plain": "ä", "empty": {}, "none": [],
              "numbers": [0, -1, 1.5, -2e3, 9223372036854775807],
              "nested": {"list": [[true], {"a": false}]}, "": " [not a range] " }
        "#;
        assert_eq!(value(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(value("\u{feff}{}").unwrap(), json!({}));
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            "{",
            "[]",
            "{}x",
            "{} {}",
            "{'a': 1}",
            "{a: 1}",
            "{\"a\" 1}",
            "{\"a\": }",
            "{\"a\": 1,}",
            "{\"a\": [1,]}",
            "{\"a\": [1 2]}",
            "{\"a\": 01}",
            "{\"a\": +1}",
            "{\"a\": 1.}",
            "{\"a\": .5}",
            "{\"a\": 0x1}",
            "{\"a\": 1_0}",
            "{\"a\": NaN}",
            "{\"a\": True}",
            "{\"a\": \"\t\"}",
            "{\"a\": \"\n\"}",
            "{\"a\": \"\\x\"}",
            "{\"a\": \"\\ud800\"}",
            "{\"a\": null}",
            "{\"a\": 1, \"a\": 2}",
            "{\"a\": 1, \"\\u0061\": 2}",
            "{\"a\": \"}",
            "{,}",
            "{\"a\": 1e999}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(100), "]".repeat(100));
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn values_know_their_place() {
        let text = r#"{"a": {"b": ["ä", "c"]}}"#;
        let table = parse(text).unwrap().into_inner();
        let (key, a) = table.iter().next().unwrap();
        assert_eq!((&text[key.span()], &text[a.span()]), ("\"a\"", "{"));
        let b = a.get_ref().get("b").unwrap();
        assert_eq!(&text[b.span()], r#"["ä", "c"]"#);
        assert_eq!(&text[b.get_ref().get(1).unwrap().span()], "\"c\"");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..6).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_is_written(inner in any_value(), pretty: bool) {
            let document = json!({ "value": inner });
            let text = if pretty { format!("{document:#}") } else { document.to_string() };
            prop_assert_eq!(value(&text), Some(document));
        }

        #[test]
        fn judges_as_serde_json_does(
            text in r#"\{("[ab]": ?(1|-0|1e5|"x\\?n"|\[1?,?\]|\{\}|tru?e),? ?){0,3}\}?"#
        ) {
            let theirs = serde_json::from_str::<Value>(&text).is_ok();
            match parse(&text) {
                Err(problem) if format!("{problem:?}").contains("duplicate key") => {}
                ours => prop_assert_eq!(ours.is_ok(), theirs, "{}", text),
            }
        }

        #[test]
        fn anything_is_answered(text in "[\\[\\]{}\",:\\\\ a1.eä\n-]{0,30}") {
            if let Err(problem) = parse(&format!("{{{text}")) {
                let _ = format!("{problem:?}");
            }
        }
    }
}
