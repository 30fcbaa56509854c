//! Shell-like patterns, as OpenSSH has them in its files.

/// Shell-like matching of `*` and `?`; every other byte stands for itself, brackets included.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go back to: the last `*`, and the text position it has been stretched to.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The obvious, exponential definition.
    fn glob_by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                glob_by_definition(rest, text)
                    || text.split_first().is_some_and(|(_, t)| glob_by_definition(pattern, t))
            }
            (Some((b'?', rest)), Some((_, t))) => glob_by_definition(rest, t),
            (Some((p, rest)), Some((c, t))) => p == c && glob_by_definition(rest, t),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn glob_agrees_with_its_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(
                glob(&pattern, &text),
                glob_by_definition(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
