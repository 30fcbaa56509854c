//! How a run spent its time: its tasks as they went, the chain of them that determined its end, and what each phase took in
//! all. Pure: told by events, during a run or from its record.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use time::OffsetDateTime;

use super::{After, Event, Outcome};

/// A task as it went. Tasks that were never begun have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Inventory name.
    pub host: String,
    /// `workflow/phase`.
    pub phase: String,
    /// When it began, from the beginning of the run.
    pub start: Duration,
    /// Wall time.
    pub elapsed: Duration,
    /// What it waited for last.
    pub after: Option<After>,
    /// How it ended.
    pub end: End,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well; also when there was nothing to do.
    Done,
    /// It failed.
    Failed,
    /// It was given up, with the run.
    Skipped,
    /// It had not ended when the run did.
    Open,
}

impl Span {
    /// When it ended, from the beginning of the run.
    pub fn end(&self) -> Duration {
        self.start + self.elapsed
    }
}

/// What a phase took on all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseTotal {
    /// `workflow/phase`.
    pub phase: String,
    /// How often it was run.
    pub count: usize,
    /// Of those, failed.
    pub failed: usize,
    /// Time on all hosts together.
    pub total: Duration,
    /// The longest of them.
    pub longest: Duration,
    /// Where that was.
    pub host: String,
}

/// Gathers the tasks of a run from its events.
#[derive(Debug, Clone)]
pub struct Timeline {
    started: OffsetDateTime,
    spans: Vec<Span>,
    /// The tasks under way, as places in `spans`.
    open: HashMap<(String, String), usize>,
}

impl Timeline {
    /// Of a run that began then.
    pub fn new(started: OffsetDateTime) -> Self {
        Self { started, spans: Vec::new(), open: HashMap::new() }
    }

    /// Take an event into account.
    pub fn record(&mut self, event: &Event, at: OffsetDateTime) {
        // Clocks can be put back.
        let now = Duration::try_from(at - self.started).unwrap_or_default();
        match event {
            Event::PhaseStarted { host, phase, after } => {
                self.open.insert((host.clone(), phase.clone()), self.spans.len());
                self.spans.push(Span {
                    host: host.clone(),
                    phase: phase.clone(),
                    start: now,
                    elapsed: Duration::ZERO,
                    after: after.clone(),
                    end: End::Open,
                });
            }
            Event::PhaseFinished { host, phase, outcome, elapsed } => {
                let Some(place) = self.open.remove(&(host.clone(), phase.clone())) else { return };
                let span = &mut self.spans[place];
                span.elapsed = *elapsed;
                span.end = match outcome {
                    Outcome::Done { .. } | Outcome::NotNeeded { .. } => End::Done,
                    Outcome::Skipped { .. } => End::Skipped,
                    Outcome::Failed { .. } => End::Failed,
                };
            }
            _ => {}
        }
    }

    /// The tasks in the order they began, of a run that ended then: what had not ended by itself did so with it.
    pub fn into_spans(mut self, ended: OffsetDateTime) -> Vec<Span> {
        let end = Duration::try_from(ended - self.started).unwrap_or_default();
        for span in self.spans.iter_mut().filter(|span| span.end == End::Open) {
            span.elapsed = end.saturating_sub(span.start);
        }
        self.spans
    }
}

/// The chain of tasks that determined the end of the run, in order, as places in `spans`: the task that ended last, before it
/// the one whose end let it begin, and so on to one that waited for nothing known.
pub fn critical_path(spans: &[Span]) -> Vec<usize> {
    let mut by_name: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (place, span) in spans.iter().enumerate() {
        by_name.entry((&span.host, &span.phase)).or_default().push(place);
    }
    let mut path = Vec::new();
    let mut next = (0..spans.len()).max_by_key(|place| spans[*place].end());
    while let Some(place) = next {
        path.push(place);
        let span = &spans[place];
        // A phase can run more than once on a host. What a record says may be wrong, but a walk back in time has an end.
        let earlier = |other: &&usize| (spans[**other].start, **other) < (span.start, place);
        next = span.after.as_ref().and_then(|after| {
            let named = by_name.get(&(after.host.as_str(), after.phase.as_str()))?;
            named.iter().filter(earlier).max_by_key(|other| spans[**other].start).copied()
        });
    }
    path.reverse();
    path
}

