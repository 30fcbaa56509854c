//! A command that is one step: the same work on every host, told as events as a workflow's phases are.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::run::{self, run_all};
use crate::inventory::{Host, fold_hosts};
use crate::report::{Event, Outcome, Reporter, Unit};

/// The step, and how it is run.
pub struct Step {
    /// What events call it.
    pub name: &'static str,
    /// How fast it goes through the hosts.
    pub pace: Pace,
    /// Limit for one host, from connecting to the end of the work.
    pub timeout: Option<Duration>,
    /// Fires when the operator wants the run to stop: what is under way ends, nothing else begins.
    pub cancel: CancellationToken,
    /// Where events go.
    pub reporter: Reporter,
}

/// Why a step failed on a host.
pub trait StepError: fmt::Display {
    /// The host could not be reached (exit status 4 rather than 3).
    fn is_unreachable(&self) -> bool;
}

/// The step on one host: tells what happens there.
pub struct Task<'a> {
    /// The host.
    pub host: &'a Host,
    step: &'a Step,
    changes: AtomicUsize,
}

impl Task<'_> {
    /// Tell of a change, made or, in a dry run, to be made.
    pub fn changed(&self, what: String, detail: Option<String>, dry_run: bool) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let (host, phase) = self.names();
        self.step.reporter.emit(Event::Changed { host, phase, what, detail, dry_run });
    }

    /// Tell of something the operator should know.
    pub fn warn(&self, text: impl Into<String>) {
        let (host, phase) = self.names();
        self.step.reporter.emit(Event::Warning { host, phase, text: text.into() });
    }

    /// Tell how far the work is.
    pub fn progress(&self, done: u64, of: u64, unit: Unit) {
        let (host, phase) = self.names();
        self.step.reporter.emit(Event::Progress { host, phase, done, of, unit });
    }

    /// Tell of a line that a command printed.
    pub fn output(&self, stderr: bool, line: &str) {
        let (host, _) = self.names();
        self.step.reporter.emit(Event::Output { host, stderr, line: line.to_owned() });
    }

    /// `work`, which tells of lines that a command prints, held up while too many wait to be shown.
    pub async fn paced<F: Future>(&self, work: F) -> F::Output {
        self.step.reporter.paced(work).await
    }

    fn names(&self) -> (String, String) {
        (self.host.name.clone(), self.step.name.to_owned())
    }
}

impl Step {
    /// Do `work` on every host. How it ended there goes to the reporter.
    pub async fn run<'a, E: StepError>(
        &'a self,
        hosts: &'a [Host],
        work: impl AsyncFn(&Task<'a>) -> Result<(), E>,
    ) {
        for host in hosts {
            self.reporter.emit(Event::Planned { host: host.name.clone(), tasks: 1 });
        }
        let batches = self.pace.batches(hosts.len()).len();
        let mut batch = 0;
        let announce = |range: Range<usize>| {
            batch += 1;
            if batches > 1 {
                let hosts: Vec<String> =
                    hosts[range].iter().map(|host| host.name.clone()).collect();
                let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
                let folded = fold_hosts(&names);
                self.reporter.emit(Event::BatchStarted { batch, batches, hosts, folded });
            }
        };
        let work = &work;
        let outcomes = run_all(hosts, &self.pace, &self.cancel, announce, |host| async move {
            let started = Instant::now();
            self.reporter.emit(Event::PhaseStarted {
                host: host.name.clone(),
                phase: self.name.to_owned(),
                after: None,
            });
            let task = Task { host, step: self, changes: AtomicUsize::new(0) };
            // Ten thousand hosts may be at it at once: its room counts once, not in each future around it.
            let outcome = self.limited(Box::pin(work(&task)), &task).await;
            let failed = matches!(outcome, Outcome::Failed { .. });
            self.ended(host, outcome, started.elapsed());
            if failed { Err(()) } else { Ok(()) }
        })
        .await;
        for (host, outcome) in outcomes {
            let reason = match outcome {
                run::Outcome::Cancelled => "interrupted".to_owned(),
                run::Outcome::NotStarted(reason) => reason,
                run::Outcome::Done(()) | run::Outcome::Failed(()) => continue,
            };
            self.ended(host, Outcome::Skipped { reason }, Duration::ZERO);
        }
    }

