//! A review as text, for people.

use std::fmt::Write as _;

use time::UtcOffset;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{Fate, Review, Run};
use crate::report::timings::{self, seconds};
use crate::report::{aligned, printable_line};

/// How long a reason may get, in characters.
const REASON_LIMIT: usize = 2000;

pub(super) const SHOWN_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");

impl Review {
    /// What the runs came to, why hosts failed, and where the time went; `every_host` adds a table of them.
    pub fn to_text(&self, every_host: bool) -> String {
        let mut text = self.head();
        for cause in self.causes() {
            let phase = cause.phase.map(|phase| format!(" in {}", line(phase))).unwrap_or_default();
            let (word, hosts) = (cause.fate.word(), (self.fold)(&cause.hosts));
            // A String takes whatever is written to it.
            let _ = writeln!(text, "\n{word}{phase} ({}): {}", cause.hosts.len(), line(&hosts));
            let _ = writeln!(text, "  {}", line(cause.reason));
        }
        if every_host {
            text += &format!("\n{}", self.table());
        }
        let timings = timings::text(&self.spans);
        if timings.is_empty() { text } else { format!("{text}\n{timings}") }
    }

    fn head(&self) -> String {
        let mut rows: Vec<[String; 2]> = Vec::new();
        for run in &self.runs {
            rows.push([line(&run.command), run.line()]);
        }
        if let Some(inventory) = self.runs.first().and_then(|run| run.inventory.as_deref()) {
            rows.push(["inventory".to_owned(), line(inventory)]);
        }
        let counts = [Fate::Well, Fate::Failed, Fate::Unreachable, Fate::Incomplete].map(|fate| {
            let count = self.count(fate);
            (count > 0).then(|| format!("{count} {}", fate.word()))
        });
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        let (all, changes, warnings) = (self.hosts.len(), self.changes(), self.warnings);
        rows.push([
            "hosts".to_owned(),
            format!("{all}: {}; {changes} changes, {warnings} warnings", counts.join(", ")),
        ]);
        aligned(&[], &rows)
    }

    fn table(&self) -> String {
        let header = ["HOST", "RESULT", "CHANGED", "BUSY"].map(str::to_owned);
        let row = |(name, host): (&String, &_)| {
            let host: &crate::report::HostSummary = host;
            let result = match &host.failure {
                Some((phase, _)) => format!("{} in {}", Fate::of(host).word(), line(phase)),
                None => Fate::of(host).word().to_owned(),
            };
            [line(name), result, host.changes.to_string(), seconds(host.busy.time())]
        };
        aligned(&header, &self.hosts.iter().map(row).collect::<Vec<_>>())
    }
}

impl Run {
    /// `ID  2026-03-01 12:00:00 UTC, 35.0 s, exit status 0`.
    fn line(&self) -> String {
        // Formatting fails only for years outside RFC 3339.
        let began = self.started.to_offset(UtcOffset::UTC).format(SHOWN_TIME).unwrap_or_default();
        let elapsed = std::time::Duration::try_from(self.ended - self.started).unwrap_or_default();
        let mut text = format!("{}  {began}, {}, {}", line(&self.id), seconds(elapsed), self.end());
        if let Some(limit) = &self.limit {
            let _ = write!(text, ", --limit {}", line(limit));
        }
        if let Some(shard) = &self.shard {
            let _ = write!(text, ", --shard {}, {} hosts", line(shard), self.hosts);
        }
        if self.left_out > 0 {
            let _ = write!(text, ", {} events missing: the disk was too slow", self.left_out);
        }
        text
    }

    /// How it ended, in words.
    pub(super) fn end(&self) -> String {
        match self.exit_status {
            Some(status) => format!("exit status {status}"),
            None if self.under_way => "under way".to_owned(),
            None => "cut short".to_owned(),
        }
    }
}

fn line(text: &str) -> String {
    printable_line(text, REASON_LIMIT)
}