/// What each phase took, the most first.
pub fn phase_totals(spans: &[Span]) -> Vec<PhaseTotal> {
    let mut totals: BTreeMap<&str, PhaseTotal> = BTreeMap::new();
    for span in spans {
        let total = totals.entry(&span.phase).or_insert_with(|| PhaseTotal {
            phase: span.phase.clone(),
            count: 0,
            failed: 0,
            total: Duration::ZERO,
            longest: Duration::ZERO,
            host: span.host.clone(),
        });
        total.count += 1;
        total.failed += usize::from(span.end == End::Failed);
        total.total += span.elapsed;
        if span.elapsed > total.longest {
            total.longest = span.elapsed;
            total.host.clone_from(&span.host);
        }
    }
    let mut totals: Vec<PhaseTotal> = totals.into_values().collect();
    totals.sort_by_key(|total| std::cmp::Reverse(total.total));
    totals
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;
    use crate::report::Why;

    fn span(name: usize, start: u64, elapsed: u64, after: Option<usize>) -> Span {
        let after = after.map(|other| After {
            host: format!("host-{other}"),
            phase: "phase".to_owned(),
            why: Why::Need,
        });
        Span {
            host: format!("host-{name}"),
            phase: "phase".to_owned(),
            start: Duration::from_millis(start),
            elapsed: Duration::from_millis(elapsed),
            after,
            end: End::Done,
        }
    }

    #[test]
    fn the_path_leads_to_what_ended_last() {
        let spans = [
            span(0, 0, 100, None),
            span(1, 0, 300, None),
            span(2, 100, 50, Some(0)),
            span(3, 300, 20, Some(1)),
            span(4, 150, 400, Some(2)),
        ];
        assert_eq!(critical_path(&spans), [0, 2, 4]);
        assert_eq!(critical_path(&[]), Vec::<usize>::new());
    }

    #[test]
    fn a_phase_that_ran_twice_is_told_apart() {
        let spans = [span(0, 0, 10, None), span(0, 50, 10, None), span(1, 60, 10, Some(0))];
        assert_eq!(critical_path(&spans), [1, 2]);
        let spans = [span(0, 0, 10, None), span(1, 10, 90, Some(0)), span(0, 50, 10, None)];
        assert_eq!(critical_path(&spans), [0, 1]);
    }

    #[test]
    fn events_become_spans() {
        let started = datetime!(2026-03-01 12:00:00 UTC);
        let mut timeline = Timeline::new(started);
        let begin = |host: &str| Event::PhaseStarted {
            host: host.to_owned(),
            phase: "exec".to_owned(),
            after: None,
        };
        let at = |milliseconds| started + Duration::from_millis(milliseconds);
        timeline.record(&begin("one"), at(100));
        timeline.record(&begin("two"), at(200));
        // The clock was put back.
        timeline.record(&begin("three"), started - Duration::from_secs(5));
        timeline.record(
            &Event::PhaseFinished {
                host: "one".to_owned(),
                phase: "exec".to_owned(),
                outcome: Outcome::Failed { error: String::new(), unreachable: false, changes: 0 },
                elapsed: Duration::from_millis(30),
            },
            at(130),
        );
        let spans = timeline.into_spans(at(1000));
        let told: Vec<_> = spans
            .iter()
            .map(|span| (span.start.as_millis(), span.elapsed.as_millis(), span.end))
            .collect();
        assert_eq!(told, [(100, 30, End::Failed), (200, 800, End::Open), (0, 1000, End::Open)]);
        let totals = phase_totals(&spans);
        assert_eq!((totals[0].count, totals[0].failed, totals[0].host.as_str()), (3, 1, "three"));
        assert_eq!(totals[0].total, Duration::from_millis(1830));
    }

    proptest! {
        /// With places for all, the tasks of the path follow each other without a gap and fill the whole run.
        #[test]
        fn the_path_is_as_long_as_the_run(
            tasks in prop::collection::vec((1u64..1000, prop::collection::vec(any::<prop::sample::Index>(), 0..4)), 1..60)
        ) {
            let mut spans: Vec<Span> = Vec::new();
            for (name, (elapsed, needs)) in tasks.iter().enumerate() {
                let needs = needs.iter().filter(|_| name > 0).map(|need| need.index(name));
                let last = needs.max_by_key(|need| spans[*need].end());
                let start = last.map_or(0, |need| spans[need].end().as_millis() as u64);
                spans.push(span(name, start, *elapsed, last));
            }
            let path = critical_path(&spans);
            let whole = spans.iter().map(Span::end).max().unwrap();
            prop_assert_eq!(path.iter().map(|place| spans[*place].elapsed).sum::<Duration>(), whole);
            prop_assert_eq!(spans[path[0]].start, Duration::ZERO);
            for pair in path.windows(2) {
                prop_assert_eq!(spans[pair[0]].end(), spans[pair[1]].start);
            }
        }

        /// A record may say anything.
        #[test]
        fn a_path_has_an_end(
            tasks in prop::collection::vec((0usize..5, 0u64..50, 0u64..50, prop::option::of(0usize..6)), 0..40)
        ) {
            let spans: Vec<Span> =
                tasks.iter().map(|(name, start, elapsed, after)| span(*name, *start, *elapsed, *after)).collect();
            let path = critical_path(&spans);
            let mut once = path.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), path.len());
            prop_assert_eq!(path.is_empty(), spans.is_empty());
            prop_assert_eq!(phase_totals(&spans).iter().map(|total| total.count).sum::<usize>(), spans.len());
        }
    }
}
