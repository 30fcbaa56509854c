//! One file per kubeadm phase, named as kubeadm names it: where cluster knowledge meets hosts.
//!
//! A phase looks at what is there, asks the pure layers what should be, does what is missing and says what
//! it changed. What phases share is in [`Run`] (the whole run) and [`Context`] (one phase on one host).
//! Phases never print, never decide the order they run in, and never hold a secret longer than the run.

pub mod access;
pub mod certs;
pub mod cluster;
mod context;
mod control_plane;
mod diagnosis;
mod error;
mod etcd;
pub mod etcd_hosts;
pub mod hooks;
pub mod images;
pub mod init;
pub mod join;
mod kubelet;
pub mod lease;
pub mod load_balancer;
mod nodes;
pub mod preflight;
pub mod prepare;
mod registration;
pub mod reset;
mod run;
mod static_pods;
pub mod status;

pub use context::{Context, Done};
pub use error::PhaseError;
pub use run::{Mode, Run, RunOptions};
