//! Many hosts at once: selection, bounded concurrency, per-host outcome.
//!
//! Knows nothing of Kubernetes and prints nothing. One host's failure never touches another's.

mod connections;
mod run;
mod trust;

pub use connections::{Fleet, Link};
pub use run::{Outcome, run_all};
pub use trust::{Consent, Trust, Unconfirmed};
