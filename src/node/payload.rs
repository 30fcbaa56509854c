//! The scripts for hosts: their text, where a host keeps the payload, and the command lines that run them.
//!
//! The payload's name carries a hash of the content, so whatever is found under it is the right version. The script
//! that gathers facts is never kept. Secrets never become part of a command line.

use std::fmt::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;

use crate::ssh::quote;

use super::transport::{Exit, Output};

/// The payload, for whoever wants to read what runs as root.
const TEXT: &str = concat!(
    include_str!("../../templates/payload/common.sh"),
    include_str!("../../templates/payload/files.sh"),
    include_str!("../../templates/payload/pods.sh"),
    include_str!("../../templates/payload/actions.sh")
);

/// What gathers facts.
const FACTS: &str = concat!(
    include_str!("../../templates/payload/common.sh"),
    include_str!("../../templates/payload/facts.sh")
);

/// What takes away what a reset leaves.
const CLEANUP: &str = concat!(
    include_str!("../../templates/payload/common.sh"),
    include_str!("../../templates/payload/cleanup.sh")
);

/// The host does not have the payload (yet, or any more).
const MISSING: u32 = 97;
/// Said together with [`MISSING`], as a hook script may end with any status it likes.
const MISSING_MARK: &str = "fleetadm: no payload";
/// The host cannot keep the payload.
const NOT_STORABLE: u32 = 96;

static FILE_NAME: LazyLock<String> = LazyLock::new(|| {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, TEXT.as_bytes());
    let mut name = String::from("payload-");
    for byte in digest.as_ref().iter().take(8) {
        // Writing to a String does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name + ".sh"
});

/// The payload, and the directory in which hosts keep it.
#[derive(Debug, Clone)]
pub struct Payload {
    directory: String,
}

impl Default for Payload {
    /// Kept in memory-backed `/run`, where only root can write, gone after a reboot.
    fn default() -> Self {
        Self::kept_in("/run/fleetadm")
    }
}

impl Payload {
    /// Keep it in this directory, which only root may write to.
    pub fn kept_in(directory: impl Into<String>) -> Self {
        Self { directory: directory.into() }
    }

    /// The text of the script.
    pub fn text() -> &'static str {
        TEXT
    }

    /// Where the host keeps it.
    pub fn remote_path(&self) -> String {
        format!("{}/{}", self.directory, *FILE_NAME)
    }

    pub(super) fn script() -> Bytes {
        Bytes::from_static(TEXT.as_bytes())
    }

    /// Runs the stored payload; standard input is the subcommand's. What is somebody else's is as good as missing.
    pub(super) fn stored_command(&self, arguments: &[&str]) -> String {
        let path = quote(&self.remote_path());
        let directory = quote(&self.directory);
        let arguments = join(arguments);
        format!(
            "[ -f {path} ] && [ -O {path} ] && [ -O {directory} ] || \
             {{ echo '{MISSING_MARK}' >&2; exit {MISSING}; }}; exec sh {path} {arguments}"
        )
    }

    /// Takes the payload from standard input unless it is there, then runs it. A connection that breaks
    /// half-way must not leave a short script under a name that vouches for its content, and nobody else may
    /// have put another one there.
    pub(super) fn storing_command(&self, arguments: &[&str]) -> String {
        let path = quote(&self.remote_path());
        let directory = quote(&self.directory);
        let arguments = join(arguments);
        let size = TEXT.len();
        format!(
            "p={path} d={directory}; umask 077; [ -e \"$d\" ] || mkdir -p \"$d\"; [ -O \"$d\" ] && chmod 0700 \"$d\" || \
             {{ echo \"fleetadm: $d is not there, or somebody else's; remove it\" >&2; exit {NOT_STORABLE}; }}; \
             {{ [ -f \"$p\" ] && [ -O \"$p\" ]; }} || {{ cat >\"$p.$$\" && \
             [ $(wc -c <\"$p.$$\") -eq {size} ] && mv -f \"$p.$$\" \"$p\"; }} || \
             {{ rm -f \"$p.$$\"; echo \"fleetadm: cannot store $p\" >&2; exit {NOT_STORABLE}; }}; \
             exec sh \"$p\" {arguments}"
        )
    }

    /// Runs the payload from standard input and leaves nothing behind.
    pub(super) fn transient_command(arguments: &[&str]) -> String {
        format!("exec sh -s -- --dry-run {}", join(arguments))
    }

    pub(super) fn is_missing(output: &Output) -> bool {
        output.exit == Exit::Status(MISSING)
            && output.stdout.is_empty()
            && String::from_utf8_lossy(&output.stderr).contains(MISSING_MARK)
    }

    pub(super) fn is_not_storable(output: &Output) -> bool {
        output.exit == Exit::Status(NOT_STORABLE)
    }
}

/// Gathers facts, by the script on standard input. It becomes an argument of the shell, since some shells read what they
/// are to run byte by byte.
pub(super) fn facts_command(arguments: &[&str]) -> String {
    format!("exec sh -c \"$(cat)\" facts {}", join(arguments))
}

/// Cleans up, as [`facts_command`] gathers facts.
pub(super) fn cleanup_command(arguments: &[&str]) -> String {
    format!("exec sh -c \"$(cat)\" cleanup {}", join(arguments))
}

/// See [`cleanup_command`].
pub(super) fn cleanup_script() -> Bytes {
    Bytes::from_static(CLEANUP.as_bytes())
}

/// See [`facts_command`].
pub(super) fn facts_script() -> Bytes {
    Bytes::from_static(FACTS.as_bytes())
}

fn join(arguments: &[&str]) -> String {
    arguments.iter().map(|argument| quote(argument)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small() {
        for text in [TEXT, FACTS, CLEANUP] {
            assert!(text.len() < 32 * 1024, "{} bytes", text.len());
            assert!(text.ends_with("\nmain \"$@\"\n"), "a truncated script must run nothing");
        }
    }

    #[test]
    fn quotes_only_what_needs_it() {
        assert_eq!(quote("/etc/kubernetes"), "/etc/kubernetes");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
