use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::report::{After, End, Event, Outcome, Summary, Timeline, Why};

fn names(names: &[&str]) -> String {
    names.join(",")
}

/// A run that began so many seconds after the others; of each task its host, phase, start, duration and error.
fn record(id: &str, after: u64, tasks: &[(&str, &str, u64, u64, Option<&str>)]) -> RunRecord {
    let started = datetime!(2026-03-01 12:00:00 UTC) + Duration::from_secs(after);
    let (mut summary, mut timeline) = (Summary::default(), Timeline::new(started));
    let at = |milliseconds| started + Duration::from_millis(milliseconds);
    let mut ended: OffsetDateTime = started;
    let mut before: Option<After> = None;
    for &(host, phase, start, took, error) in tasks {
        let (host, phase) = (host.to_owned(), phase.to_owned());
        let begun =
            Event::PhaseStarted { host: host.clone(), phase: phase.clone(), after: before.clone() };
        before = Some(After { host: host.clone(), phase: phase.clone(), why: Why::Need });
        let outcome = match error {
            None => Outcome::Done { changes: 1 },
            Some(error) => Outcome::Failed {
                error: error.to_owned(),
                unreachable: error.contains("refused"),
                changes: 0,
            },
        };
        let elapsed = Duration::from_millis(took);
        let finished = Event::PhaseFinished { host: host.clone(), phase, outcome, elapsed };
        for (event, time) in [(begun, at(start)), (finished, at(start + took))] {
            summary.record(&event, time);
            timeline.record(&event, time);
            ended = ended.max(time);
        }
    }
    RunRecord {
        id: id.to_owned(),
        command: "apply".to_owned(),
        version: None,
        inventory: Some("/etc/fleet.toml".to_owned()),
        limit: Some("worker".to_owned()),
        shard: Some(format!("{id}/2")),
        started,
        ended,
        exit_status: Some(summary.exit_status()),
        under_way: false,
        summary,
        spans: timeline.into_spans(ended),
        left_out: 0,
    }
}

fn two_shards() -> Vec<RunRecord> {
    vec![
        record(
            "1",
            0,
            &[
                ("node-1", "join/preflight", 0, 1000, None),
                ("node-1", "join/kubelet-start", 1000, 4000, None),
                ("node-3", "join/preflight", 5000, 500, Some("swap is on")),
            ],
        ),
        record(
            "2",
            3,
            &[
                ("node-2", "join/preflight", 0, 1000, None),
                ("node-2", "join/kubelet-start", 1000, 9000, None),
                ("node-4", "join/preflight", 10_000, 100, Some("connection refused")),
            ],
        ),
    ]
}

