//! The lines of a known_hosts file, found by name without a look at each: a fleet's file has a line for every host.

use std::collections::HashMap;

use super::entry::Entry;

/// Lines that say something, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Entries {
    all: Vec<Entry>,
    /// Indices of the lines that are about a name and about no others than can be listed.
    by_name: HashMap<Box<str>, Vec<usize>>,
    /// Indices of all other lines.
    others: Vec<usize>,
}

impl FromIterator<Entry> for Entries {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Self {
        let mut all = Self::default();
        entries.into_iter().for_each(|entry| all.push(entry));
        all
    }
}

impl Entries {
    /// Add one after the others.
    pub(super) fn push(&mut self, entry: Entry) {
        let index = self.all.len();
        match entry.hosts.names() {
            Some(names) => {
                for name in names {
                    self.by_name.entry(name.into()).or_default().push(index);
                }
            }
            None => self.others.push(index),
        }
        self.all.push(entry);
    }

    /// Those that may be about one of `names`, in order: all that are, and few that are not.
    pub(super) fn about<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> impl Iterator<Item = &Entry> {
        let listed = names.into_iter().filter_map(|name| self.by_name.get(name)).flatten();
        let mut found: Vec<usize> = listed.chain(&self.others).copied().collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|index| &self.all[index])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::entry::parse;
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

    proptest! {
        #[test]
        fn none_is_missed(
            lines in prop::collection::vec(prop::collection::vec("!?[abA*?]{1,2}", 1..4), 0..8),
            names in prop::collection::vec("[ab]{1,2}", 1..3),
        ) {
            let text: String =
                lines.iter().map(|patterns| format!("{} {KEY}\n", patterns.join(","))).collect();
            let about = |entry: &Entry| names.iter().any(|name| entry.hosts.matches(name));
            let entries: Entries = parse(&text).unwrap().into_iter().collect();
            let found = entries.about(names.iter().map(String::as_str)).filter(|entry| about(entry));
            let found: Vec<usize> = found.map(|entry| entry.line).collect();
            let parsed = parse(&text).unwrap();
            let expected = parsed.iter().filter(|entry| about(entry)).map(|entry| entry.line);
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}
