//! Which hosts have something in common: what must differ, and what had better not.

use std::collections::{BTreeMap, BTreeSet};

use super::Checks;
use crate::preflight::result::Findings;
use crate::report::{Severity, printable_line};

/// So many characters of a value are shown.
pub(super) const SHOWN: usize = 100;
/// So many different values are told apart.
const VALUES: usize = 4;

/// Hosts by value, the value with the most of them first.
pub(super) struct Groups<K> {
    by_size: Vec<(K, Vec<usize>)>,
}

impl<K: Ord> Groups<K> {
    /// Groups hosts by their value.
    pub(super) fn new(values: impl IntoIterator<Item = (usize, K)>) -> Self {
        let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
        for (host, value) in values {
            groups.entry(value).or_default().push(host);
        }
        let mut by_size: Vec<_> = groups.into_iter().collect();
        // Stable: equal ones stay in order.
        by_size.sort_by_key(|(_, hosts)| std::cmp::Reverse(hosts.len()));
        Self { by_size }
    }

    /// Largest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &[usize])> {
        self.by_size.iter().map(|(value, hosts)| (value, hosts.as_slice()))
    }

    /// The values that no other has more hosts than: one, or several with as many each.
    pub(super) fn largest(&self) -> impl Iterator<Item = &K> {
        let size = self.by_size.first().map_or(0, |(_, hosts)| hosts.len());
        self.by_size
            .iter()
            .take_while(move |(_, hosts)| hosts.len() == size)
            .map(|(value, _)| value)
    }

    /// Hosts whose value is not the one that most have; all of them when there is no such value. `weight` decides
    /// between values that as many have.
    fn odd_ones(&self, weight: impl Fn(&K) -> usize) -> BTreeSet<usize> {
        let rank = |(value, hosts): &(K, Vec<usize>)| (hosts.len(), weight(value));
        let highest = self.by_size.iter().map(rank).max();
        let most = || self.by_size.iter().filter(|group| Some(rank(group)) == highest);
        let most_have = most().nth(1).is_none();
        let odd = self.by_size.iter().filter(|group| !most_have || Some(rank(group)) != highest);
        odd.flat_map(|(_, hosts)| hosts.iter().copied()).collect()
    }
}

impl Checks<'_> {
    /// Who has what, for people: `6.1 on node-[1-5]; 5.10 on node-6`.
    pub(super) fn told<K: Ord>(&self, groups: &Groups<K>, show: impl Fn(&K) -> String) -> String {
        let tell =
            |(value, hosts): (&K, &[usize])| format!("{} on {}", show(value), self.named(hosts));
        let mut told: Vec<String> = groups.iter().take(VALUES).map(tell).collect();
        if let Some(more) = groups.by_size.len().checked_sub(VALUES).filter(|more| *more > 0) {
            told.push(format!("{more} other values elsewhere"));
        }
        told.join("; ")
    }

    /// Findings of this severity where a host has a value that another has too. Hosts without values are not concerned.
    pub(super) fn shared<I: IntoIterator<Item = String>>(
        &self,
        what: &'static str,
        severity: Severity,
        values: impl Fn(usize) -> I,
    ) -> Vec<Option<Findings>> {
        let values: Vec<BTreeSet<String>> =
            (0..self.hosts.len()).map(|host| values(host).into_iter().collect()).collect();
        let mut holders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (host, values) in values.iter().enumerate() {
            for value in values {
                holders.entry(value).or_default().push(host);
            }
        }
        // Values that the same hosts share are told together.
        let mut alike: BTreeMap<Vec<usize>, Vec<&str>> = BTreeMap::new();
        for (value, hosts) in holders.into_iter().filter(|(_, hosts)| hosts.len() > 1) {
            alike.entry(hosts).or_default().push(value);
        }
        let mut findings: Vec<Option<Findings>> = values
            .iter()
            .map(|values| (!values.is_empty()).then(|| Findings::default().saw(what, list(values))))
            .collect();
        for (hosts, values) in alike {
            let text = format!("{what} {}: the same on {}", list(values), self.named(&hosts));
            for host in hosts {
                if let Some(findings) = &mut findings[host] {
                    findings.add(severity, text.clone());
                }
            }
        }
        findings
    }

    /// Warnings on those hosts whose value is not that of most. Hosts without a value are not concerned.
    pub(super) fn mixed(
        &self,
        what: &'static str,
        value: impl Fn(usize) -> Option<String>,
    ) -> Vec<Option<Findings>> {
        self.mixed_within(what, |_| true, value)
    }

    /// The same for some hosts, compared with each other. Where they are divided, those that are like the rest of the
    /// fleet are right.
    pub(super) fn mixed_within(
        &self,
        what: &'static str,
        within: impl Fn(usize) -> bool,
        value: impl Fn(usize) -> Option<String>,
    ) -> Vec<Option<Findings>> {
        let values: Vec<Option<String>> = (0..self.hosts.len()).map(value).collect();
        let mut everywhere: BTreeMap<&str, usize> = BTreeMap::new();
        values.iter().flatten().for_each(|value| *everywhere.entry(value).or_default() += 1);
        let compared = |host: usize| values[host].as_deref().filter(|_| within(host));
        let hosts = 0..self.hosts.len();
        let groups = Groups::new(hosts.clone().filter_map(|host| Some((host, compared(host)?))));
        let text = format!("{what}: {}", self.told(&groups, |value| shown(value)));
        let odd = groups.odd_ones(|value| everywhere.get(value).copied().unwrap_or_default());
        let findings = hosts.map(|host| {
            let value = compared(host)?;
            Some(Findings::warning_if(odd.contains(&host), || text.clone()).saw(what, value))
        });
        findings.collect()
    }
}

/// What a host said, on one line and not too long.
pub(super) fn shown(value: &str) -> String {
    printable_line(value, SHOWN)
}

/// Values with commas, not too many of them.
pub(super) fn list(values: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    const MOST: usize = 6;
    let mut values = values.into_iter();
    let mut shown: Vec<String> =
        values.by_ref().take(MOST).map(|value| shown(value.as_ref())).collect();
    let more = values.count();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_odd_where_nobody_has_most() {
        let odd = |values: &[u8], weight: fn(&u8) -> usize| {
            Groups::new(values.iter().copied().enumerate()).odd_ones(weight)
        };
        assert_eq!(odd(&[1, 1, 2, 1], |_| 0), [2].into());
        assert_eq!(odd(&[1, 2], |_| 0), [0, 1].into());
        assert_eq!(odd(&[1, 2], |value| usize::from(*value)), [0].into());
        assert_eq!(odd(&[1, 1, 2, 2, 3], |_| 0), [0, 1, 2, 3, 4].into());
        assert_eq!(odd(&[1], |_| 0), [].into());
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list(["a", "b\u{1b}[31m"]), "a, b");
        assert_eq!(list(["1", "2", "3", "4", "5", "6", "7", "8"]), "1, 2, 3, 4, 5, 6, 2 more");
    }
}
