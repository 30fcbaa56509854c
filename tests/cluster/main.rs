//! Real clusters on the lab's hosts, from bare hosts to bare hosts, against the real kubeadm, and under faults.
//!
//! tests/lab/test brings the lab up and runs what is ignored here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../support/lab.rs"]
mod lab;

mod api;
mod certificates;
mod dry_run;

mod files;
mod fixes;
mod fleet_checks;
mod join_faults;
mod lifecycle;
mod listing;
mod nodes;
mod preflight_kubeadm;
mod preflight_upgrade;
mod runner;
mod second_apply;
mod secrets;
mod tree;
mod under_faults;
mod workload;
