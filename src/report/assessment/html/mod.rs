//! An assessment as a page: see [`page`](crate::report::page). The cells of the matrix, which are made of nothing that a
//! host said, are not escaped.

mod reach;

use std::collections::HashMap;

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::matrix::Matrix;
use super::{AssessedCheck, Assessment, causes, counted};
use crate::report::Severity;
use crate::report::page::{Looks, STYLE, render, shown};
use crate::report::wrap::middle_cut;

const PAGE: &str = include_str!("../../../../templates/report/page.html");
const SCRIPT: &str = include_str!("../../../../templates/report/page.js");

/// How much of a check's name is its column's heading.
const HEADING: usize = 36;

impl Assessment {
    /// A self-contained page: the matrix, what to do, who reaches whom, facts.
    ///
    /// # Errors
    /// The template is at fault; no data is.
    pub fn to_html(&self) -> Result<String, minijinja::Error> {
        render(PAGE, Looks { style: STYLE, script: SCRIPT }, page(self))
    }
}

#[derive(Serialize)]
struct Page<'a> {
    title: String,
    command: String,
    cluster: Option<String>,
    verdict: String,
    tone: &'static str,
    taken: String,
    taken_shown: String,
    elapsed: String,
    results: usize,
    strict: bool,
    counts: Vec<Count>,
    checks: Vec<Column>,
    rows: Vec<Row>,
    causes: Vec<Cause<'a>>,
    silent: Vec<Silent>,
    reach: Option<reach::Reach>,
    sheets: Vec<Sheets>,
}

#[derive(Serialize)]
struct Count {
    number: usize,
    word: &'static str,
    tone: &'static str,
}

#[derive(Serialize)]
struct Column {
    name: String,
    /// The heading, where the name is too long for one.
    cut: Option<String>,
}

#[derive(Serialize)]
struct Row {
    number: usize,
    name: String,
    /// Whether there are facts about the host.
    sheet: bool,
    cells: String,
}

/// The same result of a check on any number of hosts.
#[derive(Serialize)]
struct Cause<'a> {
    tone: &'static str,
    mark: &'static str,
    name: String,
    scope: &'static str,
    hosts: String,
    count: usize,
    findings: Vec<Found>,
    remedy: String,
    evidence: Vec<Evidence>,
    #[serde(skip)]
    check: &'a AssessedCheck,
    #[serde(skip)]
    members: Vec<(usize, &'a AssessedCheck)>,
}

