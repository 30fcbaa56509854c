//! Every workflow, at any pace, comes to its end: the real tables, scheduled with tasks that do nothing.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::plan::{Choice, Plan};
use super::scheduler::{self, Cause, Ended, Verdict};
use super::{APPLY, First, Phase, RESET, init, join, reset_whole};
use crate::fleet::{Pace, Share};
use crate::inventory::{self, Host, Role};
use crate::report::Why;

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
    inventory::parse(&text, Path::new("/"), "test").unwrap().hosts
}

/// The control plane that stands first.
fn first(hosts: &[Arc<Host>]) -> &str {
    hosts.iter().find(|host| host.role == Role::ControlPlane).map_or("", |host| &host.name)
}

fn workflow(number: usize) -> Vec<&'static Phase> {
    match number {
        0 => APPLY.to_vec(),
        1 => init(),
        2 => join(),
        3 => RESET.to_vec(),
        4 => reset_whole(),
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
    let plan = Arc::new(Plan::new(phases, hosts, first(hosts), choice, &pace));
    let ended = Arc::new(Mutex::new(Vec::new()));
    let mut batches = Vec::new();
    let fails = &fails;
    let execute = |index: usize, verdict: Verdict| {
        let task = &plan.tasks[index];
        let end = match verdict {
            Verdict::Run(_) if fails(&format!("{}/{}", task.host, task.phase.name)) => {
                Ended::Failed
            }
            Verdict::Run(_) => Ended::Well,
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
        names(&Plan::new(phases, &hosts, first(&hosts), &Choice::default(), &pace).batches)
    };
    assert_eq!(batches(APPLY), ["host-2 host-3", "host-4 host-0", "host-1"]);
    for reset in [RESET, &reset_whole()] {
        assert_eq!(batches(reset), ["host-0 host-1", "host-3 host-4", "host-2"]);
    }
    assert_eq!(batches(&preflights()), ["host-0 host-1", "host-2 host-3", "host-4"]);
}

#[test]
fn what_a_task_waited_for_is_known() {
    let hosts = hosts("cwww");
    let whys = |pace: Pace| -> Vec<Option<Why>> {
        let ran = run(&preflights(), &hosts, &Choice::default(), pace, |_| false);
        let why = |(_, verdict, _): &(usize, Verdict, Ended)| match verdict {
            Verdict::Run(cause) => cause.map(|cause| cause.why),
            _ => panic!("{verdict:?}"),
        };
        ran.ended.iter().map(why).collect()
    };
    let (place, batch) = (Some(Why::Place), Some(Why::Batch));
    assert_eq!(whys(Pace::parallel(9)), [None; 4]);
    assert_eq!(whys(Pace::parallel(1)), [None, place, place, place]);
    let serial = Pace { serial: Some(Share::Count(2)), ..Pace::parallel(9) };
    assert_eq!(whys(serial), [None, None, batch, batch]);
    assert_eq!(whys(Pace { parallel: 1, ..serial }), [None, place, batch, place]);
}

/// Where in the run a task of the host ended.
fn ended(ran: &Ran, host: &str, phase: &str) -> usize {
    let is_it = |(task, ..): &(usize, Verdict, Ended)| {
        let task = &ran.plan.tasks[*task];
        task.host == host && task.phase.name == phase
    };
    ran.ended.iter().position(is_it).unwrap()
}

#[test]
fn control_planes_leave_one_after_the_other_and_stop_at_the_first_that_fails() {
    let hosts = hosts("ccwc");
    let (choice, pace) = (Choice::default(), Pace::parallel(64));
    let ran = run(RESET, &hosts, &choice, pace, |_| false);
    for (one, other) in [("host-0", "host-1"), ("host-1", "host-3")] {
        assert!(ended(&ran, one, "reset/check-cluster") < ended(&ran, other, "reset/drain"));
    }
    // Looking at all of them comes first, and workers do not wait.
    assert!(ended(&ran, "host-3", "reset/preflight") < ended(&ran, "host-0", "reset/drain"));
    assert!(ended(&ran, "host-2", "reset/drain") < ended(&ran, "host-0", "reset/check-cluster"));

    let ran = run(RESET, &hosts, &choice, pace, |task| task == "host-1/reset/drain");
    let drained = |host| ran.ended[ended(&ran, host, "reset/drain")].2;
    assert_eq!(
        ["host-0", "host-1", "host-3"].map(drained),
        [Ended::Well, Ended::Failed, Ended::Skipped]
    );
    assert_eq!(drained("host-2"), Ended::Well);

    // Where nobody stays, nobody waits.
    let ran = run(&reset_whole(), &hosts, &choice, pace, |task| task.starts_with("host-0/"));
    let bad = ran
        .verdicts("host-3")
        .into_iter()
        .filter(|verdict| !matches!(verdict, Verdict::Run(_)))
        .count();
    assert_eq!(bad, 0);
}

#[test]
fn hosts_of_etcd_come_before_control_planes_and_leave_once_those_were_asked() {
    let hosts = hosts("cewe");
    // The second one holds the cluster.
    let first = First { control_plane: "host-0", etcd_host: Some("host-3") };
    let pace = Pace { serial: Some(Share::Count(1)), ..Pace::parallel(4) };
    let plan = Plan::new(APPLY, &hosts, first, &Choice::default(), &pace);
    assert_eq!(names(&plan.batches), ["host-3", "host-1", "host-0", "host-2"]);
    let waits = |plan: &Plan, host: &str, phase: &str| -> HashSet<String> {
        let is_it = |task: &&super::plan::Task| task.host == host && task.phase.name == phase;
        let task = plan.tasks.iter().find(is_it).unwrap();
        let other = |index: usize| {
            let other = &plan.tasks[index];
            (other.host != host).then(|| format!("{} {}", other.host, other.phase.name))
        };
        task.waits_for().filter_map(other).collect()
    };
    let expected = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<HashSet<_>>();
    let plan = Plan::new(APPLY, &hosts, first, &Choice::default(), &Pace::parallel(4));
    assert_eq!(
        waits(&plan, "host-0", "init/control-plane"),
        expected(&["host-3 etcd/init", "host-1 etcd/join"])
    );
    assert_eq!(waits(&plan, "host-3", "prepare/binaries"), expected(&[]));
    let plan = Plan::new(RESET, &hosts, first, &Choice::default(), &Pace::parallel(4));
    assert_eq!(
        waits(&plan, "host-1", "reset/remove-etcd-member"),
        expected(&["host-0 reset/preflight", "host-2 reset/preflight"])
    );
}

#[test]
fn without_batches_all_hosts_overlap() {
    let hosts = hosts("wcw");
    let plan = Plan::new(APPLY, &hosts, first(&hosts), &Choice::default(), &Pace::parallel(4));
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
    let is_run = |verdict: &&&Verdict| matches!(verdict, Verdict::Run(_));
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
    let bad =
        ran.ended.iter().filter(|(_, verdict, _)| !matches!(verdict, Verdict::Run(_))).count();
    assert_eq!(bad, 0, "workers had begun before");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_plan_ends_in_order(
        number in 0usize..6,
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
        let mut run = vec![false; ran.plan.tasks.len()];
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
            // What is said to have let it begin was run, and has ended; who waited for something says for what.
            if let Verdict::Run(cause) = verdict {
                prop_assert!(cause.is_some() || !task.waits_for().any(|need| run[need]));
                if let Some(Cause { task: other, why }) = cause {
                    prop_assert!(run[*other], "{} comes from what was not run", task.phase.name);
                    let needed = task.waits_for().any(|need| need == *other || !run[need]);
                    prop_assert!(*why != Why::Need || needed);
                    prop_assert!(*why != Why::Batch || ran.plan.tasks[*other].batch < task.batch);
                }
                run[*index] = !task.left_out;
            }
            prop_assert!(max_failures.is_some() || !matches!(verdict, Verdict::NotStarted(_)));
            done[*index] = true;
            left[task.batch] -= 1;
        }
        prop_assert!(done.iter().all(|done| *done), "some tasks were never given");
        // A host that has begun is not stopped by failures elsewhere.
        for host in &hosts {
            let verdicts = ran.verdicts(&host.name);
            let began = verdicts.iter().position(|verdict| matches!(verdict, Verdict::Run(_)));
            let later = &verdicts[began.unwrap_or(verdicts.len())..];
            prop_assert!(!later.iter().any(|verdict| matches!(verdict, Verdict::NotStarted(_))));
        }
        // Batches have the size asked for, whatever waits for what: nothing in the tables goes in a circle.
        let count = ran.plan.batches.iter().map(Vec::len).sum();
        let sizes: Vec<usize> = pace.batches(count).into_iter().map(|range| range.len()).collect();
        prop_assert_eq!(ran.plan.batches.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
    }
}
