//! Taking keys out of a known_hosts file. Pure: text in, text out.

use super::entry::{BLANKS, Entry};
use super::pattern::HostPatterns;

/// Why keys cannot be taken out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ByPattern {
    /// The line that is about the host by a pattern, and so may be about others, too.
    pub(super) line: usize,
}

/// `text` without the lines that say that `name` has a key that is `gone`. A line that names other hosts as well keeps
/// those; every other line stays as it is.
pub(super) fn remove(
    text: &str,
    name: &str,
    gone: impl Fn(&Entry) -> bool,
) -> Result<String, ByPattern> {
    let mut kept = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let entry = Entry::parse(number, line.trim_end_matches(['\n', '\r']));
        match entry.filter(|entry| entry.hosts.matches(name) && gone(entry)) {
            None => kept.push_str(line),
            Some(Entry { hosts: HostPatterns::Hashed { .. }, .. }) => {}
            Some(_) => kept.push_str(&without_name(line, name).ok_or(ByPattern { line: number })?),
        }
    }
    Ok(kept)
}

/// A line without `name` among its hosts; empty if there are no others. `None` for one that matches by a pattern.
fn without_name(line: &str, name: &str) -> Option<String> {
    let start = line.len() - line.trim_start_matches(BLANKS).len();
    let (indent, rest) = line.split_at(start);
    let (field, rest) = rest.split_at(rest.find(BLANKS)?);
    let others: Vec<&str> = field
        .split_terminator(',')
        .filter(|pattern| !pattern.is_empty() && !pattern.eq_ignore_ascii_case(name))
        .collect();
    let others = others.join(",");
    let patterns = HostPatterns::parse(&others)?;
    if patterns.matches(name) || field.contains('!') {
        return None;
    }
    Some(if others.is_empty() { String::new() } else { format!("{indent}{others}{rest}") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ssh::known_hosts::entry::parse;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    /// What is left of `text` once `h` has lost key A.
    fn left(text: &str) -> Result<String, ByPattern> {
        remove(text, "h", |entry| {
            entry.marker.is_none() && entry.key.to_openssh().unwrap().starts_with(A)
        })
    }

    #[test]
    fn only_that_key_of_that_host_goes() {
        let rest = format!("# h\n\nother {A}\nh {B}\n@revoked h {A}\n[h]:22 {A}\nbroken\n");
        assert_eq!(left(&format!("h {A}\n{rest}H {A} comment\r\n h\t{A}\n")).unwrap(), rest);
        assert_eq!(left(&rest).unwrap(), rest);
        assert_eq!(left(&format!("h {B}\nh {A}")).unwrap(), format!("h {B}\n"));
        assert_eq!(left("").unwrap(), "");
        // As `ssh-keygen -H` writes it.
        let hashed = "|1|wXoh+RGr4asaNogIM9KV7G8oHB8=|JpFAw1qB1QX26V695L/KGs8ga+I=";
        assert_eq!(
            left(&format!("{hashed} {A}\n{hashed} {B}\n")).unwrap(),
            format!("{hashed} {B}\n")
        );
    }

    #[test]
    fn other_hosts_of_a_line_stay() {
        assert_eq!(left(&format!("a,h,b {A} x\n")).unwrap(), format!("a,b {A} x\n"));
        assert_eq!(left(&format!("\ta,h\t{A}")).unwrap(), format!("\ta\t{A}"));
        assert_eq!(left(&format!("h,H,h, {A}\n")).unwrap(), "");
        assert_eq!(left(&format!("h,10.0.0.* {A}\n")).unwrap(), format!("10.0.0.* {A}\n"));
    }

    #[test]
    fn patterns_are_left_to_the_operator() {
        for hosts in ["*", "a,?", "h,*", "h,!b"] {
            let text = format!("# first\n{hosts} {A}\n");
            assert_eq!(left(&text), Err(ByPattern { line: 2 }), "{hosts}");
        }
        assert!(left(&format!("* {B}\n@cert-authority * {A}\n")).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_left_is_what_was_not_about_it(
            lines in prop::collection::vec(
                (prop::collection::vec("[a-ch]", 1..4), prop::sample::select(vec![A, B])), 0..6,
            ),
        ) {
            let text: String =
                lines.iter().map(|(hosts, key)| format!("{} {key}\n", hosts.join(","))).collect();
            let left = parse(&left(&text).unwrap()).unwrap();
            let has = |entries: &[Entry], host: &str, key: &str| entries.iter().any(|entry| {
                entry.hosts.matches(host) && entry.key.to_openssh().unwrap() == key
            });
            let before = parse(&text).unwrap();
            for host in ["a", "b", "c", "h"] {
                for key in [A, B] {
                    let expected = has(&before, host, key) && !(host == "h" && key == A);
                    prop_assert_eq!(has(&left, host, key), expected);
                }
            }
        }
    }
}
