//! Events, and the one renderer that owns the terminal. Nothing else prints during a run.

mod assessment;
mod event;
mod file;
mod json;
mod question;
mod record;
mod render;
mod reporter;
mod summary;
mod table;
mod terminal;
mod text;
mod wrap;

pub use assessment::{
    AssessedCheck, AssessedHost, Assessment, FactSheet, Finding, HostCounts, HostState, Probe,
    ProbeResult, Reachability,
};
pub use event::{Event, Outcome, Severity, Unit};
pub use file::write_file;
pub use question::{NoAnswer, Prompter, Question};
pub use record::{Record, RecordFile};
pub use render::{Format, Options, Renderer};
pub use reporter::{Events, Reporter};
pub use summary::{HostSummary, Summary, exit};
pub use table::{aligned, csv};
pub use text::{printable, printable_line};
pub use wrap::wrap;
