//! The one task that owns the terminal: turns events into lines.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secrecy::ExposeSecret;
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::assessment;
use super::json;
use super::question::{Prompter, Question};
use super::summary::Summary;
use super::terminal;
use super::text::printable_line;
use super::timeline::Timeline;
use super::{Event, Events, Outcome, Recorder, Reporter, Severity, timings};

/// How long a line of host text may get on a terminal, in characters.
const LINE_LIMIT: usize = 2000;

/// How the run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines for people on standard error; a progress line where that is a terminal.
    Auto,
    /// Lines only.
    Plain,
    /// One JSON object per line on standard output.
    Json,
}

/// What the renderer is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the run is shown.
    pub format: Format,
    /// 0: a line per phase that changed something; 1: every change and note; 2: every phase.
    pub verbosity: u8,
    /// Name of the command, for the last line.
    pub command: String,
    /// Names of the hosts, for the width of the first column.
    pub hosts: Vec<String>,
    /// Whether to end with a table of hosts.
    pub summary: bool,
    /// Whether to end with where the time went.
    pub timings: bool,
    /// The word for changes where the command can make some: `changed`, or `to change` in a dry run.
    pub changes: Option<&'static str>,
}

/// A running renderer.
pub struct Renderer {
    task: JoinHandle<(Summary, Option<Recorder>)>,
}

impl Renderer {
    /// Start the renderer and give the reporter that feeds it and the prompter it asks for. No question is put once
    /// `cancel` has fired, and an open one is taken back. What is shown also goes on record, where there is one.
    pub fn start(
        options: Options,
        recorder: Option<Recorder>,
        cancel: CancellationToken,
    ) -> (Reporter, Prompter, Self) {
        let (reporter, events) = Reporter::channel();
        let (prompter, questions) = Prompter::channel();
        let task = tokio::spawn(render(options, recorder, events, questions, cancel));
        (reporter, prompter, Self { task })
    }

    /// Wait until everything sent has been shown; every [`Reporter`] must have been dropped before. Gives what the run came
    /// to, and back the record, whose end is still to come.
    pub async fn finish(self) -> (Summary, Option<Recorder>) {
        self.task.await.unwrap_or_default()
    }
}

async fn render(
    options: Options,
    mut recorder: Option<Recorder>,
    mut events: Events,
    mut questions: mpsc::UnboundedReceiver<Question>,
    cancel: CancellationToken,
) -> (Summary, Option<Recorder>) {
    let mut screen = Screen::new(&options);
    let mut timeline = options.timings.then(|| Timeline::new(OffsetDateTime::now_utc()));
    let mut summary = Summary::default();
    loop {
        let event = tokio::select! {
            // What was told before a question is shown before it.
            biased;
            event = events.next() => event,
            Some(question) = questions.recv() => {
                screen.ask(question, &cancel).await;
                continue;
            }
        };
        let Some((at, event)) = event else { break };
        summary.record(&event, at);
        if let Some(recorder) = &mut recorder {
            recorder.record(&event, at);
        }
        if let Some(timeline) = &mut timeline {
            timeline.record(&event, at);
        }
        match options.format {
            Format::Json => json::write(&event, at),
            Format::Auto | Format::Plain => screen.show(&event, at),
        }
    }
    let spans = timeline.map(|timeline| timeline.into_spans(OffsetDateTime::now_utc()));
    match options.format {
        Format::Json => {
            if let Some(spans) = &spans {
                let mut value = timings::value(spans);
                value["kind"] = json!("timings");
                value["time"] = json!(json::time(OffsetDateTime::now_utc()));
                json::write_value(&value);
            }
            if options.summary {
                let status = summary.exit_status();
                json::write_value(&json::summary(&options.command, &summary, status));
            }
        }
        Format::Auto | Format::Plain => {
            if options.summary {
                screen.finish(&options, &summary);
            }
            if let Some(spans) = &spans {
                screen.lines(&timings::text(spans));
            }
        }
    }
    (summary, recorder)
}

/// Lines on standard error, with one progress line below them on a terminal.
struct Screen {
    started: Instant,
    verbosity: u8,
    width: usize,
    progress: ProgressBar,
    running: Vec<Running>,
    /// What was found on all hosts has been shown, and needs no table of hosts after it.
    assessed: bool,
    /// Changes of tasks under way, shown in one line when the task ends.
    pending: Vec<(String, String, String)>,
}

/// A task under way, and how far it is where that is known.
struct Running {
    host: String,
    phase: String,
    percent: Option<u64>,
}

impl Screen {
    fn new(options: &Options) -> Self {
        let live = options.format == Format::Auto && std::io::stderr().is_terminal();
        let progress = if live {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            // A template that does not parse would only cost the spinner.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(125));
            bar
        } else {
            ProgressBar::hidden()
        };
        let width = options.hosts.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        Self {
            started: Instant::now(),
            verbosity: options.verbosity,
            width,
            progress,
            running: Vec::new(),
            assessed: false,
            pending: Vec::new(),
        }
    }

    fn line(&self, line: &str) {
        self.lines(&format!("{line}\n"));
    }

