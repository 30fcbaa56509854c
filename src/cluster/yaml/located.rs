//! YAML with the place of every key and value, for messages that point at the line. Knows no schema.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

/// Where something stands in a text, in bytes.
pub type Span = Range<usize>;

/// A value, and where it stands. The place of a mapping or a list is that of its beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Content,
    /// Where it stands.
    pub span: Span,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the text.
    Map(Vec<Entry>),
}

/// One key of a mapping, and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// The entries, of a mapping.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items, of a list.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The text, of a text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing is there.
    pub fn is_null(&self) -> bool {
        self.value == Content::Null
    }

    /// The entry of a key, unless its value is null.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key && !entry.node.is_null())
    }

    /// The value at the end of some keys, unless it is null.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| Some(&node.entry(key)?.node))
    }

    /// The value without places.
    pub fn to_value(&self) -> Value {
        match &self.value {
            Content::Null => Value::Null,
            Content::Bool(truth) => Value::Bool(*truth),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Self::to_value).collect(),
            Content::Map(entries) => {
                let entries =
                    entries.iter().map(|entry| (entry.key.clone(), entry.node.to_value()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// Moves every place to the right: for a text that is part of a longer one.
    fn shift(&mut self, by: usize) {
        let right = |span: &mut Span| *span = span.start + by..span.end + by;
        right(&mut self.span);
        match &mut self.value {
            Content::List(items) => items.iter_mut().for_each(|item| item.shift(by)),
            Content::Map(entries) => entries.iter_mut().for_each(|entry| {
                right(&mut entry.key_span);
                entry.node.shift(by);
            }),
            _ => {}
        }
    }
}

/// Why a text is no YAML, and where.
#[derive(Debug)]
pub struct Malformed {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// The documents of a text, each with the range of the text that it takes, the line of its `---` included. Those that say
/// nothing are left out.
///
/// # Errors
/// The first place that is no YAML. A key given twice is none either.
pub fn documents(text: &str) -> Result<Vec<(Span, Node)>, Malformed> {
    let mut found = Vec::new();
    for range in split(text) {
        let part = &text[range.clone()];
        let mut node: Node = serde_saphyr::from_str::<Option<Node>>(part)
            .map_err(|error| malformed(&error, part, range.start))?
            .unwrap_or(Node { value: Content::Null, span: 0..0 });
        if !node.is_null() {
            node.shift(range.start);
            found.push((range, node));
        }
    }
    Ok(found)
}

/// A line that begins with `---` begins a document, whatever it stands in.
fn split(text: &str) -> Vec<Span> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let marker = line.strip_prefix("---");
        if at > 0
            && marker.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

fn malformed(error: &serde_saphyr::Error, part: &str, start: usize) -> Malformed {
    let message = error.without_snippet().to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    let at =
        error.location().map_or(part.len(), |place| offset(part, place.line(), place.column()));
    Malformed { message, span: start + at..start + at }
}

/// The byte at a line and a column, both counted from 1; the end of the text where it has no such place.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let count = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let start = text.split_inclusive('\n').take(count(line)).map(str::len).sum::<usize>();
    let rest = text.get(start..).unwrap_or_default();
    rest.char_indices().nth(count(column)).map_or(text.len(), |(at, _)| start + at)
}

fn span(place: &Location) -> Span {
    let number = |number: Option<u64>| number.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let start = number(place.span().byte_offset());
    start..start + number(place.span().byte_len())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { value, span: span(&referenced) })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Contents;
        impl<'de> Visitor<'de> for Contents {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Content, E> {
                Ok(Content::Bool(truth))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Content, E> {
                Ok(Content::Number(number.into()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Content, E> {
                Ok(Content::Number(number.into()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Content, E> {
                let number = Number::from_f64(number);
                number.map(Content::Number).ok_or_else(|| E::custom("not a number that JSON has"))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }
            fn visit_unit<E: Error>(self) -> Result<Content, E> {
                Ok(Content::Null)
            }
            fn visit_none<E: Error>(self) -> Result<Content, E> {
                Ok(Content::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Content::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
                let mut map = Vec::new();
                while let Some((key, node)) = entries.next_entry::<Spanned<String>, Node>()? {
                    let key_span = span(&key.referenced);
                    map.push(Entry { key: key.value, key_span, node });
                }
                Ok(Content::Map(map))
            }
        }
        deserializer.deserialize_any(Contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_has_its_place() {
        let text =
            "# é\na: 1\nb:\n- x\n- {c: \"yes\"}\n---\n# nothing\n---\nd: [true, null, 1.5]\n";
        let found = documents(text).unwrap();
        assert_eq!(found.len(), 2);
        let (_, first) = &found[0];
        assert_eq!(first.to_value(), json!({"a": 1, "b": ["x", {"c": "yes"}]}));
        let b = first.entry("b").unwrap();
        assert_eq!(&text[b.key_span.clone()], "b");
        assert_eq!(&text[b.node.items()[0].span.clone()], "x");
        let c = b.node.items()[1].entry("c").unwrap();
        assert_eq!(&text[c.key_span.clone()], "c");
        assert_eq!(&text[c.node.span.clone()], "\"yes\"");
        let (range, second) = &found[1];
        assert_eq!(&text[range.clone()], "---\nd: [true, null, 1.5]\n");
        let items = second.at(&["d"]).unwrap().items();
        assert_eq!(&text[items[2].span.clone()], "1.5");
        assert!(items[1].is_null());
    }

    #[test]
    fn mistakes_have_theirs() {
        let text = "a: 1\n---\nb: [1\n";
        assert!(documents(text).unwrap_err().span.start >= 9);
        let error = documents("a: 1\na: 2\n").unwrap_err();
        assert!(error.message.contains("duplicate"), "{}", error.message);
        assert_eq!(error.span.start, 5);
    }

    #[test]
    fn markers_inside_of_lines_are_none() {
        assert_eq!(documents("a: ---x\nb: |\n  ---\n  x\n").unwrap().len(), 1);
        assert_eq!(documents("").unwrap().len(), 0);
        assert_eq!(documents("---\na: 1\n---   # b\nb: 2\n").unwrap().len(), 2);
    }
}
