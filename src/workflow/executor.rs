//! Executes the tasks of a plan: hooks around them, events about them, and the end of the run.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::phases::{Context, Done, PhaseError, Run, hooks};
use crate::report::{Event, Outcome};

use super::phase::Phase;
use super::plan::{Choice, Plan};
use super::scheduler::{self, Ended, Verdict};

/// How a workflow is run.
pub struct Options {
    /// Tasks under way at once.
    pub parallel: usize,
    /// Which phases are wanted.
    pub choice: Choice,
    /// Fires when the operator wants the run to stop: tasks under way end, no others begin.
    pub cancel: CancellationToken,
}

/// Run a workflow to its end. How each task ended goes to the run's reporter; tokens made for the run are
/// deleted at the end, whatever happened.
pub async fn run(run: Arc<Run>, phases: &[&'static Phase], options: Options) {
    let hosts = run.hosts();
    let plan = Arc::new(Plan::new(phases, &hosts, &options.choice));
    let shared = plan.clone();
    let state = run.clone();
    scheduler::run(plan, options.parallel, options.cancel, move |index, verdict| {
        task(state.clone(), shared.clone(), index, verdict)
    })
    .await;
    run.finish().await;
}

async fn task(run: Arc<Run>, plan: Arc<Plan>, index: usize, verdict: Verdict) -> Ended {
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
        Verdict::Interrupted => Outcome::Skipped { reason: "interrupted".to_owned() },
        Verdict::Run if task.left_out => {
            Outcome::NotNeeded { reason: "left out by --skip-phases".to_owned() }
        }
        Verdict::Run => {
            reporter.emit(Event::PhaseStarted { host: host.clone(), phase: name.to_owned() });
            match run.context(&task.host, name, task.parts.clone()) {
                Some(context) => execute(task.phase, Arc::new(context)).await,
                None => return Ended::Badly,
            }
        }
    };
    let ended = match outcome {
        Outcome::Done { .. } | Outcome::NotNeeded { .. } => Ended::Well,
        Outcome::Skipped { .. } | Outcome::Failed { .. } => Ended::Badly,
    };
    let elapsed = started.elapsed();
    reporter.emit(Event::PhaseFinished { host, phase: name.to_owned(), outcome, elapsed });
    ended
}

async fn execute(phase: &'static Phase, context: Arc<Context>) -> Outcome {
    match with_hooks(phase, context.clone()).await {
        Ok(Done::Finished) => Outcome::Done { changes: context.changes() },
        Ok(Done::NotNeeded(reason)) => Outcome::NotNeeded { reason },
        Err(error) if error.interrupted() => Outcome::Skipped { reason: error.to_string() },
        Err(error) => Outcome::Failed {
            unreachable: error.unreachable(),
            error: error.to_string(),
            changes: context.changes(),
        },
    }
}

async fn with_hooks(phase: &'static Phase, context: Arc<Context>) -> Result<Done, PhaseError> {
    hooks::before(&context).await?;
    let done = (phase.run)(context.clone()).await?;
    if matches!(done, Done::Finished) {
        hooks::after(&context).await?;
    }
    Ok(done)
}
