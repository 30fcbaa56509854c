//! Values of INI inventories. Ansible takes them for Python literals, and for texts where they are none.

use serde_json::{Map, Number, Value};

/// Deeper literals are taken for texts.
const DEPTH: usize = 32;

/// The value that a text stands for.
pub(super) fn value(text: &str) -> Value {
    literal(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn literal(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text, depth: 0 };
    let value = reader.items()?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// One item, or several with commas between them: a tuple.
    fn items(&mut self) -> Option<Value> {
        let first = self.item()?;
        if !self.take(",") {
            return Some(first);
        }
        let mut items = vec![first];
        while !self.rest.is_empty() && !self.rest.starts_with(')') {
            items.push(self.item()?);
            if !self.take(",") {
                break;
            }
        }
        Some(Value::Array(items))
    }

    fn item(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        self.skip_blank();
        let value = match self.rest.chars().next()? {
            '(' => self.tuple(),
            '[' => self.list(),
            '{' => self.dictionary_or_set(),
            '+' | '-' => self.signed(),
            '0'..='9' | '.' => self.number(false),
            '"' | '\'' => self.strings(),
            _ => self.word(),
        }?;
        self.depth -= 1;
        self.skip_blank();
        Some(value)
    }

    fn tuple(&mut self) -> Option<Value> {
        self.take("(");
        if self.take(")") {
            return Some(Value::Array(Vec::new()));
        }
        let value = self.items()?;
        self.take(")").then_some(value)
    }

    fn list(&mut self) -> Option<Value> {
        self.take("[");
        self.until("]", Self::item).map(Value::Array)
    }

    fn dictionary_or_set(&mut self) -> Option<Value> {
        self.take("{");
        if self.take("}") {
            return Some(Value::Object(Map::new()));
        }
        let first = self.item()?;
        if self.take(":") {
            let mut map = Map::new();
            map.insert(key(first)?, self.item()?);
            if self.take(",") {
                let pairs = self.until("}", |reader| {
                    let name = key(reader.item()?)?;
                    reader.take(":").then(|| reader.item())?.map(|value| (name, value))
                })?;
                map.extend(pairs);
            } else if !self.take("}") {
                return None;
            }
            return Some(Value::Object(map));
        }
        let mut set = vec![first];
        if self.take(",") {
            for item in self.until("}", Self::item)? {
                if !set.contains(&item) {
                    set.push(item);
                }
            }
        } else if !self.take("}") {
            return None;
        }
        Some(Value::Array(set))
    }

    /// Items with commas between them, and perhaps one after the last, up to `end`.
    fn until<T>(
        &mut self,
        end: &str,
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut items = Vec::new();
        loop {
            if self.take(end) {
                return Some(items);
            }
            items.push(item(self)?);
            if !self.take(",") {
                return self.take(end).then_some(items);
            }
        }
    }

    fn signed(&mut self) -> Option<Value> {
        let negative = self.rest.starts_with('-');
        self.rest = &self.rest[1..];
        self.skip_blank();
        let starts = self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        starts.then(|| self.number(negative))?
    }

    fn number(&mut self, negative: bool) -> Option<Value> {
        if self.rest.starts_with("...") {
            self.rest = &self.rest[3..];
            return Some(Value::String("...".to_owned()));
        }
        let written = self.number_text();
        let lower = written.to_ascii_lowercase();
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            if let Some(digits) = lower.strip_prefix(prefix) {
                let digits = digits.strip_prefix('_').unwrap_or(digits);
                return integer(&without_underscores(digits, radix)?, radix, negative);
            }
        }
        let digits = without_underscores(&lower, 10)?;
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            let padded =
                digits.len() > 1 && digits.starts_with('0') && digits.contains(|c| c != '0');
            return if padded { None } else { integer(&digits, 10, negative) };
        }
        let number: f64 = digits.parse().ok()?;
        Number::from_f64(if negative { -number } else { number }).map(Value::Number)
    }

    /// Takes what looks like a number: digits, letters, dots, and signs of exponents.
    fn number_text(&mut self) -> &'a str {
        let hexadecimal = self.rest.starts_with("0x") || self.rest.starts_with("0X");
        let mut before = ' ';
        let end = self.rest.find(|c: char| {
            let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !hexadecimal;
            before = c;
            !(sign || c.is_alphanumeric() || matches!(c, '.' | '_'))
        });
        let (written, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        written
    }

    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let value = match word {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            // Letters in front of a quote say what kind of text it is.
            _ if rest.starts_with(['"', '\'']) => return self.strings(),
            _ => return None,
        };
        self.rest = rest;
        Some(value)
    }

    /// Strings one after another, which are one; all of them texts, or all of them bytes.
    fn strings(&mut self) -> Option<Value> {
        let mut text = String::new();
        let mut kind = None;
        loop {
            let quote = self.rest.find(['"', '\''])?;
            let (prefix, rest) = self.rest.split_at(quote);
            let (raw, bytes) = match prefix.to_ascii_lowercase().as_str() {
                "" | "u" => (false, false),
                "r" => (true, false),
                "b" => (false, true),
                "br" | "rb" => (true, true),
                _ => return None,
            };
            if *kind.get_or_insert(bytes) != bytes {
                return None;
            }
            self.rest = rest;
            self.string(raw, &mut text)?;
            self.skip_blank();
            let word = self.rest.find(|c: char| !c.is_alphabetic()).unwrap_or(self.rest.len());
            if !self.rest[word..].starts_with(['"', '\'']) {
                return (!bytes || text.is_ascii()).then_some(Value::String(text));
            }
        }
    }

    fn string(&mut self, raw: bool, text: &mut String) -> Option<()> {
        let quote = &self.rest[..1];
        let triple = quote.repeat(3);
        let end = if self.rest.starts_with(&triple) { triple.as_str() } else { quote };
        self.rest = &self.rest[end.len()..];
        loop {
            if let Some(rest) = self.rest.strip_prefix(end) {
                self.rest = rest;
                return Some(());
            }
            let c = self.next()?;
            match (c, raw) {
                ('\\', true) => text.extend(['\\', self.next()?]),
                ('\\', false) => self.escape(text)?,
                (c, _) => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let c = self.next()?;
        let c = match c {
            '\\' | '\'' | '"' => c,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.code(2, 16)?,
            'u' => self.code(4, 16)?,
            'U' => self.code(8, 16)?,
            '0'..='7' => {
                let more = self.rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b));
                let digits = format!("{c}{}", &self.rest[..more.count()]);
                self.rest = &self.rest[digits.len() - 1..];
                char::from_u32(u32::from_str_radix(&digits, 8).ok()?)?
            }
            // A name of a character: nothing that stands in inventories.
            'N' => return None,
            c => {
                text.push('\\');
                c
            }
        };
        text.push(c);
        Some(())
    }

    fn code(&mut self, length: usize, radix: u32) -> Option<char> {
        let digits = self.rest.get(..length)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = &self.rest[length..];
        char::from_u32(u32::from_str_radix(digits, radix).ok()?)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Takes a sign and the blanks after it.
    fn take(&mut self, wanted: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(wanted) else { return false };
        self.rest = rest;
        self.skip_blank();
        true
    }

    fn skip_blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\u{c}']);
        if self.rest.starts_with('#') {
            self.rest = "";
        }
    }
}

