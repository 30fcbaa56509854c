//! Runs whatever task is ready, many at once. Knows nothing of what tasks do.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::plan::Plan;

/// How a task ended, as far as its dependants care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What it is for is there.
    Well,
    /// It failed or was skipped; what needs it cannot run.
    Badly,
}

/// What the scheduler wants done with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Run it.
    Run,
    /// Report it as skipped because of the task with this index.
    SkipBecause(usize),
    /// Report it as skipped because the run was interrupted.
    Interrupted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Ended(Ended),
}

/// Run the plan: every task is given to `execute` exactly once, at most `parallel` at a time. A task whose
/// need ended badly is given with [`Verdict::SkipBecause`]; once `cancel` fires, tasks not begun are given
/// with [`Verdict::Interrupted`] while those under way go on to their end.
pub async fn run<F, Fut>(plan: Arc<Plan>, parallel: usize, cancel: CancellationToken, execute: F)
where
    F: Fn(usize, Verdict) -> Fut,
    Fut: Future<Output = Ended> + Send + 'static,
{
    let count = plan.tasks.len();
    let mut states = vec![State::Waiting; count];
    let mut open: Vec<usize> =
        plan.tasks.iter().map(|task| task.needs.len() + task.needs_ended.len()).collect();
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, task) in plan.tasks.iter().enumerate() {
        for need in task.needs.iter().chain(&task.needs_ended) {
            dependants[*need].push(index);
        }
    }
    let mut ready: BTreeSet<usize> = (0..count).filter(|index| open[*index] == 0).collect();
    let mut running: JoinSet<Ended> = JoinSet::new();
    let mut indices = HashMap::new();
    loop {
        while running.len() < parallel.max(1) {
            let Some(index) = ready.pop_first() else { break };
            let verdict = verdict(&plan, &states, index, &cancel);
            states[index] = State::Running;
            indices.insert(running.spawn(execute(index, verdict)).id(), index);
        }
        let Some(finished) = running.join_next_with_id().await else { break };
        // A panic has been printed by the panic hook; what needs the task must not run.
        let (id, ended) = finished.unwrap_or_else(|error| (error.id(), Ended::Badly));
        let Some(index) = indices.remove(&id) else { continue };
        states[index] = State::Ended(ended);
        for dependant in &dependants[index] {
            open[*dependant] -= 1;
            if open[*dependant] == 0 {
                ready.insert(*dependant);
            }
        }
    }
}

fn verdict(plan: &Plan, states: &[State], index: usize, cancel: &CancellationToken) -> Verdict {
    let bad =
        plan.tasks[index].needs.iter().find(|need| states[**need] == State::Ended(Ended::Badly));
    match bad {
        Some(need) => Verdict::SkipBecause(*need),
        None if cancel.is_cancelled() => Verdict::Interrupted,
        None => Verdict::Run,
    }
}
