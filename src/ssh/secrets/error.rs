//! Why there is no password to try.

use crate::report::NoAnswer;

/// Why there is no password, or none to try here. Lowercase fragments, one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// No source was given, and there is nobody to ask.
    #[error("no password: {reason}; {hint}")]
    NotGiven {
        /// Why the operator did not say it.
        reason: NoAnswer,
        /// How it can be given otherwise.
        hint: &'static str,
    },
    /// The operator wants the run to stop.
    #[error("interrupted while the password was asked for")]
    Interrupted,
    /// The command that was to print it did not.
    #[error("{setting} gave no password: {reason}")]
    Command {
        /// `password_command` or `become_password_command`.
        setting: &'static str,
        /// What became of it.
        reason: String,
    },
    /// This host has refused it.
    #[error("the password was refused")]
    Refused,
    /// This host has refused it, another has accepted it.
    #[error(
        "the password was refused, though {accepted_by} accepted it; give this host its own with {setting}"
    )]
    RefusedHere {
        /// Name of a host that accepted it.
        accepted_by: String,
        /// `password_command` or `become_password_command`.
        setting: &'static str,
    },
    /// Another host has refused it.
    #[error("the password was refused by {by} and was not tried here")]
    RefusedElsewhere {
        /// Name of the host.
        by: String,
    },
}
