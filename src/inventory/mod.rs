//! TOML to resolved hosts and cluster section, with errors that point at the line.
//!
//! What leaves this module is validated and resolved: ranges expanded, groups and defaults folded in.
//! It never contacts a host, and it knows nothing of how its values are used.

mod model;

pub use model::*;
