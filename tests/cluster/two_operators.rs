//! Two operators with the same hosts: one works, the other is told who does, or waits for it.

use std::time::{Duration, Instant};

use super::lab::{CONTROL_PLANE, HOSTS, Lab, WORKERS, step};
use super::runner::{fleetadm, start};
use super::{listing, nodes};

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn two_operators_take_turns() {
    let lab = Lab::with_bare(&HOSTS);
    let inventory = lab.usual();
    let started = Instant::now();
    listing::expect_no_cluster(&listing::of_all(&lab));

    step(started, "an apply, and a second one that does not wait");
    let mut first = start(&inventory, &["apply", "--output", "json"]);
    first.wait_for("init/certs", |event| event["phase"] == "init/certs");
    let refused = fleetadm(&inventory, &["apply", "--lease-timeout", "0"]).expect(3);
    let who = format!("fleetadm apply, process {}", first.id());
    for host in HOSTS {
        refused.expect_failure(host, &["lease", "the cluster is worked on by", &who]);
    }
    // A look changes nothing, and needs no lease.
    fleetadm(&inventory, &["apply", "--dry-run", "--limit", WORKERS[0]]);

    step(started, "one that waits goes on when the first has ended");
    let second = start(&inventory, &["apply", "--lease-timeout", "10m"]);
    first.wait().expect(0);
    let second = second.wait().expect(0);
    assert!(second.stderr.contains(&who), "{}", second.stderr);
    nodes::wait_ready(&lab);

    step(started, "runs that concern different workers go on side by side");
    fleetadm(&inventory, &["reset", "--yes", "--limit", WORKERS[0]]).expect(0);
    let mut joining = start(&inventory, &["apply", "--limit", WORKERS[0], "--output", "json"]);
    joining.wait_for("a phase", |event| event["kind"] == "phase_started");
    fleetadm(&inventory, &["apply", "--limit", WORKERS[1], "--lease-timeout", "0"]).expect(0);
    let with_it =
        fleetadm(&inventory, &["reset", "--yes", "--limit", CONTROL_PLANE, "--lease-timeout", "0"]);
    assert_eq!(with_it.status, Some(3), "{}", with_it.stderr);
    joining.wait().expect(0);

    step(started, "one that is killed keeps nobody waiting");
    let mut killed = start(&inventory, &["reset", "--force", "--output", "json"]);
    killed.wait_for("a phase", |event| event["kind"] == "phase_started");
    killed.signal("KILL");
    assert_eq!(killed.wait().status, None);
    let begun = Instant::now();
    let next = fleetadm(&inventory, &["reset", "--force"]).expect(0);
    assert!(!next.stderr.contains("waiting up to"), "{}", next.stderr);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());

    step(started, "and no lock is left");
    for host in HOSTS {
        let left = lab.sh(host, "sleep 0.2; ls /run/*.lease 2>/dev/null || true");
        assert!(left.is_empty(), "{host}: {left}");
    }
}
