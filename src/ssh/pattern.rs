//! Host patterns of known_hosts: `*`, `?`, `!`, and hashed names.

use aws_lc_rs::hmac;
use russh::keys::ssh_key::known_hosts::HostPatterns;

/// Whether a known_hosts entry is about `name` (lower case, `[host]:port` for other ports than 22).
pub(super) fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => matches_list(patterns, name),
        HostPatterns::HashedName { salt, hash } => {
            // The format is fixed to SHA-1; it hides names, it protects nothing.
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            hmac::verify(&key, name.as_bytes(), hash).is_ok()
        }
    }
}

/// A negated pattern that matches excludes the name, whatever else matches.
fn matches_list(patterns: &[String], name: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix('!') {
            Some(excluded) if glob(excluded, name) => return false,
            Some(_) => {}
            None => found = found || glob(&pattern, name),
        }
    }
    found
}

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

    fn list(patterns: &str, name: &str) -> bool {
        matches(&patterns.parse().unwrap(), name)
    }

    #[test]
    fn plain_names_and_wildcards() {
        assert!(list("a.example.com", "a.example.com"));
        assert!(list("A.Example.com", "a.example.com"));
        assert!(!list("a.example.com", "b.example.com"));
        assert!(list("*.example.com", "a.b.example.com"));
        assert!(!list("*.example.com", "example.com"));
        assert!(list("10.0.0.?", "10.0.0.7"));
        assert!(!list("10.0.0.?", "10.0.0.17"));
        assert!(list("[*.example.com]:2222", "[a.example.com]:2222"));
        assert!(!list("[*.example.com]:2222", "[a.example.com]:22222"));
    }

    #[test]
    fn negation_excludes_in_any_order() {
        assert!(!list("*.example.com,!bad.example.com", "bad.example.com"));
        assert!(!list("!bad.example.com,*.example.com", "bad.example.com"));
        assert!(list("!bad.example.com,*.example.com", "good.example.com"));
        assert!(!list("!bad.example.com", "good.example.com"));
    }

    #[test]
    fn hashed_name() {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"saltsaltsaltsaltsalt");
        let tag = hmac::sign(&key, b"10.0.0.1");
        let patterns = HostPatterns::HashedName {
            salt: b"saltsaltsaltsaltsalt".to_vec(),
            hash: tag.as_ref().try_into().unwrap(),
        };
        assert!(matches(&patterns, "10.0.0.1"));
        assert!(!matches(&patterns, "10.0.0.2"));
    }

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
