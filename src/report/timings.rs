//! Where the time of a run went, to be read: the critical path, and what each phase took. As text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::timeline::{PhaseTotal, Span, critical_path, phase_totals};
use super::{After, Why, aligned, printable_line};

/// How long a name may get in a table, in characters.
const NAME_LIMIT: usize = 80;

/// Both tables. Without a task there is nothing to say.
pub(super) fn text(spans: &[Span]) -> String {
    if spans.is_empty() {
        return String::new();
    }
    format!("{}\n{}", path_text(spans), totals_text(&phase_totals(spans)))
}

/// The critical path, with a line that says how much of the run it is.
pub(super) fn path_text(spans: &[Span]) -> String {
    let path: Vec<&Span> = critical_path(spans).into_iter().map(|place| &spans[place]).collect();
    let busy: Duration = path.iter().map(|span| span.elapsed).sum();
    let end = path.last().map(|span| span.end()).unwrap_or_default();
    let header = ["START", "TOOK", "HOST", "PHASE", "WAITED FOR"].map(str::to_owned);
    let rows: Vec<_> = path.iter().map(|span| path_row(span)).collect();
    format!(
        "critical path: {} of {} in {} {}\n{}",
        seconds(busy),
        seconds(end),
        path.len(),
        if path.len() == 1 { "task" } else { "tasks" },
        aligned(&header, &rows)
    )
}

fn path_row(span: &Span) -> [String; 5] {
    [
        seconds(span.start),
        seconds(span.elapsed),
        name(&span.host),
        name(&span.phase),
        span.after.as_ref().map_or_else(|| "-".to_owned(), waited_for),
    ]
}

/// What a task waited for, in words.
pub(super) fn waited_for(after: &After) -> String {
    let task = format!("{} {}", name(&after.host), name(&after.phase));
    match after.why {
        Why::Need => task,
        Why::Batch => format!("its batch, after {task}"),
        Why::Place => format!("a place (--parallel), after {task}"),
    }
}

/// What each phase took, the most first.
pub(super) fn totals_text(totals: &[PhaseTotal]) -> String {
    let header = ["PHASE", "TASKS", "FAILED", "TOTAL", "LONGEST", "ON"].map(str::to_owned);
    let row = |total: &PhaseTotal| {
        [
            name(&total.phase),
            total.count.to_string(),
            total.failed.to_string(),
            seconds(total.total),
            seconds(total.longest),
            name(&total.host),
        ]
    };
    aligned(&header, &totals.iter().map(row).collect::<Vec<_>>())
}

/// Both as fields of an object.
pub(super) fn value(spans: &[Span]) -> Value {
    let task = |span: &Span| {
        json!({
            "host": span.host,
            "phase": span.phase,
            "start": span.start.as_secs_f64(),
            "seconds": span.elapsed.as_secs_f64(),
            "after": span.after,
        })
    };
    let phase = |total: PhaseTotal| {
        json!({
            "phase": total.phase,
            "tasks": total.count,
            "failed": total.failed,
            "seconds": total.total.as_secs_f64(),
            "longest": total.longest.as_secs_f64(),
            "longest_on": total.host,
        })
    };
    let path = critical_path(spans);
    json!({
        "critical_path": path.into_iter().map(|place| task(&spans[place])).collect::<Vec<_>>(),
        "phases": phase_totals(spans).into_iter().map(phase).collect::<Vec<_>>(),
    })
}

/// `12.3 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn name(text: &str) -> String {
    printable_line(text, NAME_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::End;

    fn span(host: &str, phase: &str, start: u64, took: u64, after: Option<After>) -> Span {
        Span {
            host: host.to_owned(),
            phase: phase.to_owned(),
            start: Duration::from_millis(start),
            elapsed: Duration::from_millis(took),
            after,
            end: End::Done,
        }
    }

    #[test]
    fn tables_say_where_the_time_went() {
        let after = |host: &str, phase: &str, why| {
            Some(After { host: host.to_owned(), phase: phase.to_owned(), why })
        };
        let spans = [
            span("cp-1", "init/preflight", 400, 1200, None),
            span("node-1", "join/preflight", 400, 900, None),
            span("cp-1", "init/certs", 1600, 3000, after("cp-1", "init/preflight", Why::Need)),
            span("node-1", "join/\u{1b}[31m", 4600, 2000, after("cp-1", "init/certs", Why::Place)),
        ];
        insta::assert_snapshot!(text(&spans), @r"
        critical path: 6.2 s of 6.6 s in 3 tasks
        START  TOOK   HOST    PHASE           WAITED FOR
        0.4 s  1.2 s  cp-1    init/preflight  -
        1.6 s  3.0 s  cp-1    init/certs      cp-1 init/preflight
        4.6 s  2.0 s  node-1  join/           a place (--parallel), after cp-1 init/certs

        PHASE           TASKS  FAILED  TOTAL  LONGEST  ON
        init/certs      1      0       3.0 s  3.0 s    cp-1
        join/           1      0       2.0 s  2.0 s    node-1
        init/preflight  1      0       1.2 s  1.2 s    cp-1
        join/preflight  1      0       0.9 s  0.9 s    node-1
        ");
        let value = value(&spans);
        assert_eq!(value["critical_path"][2]["after"]["why"], "place");
        assert_eq!(value["phases"][0]["phase"], "init/certs");
        assert_eq!(text(&[]), "");
    }
}
