//! An assessment as JUnit's XML, as CI systems read it: a suite for each host, a case for each check.

use std::borrow::Cow;
use std::fmt::Write;

use time::format_description::well_known::Rfc3339;

use super::{AssessedCheck, AssessedHost, Assessment};
use crate::report::{Severity, printable};

impl Assessment {
    /// JUnit's XML. Errors are failures, and so are warnings of a strict run; other warnings pass, with their text as
    /// output. A host that was not checked is one case that ended in an error.
    ///
    /// No check has a time of its own: all cases have 0, and the run has what it took.
    pub fn to_junit(&self) -> String {
        let mut suites = String::new();
        let (mut tests, mut failures, mut errors) = (0, 0, 0);
        for host in &self.hosts {
            let failed = host.checks.iter().filter(|check| self.fails(check.severity)).count();
            let silent = usize::from(host.state.reason().is_some());
            let cases = host.checks.len() + silent;
            self.suite(&mut suites, host, [cases, failed, silent]);
            tests += cases;
            failures += failed;
            errors += silent;
        }
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" \
             time=\"{:.3}\">\n{suites}</testsuites>\n",
            escaped(&self.title()),
            self.elapsed.as_secs_f64(),
        )
    }

    fn suite(&self, out: &mut String, host: &AssessedHost, [tests, failures, errors]: [usize; 3]) {
        let name = escaped(&host.name);
        // Formatting fails only for years outside RFC 3339.
        let time = self.taken.format(&Rfc3339).unwrap_or_default();
        push(
            out,
            format_args!(
                "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" \
             skipped=\"0\" time=\"0\" timestamp=\"{time}\">\n",
            ),
        );
        if let Some(reason) = host.state.reason() {
            let word = host.state.word();
            push(
                out,
                format_args!(
                    "    <testcase classname=\"{name}\" name=\"{word}\" time=\"0\">\
                 <error type=\"{word}\" message=\"{}\"/></testcase>\n",
                    escaped(reason),
                ),
            );
        }
        for check in &host.checks {
            push(
                out,
                format_args!(
                    "    <testcase classname=\"{name}\" name=\"{}\" time=\"0\"",
                    escaped(&check.name),
                ),
            );
            match check.severity {
                Severity::Passed => out.push_str("/>\n"),
                severity if self.fails(severity) => push(
                    out,
                    format_args!(
                        "><failure type=\"{}\" message=\"{}\">{}</failure></testcase>\n",
                        severity.word(),
                        escaped(&check.message()),
                        escaped(&details(check)),
                    ),
                ),
                _ => push(
                    out,
                    format_args!(
                        "><system-out>{}</system-out></testcase>\n",
                        escaped(&details(check)),
                    ),
                ),
            }
        }
        out.push_str("  </testsuite>\n");
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = out.write_fmt(text);
}

/// What was found, what to do, what was looked at, line by line.
fn details(check: &AssessedCheck) -> String {
    let findings = check.findings.iter();
    let mut lines: Vec<String> =
        findings.map(|one| format!("{}: {}", one.severity.word(), one.message)).collect();
    if !check.remedy.is_empty() {
        lines.push(format!("remedy: {}", check.remedy));
    }
    lines.extend(check.evidence.iter().map(|(what, value)| format!("{what}: {value}")));
    lines.join("\n")
}

/// Text as XML takes it, in elements and in attributes: without what XML 1.0 has no way to write.
fn escaped(text: &str) -> Cow<'_, str> {
    let text = printable(text);
    let plain =
        |c: char| !matches!(c, '&' | '<' | '>' | '"' | '\n' | '\t' | '\u{fffe}' | '\u{ffff}');
    if text.chars().all(plain) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader may turn them into blanks in attributes.
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roxmltree::{Document, Node};

    use super::super::samples;
    use super::*;

    fn count(node: Node<'_, '_>, tag: &str) -> usize {
        node.descendants().filter(|node| node.has_tag_name(tag)).count()
    }

    #[test]
    fn counts_are_those_of_the_cases() {
        for (assessment, failures, errors, outputs) in [
            (samples::healthy(), 0, 0, 0),
            (samples::mixed(), 3, 0, 2),
            (Assessment { strict: true, ..samples::mixed() }, 5, 0, 0),
            (samples::silent(), 0, 7, 0),
            (samples::hostile(), 4, 1, 2),
        ] {
            let text = assessment.to_junit();
            let document = Document::parse(&text).unwrap();
            let root = document.root_element();
            assert_eq!(count(root, "failure"), failures, "{text}");
            assert_eq!(count(root, "error"), errors, "{text}");
            assert_eq!(count(root, "system-out"), outputs, "{text}");
            let suites = root.children().filter(Node::is_element);
            for node in suites.chain([root]) {
                let said = |name: &str| node.attribute(name).unwrap().parse::<usize>().unwrap();
                assert_eq!(said("tests"), count(node, "testcase"));
                assert_eq!(said("failures"), count(node, "failure"));
                assert_eq!(said("errors"), count(node, "error"));
            }
        }
    }

    #[test]
    fn a_document_looks_like_this() {
        insta::assert_snapshot!(samples::mixed().to_junit());
    }

    proptest! {
        #[test]
        fn any_text_makes_a_document(text in any::<String>()) {
            let mut assessment = samples::mixed();
            assessment.hosts[0].name = text.clone();
            assessment.hosts[1].checks[1].findings[0].message = text.clone();
            assessment.hosts[1].checks[1].evidence[0].1 = text.clone();
            let document = assessment.to_junit();
            let document = Document::parse(&document).unwrap();
            let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
            let wanted: String =
                printable(&text).chars().filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
            prop_assert_eq!(suite.attribute("name").unwrap(), wanted);
        }
    }
}
