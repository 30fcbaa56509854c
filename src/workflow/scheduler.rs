//! Runs whatever task is ready, many at once, batch by batch. Knows nothing of what tasks do.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use crate::fleet::{Budget, Pace};
use crate::report::Why;

/// How a task ended, as far as the rest of the run cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What it is for is there.
    Well,
    /// It failed; what needs it cannot run, and its host counts as failed.
    Failed,
    /// It was not run; what needs it cannot run either.
    Skipped,
}

/// What let a task begin: the end of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// The other one, by index. It was run, and not only skipped or left out.
    pub task: usize,
    /// In which way its end mattered.
    pub why: Why,
}

/// What the scheduler wants done with a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Run it; it could begin because of this. `None` for what could begin with the run.
    Run(Option<Cause>),
    /// Report it as skipped because of the task with this index.
    SkipBecause(usize),
    /// Report it as skipped because too many hosts failed before its own began, as this says.
    NotStarted(String),
    /// Report it as skipped because the run was stopped.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Ended(Ended),
}

/// Run the plan: every task is given to `execute` exactly once, at most `pace.parallel` at a time, and none before
/// all tasks of earlier batches have ended. A task whose need ended badly is given with
/// [`Verdict::SkipBecause`]; tasks of hosts that had not begun when too many others failed with
/// [`Verdict::NotStarted`]; once `cancel` fires, tasks not begun with [`Verdict::Stopped`], while those under way
/// go on to their end. `on_batch` is told the index of each batch in which something is run.
pub async fn run<F, Fut>(
    plan: Arc<Plan>,
    pace: &Pace,
    cancel: CancellationToken,
    mut on_batch: impl FnMut(usize),
    execute: F,
) where
    F: Fn(usize, Verdict) -> Fut,
    Fut: Future<Output = Ended> + Send + 'static,
{
    let mut progress = Progress::new(&plan, pace);
    let mut running: JoinSet<Ended> = JoinSet::new();
    let mut indices = HashMap::new();
    let mut announced = None;
    loop {
        while running.len() < pace.parallel.max(1) {
            let Some(index) = progress.next() else { break };
            let verdict = progress.verdict(index, &cancel);
            let batch = plan.tasks[index].batch;
            if matches!(verdict, Verdict::Run(_)) && announced != Some(batch) {
                announced = Some(batch);
                on_batch(batch);
            }
            indices.insert(running.spawn(execute(index, verdict)).id(), index);
        }
        let Some(finished) = running.join_next_with_id().await else { break };
        // A panic has been printed by the panic hook; what needs the task must not run.
        let (id, ended) = finished.unwrap_or_else(|error| (error.id(), Ended::Failed));
        if let Some(index) = indices.remove(&id) {
            progress.ended(index, ended);
        }
    }
}

/// How far a plan has come.
struct Progress<'a> {
    plan: &'a Plan,
    states: Vec<State>,
    /// For each task, how many it still waits for.
    open: Vec<usize>,
    dependants: Vec<Vec<usize>>,
    /// Tasks that wait for no other, by batch.
    ready: BTreeSet<(usize, usize)>,
    /// For each batch, how many of its tasks have not ended.
    left: Vec<usize>,
    /// The batch that runs.
    batch: usize,
    /// For each task, the last of those whose ends allowed it, so far.
    causes: Vec<Option<Cause>>,
    /// For each task that was run, how many had ended before it.
    order: Vec<usize>,
    /// For each task that may begin, how many tasks had ended by then.
    since: Vec<usize>,
    /// Whether a task is run, and not only told of.
    is_run: Vec<bool>,
    /// How many tasks have ended, and what the last of them was, or came from.
    ended: usize,
    last: Option<usize>,
    begun: HashSet<&'a str>,
    failed: HashSet<&'a str>,
    budget: Budget,
}

impl<'a> Progress<'a> {
    fn new(plan: &'a Plan, pace: &Pace) -> Self {
        let count = plan.tasks.len();
        let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut left = vec![0; plan.batches.len()];
        for (index, task) in plan.tasks.iter().enumerate() {
            left[task.batch] += 1;
            for need in task.waits_for() {
                dependants[need].push(index);
            }
        }
        let open: Vec<usize> = plan.tasks.iter().map(|task| task.waits_for().count()).collect();
        let free = (0..count).filter(|index| open[*index] == 0);
        Self {
            plan,
            states: vec![State::Waiting; count],
            ready: free.map(|index| (plan.tasks[index].batch, index)).collect(),
            open,
            dependants,
            left,
            batch: 0,
            causes: vec![None; count],
            order: vec![0; count],
            since: vec![0; count],
            is_run: vec![false; count],
            ended: 0,
            last: None,
            begun: HashSet::new(),
            failed: HashSet::new(),
            budget: pace.budget(plan.batches.iter().map(Vec::len).sum()),
        }
    }

    /// The next task that may begin.
    fn next(&mut self) -> Option<usize> {
        let (batch, index) = *self.ready.first()?;
        if batch > self.batch {
            return None;
        }
        self.ready.pop_first();
        self.states[index] = State::Running;
        // It would have begun at once, had there been a place.
        if self.since[index] < self.ended {
            self.comes_from(index, self.last, Why::Place);
        }
        Some(index)
    }

    fn verdict(&mut self, index: usize, cancel: &CancellationToken) -> Verdict {
        let task = &self.plan.tasks[index];
        let ended_badly = |need: &&usize| {
            matches!(self.states[**need], State::Ended(Ended::Failed | Ended::Skipped))
        };
        if !self.begun.contains(task.host.as_str())
            && let Some(reason) = self.budget.used_up()
        {
            return Verdict::NotStarted(reason);
        }
        match task.needs.iter().find(ended_badly) {
            Some(need) => Verdict::SkipBecause(*need),
            None if cancel.is_cancelled() => Verdict::Stopped,
            None => {
                self.begun.insert(&task.host);
                self.is_run[index] = !task.left_out;
                Verdict::Run(self.causes[index])
            }
        }
    }

    fn ended(&mut self, index: usize, ended: Ended) {
        let task = &self.plan.tasks[index];
        self.states[index] = State::Ended(ended);
        if ended == Ended::Failed && self.failed.insert(&task.host) {
            self.budget.host_failed();
        }
        // What took no time is not what anybody waited for, but what it came from.
        let source = match self.is_run[index] {
            true => Some(index),
            false => self.causes[index].map(|cause| cause.task),
        };
        self.order[index] = self.ended;
        self.ended += 1;
        self.last = source;
        for dependant in std::mem::take(&mut self.dependants[index]) {
            self.comes_from(dependant, source, Why::Need);
            self.open[dependant] -= 1;
            if self.open[dependant] == 0 {
                self.ready.insert((self.plan.tasks[dependant].batch, dependant));
                self.since[dependant] = self.ended;
            }
        }
        self.left[task.batch] -= 1;
        while self.left.get(self.batch) == Some(&0) {
            self.batch += 1;
            let begin = (self.batch, 0)..(self.batch + 1, 0);
            let ready: Vec<usize> = self.ready.range(begin).map(|(_, index)| *index).collect();
            for index in ready {
                self.comes_from(index, source, Why::Batch);
                self.since[index] = self.ended;
            }
        }
    }

    /// A task also had to wait for the end of `source`. The last of all such ends counts.
    fn comes_from(&mut self, index: usize, source: Option<usize>, why: Why) {
        let Some(task) = source else { return };
        let known = self.causes[index];
        if known.is_none_or(|known| self.order[known.task] < self.order[task]) {
            self.causes[index] = Some(Cause { task, why });
        }
    }
}
