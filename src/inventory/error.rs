//! What is wrong with an inventory, and where: collected while reading, rendered once at the end.
//!
//! It must never decide what is valid; the rules do that.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use toml::Spanned;

use super::program::ProgramError;
use crate::report::printable;

/// Where something stands in the document, in bytes.
pub(crate) type Span = Range<usize>;

/// More problems than this are counted, not shown: they rarely have separate causes.
const SHOWN: usize = 20;

/// Longer values are cut when a message repeats them.
const QUOTED: usize = 80;

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// It could not be read at all.
    #[error("cannot read the inventory {origin}: {reason}")]
    Unreadable {
        /// What the inventory is called: its path as given, or `standard input`.
        origin: String,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The inventory is a program, and it gave no document.
    #[error("the inventory {origin} {reason}")]
    Program {
        /// The program's path as given.
        origin: String,
        /// Why not.
        reason: ProgramError,
    },
    /// The document has mistakes.
    #[error("{0}")]
    Invalid(Box<Mistakes>),
}

impl InventoryError {
    /// The whole error for a terminal; [`fmt::Display`] gives the same without colour.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::Invalid(mistakes) => mistakes.render(colour),
            Self::Unreadable { .. } | Self::Program { .. } => self.to_string(),
        }
    }
}

/// Every mistake found in one document, in document order.
#[derive(Debug)]
pub struct Mistakes {
    origin: String,
    text: String,
    problems: Vec<Problem>,
}

impl Mistakes {
    pub(crate) fn new(origin: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        Self { origin: origin.to_owned(), text: text.to_owned(), problems }
    }

    /// How many there are; in an error never 0.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// One line for each, without the source.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|problem| problem.title.as_str())
    }

    fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let (origin, text) = (printable(&self.origin), harmless(&self.text));
        let mut blocks: Vec<String> = self
            .problems
            .iter()
            .take(SHOWN)
            .map(|problem| problem.render(&renderer, &origin, &text))
            .collect();
        if self.problems.len() > SHOWN {
            blocks.push(format!("and {} more", self.problems.len() - SHOWN));
        }
        blocks.join("\n\n")
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// What a rule has against a value, before anyone knows where the value stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    title: String,
    label: String,
    help: Option<String>,
}

impl Fault {
    /// `title` says what is wrong, `label` what was expected (it stands next to the caret).
    pub(crate) fn new(title: impl Into<String>, label: impl Into<String>) -> Self {
        Self { title: title.into(), label: label.into(), help: None }
    }

    /// For what the design promises and this version does not do.
    pub(crate) fn unsupported(what: &str) -> Self {
        Self::new(format!("{what} is not supported yet"), "not supported yet")
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds `did you mean ...` when there is something to suggest.
    pub(crate) fn suggest(self, nearest: Option<&str>) -> Self {
        match nearest {
            Some(nearest) => self.help(format!("did you mean {}?", quoted(nearest))),
            None => self,
        }
    }

    pub(crate) fn at(self, span: Span) -> Problem {
        let Self { title, label, help } = self;
        Problem { title, label, span, also: Vec::new(), help }
    }

    /// The one-line form, for errors without a document.
    pub(crate) fn into_title(self) -> String {
        self.title
    }
}

/// One mistake, and the places it concerns.
#[derive(Debug)]
pub(crate) struct Problem {
    title: String,
    label: String,
    span: Span,
    also: Vec<(Span, String)>,
    help: Option<String>,
}

impl Problem {
    /// Points at a second place.
    pub(crate) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.also.push((span, label.into()));
        self
    }

    fn render(&self, renderer: &Renderer, origin: &str, text: &str) -> String {
        let primary = AnnotationKind::Primary.span(first_line(text, &self.span));
        let snippet = Snippet::source(text).path(origin).annotation(primary.label(&*self.label));
        let others = self.also.iter().map(|(span, label)| {
            AnnotationKind::Context.span(first_line(text, span)).label(label.as_str())
        });
        let group = Level::ERROR
            .primary_title(harmless(&self.title))
            .element(snippet.annotations(others))
            .elements(self.help.as_deref().map(|help| Level::HELP.message(help)));
        renderer.render(&[group])
    }
}

/// Text whose characters keep their places. The renderer of snippets shows ASCII's control characters as pictures and lets
/// the others through, some of which begin a sequence for a terminal.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_control = |c: char| c.is_control() && !c.is_ascii();
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        // As many bytes as it had.
        if is_control(c) { shown.push_str(&"?".repeat(c.len_utf8())) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// A caret under one line says where; brackets around a whole table do not.
fn first_line(text: &str, span: &Span) -> Span {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let length = text.get(start..end).and_then(|part| part.find('\n')).unwrap_or(end - start);
    start..start + length
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.0.extend(problems);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    /// Applies a rule to a value; a fault is recorded at the value's place.
    pub(crate) fn check<T, U>(
        &mut self,
        value: &Spanned<T>,
        rule: impl FnOnce(&T) -> Result<U, Fault>,
    ) -> Option<U> {
        match rule(value.get_ref()) {
            Ok(valid) => Some(valid),
            Err(fault) => {
                self.push(fault.at(value.span()));
                None
            }
        }
    }

    /// [`Self::check`] for a key that may be absent.
    pub(crate) fn check_opt<T, U>(
        &mut self,
        value: Option<&Spanned<T>>,
        rule: impl FnOnce(&T) -> Result<U, Fault>,
    ) -> Option<U> {
        value.and_then(|value| self.check(value, rule))
    }

    /// [`Self::check`] for a key that must be there; `table` is the header it is missing from.
    pub(crate) fn required<'a, T>(
        &mut self,
        table: &Span,
        key: &str,
        value: Option<&'a Spanned<T>>,
    ) -> Option<&'a Spanned<T>> {
        if value.is_none() {
            let title = format!("missing key `{key}`");
            self.push(Fault::new(title, format!("`{key}` is required here")).at(table.clone()));
        }
        value
    }

    /// Reports every key of `keys` that is present as not supported yet.
    pub(crate) fn unsupported<T>(&mut self, keys: &[(&str, &Option<Spanned<T>>)]) {
        for (key, value) in keys {
            if let Some(value) = value {
                self.push(Fault::unsupported(&format!("`{key}`")).at(value.span()));
            }
        }
    }
}

/// A value as messages repeat it: in backquotes, cut when long, without control characters.
pub(crate) fn quoted(value: &str) -> String {
    let mut text = String::from("`");
    for (count, character) in value.chars().enumerate() {
        if count == QUOTED {
            text.push_str("...");
            break;
        }
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text.push('`');
    text
}
