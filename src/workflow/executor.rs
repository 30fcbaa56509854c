//! Executes the tasks of a plan: hooks around them, events about them, and the end of the run.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::fleet::Pace;
use crate::inventory::{Host, fold_hosts};
use crate::phases::{Context, Done, PhaseError, Run, hooks};
use crate::report::{After, Event, Outcome};

use super::phase::{First, Phase, Scope};
use super::plan::{Choice, Plan};
use super::scheduler::{self, Cause, Ended, Verdict};

/// How a workflow is run.
pub struct Options {
    /// Tasks under way at once, hosts in a batch, and failures tolerated.
    pub pace: Pace,
    /// Which phases are wanted.
    pub choice: Choice,
    /// Which of the selected hosts take part.
    pub which: Scope,
    /// Limit for the run. Once it has passed, `stop` is fired.
    pub timeout: Option<Duration>,
    /// Fires when the run is to stop: tasks under way end, no others begin. The run's own.
    pub stop: CancellationToken,
}

/// Why a run was stopped, as far as that was not the operator.
#[derive(Clone, Default)]
struct Stop(Arc<OnceLock<String>>);

impl Stop {
    fn reason(&self) -> String {
        self.0.get().cloned().unwrap_or_else(|| "interrupted".to_owned())
    }
}