#[derive(Serialize)]
struct Found {
    /// The word for its severity, where that is not the check's.
    mark: &'static str,
    tone: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Evidence {
    name: String,
    rows: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Silent {
    hosts: String,
    count: usize,
    state: String,
    reason: String,
}

#[derive(Serialize)]
struct Sheets {
    number: usize,
    name: String,
    role: String,
    sheets: Vec<Sheet>,
}

#[derive(Serialize)]
struct Sheet {
    title: String,
    rows: Vec<(String, String)>,
}

fn page(assessment: &Assessment) -> Page<'_> {
    let matrix = Matrix::new(assessment);
    let causes = causes(assessment);
    let failed = matrix.rows.iter().map(|row| row.name);
    let names: Vec<&str> = failed.chain(matrix.passed.iter().map(|(name, _)| *name)).collect();
    let (verdict, tone) = verdict(assessment);
    let taken = assessment.taken;
    let shown_time = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    // Formatting fails only for years outside RFC 3339.
    let taken_shown = taken.to_offset(time::UtcOffset::UTC).format(shown_time).unwrap_or_default();
    Page {
        title: shown(&assessment.title()),
        command: shown(&assessment.command),
        cluster: assessment.cluster.as_deref().map(shown),
        verdict,
        tone,
        taken: taken.format(&Rfc3339).unwrap_or_default(),
        taken_shown,
        elapsed: format!("{:.1}", assessment.elapsed.as_secs_f32()),
        results: assessment.hosts.iter().map(|host| host.checks.len()).sum(),
        strict: assessment.strict,
        counts: counts(assessment),
        rows: rows(assessment, &matrix, &names, &causes),
        checks: names.into_iter().map(column).collect(),
        causes,
        silent: silent(assessment),
        reach: reach::Reach::new(assessment),
        sheets: sheets(assessment),
    }
}

fn verdict(assessment: &Assessment) -> (String, &'static str) {
    let counts = assessment.host_counts();
    let silent = counts.unreachable + counts.refused + counts.not_started;
    let hosts = |count| counted(count, "host");
    match (counts.failed, silent, counts.warned) {
        (0, 0, 0) => (format!("{} passed every check", hosts(counts.passed)), "p"),
        (0, 0, warned) if assessment.strict => {
            (format!("{} failed with warnings", hosts(warned)), "e")
        }
        (0, 0, warned) => (format!("Passed, with warnings on {}", hosts(warned)), "w"),
        (0, silent, _) => (format!("{} could not be checked", hosts(silent)), "e"),
        (failed, 0, _) => (format!("{} failed", hosts(failed)), "e"),
        (failed, silent, _) => {
            (format!("{} failed, {silent} could not be checked", hosts(failed)), "e")
        }
    }
}

fn counts(assessment: &Assessment) -> Vec<Count> {
    let counts = assessment.host_counts();
    let count = |number, word, tone| Count { number, word, tone };
    let rare = [
        count(counts.refused, "no usable answer", "e"),
        count(counts.not_started, "not started", "n"),
    ];
    let mut all = vec![
        count(
            assessment.hosts.len(),
            if assessment.hosts.len() == 1 { "host" } else { "hosts" },
            "t",
        ),
        count(counts.failed, "failed", "e"),
        count(counts.warned, "with warnings", "w"),
        count(counts.passed, "passed", "p"),
        count(counts.unreachable, "unreachable", "e"),
    ];
    all.extend(rare.into_iter().filter(|count| count.number > 0));
    all
}

fn column(name: &str) -> Column {
    let name = shown(name);
    let cut = Some(middle_cut(&name, HEADING)).filter(|cut| *cut != name);
    Column { name, cut }
}

/// Checks with the same result, in the matrix's spirit: errors first, then what concerns most hosts.
fn causes(assessment: &Assessment) -> Vec<Cause<'_>> {
    let mut causes: Vec<Cause<'_>> = Vec::new();
    let mut places = HashMap::new();
    for (index, host) in assessment.hosts.iter().enumerate() {
        for check in host.checks.iter().filter(|check| check.severity > Severity::Passed) {
            let texts: Vec<_> =
                check.findings.iter().map(|one| (one.severity, one.message.as_str())).collect();
            let key = (check.name.as_ref(), check.severity, texts, check.remedy.as_str());
            let place = *places.entry(key).or_insert_with(|| {
                causes.push(cause(check));
                causes.len() - 1
            });
            causes[place].members.push((index, check));
        }
    }
    for cause in &mut causes {
        let hosts: Vec<usize> = cause.members.iter().map(|(host, _)| *host).collect();
        cause.hosts = assessment.folded(&hosts);
        cause.count = hosts.len();
        let evidence = cause.members.iter().filter(|(_, check)| !check.evidence.is_empty());
        let evidence = evidence.map(|(host, check)| Evidence {
            name: shown(&assessment.hosts[*host].name),
            rows: shown_rows(&check.evidence),
        });
        cause.evidence = evidence.collect();
    }
    causes.sort_by_key(|cause| std::cmp::Reverse((cause.check.severity, cause.count)));
    causes
}

fn cause(check: &AssessedCheck) -> Cause<'_> {
    let (mark, tone) = mark(check.severity);
    let findings = check.findings.iter().map(|one| {
        let (mark, tone) = self::mark(one.severity);
        let mark = if one.severity == check.severity { "" } else { mark };
        Found { mark, tone, message: shown(&one.message) }
    });
    Cause {
        tone,
        mark,
        name: shown(&check.name),
        scope: if check.fleet { "over all hosts" } else { "" },
        hosts: String::new(),
        count: 0,
        findings: findings.collect(),
        remedy: shown(&check.remedy),
        evidence: Vec::new(),
        check,
        members: Vec::new(),
    }
}

