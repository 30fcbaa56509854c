//! Events, and the one renderer that owns the terminal. Nothing else prints.

mod event;

pub use event::{Event, Outcome, Reporter, Severity};
