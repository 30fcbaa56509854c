//! What can go wrong with a connection, each with a message that says what to try.

use std::path::PathBuf;
use std::time::Duration;

use super::config::ConfigError;

/// A failure of a connection, a command or a tunnel. The message is one line, without the host's
/// inventory name: whoever reports it knows that.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// No SSH server answered: DNS, TCP, a timeout, or a handshake that failed.
    #[error("cannot reach {endpoint}: {reason}")]
    Unreachable {
        /// `address:port`.
        endpoint: String,
        /// What happened, and what to try.
        reason: String,
    },
    /// The server's host key is not the one expected.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The server accepted none of the keys offered.
    #[error("{endpoint} did not accept {user}: {reason}")]
    Authentication {
        /// `address:port`.
        endpoint: String,
        /// Login user.
        user: String,
        /// What was offered and why nothing came of it.
        reason: String,
    },
    /// OpenSSH's configuration is wrong, or cannot be followed for this host.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file on the workstation that the connection needs cannot be used.
    #[error("{}: {reason}", path.display())]
    LocalFile {
        /// The file.
        path: PathBuf,
        /// Why, and what to try.
        reason: String,
    },
    /// The connection ended while it was in use.
    #[error("the connection was lost: {reason}")]
    Lost {
        /// What is known about the end.
        reason: String,
    },
    /// A command ran longer than allowed. It was asked to terminate.
    #[error("the command did not finish within {}; raise command_timeout if it needs longer", seconds(.limit))]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// A command printed more than allowed. It was asked to terminate.
    #[error("the command printed more than {limit} bytes to {stream}")]
    OutputTooLong {
        /// `standard output` or `standard error`.
        stream: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The data for a command's standard input could not be read on the workstation.
    #[error("cannot read the data for standard input: {reason}")]
    Input {
        /// The I/O error.
        reason: String,
    },
    /// The server refused a channel or the request to run a command.
    #[error("the SSH server refused to run a command: {reason}")]
    Channel {
        /// Why, and what to try.
        reason: String,
    },
    /// A tunnel could not be opened.
    #[error("no tunnel to {target}: {kind}")]
    Tunnel {
        /// `host:port` as seen from the server.
        target: String,
        /// Why.
        kind: TunnelError,
    },
    /// The login user could not become root.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
}

impl SshError {
    /// True when there never was a usable connection: exit status 4 rather than 3.
    pub fn could_not_reach(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::HostKey(_)
                | Self::Authentication { .. }
                | Self::Config(_)
                | Self::LocalFile { .. }
        )
    }

    /// True when an established connection is gone and a new one may help.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

/// Why a host key was rejected. There is no way to go on regardless.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HostKeyError {
    /// No known_hosts file has a key for the host.
    #[error(
        "the host key of {endpoint} is unknown: it presented {fingerprint}; compare that with the \
         host's own, then add it with `{keyscan} >> {}`", file.display()
    )]
    Unknown {
        /// `address:port`.
        endpoint: String,
        /// Key type and SHA256 fingerprint.
        fingerprint: String,
        /// The command that prints the line to add.
        keyscan: String,
        /// The known_hosts file to add it to.
        file: PathBuf,
    },
    /// The host is known, by another key.
    #[error(
        "the host key of {endpoint} has changed: it presented {fingerprint}, but {}:{line} has \
         {known}; someone may be intercepting the connection; if the host was reinstalled, remove \
         that line and add the new key", file.display()
    )]
    Changed {
        /// `address:port`.
        endpoint: String,
        /// Key type and SHA256 fingerprint that the host presented.
        fingerprint: String,
        /// Key type and SHA256 fingerprint on record.
        known: String,
        /// Where the known key is written.
        file: PathBuf,
        /// Line in that file, from 1.
        line: usize,
    },
    /// The key is marked `@revoked`.
    #[error(
        "the host key of {endpoint} is revoked: it presented {fingerprint}, marked @revoked in \
         {}:{line}; give the host a new key", file.display()
    )]
    Revoked {
        /// `address:port`.
        endpoint: String,
        /// Key type and SHA256 fingerprint.
        fingerprint: String,
        /// Where the mark is written.
        file: PathBuf,
        /// Line in that file, from 1.
        line: usize,
    },
}

/// Why a tunnel could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// Nothing answers there.
    #[error("connection refused; nothing listens there yet, or the host cannot reach it")]
    Refused,
    /// The SSH server forbids tunnels.
    #[error(
        "the SSH server forbids it; set `AllowTcpForwarding yes` (or `local`) in its sshd_config"
    )]
    Prohibited,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// Why the login user could not become root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegeError {
    /// sudo wants a password, which is never typed.
    #[error(
        "sudo on this host asks {user} for a password; allow `{user} ALL=(ALL) NOPASSWD: ALL` in \
         /etc/sudoers.d, or log in as root with become = \"none\""
    )]
    PasswordRequired {
        /// Login user.
        user: String,
    },
    /// sudo wants a terminal.
    #[error("sudo on this host wants a terminal; remove `requiretty` from its sudoers for {user}")]
    TerminalRequired {
        /// Login user.
        user: String,
    },
    /// sudo knows the user and says no.
    #[error(
        "{user} may not run sudo on this host; add it to sudoers, or log in as root with \
         become = \"none\""
    )]
    NotAllowed {
        /// Login user.
        user: String,
    },
    /// There is no sudo.
    #[error(
        "sudo is not installed on this host; install it, or log in as root with become = \"none\""
    )]
    Missing,
}

/// A duration in seconds, without a fraction when it has none.
fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
