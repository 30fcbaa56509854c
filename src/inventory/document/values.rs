//! Values that may be written in more than one way.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_json::{Map, Value};
use toml::Spanned;

/// `"a"` or `["a", "b"]`.
#[derive(Debug)]
pub(in crate::inventory) enum OneOrMany {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl OneOrMany {
    /// The items, each with its own place.
    pub(in crate::inventory) fn items(value: &Spanned<Self>) -> Vec<Spanned<&str>> {
        match value.get_ref() {
            Self::One(text) => vec![Spanned::new(value.span(), text)],
            Self::Many(list) => {
                list.iter().map(|item| Spanned::new(item.span(), item.get_ref().as_str())).collect()
            }
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(OneOrMany::Many(list))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

/// An integer, or a text that says one in another way (`"15s"`, `"0644"`).
#[derive(Debug)]
pub(in crate::inventory) enum Number {
    Integer(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl Visitor<'_> for Numbers {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer or a string")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number::Integer(number))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                Ok(Number::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Numbers)
    }
}

/// One value of a command-line argument or a label: kept as text, written as TOML likes.
#[derive(Debug)]
pub(in crate::inventory) struct Scalar(pub(in crate::inventory) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        scalar(&value).map(Self).ok_or_else(|| expected(&value, "a string, a number or a boolean"))
    }
}

/// A command-line argument; an array repeats the argument.
#[derive(Debug)]
pub(in crate::inventory) struct Arg(pub(in crate::inventory) Vec<String>);

impl<'de> Deserialize<'de> for Arg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let values = match &value {
            toml::Value::Array(items) => items.iter().map(scalar).collect(),
            single => scalar(single).map(|text| vec![text]),
        };
        values
            .map(Self)
            .ok_or_else(|| expected(&value, "a string, a number, a boolean or an array of these"))
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) if number.is_finite() => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn expected<E: Error>(found: &toml::Value, wanted: &str) -> E {
    E::custom(format_args!("invalid type: {}, expected {wanted}", found.type_str()))
}

/// Anything that JSON can say too.
#[derive(Debug)]
pub(in crate::inventory) struct Verbatim(pub(in crate::inventory) Value);

impl<'de> Deserialize<'de> for Verbatim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json(toml::Value::deserialize(deserializer)?).map(Self)
    }
}

fn json<E: Error>(value: toml::Value) -> Result<Value, E> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Float(number) if number.is_finite() => number.into(),
        toml::Value::Float(number) => {
            return Err(E::custom(format_args!(
                "invalid value: {number}, expected a finite number"
            )));
        }
        toml::Value::Datetime(date) => {
            return Err(E::custom(format_args!(
                "invalid type: datetime `{date}`, expected a value that JSON has (put dates in quotes)"
            )));
        }
        toml::Value::Array(items) => items.into_iter().map(json).collect::<Result<_, E>>()?,
        toml::Value::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| Ok((key, json(value)?)));
            Value::Object(entries.collect::<Result<Map<_, _>, E>>()?)
        }
    })
}
