//! Real clusters on the lab's hosts, from bare hosts to bare hosts, against the real kubeadm, and under faults.
//!
//! tests/lab/test brings the lab up and runs what is ignored here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../support/lab.rs"]
mod lab;

mod access;
mod api;
mod certificates;
mod dry_run;
mod endpoint;
mod etcd_hosts;
#[path = "../faults/mod.rs"]
mod faults;
mod files;
mod fixes;
mod fleet_checks;
mod high_availability;
mod join_faults;
mod leaving;
mod lifecycle;
mod listing;
mod nodes;
mod preflight_kubeadm;
mod preflight_upgrade;
mod requests;
mod runner;
mod second_apply;
mod secrets;
mod status;
mod take_over;
mod tree;
mod two_operators;
mod under_faults;
mod workload;
