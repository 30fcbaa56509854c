//! What could not be carried over, and where it stands.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::report;

/// Longer notes are cut, in characters.
const SHOWN: usize = 400;

/// A line of a document that is imported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    /// What the document is called: its path, or `standard input`.
    pub document: Arc<str>,
    /// From 1; 0 for the document as a whole.
    pub number: usize,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => f.write_str(&self.document),
            number => write!(f, "{}:{number}", self.document),
        }
    }
}

/// Something that was not carried over as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// Where it stands, if it stands in one place.
    pub line: Option<Line>,
    /// What it is, and what to do about it; safe to show.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            Some(line) => write!(f, "{line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// The notes so far, each once: what a group says concerns all of its hosts.
#[derive(Debug, Default)]
pub(super) struct Notes {
    list: Vec<Note>,
    seen: HashSet<Note>,
}

impl Notes {
    pub(super) fn at(&mut self, line: &Line, text: impl AsRef<str>) {
        self.add(Some(line.clone()), text.as_ref());
    }

    pub(super) fn general(&mut self, text: impl AsRef<str>) {
        self.add(None, text.as_ref());
    }

    fn add(&mut self, line: Option<Line>, text: &str) {
        let note = Note { line, text: report::printable_line(text, SHOWN) };
        if self.seen.insert(note.clone()) {
            self.list.push(note);
        }
    }

    /// All of them: document by document and line by line, then what stands nowhere.
    pub(super) fn into_sorted(self) -> Vec<Note> {
        let mut documents: Vec<Arc<str>> = Vec::new();
        for line in self.list.iter().filter_map(|note| note.line.as_ref()) {
            if !documents.contains(&line.document) {
                documents.push(line.document.clone());
            }
        }
        let place = |note: &Note| match &note.line {
            Some(line) => (documents.iter().position(|name| *name == line.document), line.number),
            None => (Some(documents.len()), 0),
        };
        let mut list = self.list;
        list.sort_by_key(place);
        list
    }
}
