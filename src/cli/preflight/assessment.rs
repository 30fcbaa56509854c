//! From what a survey found to what is shown.

use std::time::Duration;

use time::OffsetDateTime;

use crate::cli::args::PreflightArgs;
use crate::cluster::Cluster;
use crate::inventory::fold_hosts;
use crate::phases::preflight::fleet::{State, Survey, SurveyedHost};
use crate::preflight::links::LinkState;
use crate::preflight::{CheckResult, remedy};
use crate::report::{
    AssessedCheck, AssessedHost, Assessment, HostState, Probe, ProbeResult, Reachability, Severity,
};

use super::sheets::sheets;

/// What is shown of a survey that took so long; facts are for the page.
pub fn assessment(
    command: &str,
    args: &PreflightArgs,
    cluster: &Cluster,
    survey: Survey,
    elapsed: Duration,
) -> Assessment {
    let with_facts = args.report.is_some();
    let links = survey.links.into_iter().map(|(link, state)| Probe {
        from: link.from,
        to: link.to,
        port: link.port,
        purpose: link.purpose.to_owned(),
        result: match state {
            LinkState::Open => ProbeResult::Open,
            LinkState::Refused(_) => ProbeResult::Refused,
            LinkState::Silent => ProbeResult::NoAnswer,
            LinkState::Stalled => ProbeResult::Stalled,
            LinkState::Untested(reason) => ProbeResult::Untested(reason),
        },
    });
    Assessment {
        command: command.to_owned(),
        cluster: Some(cluster.section.name.clone()),
        taken: OffsetDateTime::now_utc(),
        elapsed,
        strict: args.strict,
        reachability: Reachability { sample: survey.sample, probes: links.collect() },
        hosts: survey.hosts.into_iter().map(|found| host(found, with_facts)).collect(),
        fold: fold_hosts,
    }
}

fn host(surveyed: SurveyedHost, with_facts: bool) -> AssessedHost {
    let SurveyedHost { host, state } = surveyed;
    let (mut checks, mut facts) = (Vec::new(), Vec::new());
    let state = match state {
        State::Checked(found) => {
            if with_facts {
                facts = sheets(&found.facts);
            }
            found.kubeadm.into_iter().for_each(|result| add(&mut checks, result, false));
            found.fleet.into_iter().for_each(|result| add(&mut checks, result, true));
            HostState::Checked
        }
        State::Unreachable(reason) => HostState::Unreachable(reason),
        State::Failed(reason) => HostState::Refused(reason),
        State::NotStarted => HostState::NotStarted("the run ended before".to_owned()),
    };
    AssessedHost { name: host.name.clone(), role: host.role.to_string(), state, checks, facts }
}

/// Some checks are made more than once, of each network for one; they are shown once, with all that was found.
fn add(checks: &mut Vec<AssessedCheck>, result: CheckResult, fleet: bool) {
    let known = checks.iter().position(|check| check.name == result.name);
    let index = known.unwrap_or(checks.len());
    if known.is_none() {
        checks.push(AssessedCheck {
            name: result.name,
            severity: Severity::Passed,
            fleet,
            findings: Vec::new(),
            remedy: String::new(),
            evidence: Vec::new(),
        });
    }
    let check = &mut checks[index];
    check.severity = check.severity.max(result.severity);
    check.findings.extend(result.findings);
    check.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    check.evidence.extend(result.evidence);
    if check.severity > Severity::Passed {
        remedy(&check.name).clone_into(&mut check.remedy);
    }
}
