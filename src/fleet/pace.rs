//! How fast a run goes through its hosts, and when it stops going on. Pure: it starts nothing itself.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A number of hosts: `5`, or `20%` of those the run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Count(usize),
    /// So many of each hundred, 0 to 100.
    Percent(u8),
}

/// What is not a [`Share`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of hosts (`5`) or a share of them (`20%`)")]
pub struct BadShare;

impl FromStr for Share {
    type Err = BadShare;

    fn from_str(text: &str) -> Result<Self, BadShare> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadShare);
        }
        if digits.len() < text.len() {
            let percent = digits.parse().ok().filter(|percent| *percent <= 100);
            return percent.map(Self::Percent).ok_or(BadShare);
        }
        digits.parse().map(Self::Count).map_err(|_| BadShare)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Share {
    /// The number this is of so many hosts, rounded down.
    pub fn of(self, hosts: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let (whole, rest) = (hosts / 100, hosts % 100);
                whole * usize::from(percent) + rest * usize::from(percent) / 100
            }
        }
    }
}

/// How fast a run goes through its hosts, and when it stops going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How much is under way at once, over all hosts.
    pub parallel: usize,
    /// Hosts of a batch, at least one; `None` for all hosts in one. A batch begins when the one before has ended.
    pub serial: Option<Share>,
    /// How many hosts may fail. Once more have, no host begins that has not; `None` for no limit.
    pub max_failures: Option<Share>,
}

impl Pace {
    /// All hosts in one batch, however many fail.
    pub fn parallel(parallel: usize) -> Self {
        Self { parallel, serial: None, max_failures: None }
    }

    /// The batches that so many hosts make, in order, each a range of their indices.
    pub fn batches(&self, hosts: usize) -> Vec<Range<usize>> {
        let size = self.serial.map_or(hosts, |share| share.of(hosts)).max(1);
        (0..hosts).step_by(size).map(|start| start..(start + size).min(hosts)).collect()
    }

    /// The failures a run over so many hosts may have.
    pub fn budget(&self, hosts: usize) -> Budget {
        Budget { limit: self.max_failures.map(|share| (share, share.of(hosts))), failed: 0 }
    }
}

/// Counts the hosts that failed against those that may.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: Option<(Share, usize)>,
    failed: usize,
}

impl Budget {
    /// One more host failed.
    pub fn host_failed(&mut self) {
        self.failed += 1;
    }

    /// Why no further host may begin; `None` while one may.
    pub fn used_up(&self) -> Option<String> {
        let (share, tolerated) = self.limit?;
        (self.failed > tolerated).then(|| {
            let hosts = if self.failed == 1 {
                "1 host".to_owned()
            } else {
                format!("{} hosts", self.failed)
            };
            format!("not started: {hosts} failed, --max-failures {share}")
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_read_and_written() {
        for text in ["0", "1", "250", "0%", "7%", "100%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
        for text in ["", "%", "101%", "-1", "+1", "1.5", "10 %", "all", "99999999999999999999"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn percentages_are_rounded_down() {
        for (percent, hosts, count) in
            [(10, 200, 20), (10, 19, 1), (10, 9, 0), (100, 7, 7), (33, 10, 3)]
        {
            assert_eq!(Share::Percent(percent).of(hosts), count);
        }
        assert_eq!(Share::Percent(100).of(usize::MAX), usize::MAX);
    }

    #[test]
    fn a_batch_has_at_least_one_host() {
        let batches =
            |serial, hosts| Pace { serial: Some(serial), ..Pace::parallel(4) }.batches(hosts);
        assert_eq!(batches(Share::Percent(10), 3), [0..1, 1..2, 2..3]);
        assert_eq!(batches(Share::Count(2), 5), [0..2, 2..4, 4..5]);
        assert_eq!(batches(Share::Count(9), 5).first(), Some(&(0..5)));
        assert_eq!(Pace::parallel(2).batches(5).first(), Some(&(0..5)));
        assert!(Pace::parallel(2).batches(0).is_empty());
    }

    #[test]
    fn a_budget_is_used_up_by_one_failure_more_than_it_tolerates() {
        let pace = Pace { max_failures: Some(Share::Percent(20)), ..Pace::parallel(4) };
        let mut budget = pace.budget(14);
        for _ in 0..2 {
            budget.host_failed();
            assert_eq!(budget.used_up(), None);
        }
        budget.host_failed();
        insta::assert_snapshot!(budget.used_up().unwrap(), @"not started: 3 hosts failed, --max-failures 20%");

        let mut unlimited = Pace::parallel(4).budget(1);
        unlimited.host_failed();
        assert_eq!(unlimited.used_up(), None);
    }

    proptest! {
        #[test]
        fn every_host_is_in_one_batch(
            hosts in 0usize..500,
            serial in prop_oneof![
                (1usize..600).prop_map(Share::Count),
                (0u8..=100).prop_map(Share::Percent),
            ],
        ) {
            let batches = Pace { serial: Some(serial), ..Pace::parallel(1) }.batches(hosts);
            let all: Vec<usize> = batches.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..hosts).collect::<Vec<_>>());
            let size = serial.of(hosts).max(1);
            for (index, batch) in batches.iter().enumerate() {
                let last = index + 1 == batches.len();
                prop_assert!(batch.len() == size || last && batch.len() <= size && !batch.is_empty());
            }
        }
    }
}
