//! Why something was not copied.

use std::io;
use std::path::{Path, PathBuf};

use crate::fleet::StepError;
use crate::node::NodeError;
use crate::report::printable_line;
use crate::ssh::SshError;

/// How much of a host's words an error repeats.
const QUOTED: usize = 200;

/// Why something was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What was asked for cannot be done on any host.
    #[error("{0}")]
    Usage(String),
    /// A file or directory on the workstation.
    #[error("{}: {source}", .path.display())]
    Local {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is in the way, on the host or on the workstation.
    #[error("{path}: {why}")]
    Conflict {
        /// Where.
        path: String,
        /// What is there, and what to do.
        why: &'static str,
    },
    /// The host said something that is refused.
    #[error("refused what the host sent: {}", printable_line(.0, QUOTED))]
    Refused(String),
    /// The host cannot be reached.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The host refused a step, or was lost.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl CopyError {
    pub(super) fn local(path: &Path, source: io::Error) -> Self {
        Self::Local { path: path.to_owned(), source }
    }

    pub(super) fn conflict(path: &str, why: &'static str) -> Self {
        Self::Conflict { path: printable_line(path, QUOTED), why }
    }
}

impl StepError for CopyError {
    fn is_unreachable(&self) -> bool {
        match self {
            Self::Ssh(error) => error.could_not_reach() || error.is_lost(),
            Self::Node(error) => error.is_unreachable(),
            _ => false,
        }
    }
}
