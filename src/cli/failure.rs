//! Why a command ended before its run began.

use std::fmt;

use crate::report::exit;

/// A message for people and the exit status that goes with it.
#[derive(Debug)]
pub struct Failure {
    /// One of [`exit`].
    pub status: u8,
    message: String,
}

impl Failure {
    /// The command line or the inventory is wrong; nothing was touched.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { status: exit::USAGE, message: message.to_string() }
    }

    /// fleetadm itself failed.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self { status: exit::INTERNAL, message: message.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.starts_with("error") {
            f.write_str(&self.message)
        } else {
            write!(f, "error: {}", self.message)
        }
    }
}