    /// In one piece: standard error is not buffered.
    fn lines(&self, text: &str) {
        self.progress.suspend(|| {
            // Nobody is left to tell when standard error is gone.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        });
    }

    /// Put a question and wait for the answer. Nothing else is shown meanwhile; events wait in their channel.
    async fn ask(&self, question: Question, cancel: &CancellationToken) {
        let (progress, cancel) = (self.progress.clone(), cancel.clone());
        let asking = tokio::task::spawn_blocking(move || {
            let Question { text, echo, reply } = question;
            let answer = progress.suspend(|| {
                terminal::ask(&text, echo, || cancel.is_cancelled() || reply.is_closed())
            });
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        });
        // A panic in there drops the question, which its asker notices.
        let _ = asking.await;
    }

    fn host_line(&self, host: &str, phase: &str, text: &str) {
        let width = self.width;
        self.line(&format!("{host:<width$}  {phase:<26} {}", printable_line(text, LINE_LIMIT)));
    }

    fn show(&mut self, event: &Event, at: OffsetDateTime) {
        match event {
            Event::Connected { host, elapsed } if self.verbosity > 0 => {
                self.host_line(host, "connect", &format!("{} ms", elapsed.as_millis()));
            }
            Event::BatchStarted { batch, batches, folded, .. } => {
                self.line(&format!("batch {batch} of {batches}: {folded}"));
            }
            Event::PhaseStarted { host, phase, .. } => {
                let (host, phase) = (host.clone(), phase.clone());
                self.running.push(Running { host, phase, percent: None });
                self.show_progress();
            }
            Event::Progress { host, phase, done, of, .. } => {
                let mine = |task: &&mut Running| task.host == *host && task.phase == *phase;
                if let Some(task) = self.running.iter_mut().find(mine) {
                    task.percent = (done * 100).checked_div(*of);
                }
                self.show_progress();
            }
            Event::PhaseFinished { host, phase, outcome, elapsed } => {
                self.running.retain(|task| task.host != *host || task.phase != *phase);
                self.show_finished(host, phase, outcome, *elapsed);
                self.show_progress();
            }
            Event::Changed { host, phase, what, detail, dry_run } => {
                if self.verbosity > 0 || *dry_run {
                    let verb = if *dry_run { "would " } else { "" };
                    self.host_line(host, phase, &format!("{verb}{what}"));
                    for line in detail.iter().flat_map(|text| text.lines()) {
                        self.line(&format!("    {}", printable_line(line, LINE_LIMIT)));
                    }
                } else {
                    self.pending.push((host.clone(), phase.clone(), what.clone()));
                }
            }
            Event::Warning { host, phase, text } => {
                self.host_line(host, phase, &format!("warning: {text}"));
            }
            Event::Note { host, text } if self.verbosity > 0 => self.host_line(host, "", text),
            Event::Output { host, line, stderr } => {
                let width = self.width;
                let line = format!("{host:<width$}  {}", printable_line(line, LINE_LIMIT));
                if *stderr {
                    self.line(&line);
                } else {
                    self.progress.suspend(|| {
                        // A closed pipe ends the output, not the run on the hosts.
                        let _ = writeln!(std::io::stdout().lock(), "{line}");
                    });
                }
            }
            Event::Merged { hosts, folded, ended, exit_code, stdout, stderr, left_out } => {
                let count = if hosts.len() == 1 { "host" } else { "hosts" };
                let how = if *exit_code == Some(0) { String::new() } else { format!(", {ended}") };
                let title = format!("{folded} ({} {count}){how}", hosts.len());
                self.progress.suspend(|| show_merged(&title, stdout, stderr, *left_out));
            }
            Event::Check { host, name, severity, message, .. } if *severity != Severity::Passed => {
                let label = if *severity == Severity::Error { "ERROR" } else { "WARNING" };
                let width = self.width;
                self.line(&format!(
                    "{host:<width$}  [{label} {}]: {}",
                    printable_line(name, 200),
                    printable_line(message, LINE_LIMIT)
                ));
            }
            Event::Assessed(assessment) => {
                let look = assessment::Look::of_stdout(self.verbosity > 0);
                let text = assessment::render(assessment, look);
                self.progress.suspend(|| {
                    let _ = std::io::stdout().lock().write_all(text.as_bytes());
                });
                self.assessed = true;
            }
            Event::Disclosed { what, secret } => {
                self.line(&format!("{what}:"));
                self.progress.suspend(|| {
                    let _ = writeln!(std::io::stdout().lock(), "{}", secret.expose_secret());
                });
            }
            Event::Listing { text } => self.progress.suspend(|| {
                let mut out = std::io::stdout().lock();
                for line in text.lines() {
                    let _ = writeln!(out, "{}", printable_line(line, LINE_LIMIT));
                }
            }),
            Event::Data { text } => self.progress.suspend(|| {
                let _ = std::io::stdout().write_all(text.as_bytes());
            }),
            Event::Facts { .. } => self.progress.suspend(|| json::write(event, at)),
            Event::Interrupted => self.line(
                "interrupted: steps under way are finished, no others begin; once more aborts at once",
            ),
            Event::Message { text } => {
                for line in text.lines() {
                    self.line(&printable_line(line, LINE_LIMIT));
                }
            }
            _ => {}
        }
    }

    fn show_finished(&mut self, host: &str, phase: &str, outcome: &Outcome, elapsed: Duration) {
        let seconds = elapsed.as_secs_f32();
        let (mine, others) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|(h, p, _)| h == host && p == phase);
        self.pending = others;
        let changed: Vec<String> = mine.into_iter().map(|(_, _, what)| what).collect();
        match outcome {
            Outcome::Failed { error, .. } => {
                if !changed.is_empty() {
                    self.host_line(host, phase, &fold_changes(&changed));
                }
                self.host_line(host, phase, &format!("failed: {error}"));
            }
            // Everything behind a failure is skipped; the summary says once per host why.
            Outcome::Skipped { reason } if self.verbosity > 0 => {
                self.host_line(host, phase, &format!("skipped: {reason}"));
            }
            Outcome::Done { .. } if !changed.is_empty() => {
                self.host_line(
                    host,
                    phase,
                    &format!("{} ({seconds:.1} s)", fold_changes(&changed)),
                );
            }
            Outcome::Done { changes } if self.verbosity > 0 => {
                self.host_line(host, phase, &format!("{changes} changed ({seconds:.1} s)"));
            }
            Outcome::NotNeeded { reason } if self.verbosity > 1 => {
                self.host_line(host, phase, &format!("not needed: {reason}"));
            }
            _ => {}
        }
    }

    fn show_progress(&self) {
        if self.progress.is_hidden() {
            return;
        }
        let word = |task: &Running| {
            let percent = task.percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
            format!("{} {}{percent}", task.host, task.phase)
        };
        let shown: Vec<String> = self.running.iter().take(6).map(word).collect();
        let more = self.running.len().saturating_sub(shown.len());
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        self.progress.set_message(printable_line(&format!("{}{tail}", shown.join(", ")), 500));
    }

    fn finish(&mut self, options: &Options, summary: &Summary) {
        self.progress.finish_and_clear();
        if self.assessed {
            return;
        }
        let mut text = String::new();
        for (name, host) in &summary.hosts {
            let result = match &host.failure {
                Some((phase, _)) if host.unreachable => format!("unreachable in {phase}"),
                Some((phase, _)) => format!("failed in {phase}"),
                None => match &host.skip_reason {
                    Some(reason) => format!("incomplete: {reason}"),
                    None if !host.is_complete() => "incomplete: aborted".to_owned(),
                    None => "ok".to_owned(),
                },
            };
            let width = self.width;
            let changed = match options.changes {
                Some(word) => format!("{} {word}, ", host.changes),
                None => String::new(),
            };
            let seconds = host.busy.time().as_secs_f32();
            text += &format!("{name:<width$}  {result:<26} {changed}{seconds:.1} s\n");
        }
        let changed = match options.changes {
            Some(word) => format!("{} {word}, ", summary.changes()),
            None => String::new(),
        };
        text += &format!(
            "{}: {} hosts, {changed}{} failed, {} warnings in {:.1} s\n",
            options.command,
            summary.hosts.len(),
            summary.failed(),
            summary.warnings,
            self.started.elapsed().as_secs_f32()
        );
        self.lines(&text);
    }
}

/// A block on standard output, and what belongs to standard error there, each under its title.
fn show_merged(title: &str, stdout: &str, stderr: &str, left_out: u64) {
    let lines = |out: &mut dyn Write, text: &str| {
        for line in text.lines() {
            // A closed pipe ends the output, not the run on the hosts.
            let _ = writeln!(out, "{}", printable_line(line, LINE_LIMIT));
        }
    };
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{title}:");
    lines(&mut out, stdout);
    let _ = out.flush();
    let mut err = std::io::stderr().lock();
    if !stderr.is_empty() {
        let _ = writeln!(err, "{title}, standard error:");
        lines(&mut err, stderr);
    }
    if left_out > 0 {
        let _ = writeln!(err, "{title}: {left_out} more bytes are left out");
    }
}

/// `create /a/x, /a/y; start kubelet`: changes with the same verb share it; long lists are counted.
fn fold_changes(changes: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut verbs: Vec<(&str, Vec<&str>)> = Vec::new();
    for change in changes {
        let (verb, object) = change.split_once(' ').unwrap_or((change, ""));
        match verbs.iter_mut().find(|(known, _)| *known == verb) {
            Some((_, objects)) => objects.push(object),
            None => verbs.push((verb, vec![object])),
        }
    }
    let parts: Vec<String> = verbs
        .into_iter()
        .map(|(verb, objects)| {
            let more = objects.len().saturating_sub(SHOWN);
            let shown = objects[..objects.len() - more].join(", ");
            let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{verb} {shown}{tail}")
        })
        .collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::fold_changes;

    #[test]
    fn changes_with_the_same_verb_are_folded() {
        let changes: Vec<String> =
            ["create a", "create b", "start kubelet", "create c", "create d", "create e"]
                .map(String::from)
                .to_vec();
        insta::assert_snapshot!(fold_changes(&changes), @"create a, b, c, d and 1 more; start kubelet");
    }
}
