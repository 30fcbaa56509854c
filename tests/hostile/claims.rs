//! docs/security.md names tests. They are there.

use std::fs;
use std::path::Path;

/// The names in backquotes of the form `FILE.rs::TEST`.
fn names(line: &str) -> Vec<(&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|word| word.split_once(".rs::")).collect()
}

/// Whether a text has a test of this name: an attribute that ends with `test]` or begins a test of tokio's, or a
/// `proptest!` around it, and then the function.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(number, line)| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        let is_it = line
            .strip_prefix("fn ")
            .is_some_and(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')));
        let before = lines[..number].iter().rev().take(3);
        is_it
            && before
                .into_iter()
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_claim_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let claims: Vec<&str> = rows.filter(|row| *row != "| claim | test |").collect();
    assert!(claims.len() > 30, "{}", claims.len());
    let mut missing = Vec::new();
    for claim in claims {
        let found = names(claim);
        if found.is_empty() {
            missing.push(format!("no test in {claim}"));
        }
        for (file, test) in found {
            let text = fs::read_to_string(root.join(format!("{file}.rs")));
            if !text.is_ok_and(|text| has_test(&text, test)) {
                missing.push(format!("no test {test} in {file}.rs"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_function_that_is_no_test_is_not_taken_for_one() {
    assert!(
        has_test("#[test]\nfn a() {", "a")
            && has_test("#[tokio::test(flavor)]\nasync fn a() {", "a")
    );
    assert!(!has_test("fn a() {", "a") && !has_test("#[test]\nfn ab() {", "a"));
    assert!(!has_test("#[test]\nfn b() {}\n\n\nfn a() {", "a"));
    assert_eq!(names("x `a/b.rs::c`, `d` `e.rs::f`"), [("a/b", "c"), ("e", "f")]);
}
