//! What a check says: its findings, how bad they are, and what they rest on. Judges nothing itself.

use std::borrow::Cow;

use crate::report::{Finding, Severity};

/// One check's verdict on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Name of the check: kubeadm's, or one of [`super::catalogue`]'s.
    pub name: Cow<'static, str>,
    /// The worst of what was found.
    pub severity: Severity,
    /// What was found, errors first; nothing when the check passed.
    pub findings: Vec<Finding>,
    /// What was looked at, as a name and a value.
    pub evidence: Vec<(Cow<'static, str>, String)>,
}

impl CheckResult {
    /// The verdict of a check of this name.
    pub(super) fn new(name: impl Into<Cow<'static, str>>, findings: Findings) -> Self {
        let Findings { mut findings, evidence } = findings;
        // Stable, so that what was found first is told first.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let worst = findings.first().map(|finding| finding.severity);
        let severity = worst.unwrap_or(Severity::Passed);
        Self { name: name.into(), severity, findings, evidence }
    }

    /// Errors become warnings.
    fn ignore(&mut self) {
        self.severity = self.severity.min(Severity::Warning);
        for finding in &mut self.findings {
            finding.severity = finding.severity.min(Severity::Warning);
        }
    }
}

/// Turns the errors of checks named in `ignore` into warnings. Names compare without regard to case; `all`
/// names every check.
pub fn ignore(results: &mut [CheckResult], ignore: &[String]) {
    let named = |name: &str| {
        ignore
            .iter()
            .any(|entry| entry.eq_ignore_ascii_case("all") || entry.eq_ignore_ascii_case(name))
    };
    results.iter_mut().filter(|result| named(&result.name)).for_each(CheckResult::ignore);
}

/// What one check has found so far; nothing means that it passes.
#[derive(Debug, Default)]
pub(super) struct Findings {
    findings: Vec<Finding>,
    evidence: Vec<(Cow<'static, str>, String)>,
}

impl Findings {
    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self::default().and(Severity::Warning, text)
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self::default().and(Severity::Error, text)
    }

    /// An error if `failed`.
    pub(super) fn error_if(failed: bool, text: impl FnOnce() -> String) -> Self {
        if failed { Self::error(text()) } else { Self::default() }
    }

    /// A warning if `failed`.
    pub(super) fn warning_if(failed: bool, text: impl FnOnce() -> String) -> Self {
        if failed { Self::warning(text()) } else { Self::default() }
    }

    fn and(mut self, severity: Severity, text: impl Into<String>) -> Self {
        self.add(severity, text);
        self
    }

    pub(super) fn add(&mut self, severity: Severity, text: impl Into<String>) {
        if severity > Severity::Passed {
            self.findings.push(Finding { severity, message: text.into() });
        }
    }

    /// Tell what was looked at.
    pub(super) fn saw(mut self, what: impl Into<Cow<'static, str>>, value: impl ToString) -> Self {
        self.evidence.push((what.into(), value.to_string()));
        self
    }
}
