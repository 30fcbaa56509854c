//! Runs that are cut short or lose a host: a clear line for that host, the others done, and a later apply finishes.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::lab::{CONTROL_PLANE, HOSTS, Lab, WORKERS, step};
use super::runner::{Finished, fleetadm, start};
use super::{join_faults, lifecycle, listing, nodes, secrets, workload};

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn faults_end_in_one_clear_line_and_a_later_apply_finishes() {
    let lab = Lab::with_bare(&HOSTS);
    let started = Instant::now();
    let before = listing::of_all(&lab);
    listing::expect_no_cluster(&before);

    step(started, "killed in the middle of bringing up the control plane");
    for (host, phase, moment) in [
        (CONTROL_PLANE, "init/certs", Duration::from_millis(500)),
        (CONTROL_PLANE, "init/kubelet-start", Duration::from_millis(100)),
        (CONTROL_PLANE, "init/upload-config", Duration::ZERO),
    ] {
        killed(&lab, host, phase, moment);
    }

    step(started, "a worker whose kubelet does not come up");
    a_kubelet_that_does_not_come_up(&lab);
    step(started, "a worker without power");
    a_host_that_is_down(&lab);
    step(started, "everything works again");
    nodes::wait_ready(&lab);
    workload::runs(&lab);

    step(started, "a worker that cannot be logged in to, or has no room");
    join_faults::of_a_worker(&lab, started);

    step(started, "interrupted, killed, finished");
    interrupted(&lab);
    killed(&lab, WORKERS[1], "join/kubelet-start", Duration::from_millis(300));
    finish(&lab);
    nodes::wait_ready(&lab);
    nodes::are_kubeadms(&lab);
    lifecycle::no_bootstrap_token_is_left(&lab);

    step(started, "reset");
    lifecycle::reset(&lab);
    listing::expect_bare(&before, &listing::of_all(&lab));
    step(started, "done");
}

/// The usual apply, to its end.
pub fn finish(lab: &Lab) -> Finished {
    let run = fleetadm(&lab.usual(), &["apply"]).expect(0);
    for host in HOSTS {
        run.expect_ok(host);
    }
    run
}

fn begun<'a>(host: &'a str, phase: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| {
        event["kind"] == "phase_started" && event["host"] == host && event["phase"] == phase
    }
}

/// fleetadm is killed some time into a phase, and nothing is told to anybody.
fn killed(lab: &Lab, host: &str, phase: &str, moment: Duration) {
    let mut run = start(&lab.usual(), &["apply", "--output", "json"]);
    run.wait_for(phase, begun(host, phase));
    std::thread::sleep(moment);
    run.signal("KILL");
    let run = run.wait();
    assert_eq!(run.status, None, "ended by the signal, not before it: {}", run.stdout);
}

/// The first Ctrl-C: what is under way ends, nothing else begins.
fn interrupted(lab: &Lab) {
    fleetadm(&lab.usual(), &["reset", "--force", "--limit", WORKERS[1]]).expect(0);
    let mut run = start(&lab.usual(), &["apply", "--output", "json"]);
    run.wait_for("join/kubelet-start", begun(WORKERS[1], "join/kubelet-start"));
    run.signal("INT");
    let run = run.wait().expect(130);
    let events = run.events();
    let at = events.iter().position(|event| event["kind"] == "interrupted").unwrap();
    let later: Vec<_> =
        events[at..].iter().filter(|event| event["kind"] == "phase_started").collect();
    assert!(later.is_empty(), "begun after the interrupt: {later:?}");
    let skipped = |event: &&Value| {
        event["phase"] == "join/kubelet-wait-bootstrap" && event["outcome"] == "skipped"
    };
    assert!(events.iter().any(|event| skipped(&event)), "{}", run.stdout);
    assert_eq!(events.last().unwrap()["exit_status"], 130);
    lifecycle::no_bootstrap_token_is_left(lab);
}

/// A flag that the kubelet does not know, on one worker.
fn a_kubelet_that_does_not_come_up(lab: &Lab) {
    let worker = WORKERS[0];
    let broken = lab.changed(
        "broken-kubelet.toml",
        &[
            ("[preflight]", "[cluster.timeouts]\nkubelet_health_check = \"20s\"\n\n[preflight]"),
            (
                &format!("name = \"{worker}\"\n"),
                &format!("name = \"{worker}\"\nkubelet_extra_args = {{ no-such-flag = \"1\" }}\n"),
            ),
        ],
    );
    let run = fleetadm(&broken, &["apply"]).expect(3);
    run.expect_failure(
        worker,
        &["join/kubelet-wait-bootstrap", "kubelet", "unknown flag: --no-such-flag"],
    );
    run.expect_ok(CONTROL_PLANE);
    run.expect_ok(WORKERS[1]);
}

/// One worker is down; the other, which failed before, is finished in the same run.
fn a_host_that_is_down(lab: &Lab) {
    let worker = WORKERS[1];
    lab.lab(&["kill", worker]);
    let run = fleetadm(&lab.usual(), &["apply"]).expect(4);
    run.expect_failure(worker, &["join/preflight", &lab.address(worker)]);
    run.expect_ok(CONTROL_PLANE);
    run.expect_ok(WORKERS[0]);
    assert!(run.changes() > 0, "the other worker was finished");
    secrets::expect_none_in(&run.stderr);
    lab.lab(&["boot", worker]);
    finish(lab);
}
