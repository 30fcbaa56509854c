//! `node-[001-200]` to names and back.
//!
//! One bracket per string: ranges and single numbers separated by commas. A leading zero asks for
//! that many digits.

use std::collections::{BTreeMap, HashSet};

use super::error::{Fault, quoted};

/// More names than this from one string is a typing mistake, not a fleet.
const LIMIT: usize = 100_000;

const EXPECTED: &str = "expected one range such as `node-[001-200]` or `node-[1-3,7]`";

/// Whether the text has a bracket, so stands for a list rather than for itself.
pub(super) fn is_range(text: &str) -> bool {
    text.contains(['[', ']'])
}

/// Every name the text stands for, in order; text without brackets stands for itself.
pub(super) fn expand(text: &str) -> Result<Vec<String>, Fault> {
    if !is_range(text) {
        return Ok(vec![text.to_owned()]);
    }
    let wrong = |why: &str| Fault::new(format!("bad range {}: {why}", quoted(text)), EXPECTED);
    let (prefix, rest) = text.split_once('[').ok_or_else(|| wrong("`]` without `[`"))?;
    let (list, suffix) = rest.split_once(']').ok_or_else(|| wrong("`[` without `]`"))?;
    if is_range(prefix) || is_range(list) || is_range(suffix) {
        return Err(wrong("more than one pair of brackets"));
    }
    let mut names = Vec::new();
    for item in list.split(',').map(str::trim) {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let start = number(first).ok_or_else(|| wrong("not a number"))?;
        let end = number(last).ok_or_else(|| wrong("not a number"))?;
        let width = width(first);
        if (width > 0 || self::width(last) > 0) && first.len() != last.len() {
            return Err(wrong("both ends need the same number of digits"));
        }
        if start > end {
            return Err(wrong("it ends before it starts"));
        }
        if end - start >= (LIMIT - names.len()) as u64 {
            return Err(wrong(&format!("more than {LIMIT} names")));
        }
        names.extend((start..=end).map(|n| format!("{prefix}{n:0width$}{suffix}")));
    }
    Ok(names)
}

pub(super) fn number(digits: &str) -> Option<u64> {
    // 18 digits always fit, so neither counting on nor differences can overflow.
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if plain && digits.len() <= 18 { digits.parse().ok() } else { None }
}

/// The next number, in as many digits where a leading zero asks for them: a padded range could not be
/// written otherwise.
fn successor(digits: &str) -> Option<String> {
    let width = width(digits);
    let next = format!("{:0width$}", number(digits)? + 1);
    (width == 0 || next.len() == width).then_some(next)
}

/// How many digits a leading zero asks for; 0 when there is none.
fn width(digits: &str) -> usize {
    if digits.len() > 1 && digits.starts_with('0') { digits.len() } else { 0 }
}

/// The shortest list that stands for these names: `node-[001-003],cp1`.
///
/// Names that differ in one number share brackets, at the place of the first of them. Each name
/// appears once, however often it was given; [`super::select`] understands the result.
pub fn fold_hosts(names: &[&str]) -> String {
    let mut order: Vec<Pattern> = Vec::new();
    let mut patterns: BTreeMap<Pattern, HashSet<&str>> = BTreeMap::new();
    for name in names {
        let (pattern, digits) = split(name);
        let numbers = patterns.entry(pattern).or_insert_with(|| {
            order.push(pattern);
            HashSet::new()
        });
        numbers.insert(digits);
    }
    let fold = |pattern: &Pattern| fold_numbers(*pattern, &patterns[pattern]);
    order.iter().map(fold).collect::<Vec<_>>().join(",")
}

/// Writes numbers in one pair of brackets, in this order; the pattern has to have a place for them.
///
/// [`expand`] gives them back, one by one.
pub(super) fn fold_in_order((prefix, suffix): Pattern<'_>, numbers: &[&str]) -> String {
    let suffix = suffix.unwrap_or_default();
    let mut parts: Vec<(&str, String)> = Vec::new();
    for digits in numbers {
        match parts.last_mut() {
            Some((_, last)) if successor(last).as_deref() == Some(digits) => {
                *last = (*digits).to_owned();
            }
            _ => parts.push((digits, (*digits).to_owned())),
        }
    }
    let part = |(first, last): &(&str, String)| {
        if first == last { last.clone() } else { format!("{first}-{last}") }
    };
    match parts.as_slice() {
        [(first, last)] if first == last => format!("{prefix}{first}{suffix}"),
        parts => {
            format!("{prefix}[{}]{suffix}", parts.iter().map(part).collect::<Vec<_>>().join(","))
        }
    }
}

/// What stands before and after the number that names differ in; no suffix: there is no number.
pub(super) type Pattern<'a> = (&'a str, Option<&'a str>);

