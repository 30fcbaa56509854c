//! `--shard`: one part of a selection, for a fleet that several fleetadms share.

use std::fmt;
use std::str::FromStr;

/// One of so many parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 1.
    number: u32,
    /// How many there are.
    of: u32,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok()).flatten()
        };
        let parts = text.split_once('/').and_then(|(one, of)| number(one).zip(number(of)));
        match parts {
            None => Err("expected a part and how many there are, as 2/8".to_owned()),
            Some((_, 0)) => Err("there is at least one part, as in 1/1".to_owned()),
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            Some((_, of)) => Err(format!("{of} parts are numbered from 1/{of} to {of}/{of}")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Shard {
    /// The part of a selection, in its order. Dealt out one by one, so that what is added at the end of an inventory
    /// moves nothing between parts, and neighbours that are alike (racks, sizes) are in different ones.
    pub fn part<T>(self, selection: Vec<T>) -> Vec<T> {
        let (skip, step) = (self.number as usize - 1, self.of as usize);
        selection.into_iter().skip(skip).step_by(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shard_is_written_as_a_fraction() {
        let shard: Shard = "2/8".parse().unwrap();
        assert_eq!((shard, shard.to_string().as_str()), (Shard { number: 2, of: 8 }, "2/8"));
        let error = |text: &str| text.parse::<Shard>().unwrap_err();
        assert_eq!(error("0/4"), "4 parts are numbered from 1/4 to 4/4");
        assert_eq!(error("5/4"), "4 parts are numbered from 1/4 to 4/4");
        assert_eq!(error("1/0"), "there is at least one part, as in 1/1");
        for text in
            ["", "a/b", "1", "/", "1/", "/2", "+1/2", "-1/2", "1/2/3", "1 / 2", "1/99999999999"]
        {
            assert_eq!(error(text), "expected a part and how many there are, as 2/8", "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_host_is_in_exactly_one_part(count in 0usize..200, more in 0usize..20, of in 1u32..40) {
            let parts = |count: usize| -> Vec<Vec<usize>> {
                (1..=of).map(|number| Shard { number, of }.part((0..count).collect())).collect()
            };
            let split = parts(count);
            let mut all = split.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
            let sizes = split.iter().map(Vec::len);
            prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            // What comes later leaves the others where they are.
            for (before, after) in split.iter().zip(parts(count + more)) {
                prop_assert!(after.starts_with(before));
            }
        }
    }
}
