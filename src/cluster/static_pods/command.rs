//! Command lines: a component's defaults and the operator's arguments, in the order of the release.

use std::collections::{BTreeMap, HashSet};

use crate::cluster::release::Release;

/// A component's default arguments, in any order.
pub(super) type Defaults = Vec<(String, String)>;

/// Names are literals everywhere but in the operator's arguments.
pub(super) fn defaults<const N: usize>(pairs: [(&str, String); N]) -> Defaults {
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Puts a command line together. Until 1.30 defaults and extra arguments are one map sorted by name; since then the
/// extra ones follow the sorted defaults in the order given, and may repeat.
pub(super) fn assemble(
    binary: &str,
    defaults: Defaults,
    extra: &[(String, String)],
    release: &Release,
) -> Vec<String> {
    let arguments: Vec<(String, String)> = if release.config.ordered_extra_args {
        let replaced: HashSet<&str> = extra.iter().map(|(name, _)| name.as_str()).collect();
        let mut kept: Vec<_> =
            defaults.into_iter().filter(|(name, _)| !replaced.contains(name.as_str())).collect();
        kept.sort();
        kept.extend_from_slice(extra);
        kept
    } else {
        let merged: BTreeMap<_, _> = defaults.into_iter().chain(extra.iter().cloned()).collect();
        merged.into_iter().collect()
    };
    let spell = |(name, value): (String, String)| format!("--{name}={value}");
    std::iter::once(binary.to_owned()).chain(arguments.into_iter().map(spell)).collect()
}

/// The value a flag has on a command line; the last one counts.
pub(super) fn flag<'a>(command: &'a [String], name: &str) -> Option<&'a str> {
    command
        .iter()
        .rev()
        .find_map(|argument| argument.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='))
}

/// The value the operator gives an argument; the last one counts.
pub(super) fn extra<'a>(arguments: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut given = arguments.iter().rev().filter(|(key, _)| key == name);
    given.next().map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::cluster;
    use proptest::prelude::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn extra_arguments_merge_then_append() {
        let defaults = || super::defaults([("b", "1".to_owned()), ("a", "1".to_owned())]);
        let extra = [pair("z", "1"), pair("a", "2"), pair("aa", "3"), pair("a", "4")];
        let line = |minor| assemble("x", defaults(), &extra, &cluster(minor, 0).release).join(" ");
        assert_eq!(line(30), "x --a=4 --aa=3 --b=1 --z=1");
        assert_eq!(line(31), "x --b=1 --z=1 --a=2 --aa=3 --a=4");
    }

    #[test]
    fn flags_are_not_confused_by_prefixes() {
        let command = ["x", "--port-range=9", "--port=1", "--port=2"].map(ToOwned::to_owned);
        assert_eq!(flag(&command, "port"), Some("2"));
        assert_eq!(flag(&command, "por"), None);
    }

    proptest! {
        #[test]
        fn the_operator_always_wins(
            extra in proptest::collection::vec(("[a-c]{1,2}", "[0-9]{1,2}"), 0..6),
            minor in 20u16..=36,
        ) {
            let defaults = super::defaults(["a", "b"].map(|name| (name, "default".to_owned())));
            let line = assemble("x", defaults, &extra, &cluster(minor, 0).release);
            for name in ["a", "b"] {
                let wanted = super::extra(&extra, name).unwrap_or("default");
                prop_assert_eq!(flag(&line, name), Some(wanted));
            }
        }
    }
}
