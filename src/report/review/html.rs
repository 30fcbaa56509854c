//! A review as a page: see [`page`](crate::report::page). What went wrong and the critical path are text; hosts over time are
//! drawn by the page's script, some hosts at a time, from numbers and names that are in the page as JSON.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use time::UtcOffset;
use time::format_description::well_known::Rfc3339;

use super::text::SHOWN_TIME;
use super::{Fate, Review};
use crate::report::page::{Looks, STYLE, render, shown};
use crate::report::timeline::{PhaseTotal, critical_path, phase_totals};
use crate::report::timings::{seconds, waited_for};
use crate::report::{End, Span, printable_line};

const PAGE: &str = include_str!("../../../templates/report/run.html");
const SCRIPT: &str = include_str!("../../../templates/report/run.js");

/// What the page has beyond [`STYLE`].
const OWN_STYLE: &str = include_str!("../../../templates/report/run.css");

/// More tasks than this are not drawn, so that a browser can open the page: hosts that did not end well and those of the
/// critical path come first. 10 000 hosts in an apply have about as many.
const MAX_TASKS: usize = 300_000;

/// How much of a reason is shown beside a bar, in characters.
const REASON_LIMIT: usize = 500;

#[derive(Serialize)]
struct Page {
    title: String,
    verdict: String,
    tone: &'static str,
    began: String,
    began_shown: String,
    elapsed: String,
    counts: Vec<(usize, &'static str, &'static str)>,
    causes: Vec<ShownCause>,
    tables: Vec<Table>,
    left_out: usize,
    data: String,
}

#[derive(Serialize)]
struct Table {
    id: &'static str,
    title: &'static str,
    note: Option<&'static str>,
    headings: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct ShownCause {
    tone: &'static str,
    mark: &'static str,
    phase: String,
    hosts: String,
    count: usize,
    reason: String,
}

impl Review {
    /// A self-contained page: what went wrong, hosts over time, the critical path, what each phase took.
    ///
    /// # Errors
    /// The template is at fault; no data is.
    pub fn to_html(&self) -> Result<String, minijinja::Error> {
        let style = format!("{STYLE}{OWN_STYLE}");
        let path = critical_path(&self.spans);
        let (data, left_out) = self.data(&path);
        let began = self.runs.first().map(|run| run.started.to_offset(UtcOffset::UTC));
        // Formatting fails only for years outside RFC 3339.
        let (began, began_shown) = began.map_or_else(Default::default, |began| {
            (
                began.format(&Rfc3339).unwrap_or_default(),
                began.format(SHOWN_TIME).unwrap_or_default(),
            )
        });
        let (verdict, tone) = self.verdict();
        render(
            PAGE,
            Looks { style: &style, script: SCRIPT },
            Page {
                title: shown(&self.command()),
                verdict,
                tone,
                began,
                began_shown,
                elapsed: seconds(self.elapsed()),
                counts: self.counts(),
                causes: self.shown_causes(),
                tables: self.tables(&path),
                left_out,
                data: in_script(&data),
            },
        )
    }

    fn verdict(&self) -> (String, &'static str) {
        let [unreachable, failed, incomplete] =
            [Fate::Unreachable, Fate::Failed, Fate::Incomplete].map(|fate| self.count(fate));
        let all = self.hosts.len();
        let hosts = |count| if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") };
        let bad = unreachable + failed;
        match (bad, incomplete) {
            (0, 0) if self.exit_status() == 0 => (format!("{} done", hosts(all)), "p"),
            (0, 0) => ("The run did not end well".to_owned(), "e"),
            (0, incomplete) => (format!("{} not done", hosts(incomplete)), "w"),
            (bad, 0) => (format!("{} failed", hosts(bad)), "e"),
            (bad, incomplete) => (format!("{} failed, {incomplete} not done", hosts(bad)), "e"),
        }
    }

    fn counts(&self) -> Vec<(usize, &'static str, &'static str)> {
        vec![
            (self.hosts.len(), if self.hosts.len() == 1 { "host" } else { "hosts" }, "t"),
            (self.count(Fate::Failed), "failed", "e"),
            (self.count(Fate::Unreachable), "unreachable", "e"),
            (self.count(Fate::Incomplete), "not done", "w"),
            (self.count(Fate::Well), "ok", "p"),
            (self.changes(), "changes", "t"),
        ]
    }

    /// The critical path and the phases, where there are any, and the runs.
    fn tables(&self, path: &[usize]) -> Vec<Table> {
        let path = Table {
            id: "path",
            title: "Critical path",
            note: Some(
                "The tasks that determined the end of the run, each begun when the one before had ended.",
            ),
            headings: &["Start", "Took", "Host", "Phase", "Waited for"],
            rows: path.iter().map(|place| path_row(&self.spans[*place]).into()).collect(),
        };
        let phases = Table {
            id: "phases",
            title: "Phases",
            note: None,
            headings: &["Phase", "Tasks", "Failed", "Total", "Longest", "On"],
            rows: phase_totals(&self.spans).iter().map(|total| phase_row(total).into()).collect(),
        };
        let runs = Table {
            id: "runs",
            title: if self.runs.len() > 1 { "Runs" } else { "Run" },
            note: None,
            headings: &["Name", "Inventory", "Selection", "End"],
            rows: self.shown_runs().into_iter().map(Into::into).collect(),
        };
        let tasks = [path, phases].into_iter().filter(|table| !table.rows.is_empty());
        tasks.chain([runs]).collect()
    }

