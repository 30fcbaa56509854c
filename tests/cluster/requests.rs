//! What a worker costs the API: a number of requests that does not depend on how many there are.

use std::time::Instant;

use super::lab::{CONTROL_PLANE, HOSTS, Lab, WORKERS, step};
use super::runner::fleetadm;

/// Requests of a join. What is waited for is asked for up to four times a second at first.
const JOIN: usize = 24;
/// Requests of an apply that finds the worker as it should be, the control plane's own included.
const LOOK: usize = 8;

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn a_worker_costs_the_api_a_bounded_number_of_requests() {
    let lab = Lab::with_bare(&HOSTS);
    let inventory = lab.changed(
        "verbose.toml",
        &[("[preflight]", "[cluster.api_server.extra_args]\nv = \"3\"\n\n[preflight]")],
    );
    let started = Instant::now();
    step(started, "a control plane and a worker");
    fleetadm(&inventory, &["apply", "--limit", &format!("{CONTROL_PLANE},{}", WORKERS[0])])
        .expect(0);

    step(started, "one worker more, and again");
    let before = requests(&lab);
    assert!(before > 10, "fleetadm is in the API server's log: {before}");
    fleetadm(&inventory, &["apply", "--limit", WORKERS[1]]).expect(0);
    let joined = requests(&lab);
    assert_eq!(fleetadm(&inventory, &["apply", "--limit", WORKERS[1]]).expect(0).changes(), 0);
    let looked = requests(&lab);
    println!("requests: {} for a join, {} for a look", joined - before, looked - joined);
    assert!((1..=JOIN).contains(&(joined - before)), "{}", joined - before);
    assert!((1..=LOOK).contains(&(looked - joined)), "{}", looked - joined);

    step(started, "reset");
    fleetadm(&inventory, &["reset", "--force"]).expect(0);
}

/// How many requests of fleetadm the API server has logged.
fn requests(lab: &Lab) -> usize {
    let log = "cat /var/log/pods/kube-system_kube-apiserver-*/*/*.log | grep -c 'userAgent=.*fleetadm/' || true";
    lab.sh(CONTROL_PLANE, log).trim().parse().unwrap()
}
