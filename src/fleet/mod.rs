//! Many hosts at once: bounded concurrency, rolling batches, per-host outcome.
//!
//! Knows nothing of Kubernetes and prints nothing. One host's failure never touches another's, except that
//! a [`Pace`] may keep further hosts from beginning.

mod connections;
mod forward;
mod links;
mod merge;
mod pace;
mod run;
mod script;
mod step;
mod trust;

pub use connections::{Fleet, Link};
pub use forward::{Forward, Service};
pub use links::{Dial, LinkState, Place, try_links};
pub use merge::{Merge, Part};
pub use pace::{BadShare, Budget, Pace, Share};
pub use run::{Outcome, run_all};
pub use script::{Interpreter, Script, TooLarge};
pub use step::{Step, StepError, Task};
pub use trust::{Consent, Trust, Unconfirmed};
