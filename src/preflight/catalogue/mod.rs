//! What each check looks at, why it matters, and what to do about it. Never decides whether one passed.

mod fleet;
mod kubeadm;

/// A check, or a family of checks, explained to an operator: a sentence or two each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The check's name; that of a family ends in `-` and is what the names in it start with.
    pub name: &'static str,
    /// What it looks at.
    pub looks_at: &'static str,
    /// Why it matters: what goes wrong otherwise.
    pub matters: &'static str,
    /// How to make it pass.
    pub remedy: &'static str,
    /// When it is made and how bad its findings are, by release where they differ.
    pub conditions: &'static str,
    /// Who has this check.
    pub source: Source,
}

/// Who has a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// kubeadm, under the same name.
    Kubeadm,
    /// fleetadm alone.
    Fleet,
}

impl Explanation {
    /// Whether this is about the check of that name, which of two such is told by the longer name.
    fn covers(&self, name: &str) -> bool {
        match self.name.ends_with('-') {
            // Byte-wise: a foreign name may end within a character there.
            true => name
                .as_bytes()
                .get(..self.name.len())
                .is_some_and(|front| front.eq_ignore_ascii_case(self.name.as_bytes())),
            false => name.eq_ignore_ascii_case(self.name),
        }
    }
}

/// Every explanation, kubeadm's first, in the order checks are made.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    kubeadm::EXPLANATIONS.iter().chain(fleet::EXPLANATIONS)
}

/// The explanation of the check of this name, in any case of letters: its own, or the one of the smallest family it
/// belongs to. `None` for a name that is no check's.
pub fn explain(name: &str) -> Option<&'static Explanation> {
    all().filter(|explanation| explanation.covers(name)).max_by_key(|found| found.name.len())
}

/// How to make the check of this name pass; empty for a name that is none.
pub fn remedy(name: &str) -> &'static str {
    explain(name).map_or("", |explanation| explanation.remedy)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_nearest_explanation_is_found_in_any_case() {
        let found = |name: &str| explain(name).map(|explanation| explanation.name);
        assert_eq!(found("numcpu"), Some("NumCPU"));
        assert_eq!(found("port-6443"), Some("Port-"));
        assert_eq!(found("FileExisting-conntrack"), Some("FileExisting-"));
        assert_eq!(found("fileexisting-CRICTL"), Some("FileExisting-crictl"));
        assert_eq!(found("HTTPProxyCIDR"), Some("HTTPProxyCIDR"));
        for none in ["", "NumCPUs", "Por", "Portä", "Swap-", "all"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(remedy("NoSuchCheck"), "");
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = all().map(|found| found.name.to_lowercase()).collect();
        assert_eq!(names.len(), all().count());
    }

    /// Remedies follow a finding in the same line, so they start small and end without a full stop.
    #[test]
    fn every_text_is_a_sentence_or_two() {
        for found in all() {
            let Explanation { name, looks_at, matters, remedy, conditions, .. } = found;
            for text in [looks_at, matters, conditions] {
                assert!(text.ends_with('.'), "{name}: {text}");
                assert!(text.starts_with(|c: char| c.is_ascii_uppercase()), "{name}: {text}");
            }
            assert!(remedy.starts_with(|c: char| c.is_ascii_lowercase()), "{name}: {remedy}");
            assert!(!remedy.ends_with('.'), "{name}: {remedy}");
            for text in [looks_at, matters, remedy, conditions] {
                assert!((15..=330).contains(&text.len()), "{name}: {} {text}", text.len());
                assert!(!text.contains("  ") && !text.contains('\n'), "{name}: {text}");
            }
        }
    }
}