    fn shown_runs(&self) -> Vec<[String; 4]> {
        let selection = |run: &super::Run| {
            let limit = run.limit.as_ref().map(|limit| format!("--limit {limit}"));
            let shard = run.shard.as_ref().map(|shard| format!("--shard {shard}"));
            limit.into_iter().chain(shard).collect::<Vec<_>>().join(" ")
        };
        let row = |run: &super::Run| {
            let inventory = run.inventory.as_deref().unwrap_or("-");
            [shown(&run.id), shown(inventory), shown(&selection(run)), run.end()]
        };
        self.runs.iter().map(row).collect()
    }

    fn shown_causes(&self) -> Vec<ShownCause> {
        let cause = |cause: super::Cause<'_>| ShownCause {
            tone: tone(cause.fate),
            mark: cause.fate.word(),
            phase: cause.phase.map(shown).unwrap_or_default(),
            hosts: shown(&(self.fold)(&cause.hosts)),
            count: cause.hosts.len(),
            reason: shown(cause.reason),
        };
        self.causes().into_iter().map(cause).collect()
    }

    /// What the script draws, and how many hosts are left out of it. A task is six numbers: its host, its phase, when it
    /// began and how long it took in milliseconds, how it ended, and whether it is of the critical path.
    fn data(&self, path: &[usize]) -> (Value, usize) {
        let path: HashSet<usize> = path.iter().copied().collect();
        let on_path: HashSet<&str> =
            path.iter().map(|place| self.spans[*place].host.as_str()).collect();
        let mut tasks: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, span) in self.spans.iter().enumerate() {
            tasks.entry(&span.host).or_default().push(place);
        }
        let mut hosts: Vec<&str> = self.hosts.keys().map(String::as_str).collect();
        let fate = |host: &str| self.hosts.get(host).map_or(Fate::Well, Fate::of);
        // Stable: the order of names stays within each.
        hosts.sort_by_key(|host| (fate(host) == Fate::Well, !on_path.contains(host)));
        let mut room = MAX_TASKS;
        let all = hosts.len();
        hosts.retain(|host| {
            let count = tasks.get(host).map_or(0, Vec::len);
            let fits = count <= room;
            room = if fits { room - count } else { 0 };
            fits
        });
        let mut phases: Vec<String> = Vec::new();
        let mut phase_places: HashMap<&str, usize> = HashMap::new();
        let mut numbers: Vec<u64> = Vec::new();
        for (host, name) in hosts.iter().enumerate() {
            for &place in tasks.get(name).into_iter().flatten() {
                let span = &self.spans[place];
                let phase = *phase_places.entry(&span.phase).or_insert_with(|| {
                    phases.push(printable_line(&span.phase, REASON_LIMIT));
                    phases.len() - 1
                });
                let end = match span.end {
                    End::Done => 0,
                    End::Failed => 1,
                    End::Skipped => 2,
                    End::Open => 3,
                };
                let (start, took) = (milliseconds(span.start), milliseconds(span.elapsed));
                let critical = u64::from(path.contains(&place));
                numbers.extend([host as u64, phase as u64, start, took, end, critical]);
            }
        }
        let reason = |host: &&&str| {
            let failure = self.hosts.get(**host).and_then(|host| host.failure.as_ref())?;
            Some((printable_line(host, REASON_LIMIT), printable_line(&failure.1, REASON_LIMIT)))
        };
        let whole = self.spans.iter().map(Span::end).max().unwrap_or_default().max(self.elapsed());
        let data = json!({
            "end": milliseconds(whole),
            "hosts": hosts.iter().map(|host| printable_line(host, REASON_LIMIT)).collect::<Vec<_>>(),
            "tones": hosts.iter().map(|host| tone(fate(host))).collect::<Vec<_>>(),
            "phases": phases,
            "tasks": numbers,
            "reasons": hosts.iter().filter_map(|host| reason(&host)).collect::<HashMap<_, _>>(),
        });
        (data, all - hosts.len())
    }
}

fn path_row(span: &Span) -> [String; 5] {
    let after = span.after.as_ref().map_or_else(|| "-".to_owned(), waited_for);
    [seconds(span.start), seconds(span.elapsed), shown(&span.host), shown(&span.phase), after]
}

fn phase_row(total: &PhaseTotal) -> [String; 6] {
    [
        shown(&total.phase),
        total.count.to_string(),
        total.failed.to_string(),
        seconds(total.total),
        seconds(total.longest),
        shown(&total.host),
    ]
}

fn tone(fate: Fate) -> &'static str {
    match fate {
        Fate::Unreachable | Fate::Failed => "e",
        Fate::Incomplete => "w",
        Fate::Well => "p",
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// JSON for a script element: the same value, and nothing in it that HTML could take for an end or a comment.
fn in_script(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