/// Run a workflow to its end. How each task ended goes to the run's reporter; tokens made for the run are
/// deleted at the end, whatever happened.
pub async fn run(run: Arc<Run>, phases: &[&'static Phase], options: Options) {
    stage(&run, phases, options).await;
    run.finish().await;
}

/// Run a part of a workflow, after which the connections are still there for the next one. The last part is for [`run`].
pub async fn stage(run: &Arc<Run>, phases: &[&'static Phase], options: Options) {
    let Options { pace, choice, which, timeout, stop } = options;
    let hosts = run.hosts();
    if let Err(error) = run.lease_cluster().await {
        return refuse(&hosts, "lease", &error, run);
    }
    // A workflow that does not care which it is must not fail where nobody can tell.
    let asked = phases.iter().any(|phase| phase.scope.tells_first()) || which.tells_first();
    if asked && let Err(error) = run.find_first_control_plane().await {
        return refuse(&hosts, "find the first control plane", &error, run);
    }
    // Which host of etcd is the first matters only to phases that make members.
    let makes_members = phases.iter().any(|phase| phase.scope == Scope::FirstEtcdHost);
    let etcd_host = match makes_members {
        false => None,
        true => match run.find_first_etcd_host().await {
            Ok(first) => first,
            Err(error) => return refuse(&hosts, "find the first host of etcd", &error, run),
        },
    };
    let first = First { control_plane: run.control_plane().name(), etcd_host };
    let hosts: Vec<_> = hosts.into_iter().filter(|host| which.covers(host, first)).collect();
    let plan = Arc::new(Plan::new(phases, &hosts, first, &choice, &pace));
    announce(&plan, run);
    let why = Stop::default();
    let execute = |index, verdict| task(run.clone(), plan.clone(), index, verdict, why.clone());
    let on_batch = |batch| announce_batch(&plan, batch, run);
    let scheduled = scheduler::run(plan.clone(), &pace, stop.clone(), on_batch, execute);
    let limit = async {
        let Some(limit) = timeout else { return std::future::pending().await };
        tokio::time::sleep(limit).await;
        let seconds = limit.as_secs_f64();
        // Set only here.
        let _ = why.0.set(format!("the run took longer than {seconds} s (--timeout)"));
        stop.cancel();
        std::future::pending().await
    };
    tokio::select! {
        () = scheduled => {}
        () = limit => {}
    }
}

/// Nothing can be planned: no host is touched.
fn refuse(hosts: &[Arc<Host>], action: &str, error: &PhaseError, run: &Run) {
    for host in hosts {
        run.reporter().emit(Event::Planned { host: host.name.clone(), tasks: 1 });
        run.reporter().emit(Event::PhaseFinished {
            host: host.name.clone(),
            phase: action.to_owned(),
            outcome: Outcome::Failed {
                unreachable: error.unreachable(),
                error: error.to_string(),
                changes: 0,
            },
            elapsed: Duration::ZERO,
        });
    }
}

/// Tell how many tasks each host has.
fn announce(plan: &Plan, run: &Run) {
    for host in plan.batches.iter().flatten() {
        let tasks = plan.tasks.iter().filter(|task| task.host == *host).count();
        run.reporter().emit(Event::Planned { host: host.clone(), tasks });
    }
}

fn announce_batch(plan: &Plan, batch: usize, run: &Run) {
    let batches = plan.batches.len();
    if batches > 1 {
        let hosts = plan.batches[batch].clone();
        let folded = fold_hosts(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
        run.reporter().emit(Event::BatchStarted { batch: batch + 1, batches, hosts, folded });
    }
}

async fn task(run: Arc<Run>, plan: Arc<Plan>, index: usize, verdict: Verdict, why: Stop) -> Ended {
    let task = &plan.tasks[index];
    let name = task.phase.name;
    let host = task.host.clone();
    let reporter = run.reporter().clone();
    let started = Instant::now();
    let outcome = match verdict {
        Verdict::SkipBecause(need) => {
            let cause = &plan.tasks[need];
            let whose =
                if cause.host == task.host { String::new() } else { format!("{} ", cause.host) };
            Outcome::Skipped {
                reason: format!("needs {whose}{}, which did not succeed", cause.phase.name),
            }
        }
        Verdict::NotStarted(reason) => Outcome::Skipped { reason },
        Verdict::Stopped => Outcome::Skipped { reason: why.reason() },
        Verdict::Run(_) if task.left_out => {
            Outcome::NotNeeded { reason: "left out by --skip-phases".to_owned() }
        }
        Verdict::Run(cause) => {
            let after = cause.map(|cause| after(&plan, cause));
            reporter.emit(Event::PhaseStarted {
                host: host.clone(),
                phase: name.to_owned(),
                after,
            });
            match run.context(&task.host, name, task.parts.clone()) {
                Some(context) => execute(task.phase, Arc::new(context), &why).await,
                None => return Ended::Failed,
            }
        }
    };
    let ended = match outcome {
        Outcome::Done { .. } | Outcome::NotNeeded { .. } => Ended::Well,
        Outcome::Skipped { .. } => Ended::Skipped,
        Outcome::Failed { .. } => Ended::Failed,
    };
    let elapsed = started.elapsed();
    reporter.emit(Event::PhaseFinished { host, phase: name.to_owned(), outcome, elapsed });
    ended
}

fn after(plan: &Plan, cause: Cause) -> After {
    let task = &plan.tasks[cause.task];
    After { host: task.host.clone(), phase: task.phase.name.to_owned(), why: cause.why }
}

async fn execute(phase: &'static Phase, context: Arc<Context>, why: &Stop) -> Outcome {
    match with_hooks(phase, context.clone()).await {
        Ok(Done::Finished) => Outcome::Done { changes: context.changes() },
        Ok(Done::NotNeeded(reason)) => Outcome::NotNeeded { reason },
        Err(error) if error.interrupted() => Outcome::Skipped { reason: why.reason() },
        Err(error) => Outcome::Failed {
            unreachable: error.unreachable(),
            error: error.to_string(),
            changes: context.changes(),
        },
    }
}

async fn with_hooks(phase: &'static Phase, context: Arc<Context>) -> Result<Done, PhaseError> {
    context.lease().await?;
    hooks::before(&context).await?;
    let work = context.while_reachable((phase.run)(context.clone()));
    let done = match phase.scope.builds_on_first() {
        true => context.while_cluster_stands(work).await?,
        false => work.await?,
    };
    if matches!(done, Done::Finished) {
        hooks::after(&context).await?;
    }
    Ok(done)
}