#[test]
fn shards_make_one_report() {
    let review = Review::new(two_shards(), names);
    assert_eq!(review.exit_status(), 4);
    insta::assert_snapshot!(review.to_text(true), @r"
    apply      1  2026-03-01 12:00:00 UTC, 5.5 s, exit status 3, --limit worker, --shard 1/2, 2 hosts
    apply      2  2026-03-01 12:00:03 UTC, 10.1 s, exit status 4, --limit worker, --shard 2/2, 2 hosts
    inventory  /etc/fleet.toml
    hosts      4: 2 ok, 1 failed, 1 unreachable; 4 changes, 0 warnings

    unreachable in join/preflight (1): node-4
      connection refused

    failed in join/preflight (1): node-3
      swap is on

    HOST    RESULT                         CHANGED  BUSY
    node-1  ok                             2        5.0 s
    node-2  ok                             2        10.0 s
    node-3  failed in join/preflight       0        0.5 s
    node-4  unreachable in join/preflight  0        0.1 s

    critical path: 10.1 s of 13.1 s in 3 tasks
    START   TOOK   HOST    PHASE               WAITED FOR
    3.0 s   1.0 s  node-2  join/preflight      -
    4.0 s   9.0 s  node-2  join/kubelet-start  node-2 join/preflight
    13.0 s  0.1 s  node-4  join/preflight      node-2 join/kubelet-start

    PHASE               TASKS  FAILED  TOTAL   LONGEST  ON
    join/kubelet-start  2      0       13.0 s  9.0 s    node-2
    join/preflight      4      2       2.6 s   1.0 s    node-1
    ");
    let value = review.to_json();
    assert_eq!(value["hosts"].as_array().unwrap().len(), 4);
    assert_eq!(value["hosts"][3]["result"], "unreachable");
    assert_eq!(value["critical_path"].as_array().unwrap().len(), 3);
    assert_eq!(value["exit_status"], 4);
}

#[test]
fn a_run_that_was_made_again_counts_once() {
    let mut records = two_shards();
    // The order in which they are named says nothing.
    records.insert(
        0,
        record(
            "2",
            60,
            &[
                ("node-2", "join/preflight", 0, 100, None),
                ("node-4", "join/preflight", 0, 100, None),
            ],
        ),
    );
    let review = Review::new(records, names);
    assert_eq!((review.runs.len(), review.exit_status()), (2, 3));
    assert_eq!(review.count(Fate::Well), 3);
    let mut cut = two_shards();
    cut[0].exit_status = None;
    cut.truncate(1);
    assert_eq!(Review::new(cut, names).exit_status(), 1);
}

#[test]
fn what_records_say_stays_text() {
    let hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u{1b}[2J<!--";
    let records = vec![record(hostile, 0, &[(hostile, hostile, 0, 10, Some(hostile))])];
    let review = Review::new(records, names);
    let page = review.to_html().unwrap();
    assert!(!page.contains("<img") && !page.contains("<!--"), "{page}");
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (2, 2));
    assert!(!page.chars().any(|c| c.is_control() && c != '\n'));
    assert!(!review.to_text(true).chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn a_large_fleet_makes_a_page_of_bounded_size() {
    let started = datetime!(2026-03-01 12:00:00 UTC);
    let mut whole = record("1", 0, &[]);
    for host in 0..12_000 {
        let name = format!("node-{host:05}");
        let mut summary =
            crate::report::HostSummary { planned: 30, ended: 30, ..Default::default() };
        if host == 11_999 {
            summary.failure = Some(("join/certs".to_owned(), "no".to_owned()));
        }
        whole.summary.hosts.insert(name.clone(), summary);
        whole.spans.extend((0..30).map(|phase| Span {
            host: name.clone(),
            phase: format!("join/phase-{phase}"),
            start: Duration::from_millis(phase * 1000),
            elapsed: Duration::from_millis(900),
            after: None,
            end: End::Done,
        }));
    }
    whole.ended = started + Duration::from_secs(31);
    let page = Review::new(vec![whole], names).to_html().unwrap();
    assert!(page.len() < 10_000_000, "{}", page.len());
    assert!(page.contains("2000 more hosts"), "{}", &page[..3000]);
    // Whoever failed is drawn.
    assert!(page.contains("\"hosts\":[\"node-11999\""));
}

#[test]
fn reasons_that_are_each_hosts_own_are_bounded() {
    let hosts: Vec<String> = (0..300).map(|host| format!("node-{host:03}")).collect();
    let reasons: Vec<String> = (0..300).map(|host| format!("10.0.0.{host}: refused")).collect();
    let tasks: Vec<_> = hosts
        .iter()
        .zip(&reasons)
        .map(|(name, reason)| (name.as_str(), "exec", 0, 10, Some(reason.as_str())))
        .collect();
    let review = Review::new(vec![record("1", 0, &tasks)], |names| names.len().to_string());
    let causes = review.causes();
    assert_eq!(causes.len(), MAX_CAUSES + 1);
    assert_eq!(causes.iter().map(|cause| cause.hosts.len()).sum::<usize>(), 300);
    assert!(review.to_text(false).contains("unreachable in exec (260): 260\n  for other reasons"));
}
