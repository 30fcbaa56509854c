//! Faults at phase boundaries: something breaks just as a phase begins on a host. Then every file must be the old one or the
//! new one, fleetadm must have named what broke, and the next run must end in a healthy cluster with nothing left over.
//!
//! A bounded sample runs with the lab's other tests; `make faults` runs all of it.

mod fault;
mod files;
mod plan;

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::high_availability::{
    CONTROL_PLANES, apply, bare_hosts, healthy, healthy_without, replace,
};
use super::lab::{Lab, step};
use super::lifecycle::no_bootstrap_token_is_left;
use super::runner::{fleetadm, start};
use plan::{Case, Moment, Plan, Stage};

/// The control plane that was there first.
const FIRST: &str = "n1";
/// The control plane that joins: the one that is reached as a user with sudo.
const JOINING: &str = "n3";

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn applies_survive_faults_at_phase_boundaries() {
    let lab = bare_hosts();
    let inventory = lab.usual();
    let started = Instant::now();
    let plan = Plan::from_environment();
    println!("{plan}");

    step(started, "apply: three control planes and two workers; one leaves and comes back");
    let founding = start(&inventory, &["apply", "--output", "json"]).wait().expect(0);
    healthy(&lab, FIRST);
    let leaving = start(&inventory, &Stage::Leaving.command()).wait().expect(0);
    apply(&lab, &inventory, started);
    let cases = plan.cases(&moments_of(&founding.events(), &leaving.events()));
    for (number, case) in cases.iter().enumerate() {
        step(started, &format!("fault {} of {}: {case}", number + 1, cases.len()));
        match case.at.stage {
            Stage::Founding => drop(fleetadm(&inventory, &["reset", "--yes"]).expect(0)),
            Stage::Joining => replace(&lab, JOINING),
            Stage::Leaving => {}
        }
        inject(&lab, &inventory, case);
        files::are_whole(&lab);
        if case.at.stage == Stage::Leaving {
            fleetadm(&inventory, &Stage::Leaving.command()).expect(0);
            healthy_without(&lab, FIRST, &[JOINING]);
        }
        apply(&lab, &inventory, started);
        nothing_is_left(&lab);
    }
    println!("{} faults injected and survived; the same again: {plan}", cases.len());

    step(started, "reset");
    fleetadm(&inventory, &["reset", "--yes"]).expect(0);
}

/// Every phase that the first or a joining control plane goes through while all hosts are new, and a joining one also when
/// the others are a cluster, and the phases in which it leaves.
fn moments_of(founding: &[Value], leaving: &[Value]) -> Vec<Moment> {
    let of = |stage, host: &'static str, events| {
        phases_of(events, host).into_iter().map(move |phase| Moment { stage, host, phase })
    };
    let mut moments: Vec<Moment> = of(Stage::Founding, FIRST, founding)
        .chain(of(Stage::Founding, JOINING, founding))
        .chain(of(Stage::Joining, JOINING, founding))
        .chain(of(Stage::Leaving, JOINING, leaving))
        .collect();
    // Phases that overlap begin now in this order, now in that, and a seed is to tell the same faults always.
    moments.sort();
    moments
}

/// The phases that a run began on a host, in order.
fn phases_of(events: &[Value], host: &str) -> Vec<String> {
    let of_host =
        events.iter().filter(|event| event["kind"] == "phase_started" && event["host"] == host);
    of_host.map(|event| event["phase"].as_str().unwrap().to_owned()).collect()
}

/// Run into the fault, to the end, and take the fault away.
fn inject(lab: &Lab, inventory: &Path, case: &Case) {
    let mut run = start(inventory, &case.at.stage.command());
    run.wait_for(&case.at.phase, |event| {
        event["kind"] == "phase_started"
            && event["host"] == case.at.host
            && event["phase"] == case.at.phase.as_str()
    });
    std::thread::sleep(case.after);
    case.fault.strike(lab, &run);
    let run = run.wait();
    case.fault.lift(lab);
    for event in run.events().iter().filter(|event| event["outcome"] == "failed") {
        println!("  {}: {}: {}", event["host"], event["phase"], event["error"]);
    }
    case.fault.judge(&run);
}

/// No Secret, no token, no lock, and no file that a run needs only on its way.
fn nothing_is_left(lab: &Lab) {
    no_bootstrap_token_is_left(lab);
    let secrets = lab.kubectl(&["get", "secrets", "--namespace=kube-system", "--output=name"]);
    assert!(!secrets.contains("kubeadm-certs"), "{secrets}");
    for host in CONTROL_PLANES {
        let left = lab.sh(
            host,
            "find /etc/kubernetes /var/lib/kubelet /usr/bin /etc/systemd /etc/cni -xdev -name '.fleetadm-*'",
        );
        assert!(left.is_empty(), "{host}: {left}");
        let leases = lab.sh(host, "sleep 0.3; ls /run/fleetadm-*.lease 2>/dev/null || true");
        assert!(leases.is_empty(), "{host}: {leases}");
        let bootstrap =
            lab.sh(host, "ls /etc/kubernetes/bootstrap-kubelet.conf 2>/dev/null || true");
        assert!(bootstrap.is_empty(), "{host}: {bootstrap}");
    }
}