    async fn limited<E: StepError>(
        &self,
        work: impl Future<Output = Result<(), E>>,
        task: &Task<'_>,
    ) -> Outcome {
        let result = match self.timeout {
            None => Ok(work.await),
            Some(limit) => timeout(limit, work).await.map_err(|_| limit),
        };
        let changes = task.changes.load(Ordering::Relaxed);
        match result {
            Ok(Ok(())) => Outcome::Done { changes },
            Ok(Err(error)) => Outcome::Failed {
                error: error.to_string(),
                unreachable: error.is_unreachable(),
                changes,
            },
            Err(limit) => Outcome::Failed {
                error: format!("not done within {} s (--timeout)", limit.as_secs_f64()),
                unreachable: false,
                changes,
            },
        }
    }

    fn ended(&self, host: &Host, outcome: Outcome, elapsed: Duration) {
        let (host, phase) = (host.name.clone(), self.name.to_owned());
        self.reporter.emit(Event::PhaseFinished { host, phase, outcome, elapsed });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Share;
    use crate::fleet::run::tests::hosts;
    use crate::report::Summary;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Refused(&'static str);

    impl StepError for Refused {
        fn is_unreachable(&self) -> bool {
            self.0 == "gone"
        }
    }

    async fn run(
        step: impl FnOnce(Reporter) -> Step,
        work: impl AsyncFn(&Task<'_>) -> Result<(), Refused>,
    ) -> (Vec<Event>, Summary) {
        let (reporter, mut receiver) = Reporter::channel();
        let step = step(reporter);
        let hosts = hosts(4);
        step.run(&hosts, work).await;
        drop(step);
        let (mut events, mut summary) = (Vec::new(), Summary::default());
        while let Some(event) = receiver.recv().await {
            summary.record(&event);
            events.push(event);
        }
        (events, summary)
    }

    fn step(reporter: Reporter) -> Step {
        Step {
            name: "exec",
            pace: Pace::parallel(4),
            timeout: None,
            cancel: CancellationToken::new(),
            reporter,
        }
    }

    #[tokio::test]
    async fn outcomes_are_told() {
        let (_, summary) = run(step, async |task| match task.host.name.as_str() {
            "node-0" => {
                task.changed("create /x".to_owned(), None, false);
                Ok(())
            }
            "node-1" => Err(Refused("gone")),
            "node-2" => {
                task.changed("create /x".to_owned(), None, false);
                Err(Refused("no"))
            }
            _ => Ok(()),
        })
        .await;
        assert_eq!((summary.changes(), summary.failed()), (2, 2));
        assert_eq!(summary.incomplete(), ["node-1", "node-2"]);
        assert!(summary.hosts["node-1"].unreachable && !summary.hosts["node-2"].unreachable);
    }

    #[tokio::test]
    async fn a_host_that_takes_too_long_fails() {
        let limit = Duration::from_millis(50);
        let limited = |reporter| Step { timeout: Some(limit), ..step(reporter) };
        let (_, summary) = run(limited, async |task| {
            if task.host.name == "node-3" {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
        .await;
        assert_eq!(summary.incomplete(), ["node-3"]);
        let (_, error) = summary.hosts["node-3"].failure.clone().unwrap();
        insta::assert_snapshot!(error, @"not done within 0.05 s (--timeout)");
    }

    #[tokio::test]
    async fn hosts_that_did_not_begin_are_skipped() {
        let pace = Pace {
            serial: Some(Share::Count(1)),
            max_failures: Some(Share::Count(0)),
            ..Pace::parallel(4)
        };
        let rolling = |reporter| Step { pace, ..step(reporter) };
        let (events, summary) = run(rolling, async |task| match task.host.name.as_str() {
            "node-1" => Err(Refused("no")),
            _ => Ok(()),
        })
        .await;
        let batches = events.iter().filter(|event| matches!(event, Event::BatchStarted { .. }));
        assert_eq!(batches.count(), 2);
        assert_eq!(summary.incomplete(), ["node-1", "node-2", "node-3"]);
        let reason = summary.hosts["node-2"].skip_reason.clone().unwrap();
        insta::assert_snapshot!(reason, @"not started: 1 host failed, --max-failures 0");

        let cancel = CancellationToken::new();
        cancel.cancel();
        let cancelled = |reporter| Step { cancel, ..step(reporter) };
        let (_, summary) = run(cancelled, async |_| Ok(())).await;
        assert_eq!(summary.hosts["node-0"].skip_reason.as_deref(), Some("interrupted"));
    }
}
