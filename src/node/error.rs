//! What can go wrong on a host, in words that help.

use std::io;
use std::path::{Path, PathBuf};

use super::facts::FactsError;
use crate::report::printable_line;
use crate::ssh::SshError;

use super::transport::{Exit, Output, TransportError};

/// How much of what a host printed an error repeats.
const LAST_LINES: usize = 5;
const LINE_LENGTH: usize = 300;

/// Why an action on a host has no result.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The command did not get through.
    #[error("{action}: {source}")]
    Transport {
        /// Inventory name.
        host: String,
        /// The payload's subcommand and what it was about.
        action: String,
        /// Why.
        source: TransportError,
    },
    /// The command ran and failed.
    #[error("{action} failed: {detail}{}", .hint.map(|hint| format!(" ({hint})")).unwrap_or_default())]
    Failed {
        /// Inventory name.
        host: String,
        /// The payload's subcommand and what it was about.
        action: String,
        /// How it ended.
        exit: Exit,
        /// The last lines the host printed to standard error, without control characters.
        detail: String,
        /// What to try, where the cause is a well-known one.
        hint: Option<&'static str>,
    },
    /// The command succeeded but said something the payload never says.
    #[error("{action}: unexpected answer `{answer}`; does something else print on login?")]
    Unexpected {
        /// Inventory name.
        host: String,
        /// The payload's subcommand and what it was about.
        action: String,
        /// The start of the answer.
        answer: String,
    },
    /// The facts make no sense.
    #[error("facts: {source}")]
    Facts {
        /// Inventory name.
        host: String,
        /// Why.
        source: FactsError,
    },
    /// A path that cannot be used on a host.
    #[error("`{}`: not a usable path on a host: expected an absolute one without `..`, `//` and control characters", readable(.path))]
    Path {
        /// The path.
        path: String,
    },
    /// A file on the workstation cannot be read.
    #[error("{}: {source}", .path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl NodeError {
    /// The host could not be reached, or the connection was lost (exit status 4 rather than 3).
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Transport { source: TransportError::Lost(source), .. } => source
                .downcast_ref::<SshError>()
                .is_some_and(|error| error.could_not_reach() || error.is_lost()),
            _ => false,
        }
    }

    pub(super) fn failed(host: &str, action: String, output: &Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let mut detail = last_lines(&stderr);
        if detail.is_empty() {
            detail = output.exit.to_string();
        }
        let hint = hint(&stderr);
        Self::Failed { host: host.to_owned(), action, exit: output.exit.clone(), detail, hint }
    }

    pub(super) fn unexpected(host: &str, action: &str, answer: &str) -> Self {
        let answer = last_lines(answer.lines().next().unwrap_or_default());
        Self::Unexpected { host: host.to_owned(), action: action.to_owned(), answer }
    }

    pub(super) fn local(path: &Path, source: io::Error) -> Self {
        Self::Local { path: path.to_owned(), source }
    }
}

/// The end of what a host printed, on one line, short, and harmless to a terminal.
fn last_lines(text: &str) -> String {
    let mut lines: Vec<_> =
        text.lines().rev().map(readable).filter(|line| !line.is_empty()).take(LAST_LINES).collect();
    lines.reverse();
    lines.join("; ")
}

/// The payload's own prefix says nothing here: the error says what ran.
fn readable(line: &str) -> String {
    printable_line(line.trim().trim_start_matches("fleetadm: "), LINE_LENGTH)
}

fn hint(stderr: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 8] = [
        ("No space left on device", "free some space on the host and run again"),
        ("Disk quota exceeded", "free some space on the host and run again"),
        ("Read-only file system", "remount it writable, or look for disk errors in the kernel log"),
        (
            "Operation not permitted",
            "root is needed (`become` in the inventory), or the file is immutable",
        ),
        ("Permission denied", "root is needed: check `become` in the inventory, and --become here"),
        ("tar: not found", "install tar on the host"),
        ("tar: command not found", "install tar on the host"),
        ("target is busy", "stop what uses it: `fuser -vm` with the path names the processes"),
    ];
    KNOWN.iter().find(|(cause, _)| stderr.contains(cause)).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn names_host_action_and_cause_without_control_sequences() {
        let stderr = b"noise\ncat: write error: No space left on device\n\
            fleetadm: /etc/\x1b[31mx: cannot be written\n"
            .to_vec();
        let output = Output { exit: Exit::Status(1), stdout: Zeroizing::default(), stderr };
        let error = NodeError::failed("cp-1", "install".to_owned(), &output);
        insta::assert_snapshot!(error, @"install failed: noise; cat: write error: No space left on device; /etc/x: cannot be written (free some space on the host and run again)");
    }

    #[test]
    fn falls_back_to_the_exit_status() {
        let output = Output {
            exit: Exit::Signal("KILL".into()),
            stdout: Zeroizing::default(),
            stderr: vec![],
        };
        let error = NodeError::failed("cp-1", "facts".to_owned(), &output);
        insta::assert_snapshot!(error, @"facts failed: killed by SIGKILL");
    }
}
