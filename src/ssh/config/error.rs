//! What can be wrong with OpenSSH's configuration.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::report::printable;

/// A line of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigLine {
    /// The file.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub number: usize,
}

impl fmt::Display for ConfigLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file.display(), self.number)
    }
}

/// Why OpenSSH's configuration cannot be followed. Nothing has been touched when that is found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    line: Option<ConfigLine>,
    reason: String,
}

impl ConfigError {
    /// `reason` says what is wrong with a line, and what to do about it.
    pub(super) fn at(line: &ConfigLine, reason: impl Into<String>) -> Self {
        Self { line: Some(line.clone()), reason: reason.into() }
    }

    /// The same about a file as a whole, or about several lines together.
    pub(in crate::ssh) fn new(reason: impl Into<String>) -> Self {
        Self { line: None, reason: reason.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ConfigLine { file, number }) = &self.line {
            write!(f, "{}:{number}: ", printable(&file.to_string_lossy()))?;
        }
        f.write_str(&printable(&self.reason))
    }
}

impl std::error::Error for ConfigError {}
