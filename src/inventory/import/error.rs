//! Why a document cannot be imported at all.

use std::io;

use super::notes::{Line, Note};
use crate::report;

/// Longer messages are cut, in characters.
const SHOWN: usize = 400;

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file or directory could not be read.
    #[error("cannot read {document}: {reason}")]
    Unreadable {
        /// Its path, or `standard input`.
        document: String,
        /// What the operating system said.
        reason: io::Error,
    },
    /// Ansible could not read it either.
    #[error("{line}: {problem}")]
    Invalid {
        /// Where it stands.
        line: Line,
        /// What is wrong; safe to show.
        problem: String,
    },
    /// There is no host, or none can be carried over.
    #[error("{document}: no host can be carried over")]
    NoHosts {
        /// Its path, or `standard input`.
        document: String,
        /// Why not.
        notes: Vec<Note>,
    },
}

impl ImportError {
    pub(super) fn at(line: &Line, problem: impl AsRef<str>) -> Self {
        let problem = report::printable_line(problem.as_ref(), SHOWN);
        Self::Invalid { line: line.clone(), problem }
    }
}
