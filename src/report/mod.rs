//! Events, and the one renderer that owns the terminal. Nothing else prints during a run.

mod assessment;
mod event;
mod file;
mod json;
mod page;
mod question;
mod record;
mod render;
mod reporter;
mod review;
mod secret_file;
mod summary;
mod table;
mod terminal;
mod text;
mod timeline;
mod timings;
mod wrap;

pub use assessment::{
    AssessedCheck, AssessedHost, Assessment, FactSheet, Finding, HostCounts, HostState, Probe,
    ProbeResult, Reachability,
};
pub use event::{After, Event, Outcome, Severity, Unit, Why};
pub use file::write_file;
pub use question::{NoAnswer, Prompter, Question};
pub use record::{Beginning, Overview, Recorder, RunId, RunRecord, Runs, host_log, overview, read};
pub use render::{Format, Options, Renderer};
pub use reporter::{Events, Reporter};
pub use review::Review;
pub use secret_file::{SecretFile, TemporarySecret, read_secret};
pub use summary::{HostSummary, Summary, exit};
pub use table::{aligned, csv};
pub use text::{escaped_json, printable, printable_line};
pub use timeline::{End, PhaseTotal, Span, Timeline, critical_path, phase_totals};
pub use wrap::wrap;
