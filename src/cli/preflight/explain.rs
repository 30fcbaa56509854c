//! `fleetadm preflight --explain CHECK`: what a check looks at, why it matters, and what to do. No host is contacted.

use std::fmt::Write as _;

use crate::cli::failure::Failure;
use crate::preflight::{Explanation, Source, all, explain};
use crate::report::wrap;

/// How wide paragraphs are.
const WIDTH: usize = 100;
/// What stands before their lines.
const INDENT: &str = "  ";

/// The explanation of the check of this name; for `all`, a line about each.
pub fn run(name: &str) -> Result<u8, Failure> {
    if name.eq_ignore_ascii_case("all") {
        return crate::cli::print(&list());
    }
    let found = explain(name).ok_or_else(|| unknown(name))?;
    crate::cli::print(&text(name, found))
}

fn unknown(name: &str) -> Failure {
    let names = all().map(|found| found.name.trim_end_matches('-'));
    let nearest = crate::inventory::nearest(name, names);
    let hint = nearest.map_or_else(String::new, |near| format!(" did you mean {near}?"));
    Failure::usage(format!("there is no check {name:?};{hint} --explain all lists them"))
}

fn list() -> String {
    let name = |found: &Explanation| match found.name.strip_suffix('-') {
        Some(family) => format!("{family}-..."),
        None => found.name.to_owned(),
    };
    let width = all().map(|found| name(found).len()).max().unwrap_or_default();
    let mut out = String::new();
    for found in all() {
        let by = match found.source {
            Source::Kubeadm => "kubeadm",
            Source::Fleet => "fleet",
        };
        // Writing to a String does not fail.
        let _ = writeln!(out, "{:<width$}  {by:<7}  {}", name(found), first_sentence(found));
    }
    out
}

fn first_sentence(found: &Explanation) -> &str {
    found.looks_at.split_once(". ").map_or(found.looks_at, |(first, _)| first).trim_end_matches('.')
}

fn text(name: &str, found: &Explanation) -> String {
    let title = match found.name.ends_with('-') {
        true => name,
        false => found.name,
    };
    let by = match found.source {
        Source::Kubeadm => "kubeadm's check of one host",
        Source::Fleet => "a check of the fleet, which kubeadm does not have",
    };
    let mut out = format!("{title}: {by}\n");
    for (heading, paragraph) in [
        ("Looks at", found.looks_at),
        ("Why it matters", found.matters),
        ("How bad it is", found.conditions),
        ("To fix it", found.remedy),
    ] {
        let _ = writeln!(out, "\n{heading}");
        for line in wrap(paragraph, WIDTH - INDENT.len()) {
            let _ = writeln!(out, "{INDENT}{line}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_explained_under_the_name_that_was_asked_for() {
        let found = explain("Port-6443").unwrap();
        assert!(text("Port-6443", found).starts_with("Port-6443: kubeadm's check"));
        assert!(text("numcpu", explain("numcpu").unwrap()).starts_with("NumCPU: "));
        assert!(unknown("NumCPUs").to_string().contains("did you mean NumCPU?"));
    }

    #[test]
    fn every_check_is_listed_and_lines_are_short() {
        assert_eq!(list().lines().count(), all().count());
        for found in all() {
            assert!(text(found.name, found).lines().all(|line| line.len() <= WIDTH), "{found:?}");
        }
    }
}