fn key(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(if truth { "True" } else { "False" }.to_owned()),
        Value::Null => Some("None".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Digits without the underscores between them; `None` where one stands elsewhere.
fn without_underscores(digits: &str, radix: u32) -> Option<String> {
    let chars: Vec<char> = digits.chars().collect();
    let digit =
        |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_digit(radix));
    let between = |at: usize| digit(at.checked_sub(1)) && digit(Some(at + 1));
    let stray = chars.iter().enumerate().any(|(at, c)| *c == '_' && !between(at));
    if stray { None } else { Some(digits.replace('_', "")) }
}

/// An integer, as far as 64 bits go.
fn integer(digits: &str, radix: u32, negative: bool) -> Option<Value> {
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    if negative {
        i64::from_str_radix(&format!("-{digits}"), radix).ok().map(Value::from)
    } else {
        u64::from_str_radix(digits, radix).ok().map(Value::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn literals() {
        for (text, expected) in [
            ("5", json!(5)),
            ("-5", json!(-5)),
            ("+5 # five", json!(5)),
            ("0", json!(0)),
            ("00", json!(0)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("0b_101", json!(5)),
            ("1_000", json!(1000)),
            ("1.10", json!(1.1)),
            (".5", json!(0.5)),
            ("1.", json!(1.0)),
            ("01.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            ("-1E-2", json!(-0.01)),
            ("True", json!(true)),
            ("False", json!(false)),
            ("None", json!(null)),
            ("...", json!("...")),
            ("'a b'", json!("a b")),
            (r#""a\tb\x41\u00e4\101\q""#, json!("a\tbAäA\\q")),
            (r"r'\d'", json!("\\d")),
            ("b'x' b\"y\"", json!("xy")),
            ("'''it's'''", json!("it's")),
            ("'a' 'b'", json!("ab")),
            ("[]", json!([])),
            ("[1, 'a', [True,],]", json!([1, "a", [true]])),
            ("1, 2", json!([1, 2])),
            ("(1)", json!(1)),
            ("(1,)", json!([1])),
            ("()", json!([])),
            ("{}", json!({})),
            ("{'a': 1, 2: {'b': None}}", json!({"a": 1, "2": {"b": null}})),
            ("{1, 1, 2}", json!([1, 2])),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_literal_is_a_text() {
        for text in [
            "",
            "abc",
            "true",
            "yes",
            "0644",
            "08",
            "10.0.0.1",
            "10.0.0.0/16",
            "1 2",
            "1__0",
            "1_",
            "_1",
            "0x",
            "1abc",
            "[a]",
            "[1",
            "(1",
            "{1",
            "{'a': }",
            "{'a': 1,, }",
            "'a",
            "a'b'",
            "f'a'",
            "'a'b",
            "--1",
            "1_e3",
            "1,,2",
            ",",
            "-'a'",
            "1e999",
            "99999999999999999999",
            "-",
            ".",
            "1e",
            "'\\ud800'",
            "x 'a'",
            "b'a' 'b'",
            "b'ä'",
            "/path/to #1",
            "1 + 1",
            "[,]",
            "'a",
        ] {
            assert_eq!(value(text), json!(text), "{text}");
        }
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(value(&deep), json!(deep));
    }

    proptest! {
        #[test]
        fn anything_is_answered(text in "[\\[\\](){}\"',:\\\\ a1.exbrTNä#_+-]{0,16}") {
            let _ = value(&text);
        }

        /// Numbers, texts and lists of them look alike in JSON and in Python.
        #[test]
        fn json_is_understood(list in prop::collection::vec(
            prop_oneof![any::<i64>().prop_map(Value::from), "[ -~]{0,8}".prop_map(Value::from)], 0..5
        )) {
            prop_assert_eq!(value(&json!(list).to_string()), json!(list));
        }
    }
}
