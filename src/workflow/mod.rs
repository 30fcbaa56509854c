//! Phases as data, and the scheduler that runs (phase, host) tasks as a graph.
//!
//! A workflow is a list of phases; [`run`] expands it over hosts, runs what is ready, batch by batch, wraps the operator's
//! hooks around it and reports how every task ended. What a phase does is not decided here.

mod executor;
mod phase;
mod plan;
mod renew;
#[cfg(test)]
mod rolling_tests;
mod scheduler;
mod tables;

pub use executor::{Options, run, stage};
pub use phase::{First, Need, Phase, Scope};
pub use plan::{Choice, UnknownPhase};
pub use renew::{RENEW_CONTROL_PLANES, RENEW_KUBELETS};
pub use tables::{APPLY, RESET, init, join, reset_whole};
