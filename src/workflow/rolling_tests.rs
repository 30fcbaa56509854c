//! Every workflow, at any pace, comes to its end: the real tables, scheduled with tasks that do nothing.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::plan::{Choice, Plan};
use super::scheduler::{self, Ended, Verdict};
use super::{APPLY, Phase, RESET, init, join};
use crate::fleet::{Pace, Share};
use crate::inventory::{self, Host};

/// Hosts in the order of the roles' initials.
fn hosts(roles: &str) -> Vec<Arc<Host>> {
    let host = |(index, role): (usize, char)| {
        let role = match role {
            'c' => "control-plane",
            'e' => "etcd",
            _ => "worker",
        };
        format!("[[hosts]]\nname = \"host-{index}\"\nrole = \"{role}\"\n")
    };
    let text: String = roles.chars().enumerate().map(host).collect();
    let inventory = inventory::parse(&text, Path::new("/"), "test").unwrap();
    inventory.hosts.into_iter().map(Arc::new).collect()
}

fn workflow(number: usize) -> Vec<&'static Phase> {
    match number {
        0 => APPLY.to_vec(),
        1 => init(),
        2 => join(),
        3 => RESET.to_vec(),
        _ => preflights(),
    }
}

/// Phases that wait for nobody.
fn preflights() -> Vec<&'static Phase> {
    APPLY.iter().filter(|phase| phase.name.ends_with("/preflight")).copied().collect()
}

/// What became of each task, in the order in which they ended.
struct Ran {
    plan: Arc<Plan>,
    ended: Vec<(usize, Verdict, Ended)>,
    batches: Vec<usize>,
}

impl Ran {
    fn verdicts(&self, host: &str) -> Vec<&Verdict> {
        let of_host = |(task, ..): &&(usize, Verdict, Ended)| self.plan.tasks[*task].host == host;
        self.ended.iter().filter(of_host).map(|(_, verdict, _)| verdict).collect()
    }
}

