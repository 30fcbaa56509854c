//! How a string is written: as it stands, quoted, or as a block. The rules are those of the Go library that
//! Kubernetes' tools use: YAML 1.1, since an old reader must not take a string for something else.

use std::fmt::Write;

/// How a string is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As it stands.
    Plain,
    /// In single quotes: its characters have a meaning in YAML.
    Single,
    /// In double quotes: it would be read as something that is no string, or needs escapes.
    Double,
    /// As a block of lines.
    Literal,
}

/// How this string is written.
pub(super) fn style(text: &str) -> Style {
    if text.contains(['\n']) {
        return if block_allowed(text) { Style::Literal } else { Style::Double };
    }
    if is_no_string(text) || !text.chars().all(printable) {
        Style::Double
    } else if has_indicators(text) {
        Style::Single
    } else {
        Style::Plain
    }
}

/// Writes a string in double quotes.
pub(super) fn double_quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            character if printable(character) => out.push(character),
            other => {
                let code = u32::from(other);
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02X}"),
                    0x100..=0xffff => write!(out, "\\u{code:04X}"),
                    _ => write!(out, "\\U{code:08X}"),
                };
            }
        }
    }
    out.push('"');
}

fn printable(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(character, '\u{2028}' | '\u{2029}')
}

/// A block keeps what is between its first and last character, and nothing that needs an escape.
fn block_allowed(text: &str) -> bool {
    text.chars().all(|character| character == '\n' || printable(character))
        && !text.starts_with([' ', '\n'])
        && !text.ends_with(' ')
        && !text.contains(" \n")
}

/// Whether characters of the string mean something to YAML where they stand.
fn has_indicators(text: &str) -> bool {
    const FIRST: [char; 16] =
        ['#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`'];
    text.starts_with(FIRST)
        || text.starts_with("---")
        || text.starts_with("...")
        || text.starts_with(' ')
        || text.ends_with([' ', ':'])
        || ["-", "?"].contains(&text)
        || ["- ", "? "].iter().any(|start| text.starts_with(start))
        || text.contains(": ")
        || text.contains(" #")
}

/// Whether a YAML 1.1 reader would take the bare string for something else.
fn is_no_string(text: &str) -> bool {
    const WORDS: [&str; 13] =
        ["", "~", "null", "true", "false", "y", "n", "yes", "no", "on", "off", ".nan", "<<"];
    // All lower, all upper, or the first letter upper; NaN has a spelling of its own.
    let lower = text.to_ascii_lowercase();
    let mut capital = lower.clone();
    if let Some(first) = capital.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let usual = text == lower || text == lower.to_ascii_uppercase() || text == capital;
    (usual && WORDS.contains(&lower.as_str()))
        || text == ".NaN"
        || (usual || text.contains(".Inf")) && lower.trim_start_matches(['+', '-']) == ".inf"
        || is_number(text)
        || is_base_60(text)
        || is_timestamp(text)
}

fn is_number(text: &str) -> bool {
    let plain = text.replace('_', "");
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return false;
    }
    let radix = unsigned.get(..2).and_then(|prefix| match prefix {
        "0x" | "0X" => Some(16),
        "0b" | "0B" => Some(2),
        "0o" | "0O" => Some(8),
        _ => None,
    });
    if let Some(radix) = radix {
        let digits = &unsigned[2..];
        return !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|text| !text.is_empty() && digits(text))
}

/// 12:30 was a number once.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let first = parts.next().unwrap_or_default();
    let mut rest: Vec<&str> = parts.collect();
    if !first.starts_with(|digit: char| digit.is_ascii_digit()) || !digits(first) || rest.is_empty()
    {
        return false;
    }
    if let Some(last) = rest.last_mut()
        && let Some((seconds, fraction)) = last.split_once('.')
    {
        if !digits(fraction) {
            return false;
        }
        *last = seconds;
    }
    rest.iter().all(|part| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [b'0'..=b'5', digit] => digit.is_ascii_digit(),
        _ => false,
    })
}

/// A date, or a date and a time.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let number = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut date = date.split('-');
    let is_date = date.next().is_some_and(|year| year.len() == 4 && number(year, 4))
        && date.next().is_some_and(|month| number(month, 2))
        && date.next().is_some_and(|day| number(day, 2))
        && date.next().is_none();
    let is_time = |time: &str| {
        let time = time.split(['.', 'Z', '+', '-']).next().unwrap_or_default();
        time.split(':').count() == 3 && time.split(':').all(|part| number(part, 2))
    };
    is_date && time.is_none_or(is_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_where_kubeadm_quotes_them() {
        let plain = [
            "10.96.0.10",
            "127.0.0.1",
            "10.244.0.0/16",
            "10.0.0.1:6443",
            "0.0.0.0",
            "::x",
            "v1.36.2",
            "0s",
            "87600h0m0s",
            "--x=a,b",
            "a#b",
            "-x",
            "nothing",
            "yEs",
            "1.2.3",
            "0x",
            "1e",
            "2001:db8::1",
            "é",
            "http://x",
            "unix:///run/a.sock",
            "1.5.",
            "0b2",
            "a\"b",
            "it's",
        ];
        for text in plain {
            // A leading colon is an indicator only before a blank.
            assert_eq!(style(text), Style::Plain, "{text:?}");
        }
        let double = [
            "",
            "~",
            "null",
            "Null",
            "true",
            "y",
            "Yes",
            "OFF",
            "0",
            "-1",
            "1_000",
            "0x1F",
            "0o17",
            "1.5",
            "1.",
            ".5",
            "1e3",
            "1E+3",
            ".inf",
            "-.Inf",
            ".NaN",
            "12:30",
            "1:2:3.5",
            "2026-11-23",
            "2026-11-23T10:05:43Z",
            "a\tb",
            "<<",
        ];
        for text in double {
            assert_eq!(style(text), Style::Double, "{text:?}");
        }
        for text in
            ["*", "*,x", "[x]", "a: b", "a:", "a #b", " a", "a ", "- x", "-", "'x'", "@x", "---"]
        {
            assert_eq!(style(text), Style::Single, "{text:?}");
        }
        for text in ["a\nb", "a\n", "a\n\n  b\n\n"] {
            assert_eq!(style(text), Style::Literal, "{text:?}");
        }
        for text in [" a\nb", "a \nb", "a\tb\n", "\na"] {
            assert_eq!(style(text), Style::Double, "{text:?}");
        }
    }

    #[test]
    fn double_quotes_escape_what_they_must() {
        let mut text = String::new();
        double_quote(&mut text, "a\"\\\n\t\u{1}é\u{feff}");
        assert_eq!(text, "\"a\\\"\\\\\\n\\t\\x01é\\uFEFF\"");
    }
}
