//! An assessment as JSON lines: one for each host and check, one for each port that is not reached, one for each host
//! that was not checked.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;

use super::{AssessedCheck, Assessment, Finding, HostState, ProbeResult};
use crate::report::Severity;
use crate::report::text::escaped_json;

/// All lines. Serialised straight from the data: a large fleet has a hundred thousand of them.
///
/// # Errors
/// None in practice: nothing in the data is beyond JSON.
pub(in crate::report) fn lines(assessment: &Assessment) -> serde_json::Result<Vec<u8>> {
    // Formatting fails only for years outside RFC 3339.
    let time = assessment.taken.format(&Rfc3339).unwrap_or_default();
    let time = time.as_str();
    let mut out = String::new();
    let mut write = |line: &Line<'_>| {
        let line = serde_json::to_string(line)?;
        out += &format!("{}\n", escaped_json(&line));
        serde_json::Result::Ok(())
    };
    for host in &assessment.hosts {
        let name = host.name.as_str();
        if host.state != HostState::Checked {
            let (state, reason) = (host.state.word(), host.state.reason());
            write(&Line::Host { time, host: name, state, reason })?;
        }
        for check in &host.checks {
            write(&Line::check(time, name, check))?;
        }
    }
    let host = |index: usize| assessment.hosts.get(index).map(|host| host.name.as_str());
    for probe in &assessment.reachability.probes {
        if probe.result != ProbeResult::Open {
            write(&Line::Probe {
                time,
                host: host(probe.from),
                to: host(probe.to),
                port: probe.port,
                purpose: &probe.purpose,
                result: probe.result.word(),
                reason: probe.result.reason(),
            })?;
        }
    }
    Ok(out.into_bytes())
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Check {
        time: &'a str,
        host: &'a str,
        name: &'a str,
        severity: Severity,
        scope: &'static str,
        message: Cow<'a, str>,
        messages: &'a [Finding],
        remedy: &'a str,
        #[serde(serialize_with = "object")]
        evidence: &'a [(Cow<'static, str>, String)],
    },
    Host {
        time: &'a str,
        host: &'a str,
        state: &'static str,
        reason: Option<&'a str>,
    },
    Probe {
        time: &'a str,
        host: Option<&'a str>,
        to: Option<&'a str>,
        port: u16,
        purpose: &'a str,
        result: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
}

impl<'a> Line<'a> {
    fn check(time: &'a str, host: &'a str, check: &'a AssessedCheck) -> Self {
        Self::Check {
            time,
            host,
            name: &check.name,
            severity: check.severity,
            scope: if check.fleet { "fleet" } else { "host" },
            message: check.message(),
            messages: &check.findings,
            remedy: &check.remedy,
            evidence: &check.evidence,
        }
    }
}

fn object<S: Serializer>(
    pairs: &[(Cow<'static, str>, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn every_check_is_a_line_and_so_is_what_was_not_reached() {
        let lines = String::from_utf8(lines(&samples::mixed()).unwrap()).unwrap();
        let shown: Vec<&str> = lines.lines().filter(|line| !line.contains("\"passed\"")).collect();
        insta::assert_snapshot!(shown.join("\n"));
        let assessment = samples::mixed();
        let checks: usize = assessment.hosts.iter().map(|host| host.checks.len()).sum();
        assert_eq!(
            lines.lines().filter(|line| line.contains("\"kind\":\"check\"")).count(),
            checks
        );
    }
}
