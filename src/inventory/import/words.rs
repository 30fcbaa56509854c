//! Words as a POSIX shell quotes them, split as Python's `shlex` splits them: Ansible uses that for host
//! lines and for SSH arguments.

/// Splits a text at blanks outside quotes. With `comments`, `#` ends it, inside a word too.
pub(super) fn split(text: &str, comments: bool) -> Result<Vec<String>, &'static str> {
    const UNCLOSED: &str = "a quote is not closed";
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if comments => break,
            '\\' => {
                let escaped = chars.next().ok_or("nothing follows the last backslash")?;
                word.get_or_insert_default().push(escaped);
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(UNCLOSED)? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(UNCLOSED)? {
                        '"' => break,
                        '\\' => match chars.next().ok_or(UNCLOSED)? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &[]),
            (" a  b\t", &["a", "b"]),
            ("a='b c' d=\"e f\"", &["a=b c", "d=e f"]),
            ("a'b'\"c\"", &["abc"]),
            ("''", &[""]),
            (r#"a\ b "c\"d\e" 'f\g'"#, &["a b", r#"c"d\e"#, r"f\g"]),
            ("a b#c d", &["a", "b"]),
            ("a '#' b", &["a", "#", "b"]),
            ("# a", &[]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text, true).unwrap(), words, "{text}");
        }
        assert_eq!(split("a#b", false).unwrap(), ["a#b"]);
        for bad in ["'a", "\"a", "\"a\\\"", "a\\"] {
            assert!(split(bad, true).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("[^']{0,6}", 0..5)) {
            let text: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            prop_assert_eq!(split(&text.join(" "), true).unwrap(), words);
        }
    }
}