/// One for each host that was asked, the worst first. What passed is an empty cell: there can be a hundred thousand.
fn rows(
    assessment: &Assessment,
    matrix: &Matrix<'_>,
    names: &[&str],
    causes: &[Cause<'_>],
) -> Vec<Row> {
    let columns: HashMap<&str, usize> =
        names.iter().enumerate().map(|(column, name)| (*name, column)).collect();
    let mut links = HashMap::new();
    for (number, cause) in causes.iter().enumerate() {
        for (host, check) in &cause.members {
            links.insert((*host, check.name.as_ref()), number);
        }
    }
    let row = |index: usize| {
        let host = &assessment.hosts[index];
        let mut cells = vec!["<td class=n>".to_owned(); names.len()];
        for check in &host.checks {
            let cell = &mut cells[columns[check.name.as_ref()]];
            *cell = match links.get(&(index, check.name.as_ref())) {
                None => "<td>".to_owned(),
                Some(number) => {
                    let (mark, tone) = mark(check.severity);
                    format!("<td class={tone}><a href=#g{number}>{mark}</a>")
                }
            };
        }
        Row {
            number: index,
            name: shown(&host.name),
            sheet: !host.facts.is_empty(),
            cells: cells.concat(),
        }
    };
    matrix.groups.iter().flatten().map(|index| row(*index)).collect()
}

fn silent(assessment: &Assessment) -> Vec<Silent> {
    let causes = causes::of_silence(assessment).into_iter();
    causes
        .flat_map(|cause| {
            cause.examples.into_iter().map(move |example| Silent {
                hosts: assessment.folded(&example.hosts),
                count: example.hosts.len(),
                state: cause.title.to_owned(),
                reason: shown(example.message),
            })
        })
        .collect()
}

fn sheets(assessment: &Assessment) -> Vec<Sheets> {
    let hosts = assessment.hosts.iter().enumerate();
    let hosts = hosts.filter(|(_, host)| !host.facts.is_empty());
    hosts
        .map(|(number, host)| Sheets {
            number,
            name: shown(&host.name),
            role: shown(&host.role),
            sheets: host
                .facts
                .iter()
                .map(|sheet| Sheet { title: shown(&sheet.title), rows: shown_rows(&sheet.rows) })
                .collect(),
        })
        .collect()
}

/// The word for a result and its class.
fn mark(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::Error => ("FAIL", "e"),
        Severity::Warning => ("warn", "w"),
        Severity::Passed => ("ok", "p"),
    }
}

fn shown_rows<T: AsRef<str>>(rows: &[(T, String)]) -> Vec<(String, String)> {
    rows.iter().map(|(key, value)| (shown(key.as_ref()), shown(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples;

    #[test]
    fn text_of_hosts_stays_text() {
        let page = samples::hostile().to_html().unwrap();
        assert!(!page.contains("<img"), "{page}");
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("</script").count(), 1);
        assert!(!page.chars().any(|c| c.is_control() && c != '\n'));
    }

    #[test]
    fn all_of_it_is_there_without_a_script() {
        let assessment = samples::mixed();
        let page = assessment.to_html().unwrap();
        let findings = assessment.hosts.iter().flat_map(|host| &host.checks);
        for finding in findings.flat_map(|check| &check.findings) {
            let message = finding.message.replace('/', "&#x2f;").replace('\'', "&#x27;");
            assert!(page.contains(&message), "{message}");
        }
        assert!(page.contains("6.1.0-44-amd64"));
        assert!(samples::silent().to_html().unwrap().contains("ends in the middle of a line"));
    }

    #[test]
    fn every_silent_host_has_its_reason() {
        let page = samples::silent().to_html().unwrap();
        for number in 3..=6 {
            assert!(page.contains(&format!("10.0.0.{number}:22: connection refused")));
        }
    }

    #[test]
    fn what_passed_costs_next_to_nothing() {
        let page = samples::thousand().to_html().unwrap();
        assert!(page.len() < 3_000_000, "{}", page.len());
        assert_eq!(page.matches("<td>").count(), 70_000 - 832 + 1000);
    }
}
