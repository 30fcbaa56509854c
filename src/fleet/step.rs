//! A command that is one step: the same work on every host, told as events as a workflow's phases are.

use std::fmt;
use std::future::{Future, pending};
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

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
#[derive(Debug)]
pub struct Task {
    /// The host.
    pub host: Arc<Host>,
    /// Where it is among the hosts of the step.
    pub place: usize,
    step: &'static str,
    reporter: Reporter,
    started: Instant,
    changes: AtomicUsize,
}

impl Task {
    /// Tell of a change, made or, in a dry run, to be made.
    pub fn changed(&self, what: String, detail: Option<String>, dry_run: bool) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let (host, phase) = self.names();
        self.reporter.emit(Event::Changed { host, phase, what, detail, dry_run });
    }

    /// Tell of something the operator should know.
    pub fn warn(&self, text: impl Into<String>) {
        let (host, phase) = self.names();
        self.reporter.emit(Event::Warning { host, phase, text: text.into() });
    }

    /// Tell how far the work is.
    pub fn progress(&self, done: u64, of: u64, unit: Unit) {
        let (host, phase) = self.names();
        self.reporter.emit(Event::Progress { host, phase, done, of, unit });
    }

    /// Tell of a line that a command printed.
    pub fn output(&self, stderr: bool, line: &str) {
        let host = self.host.name.clone();
        self.reporter.emit(Event::Output { host, stderr, line: line.to_owned() });
    }

    /// `work`, which tells of lines that a command prints, held up while too many wait to be shown.
    pub async fn paced<F: Future>(&self, work: F) -> F::Output {
        self.reporter.paced(work).await
    }

    /// Wait for `work`, at most `limit`, and tell how it ended. `None` where it took too long.
    async fn follow<T, E: StepError>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        limit: Option<Duration>,
    ) -> Option<Result<T, E>> {
        let result = match limit {
            None => Ok(work.await),
            Some(limit) => timeout(limit, work).await.map_err(|_| limit),
        };
        let changes = self.changes.load(Ordering::Relaxed);
        let outcome = match &result {
            Ok(Ok(_)) => Outcome::Done { changes },
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
        };
        let ((host, phase), elapsed) = (self.names(), self.started.elapsed());
        self.reporter.emit(Event::PhaseFinished { host, phase, outcome, elapsed });
        result.ok()
    }

    fn names(&self) -> (String, String) {
        (self.host.name.clone(), self.step.to_owned())
    }
}

impl Step {
    /// Do `work` on every host, in a task of its own on each: woken by itself for what its host says, not all of them for
    /// every one. How it ended there goes to the reporter. Gives what came of it, in the order of `hosts`: `None` where it
    /// did not begin, or not end in time.
    pub async fn run<T, E, F>(
        &self,
        hosts: &[Arc<Host>],
        work: impl Fn(Arc<Task>) -> F,
    ) -> Vec<Option<Result<T, E>>>
    where
        T: Send + 'static,
        E: StepError + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        for host in hosts {
            self.plan(host);
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
        let outcomes = run_all(hosts, &self.pace, &self.cancel, announce, |place, host| {
            let (task, limit) = (Arc::new(self.begin(place, host)), self.timeout);
            // Ten thousand hosts may be at it at once: its room counts once, not in each future around it.
            let work = Box::pin(work(task.clone()));
            let running = tokio::spawn(async move { task.follow(work, limit).await });
            async move {
                match AbortOnDropHandle::new(running).await {
                    Ok(Some(result)) => result.map_err(Some),
                    Ok(None) => Err(None),
                    // Only the end of the program ends it otherwise.
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => resume_unwind(panic),
                        Err(_) => pending().await,
                    },
                }
            }
        })
        .await;
        let ended = |(host, outcome): (&Arc<Host>, run::Outcome<T, Option<E>>)| {
            let reason = match outcome {
                run::Outcome::Done(value) => return Some(Ok(value)),
                run::Outcome::Failed(error) => return error.map(Err),
                run::Outcome::Cancelled => "interrupted".to_owned(),
                run::Outcome::NotStarted(reason) => reason,
            };
            self.reporter.emit(Event::PhaseFinished {
                host: host.name.clone(),
                phase: self.name.to_owned(),
                outcome: Outcome::Skipped { reason },
                elapsed: Duration::ZERO,
            });
            None
        };
        outcomes.into_iter().map(ended).collect()
    }

    /// Do `work`, which is about all of a cluster, in the name of `host`. Gives what came of it, `None` where it did not
    /// end in time.
    pub async fn run_once<T, E: StepError>(
        &self,
        host: &Arc<Host>,
        work: impl AsyncFnOnce(&Task) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        self.plan(host);
        let task = self.begin(0, host);
        task.follow(work(&task), self.timeout).await
    }

    fn plan(&self, host: &Host) {
        self.reporter.emit(Event::Planned { host: host.name.clone(), tasks: 1 });
    }

    fn begin(&self, place: usize, host: &Arc<Host>) -> Task {
        self.reporter.emit(Event::PhaseStarted {
            host: host.name.clone(),
            phase: self.name.to_owned(),
            after: None,
        });
        Task {
            host: host.clone(),
            place,
            step: self.name,
            reporter: self.reporter.clone(),
            started: Instant::now(),
            changes: AtomicUsize::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

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

    async fn run<F>(
        step: impl FnOnce(Reporter) -> Step,
        work: impl Fn(Arc<Task>) -> F,
    ) -> (Vec<Event>, Summary)
    where
        F: Future<Output = Result<(), Refused>> + Send + 'static,
    {
        let (reporter, mut receiver) = Reporter::channel();
        let step = step(reporter);
        let hosts = hosts(4);
        step.run(&hosts, work).await;
        drop(step);
        let (mut events, mut summary) = (Vec::new(), Summary::default());
        while let Some(event) = receiver.recv().await {
            summary.record(&event, OffsetDateTime::now_utc());
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
        let (_, summary) = run(step, |task| async move {
            match task.host.name.as_str() {
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
            }
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
        let (_, summary) = run(limited, |task| async move {
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
        let (events, summary) = run(rolling, |task| async move {
            match task.host.name.as_str() {
                "node-1" => Err(Refused("no")),
                _ => Ok(()),
            }
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
        let (_, summary) = run(cancelled, |_| async { Ok(()) }).await;
        assert_eq!(summary.hosts["node-0"].skip_reason.as_deref(), Some("interrupted"));
    }
}