/// A name around its most telling number: the last of the first label (`node-001.dc1.example`), or
/// the last of all when that label is a number itself (`10.0.0.7`).
pub(super) fn split(name: &str) -> (Pattern<'_>, &str) {
    let label = name.split('.').next().unwrap_or(name);
    let telling = label.contains(|c: char| c.is_ascii_digit())
        && label.contains(|c: char| !c.is_ascii_digit());
    let searched = if telling { label } else { name };
    let end = searched.rfind(|c: char| c.is_ascii_digit()).map_or(0, |last| last + 1);
    let start = searched[..end].trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let digits = &name[start..end];
    if number(digits).is_some() {
        ((&name[..start], Some(&name[end..])), digits)
    } else {
        ((name, None), "")
    }
}

fn fold_numbers((prefix, suffix): Pattern, numbers: &HashSet<&str>) -> String {
    let Some(suffix) = suffix else { return prefix.to_owned() };
    let mut sorted: Vec<(u64, &str)> =
        numbers.iter().map(|digits| (number(digits).unwrap_or(0), *digits)).collect();
    sorted.sort_by_key(|&(value, digits)| (value, digits.len()));
    let mut used: HashSet<String> = HashSet::new();
    let mut parts: Vec<String> = Vec::new();
    let mut alone = true;
    for (_, digits) in sorted {
        if used.contains(digits) {
            continue;
        }
        let mut last = digits.to_owned();
        while let Some(next) = successor(&last).filter(|next| numbers.contains(next.as_str())) {
            used.insert(next.clone());
            last = next;
        }
        if last == digits {
            parts.push(last);
        } else {
            alone = false;
            parts.push(format!("{digits}-{last}"));
        }
    }
    if alone && parts.len() == 1 {
        format!("{prefix}{}{suffix}", parts[0])
    } else {
        format!("{prefix}[{}]{suffix}", parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expands() {
        let cases: [(&str, &[&str]); 6] = [
            ("cp1", &["cp1"]),
            ("node-[1-3]", &["node-1", "node-2", "node-3"]),
            ("node-[099-101].dc1", &["node-099.dc1", "node-100.dc1", "node-101.dc1"]),
            ("n[9-10]", &["n9", "n10"]),
            ("n[1-2, 5,007]x", &["n1x", "n2x", "n5x", "n007x"]),
            ("10.0.0.1[1-2]", &["10.0.0.11", "10.0.0.12"]),
        ];
        for (text, names) in cases {
            assert_eq!(expand(text).unwrap(), names, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "n[1-3",
            "n1-3]",
            "n[]",
            "n[1-]",
            "n[a-c]",
            "n[3-1]",
            "n[01-100]",
            "n[1-2]m[1-2]",
            "n[1-100001]",
            "n[[1]]",
            "n[1-2,]",
            "n[1-9999999999999999999]",
            "n[1-099]",
        ] {
            assert!(expand(text).is_err(), "{text}");
        }
    }

    #[test]
    fn folds() {
        let cases: [(&[&str], &str); 8] = [
            (&["node-001", "node-002", "node-003", "cp1"], "node-[001-003],cp1"),
            (&["a2", "b", "a1", "a4"], "a[1-2,4],b"),
            (&["n9", "n10", "n11"], "n[9-11]"),
            (&["n099", "n100"], "n[099-100]"),
            (&["w1.dc2.example", "w2.dc2.example"], "w[1-2].dc2.example"),
            (&["10.0.0.7", "10.0.0.8"], "10.0.0.[7-8]"),
            (&["cp1", "cp1"], "cp1"),
            (&[], ""),
        ];
        for (names, folded) in cases {
            assert_eq!(fold_hosts(names), folded);
        }
    }

    proptest! {
        #[test]
        fn what_is_folded_expands_again(
            names in prop::collection::vec("(a|node-|x1-)?[0-9]{0,4}(\\.dc[0-9])?", 1..60)
        ) {
            let given: Vec<&str> = names.iter().map(String::as_str).filter(|n| !n.is_empty()).collect();
            prop_assume!(!given.is_empty());
            let folded = fold_hosts(&given);
            let mut again = BTreeSet::new();
            for term in super::super::selection::words(&folded) {
                again.extend(expand(term).unwrap());
            }
            prop_assert_eq!(again, given.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>());
        }

        #[test]
        fn what_is_folded_in_order_expands_in_order(
            numbers in prop::collection::vec("[0-9]{1,4}", 1..20)
        ) {
            let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
            let folded = fold_in_order(("n", Some(".x")), &numbers);
            let names: Vec<String> = numbers.iter().map(|digits| format!("n{digits}.x")).collect();
            prop_assert_eq!(expand(&folded).unwrap(), names);
        }

        #[test]
        fn a_range_folds_to_itself(start in 0u64..500, more in 1u64..500, padded: bool) {
            let width = if padded { 4 } else { 0 };
            let text = format!("node-[{start:0width$}-{:0width$}]", start + more);
            let names = expand(&text).unwrap();
            prop_assert_eq!(names.len() as u64, more + 1);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            prop_assert_eq!(fold_hosts(&names), text);
        }

        #[test]
        fn anything_is_answered(text in "[-a-z0-9,\\[\\] ]{0,20}") {
            let _ = expand(&text);
            let _ = fold_hosts(&[&text]);
        }
    }
}
