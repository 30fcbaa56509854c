//! Events, and the one renderer that owns the terminal. Nothing else prints during a run.

mod event;
mod json;
mod question;
mod record;
mod render;
mod summary;
mod terminal;
mod text;

pub use event::{Event, Outcome, Reporter, Severity};
pub use question::{NoAnswer, Prompter, Question};
pub use record::{Record, RecordFile};
pub use render::{Format, Options, Renderer};
pub use summary::{HostSummary, Summary, exit};
pub use text::{printable, printable_line};
