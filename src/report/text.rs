//! Text from hosts, made safe to show. Only for display: never parse what comes out.

use std::borrow::Cow;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// `text` without terminal escape sequences, control characters and characters that reorder or hide
/// text. Newlines and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unwanted) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            // The eight-bit forms of `ESC [` and of the string sequences.
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut chars),
            c if is_unwanted(c) => {}
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// Like [`printable`], on one line and cut at `limit` characters.
pub fn printable_line(text: &str, limit: usize) -> String {
    let clean = printable(text);
    // What nearly every line is, many times for each host.
    if clean.len() <= limit && clean.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return clean.into_owned();
    }
    let mut chars = clean.chars().map(|c| if c == '\n' { ' ' } else { c });
    let mut line: String = chars.by_ref().take(limit).collect();
    if chars.next().is_some() {
        line.push('…');
    }
    line
}

/// `json` with what [`printable`] leaves out escaped: JSON lets most of that pass in strings, and a terminal may obey it.
/// Nothing is copied: it may be secret.
pub fn escaped_json(json: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let mut rest = json;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unwanted(*c)) {
            f.write_str(&rest[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(f, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        f.write_str(rest)
    })
}

fn is_unwanted(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Marks and overrides of the writing direction, zero-width and line-separating characters.
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    }
}

fn skip_escape(chars: &mut Peekable<Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            chars.next();
            skip_string(chars);
        }
        Some(' '..='/') => {
            while chars.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            chars.next_if(|c| matches!(c, '0'..='~'));
        }
        Some('0'..='~') => {
            chars.next();
        }
        _ => {}
    }
}

/// Parameters, then one final byte.
fn skip_control_sequence(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    chars.next_if(|c| matches!(c, '@'..='~'));
}

/// Everything up to the terminator. One that is not terminated ends with its line, so that a host
/// cannot hide the rest of its output.
fn skip_string(chars: &mut Peekable<Chars<'_>>) {
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' if chars.next_if_eq(&'\\').is_some() => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_cut_and_joined() {
        assert_eq!(super::printable_line("a\nb\x1b[31mc", 10), "a bc");
        assert_eq!(super::printable_line("abcdef", 3), "abc…");
    }

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_stays_what_it_is_and_shows_nothing_else(text in ".*") {
            let shown = escaped_json(&serde_json::to_string(&text).unwrap()).to_string();
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
            prop_assert!(!shown.chars().any(is_unwanted), "{:?}", shown);
        }
    }

    #[test]
    fn json_is_escaped() {
        let json = serde_json::to_string("\u{9b}2J, \u{202e}, \u{e0041}, ü").unwrap();
        assert_eq!(escaped_json(&json).to_string(), r#""\u009b2J, \u202e, \udb40\udc41, ü""#);
    }

    #[test]
    fn strips_what_a_terminal_would_act_on() {
        let cases = [
            ("plain\ttext\n", "plain\ttext\n"),
            ("grüße, 世界", "grüße, 世界"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[1;1Hgone", "gone"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}]52;c;unterminated\nnext line", "\nnext line"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}(Bcharset", "charset"),
            ("\u{1b}creset", "reset"),
            ("over\rwrite\u{8}\u{0}", "overwrite"),
            ("a\u{202e}b\u{200b}c", "abc"),
            ("\u{1b}", ""),
        ];
        for (text, clean) in cases {
            assert_eq!(printable(text), clean, "{text:?}");
        }
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_unwanted_is_left(text in "[\\x00-\\x7f\u{80}-\u{9f}\u{2000}-\u{2070}]{0,40}") {
            let clean = printable(&text).into_owned();
            prop_assert!(!clean.chars().any(is_unwanted));
            prop_assert_eq!(printable(&clean), clean.as_str());
        }
    }
}