/// Run a workflow in which these tasks (`host/workflow/phase`) fail.
fn run(
    phases: &[&'static Phase],
    hosts: &[Arc<Host>],
    choice: &Choice,
    pace: Pace,
    fails: impl Fn(&str) -> bool,
) -> Ran {
    let plan = Arc::new(Plan::new(phases, hosts, choice, &pace));
    let ended = Arc::new(Mutex::new(Vec::new()));
    let mut batches = Vec::new();
    let fails = &fails;
    let execute = |index: usize, verdict: Verdict| {
        let task = &plan.tasks[index];
        let end = match verdict {
            Verdict::Run if fails(&format!("{}/{}", task.host, task.phase.name)) => Ended::Failed,
            Verdict::Run => Ended::Well,
            _ => Ended::Skipped,
        };
        let ended = ended.clone();
        async move {
            tokio::task::yield_now().await;
            ended.lock().unwrap().push((index, verdict, end));
            end
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(scheduler::run(
        plan.clone(),
        &pace,
        CancellationToken::new(),
        |batch| batches.push(batch),
        execute,
    ));
    let ended = std::mem::take(&mut *ended.lock().unwrap());
    Ran { plan, ended, batches }
}

fn names(batches: &[Vec<String>]) -> Vec<String> {
    batches.iter().map(|hosts| hosts.join(" ")).collect()
}

#[test]
fn the_control_plane_comes_first_and_is_reset_last() {
    let hosts = hosts("wwcww");
    let pace = Pace { serial: Some(Share::Count(2)), ..Pace::parallel(4) };
    let batches = |phases: &[&'static Phase]| {
        names(&Plan::new(phases, &hosts, &Choice::default(), &pace).batches)
    };
    assert_eq!(batches(APPLY), ["host-2 host-3", "host-4 host-0", "host-1"]);
    assert_eq!(batches(RESET), ["host-0 host-1", "host-3 host-4", "host-2"]);
    assert_eq!(batches(&preflights()), ["host-0 host-1", "host-2 host-3", "host-4"]);
}

#[test]
fn without_batches_all_hosts_overlap() {
    let plan = Plan::new(APPLY, &hosts("wcw"), &Choice::default(), &Pace::parallel(4));
    assert_eq!(names(&plan.batches), ["host-1 host-2 host-0"]);
    assert!(plan.tasks.iter().all(|task| task.batch == 0));
}

#[test]
fn hosts_that_have_not_begun_do_not_begin_after_too_many_failures() {
    let pace = Pace {
        serial: Some(Share::Count(2)),
        max_failures: Some(Share::Count(1)),
        ..Pace::parallel(4)
    };
    let choice = Choice::default();
    let fails = |task: &str| {
        ["host-1", "host-2"].iter().any(|host| *task == format!("{host}/join/kubelet-start"))
    };
    let ran = run(APPLY, &hosts("cwwwww"), &choice, pace, fails);
    // Two failures are one too many: the batch in which the second happens is ended, and no other begins.
    assert_eq!(ran.batches, [0, 1]);
    let is_run = |verdict: &&&Verdict| ***verdict == Verdict::Run;
    assert!(ran.verdicts("host-3").iter().all(|verdict| is_run(&verdict)));
    for host in ["host-4", "host-5"] {
        let not_started =
            Verdict::NotStarted("not started: 2 hosts failed, --max-failures 1".to_owned());
        assert!(ran.verdicts(host).iter().all(|verdict| **verdict == not_started));
    }
    // A host that fails twice counts once, and what it began it ends.
    let pace = Pace { serial: None, max_failures: Some(Share::Count(0)), ..Pace::parallel(1) };
    let ran =
        run(APPLY, &hosts("cww"), &choice, pace, |task| task.starts_with("host-0/init/addon"));
    let bad = ran.ended.iter().filter(|(_, verdict, _)| *verdict != Verdict::Run).count();
    assert_eq!(bad, 0, "workers had begun before");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_plan_ends_in_order(
        number in 0usize..5,
        roles in "[cwwwe]{1,7}",
        serial in prop::option::of(prop_oneof![
            (1usize..8).prop_map(Share::Count),
            (1u8..=100).prop_map(Share::Percent),
        ]),
        max_failures in prop::option::of((0usize..3).prop_map(Share::Count)),
        parallel in 1usize..6,
        failing in prop::collection::vec((0usize..7, 0usize..24), 0..4),
        only in prop::option::of(0usize..24),
        skip in prop::option::of(0usize..24),
    ) {
        let phases = workflow(number);
        let name = |index: usize| phases[index % phases.len()].name.to_owned();
        let choice = Choice {
            only: only.map(name).into_iter().collect(),
            skip: skip.map(name).into_iter().collect(),
        };
        let pace = Pace { parallel, serial, max_failures };
        let failing: HashSet<String> =
            failing.iter().map(|(host, phase)| format!("host-{host}/{}", name(*phase))).collect();
        let hosts = hosts(&roles);
        let ran = run(&phases, &hosts, &choice, pace, |task| failing.contains(task));

        let mut done = vec![false; ran.plan.tasks.len()];
        let mut left: Vec<usize> = vec![0; ran.plan.batches.len()];
        for task in &ran.plan.tasks {
            left[task.batch] += 1;
        }
        for (index, verdict, _) in &ran.ended {
            let task = &ran.plan.tasks[*index];
            prop_assert!(!done[*index], "given twice");
            prop_assert!(task.waits_for().all(|need| done[need]), "{} too early", task.phase.name);
            prop_assert!(left[..task.batch].iter().all(|count| *count == 0), "before its batch");
            prop_assert_ne!(verdict, &Verdict::Stopped);
            prop_assert!(max_failures.is_some() || !matches!(verdict, Verdict::NotStarted(_)));
            done[*index] = true;
            left[task.batch] -= 1;
        }
        prop_assert!(done.iter().all(|done| *done), "some tasks were never given");
        // A host that has begun is not stopped by failures elsewhere.
        for host in &hosts {
            let verdicts = ran.verdicts(&host.name);
            let began = verdicts.iter().position(|verdict| **verdict == Verdict::Run);
            let later = &verdicts[began.unwrap_or(verdicts.len())..];
            prop_assert!(!later.iter().any(|verdict| matches!(verdict, Verdict::NotStarted(_))));
        }
        // Batches have the size asked for, whatever waits for what: nothing in the tables goes in a circle.
        let count = ran.plan.batches.iter().map(Vec::len).sum();
        let sizes: Vec<usize> = pace.batches(count).into_iter().map(|range| range.len()).collect();
        prop_assert_eq!(ran.plan.batches.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
    }
}
