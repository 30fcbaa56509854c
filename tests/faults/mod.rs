//! Faults at phase boundaries: something breaks just as a phase begins on a host. Then every file must be the old one or the
//! new one, fleetadm must have named what broke, and the next run must end in a healthy cluster with nothing left over.
//!
//! A bounded sample runs with the lab's other tests; `make faults` runs all of it.

mod fault;
mod files;
mod plan;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use super::high_availability::{ALL, CONTROL_PLANES, apply, healthy, healthy_without};
use super::lab::{Lab, step};
use super::lifecycle::no_bootstrap_token_is_left;
use super::runner::{fleetadm, start};
use plan::{Case, Moment, Plan, Stage};

/// The control plane that was there first.
const FIRST: &str = "n1";
/// The control plane that joins: the one that is reached as a user with sudo.
const JOINING: &str = "n3";

/// Where a cluster is made: two control planes, and a worker that has the endpoint. What more hosts would add is time.
const FOUNDERS: &str = "n1,n3,n4";
/// The others.
const LATER: [&str; 2] = ["n2", "n5"];

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn applies_survive_faults_at_phase_boundaries() {
    let plan = Plan::from_environment();
    println!("{plan}");
    let mut fleet = Fleet::new(Lab::with_bare(&ALL));
    let cases = plan.cases(&fleet.moments());
    let (mut failed, mut late) = (Vec::new(), 0);
    for (number, case) in cases.iter().enumerate() {
        step(fleet.started, &format!("fault {} of {}: {case}", number + 1, cases.len()));
        let survived = catch_unwind(AssertUnwindSafe(|| fleet.survive(case)));
        match survived {
            Ok(true) => {}
            Ok(false) => late += 1,
            Err(_) => {
                println!("NOT SURVIVED: {case}");
                failed.push(case.to_string());
                fleet.replace(case);
            }
        }
    }
    let count = cases.len() - late;
    let survived = count - failed.len();
    println!("{count} faults injected, {survived} survived; the same again: {plan}");
    assert!(failed.is_empty(), "not survived:\n{}", failed.join("\n"));

    step(fleet.started, "reset");
    fleetadm(&fleet.inventory, &["reset", "--yes"]).expect(0);
}

/// Who is a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Members {
    /// No one.
    None,
    /// Those that make one.
    Founders,
    /// Everybody.
    All,
    /// Everybody but the host that joins and leaves.
    WithoutJoining,
}

struct Fleet {
    lab: Lab,
    inventory: PathBuf,
    started: Instant,
    members: Members,
}

impl Fleet {
    /// Of hosts that are bare.
    fn new(lab: Lab) -> Self {
        let inventory = lab.usual();
        Self { lab, inventory, started: Instant::now(), members: Members::None }
    }

    /// What can be broken, from a run of everything without a fault.
    fn moments(&mut self) -> Vec<Moment> {
        step(self.started, "three control planes and two workers; one leaves and comes back");
        let run = |command: &[&str]| start(&self.inventory, command).wait().expect(0);
        let founding = run(&["apply", "--output", "json"]);
        healthy(&self.lab, FIRST);
        let leaving = run(&Stage::Leaving.command());
        self.members = Members::WithoutJoining;
        self.apply_all();
        moments_of(&founding.events(), &leaving.events())
    }

    /// Run into a fault, and be well again after the next run. Whether the fault came before the run had ended.
    fn survive(&mut self, case: &Case) -> bool {
        let stage = case.at.stage;
        self.prepare(stage);
        let struck = inject(&self.lab, &self.inventory, case);
        files::are_whole(&self.lab);
        match stage {
            Stage::Founding => {
                fleetadm(&self.inventory, &["apply", "--limit", FOUNDERS]).expect(0);
                healthy_without(&self.lab, FIRST, &LATER);
                self.members = Members::Founders;
            }
            Stage::Joining => self.apply_all(),
            Stage::Leaving => {
                fleetadm(&self.inventory, &Stage::Leaving.command()).expect(0);
                healthy_without(&self.lab, FIRST, &[JOINING]);
                self.members = Members::WithoutJoining;
            }
        }
        nothing_is_left(&self.lab);
        step(self.started, if struck { "survived" } else { "the run had ended before" });
        struck
    }

    /// The fleet as it must be for this. A host that joins is the one that has just left, or one that was lost.
    fn prepare(&mut self, stage: Stage) {
        match (stage, self.members) {
            (Stage::Founding, _) => drop(fleetadm(&self.inventory, &["reset", "--yes"]).expect(0)),
            (Stage::Joining, Members::WithoutJoining) | (Stage::Leaving, Members::All) => {}
            (Stage::Joining | Stage::Leaving, members) => {
                if members != Members::All {
                    self.apply_all();
                }
                if stage == Stage::Joining {
                    self.lab.replace(JOINING);
                }
            }
        }
    }

    fn apply_all(&mut self) {
        apply(&self.lab, &self.inventory, self.started);
        self.members = Members::All;
    }

    /// Begin again with new machines.
    fn replace(&mut self, case: &Case) {
        // Whatever was not survived may have come before it was lifted.
        let _ = catch_unwind(AssertUnwindSafe(|| case.fault.lift(&self.lab)));
        for host in ALL {
            self.lab.replace(host);
        }
        self.members = Members::None;
    }
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

/// Run into the fault, to the end, and take the fault away. A run that has ended before is none of the faults.
fn inject(lab: &Lab, inventory: &Path, case: &Case) -> bool {
    let mut run = start(inventory, &case.at.stage.command());
    run.wait_for(&case.at.phase, |event| {
        event["kind"] == "phase_started"
            && event["host"] == case.at.host
            && event["phase"] == case.at.phase.as_str()
    });
    std::thread::sleep(case.after);
    if run.has_ended() {
        run.wait().expect(0);
        return false;
    }
    case.fault.strike(lab, &run);
    let run = run.wait();
    case.fault.lift(lab);
    for event in run.events().iter().filter(|event| event["outcome"] == "failed") {
        println!("  {}: {}: {}", event["host"], event["phase"], event["error"]);
    }
    case.fault.judge(&run);
    true
}

/// No Secret, no token, no lock, and no file that a run needs only on its way.
fn nothing_is_left(lab: &Lab) {
    no_bootstrap_token_is_left(lab);
    let secrets = lab.kubectl(&["get", "secrets", "--namespace=kube-system", "--output=name"]);
    assert!(!secrets.contains("kubeadm-certs"), "{secrets}");
    for host in CONTROL_PLANES {
        let left = lab.sh(
            host,
            "find /etc/kubernetes /var/lib/kubelet /usr/bin /etc/systemd /etc/cni -xdev -name '.fleetadm-*' 2>/dev/null
            ls /etc/kubernetes/bootstrap-kubelet.conf 2>/dev/null
            for _ in 1 2 3 4 5; do
                leases=$(ls /run/fleetadm-*.lease 2>/dev/null)
                [ -n \"$leases\" ] || break
                sleep 0.2
            done
            printf %s \"$leases\"",
        );
        assert!(left.is_empty(), "{host}: {left}");
    }
}
