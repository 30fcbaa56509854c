//! The hosts a known_hosts line is about: `*`, `?`, `!`, and hashed names.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::ssh::glob::glob;

/// What stands in front of a hashed name.
const HASH_MAGIC: &str = "|1|";

/// The length of a salt and of a hash in bytes: that of SHA-1.
const HASH_LENGTH: usize = 20;

/// The first field of a line.
#[derive(Debug)]
pub(super) enum HostPatterns {
    /// One name, written as a hash of it.
    Hashed {
        /// The salt, ready to hash with.
        salt: Box<hmac::Key>,
        /// The hash of the name.
        hash: [u8; HASH_LENGTH],
    },
    /// Patterns, any of which may match.
    List(Vec<Pattern>),
}

/// One pattern of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// A match excludes the name, whatever else matches.
    negated: bool,
    /// In lower case.
    text: String,
}

impl HostPatterns {
    /// Read the field; `None` for a hash that is none.
    pub(super) fn parse(field: &str) -> Option<Self> {
        if field.starts_with('|') {
            let (salt, hash) = field.strip_prefix(HASH_MAGIC)?.split_once('|')?;
            let decode =
                |text| <[u8; HASH_LENGTH]>::try_from(STANDARD.decode(text).ok()?.as_slice()).ok();
            // The format is fixed to SHA-1; it hides names, it protects nothing.
            let salt = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &decode(salt)?);
            return Some(Self::Hashed { salt: Box::new(salt), hash: decode(hash)? });
        }
        let pattern = |text: &str| {
            let text = text.to_ascii_lowercase();
            match text.strip_prefix('!') {
                Some(text) => Pattern { negated: true, text: text.to_owned() },
                None => Pattern { negated: false, text },
            }
        };
        Some(Self::List(field.split_terminator(',').map(pattern).collect()))
    }

    /// All names that the line is about; `None` where that takes a look at each name.
    pub(super) fn names(&self) -> Option<impl Iterator<Item = &str>> {
        let Self::List(patterns) = self else { return None };
        let plain = |pattern: &Pattern| !pattern.negated && !pattern.text.contains(['*', '?']);
        let names = || patterns.iter().map(|pattern| pattern.text.as_str());
        patterns.iter().all(plain).then(names)
    }

    /// Whether the line is about `name` (lower case, `[host]:port` for other ports than 22).
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => hmac::verify(salt, name.as_bytes(), hash).is_ok(),
            Self::List(patterns) => {
                let mut found = false;
                for pattern in patterns {
                    if glob(&pattern.text, name) {
                        if pattern.negated {
                            return false;
                        }
                        found = true;
                    }
                }
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(patterns: &str, name: &str) -> bool {
        HostPatterns::parse(patterns).unwrap().matches(name)
    }

    fn hashed(salt: &[u8], name: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
        let tag = hmac::sign(&key, name.as_bytes());
        format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(tag.as_ref()))
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
        assert!(list("*", "[a.example.com]:2222"));
        assert!(list("a,,b,", "b"));
        assert!(!list(",", "b"));
    }

    #[test]
    fn negation_excludes_in_any_order() {
        assert!(!list("*.example.com,!bad.example.com", "bad.example.com"));
        assert!(!list("!bad.example.com,*.example.com", "bad.example.com"));
        assert!(list("!bad.example.com,*.example.com", "good.example.com"));
        assert!(!list("!bad.example.com", "good.example.com"));
        assert!(!list("*,!*.EXAMPLE.com", "bad.example.com"));
    }

    #[test]
    fn names_that_can_be_listed() {
        let names = |field: &str| {
            HostPatterns::parse(field)
                .unwrap()
                .names()
                .map(|names| names.map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(names("A,[b]:2222").unwrap(), ["a", "[b]:2222"]);
        for field in ["a,b*", "a,b?", "a,!b", &hashed(b"saltsaltsaltsaltsalt", "a")] {
            assert_eq!(names(field), None, "{field}");
        }
    }

    #[test]
    fn hashed_names() {
        let patterns = hashed(b"saltsaltsaltsaltsalt", "10.0.0.1");
        assert!(list(&patterns, "10.0.0.1"));
        assert!(!list(&patterns, "10.0.0.2"));
        // No wildcards in there, and nothing beside it.
        assert!(!list(&hashed(b"saltsaltsaltsaltsalt", "*"), "10.0.0.1"));
        for broken in ["|1|", "|1|x|y", "|2|AAAA|AAAA", &format!("{patterns},10.0.0.2"), "|"] {
            assert!(HostPatterns::parse(broken).is_none(), "{broken}");
        }
        let short = hashed(b"salt", "10.0.0.1");
        assert!(HostPatterns::parse(&short).is_none());
    }

    proptest! {
        #[test]
        fn a_list_is_its_patterns(
            patterns in prop::collection::vec(("!?", "[aB*?]{1,3}"), 1..5),
            name in "[ab]{1,3}",
        ) {
            let field: Vec<String> = patterns.iter().map(|(not, text)| format!("{not}{text}")).collect();
            let hits = |negated: bool| patterns.iter().any(|(not, text)| {
                (not == "!") == negated
                    && glob(&text.to_lowercase(), &name)
            });
            prop_assert_eq!(list(&field.join(","), &name), hits(false) && !hits(true));
        }

        #[test]
        fn a_hash_matches_its_name_only(
            salt in prop::array::uniform20(any::<u8>()), name in "[a-z0-9.:]{1,20}", other in "[a-z0-9.:]{1,20}",
        ) {
            let field = hashed(&salt, &name);
            prop_assert!(list(&field, &name));
            prop_assert_eq!(list(&field, &other), name == other);
        }
    }
}
