//! How OpenSSH takes a line apart. It has two ways, and both matter: the keyword (and, in older releases, what follows
//! `Match`) ends at blanks or one `=` and knows double quotes only; arguments know both kinds of quotes and backslashes.

use std::borrow::Cow;

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Takes the next word off `rest`, which is `None` once there is nothing left. The word is empty where `rest` begins with
/// a delimiter; there is none where a quote is not closed.
pub(super) fn next_delimited<'a>(rest: &mut Option<&'a str>) -> Option<Cow<'a, str>> {
    let text = rest.take()?;
    let Some(at) = text.find(|c| BLANKS.contains(&c) || matches!(c, '"' | '=')) else {
        return Some(text.into());
    };
    let (before, from) = text.split_at(at);
    let delimiter = from.chars().next()?;
    let after = &from[1..];
    if delimiter == '"' {
        // The quoted part may begin inside the word, and always ends it.
        let (quoted, after) = after.split_once('"')?;
        *rest = Some(after.trim_start_matches(BLANKS));
        return Some(if before.is_empty() {
            quoted.into()
        } else {
            format!("{before}{quoted}").into()
        });
    }
    let mut after = after.trim_start_matches(BLANKS);
    if delimiter != '='
        && let Some(value) = after.strip_prefix('=')
    {
        after = value.trim_start_matches(BLANKS);
    }
    *rest = Some(after);
    Some(before.into())
}

/// The arguments in `text`, up to a `#` at the beginning of one. `None` where a quote is not closed.
pub(super) fn arguments(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            ' ' | '\t' => continue,
            '#' => break,
            _ => {}
        }
        let (mut word, mut quote, mut next) = (String::new(), None, Some(first));
        while let Some(c) = next {
            match (c, quote) {
                ('\\', _) => {
                    let escaped =
                        |c: &char| matches!(c, '\'' | '"' | '\\') || (*c == ' ' && quote.is_none());
                    word.push(rest.next_if(escaped).unwrap_or('\\'));
                }
                (' ' | '\t', None) => break,
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
            next = rest.next();
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delimited(text: &str) -> Vec<String> {
        let mut rest = Some(text);
        std::iter::from_fn(|| next_delimited(&mut rest)).map(Cow::into_owned).collect()
    }

    #[test]
    fn words_end_at_blanks_or_one_equals_sign() {
        assert_eq!(delimited("Port 22"), ["Port", "22"]);
        assert_eq!(delimited("  Port\t = 22"), ["", "Port", "22"]);
        assert_eq!(delimited("Port=22"), ["Port", "22"]);
        assert_eq!(delimited("Port= 22"), ["Port", "22"]);
        assert_eq!(delimited("Port == 22"), ["Port", "", "22"]);
        assert_eq!(delimited("exec \"a  b\" c"), ["exec", "a  b", "c"]);
        assert_eq!(delimited("ex\"a b\"c"), ["exa b", "c"]);
        assert_eq!(delimited("exec \"a"), ["exec"]);
        assert_eq!(delimited(""), [""]);
    }

    #[test]
    fn arguments_know_quotes_and_backslashes() {
        let words = |text| arguments(text).unwrap();
        assert_eq!(words("a  b\tc"), ["a", "b", "c"]);
        assert_eq!(words("a # b"), ["a"]);
        assert_eq!(words("a#b c"), ["a#b", "c"]);
        assert_eq!(words("\"a b\" 'c d' e\"f g\"h"), ["a b", "c d", "ef gh"]);
        assert_eq!(words("'a\"b' \"c'd\""), ["a\"b", "c'd"]);
        assert_eq!(words(r#"a\ b "c\ d" \"e\' \\ \x"#), ["a b", r"c\ d", "\"e'", "\\", "\\x"]);
        assert_eq!(words("\"\" ''"), ["", ""]);
        assert_eq!(words(" "), Vec::<String>::new());
        assert_eq!(words("a\\"), ["a\\"]);
        assert!(arguments("\"a").is_none() && arguments("a 'b").is_none());
    }
}
