//! What can go wrong with a connection, each with a message that says what to try.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::ConfigError;
use super::secrets::SecretError;

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
        /// Whether it may pass by itself.
        fault: Fault,
    },
    /// A jump host on the way cannot be used. Every host behind it fails with this.
    #[error("jump host {endpoint}{}", .error.of_hop())]
    Jump {
        /// `address:port` of the jump host.
        endpoint: String,
        /// What is wrong with it.
        error: Box<SshError>,
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
    /// The server closed the connection before the operator had answered what it asked for.
    #[error("{endpoint} did not wait for an answer: {reason}; answer within its LoginGraceTime")]
    Outwaited {
        /// `address:port`.
        endpoint: String,
        /// What is known about the end.
        reason: String,
    },
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
    /// A command that gives way to others was ended for one.
    #[error("the server has room for one session only (MaxSessions)")]
    GaveWay,
    /// A command cannot be sent, whatever the server.
    #[error("the command cannot be sent: {reason}")]
    Unsendable {
        /// Why, and what to try.
        reason: String,
    },
    /// The login shell ran something else in place of the command.
    #[error(
        "the login shell did not run the command: {reason}; is it a shell, and what do its startup files do?"
    )]
    LoginShell {
        /// What it said, or how it ended.
        reason: String,
    },
    /// The host printed what nothing on it should print.
    #[error("the host prints nonsense: {reason}")]
    Nonsense {
        /// What was expected.
        reason: String,
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
                | Self::Outwaited { .. }
                | Self::LocalFile { .. }
                | Self::Jump { .. }
        )
    }

    /// True when an established connection is gone and a new one may help.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }

    /// What goes after `jump host ENDPOINT`, which has said already where it happened.
    fn of_hop(&self) -> String {
        match self {
            Self::Unreachable { reason, .. } => format!(" cannot be reached: {reason}"),
            Self::Authentication { user, reason, .. } => {
                format!(" did not accept {user}: {reason}")
            }
            Self::Lost { reason } => format!(" was lost: {reason}"),
            other => format!(": {other}"),
        }
    }
}

/// What kind of failure kept a server out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens there or the network turned it away: soon over where a host or sshd restarts.
    Refused,
    /// The connection was taken and then closed before there was a session: what a busy sshd does (MaxStartups).
    Dropped,
    /// No answer in all the time there was.
    Silent,
    /// Another attempt would end the same way.
    Lasting,
}

/// Why a host key was rejected. There is no way to go on regardless.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HostKeyError {
    /// No known_hosts file has a key for the host.
    #[error(
        "the host key of {endpoint} is unknown: it presented {fingerprint}; compare that with the \
         host's own, then add it with `fleetadm trust -l {host}`"
    )]
    Unknown {
        /// `address:port`.
        endpoint: String,
        /// Key type and SHA256 fingerprint.
        fingerprint: String,
        /// What to give `--limit` to select the host, or one behind it.
        host: Box<str>,
    },
    /// No known_hosts file has a key for the host, only an authority for its certificates.
    #[error(
        "the host key of {endpoint} is not certified: {}:{line} names a certificate authority, but \
         the host presented {fingerprint} {reason}; give it a new certificate, or compare the key \
         with the host's own and add it with `fleetadm trust -l {host}`", file.display()
    )]
    Uncertified {
        /// `address:port`.
        endpoint: String,
        /// Key type and SHA256 fingerprint.
        fingerprint: String,
        /// `without a certificate`, or what is wrong with the one it has.
        reason: String,
        /// Where the authority is written.
        file: Box<Path>,
        /// Line in that file, from 1.
        line: usize,
        /// What to give `--limit` to select the host, or one behind it.
        host: Box<str>,
    },
    /// The host is known, by another key.
    #[error(
        "the host key of {endpoint} has changed: it presented {fingerprint}, but {}:{line} has \
         {known}; someone may be intercepting the connection; if the host was reinstalled, compare \
         the key with the host's own and replace the old one with `fleetadm trust --replace -l {host}`",
        file.display()
    )]
    Changed {
        /// `address:port`.
        endpoint: String,
        /// Key type and SHA256 fingerprint that the host presented.
        fingerprint: String,
        /// Key type and SHA256 fingerprint on record.
        known: String,
        /// Where the known key is written.
        file: Box<Path>,
        /// Line in that file, from 1.
        line: usize,
        /// What to give `--limit` to select the host, or one behind it.
        host: Box<str>,
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
        file: Box<Path>,
        /// Line in that file, from 1.
        line: usize,
    },
    /// The authority that signed the host's certificate is marked `@revoked`.
    #[error(
        "the host certificate of {endpoint} is by a revoked authority: it presented {fingerprint} \
         signed by {authority}, marked @revoked in {}:{line}; give the host a certificate by another",
        file.display()
    )]
    RevokedAuthority {
        /// `address:port`.
        endpoint: String,
        /// Key type and SHA256 fingerprint of the host.
        fingerprint: String,
        /// Key type and SHA256 fingerprint of the authority.
        authority: String,
        /// Where the mark is written.
        file: Box<Path>,
        /// Line in that file, from 1.
        line: usize,
    },
    /// The key is new and acceptable, but cannot be written down. A host that would be new again the next time
    /// is not connected to.
    #[error(
        "the host key of {endpoint} is new: it presented {fingerprint}, which cannot be added to {reason}"
    )]
    NotRecorded {
        /// `address:port`.
        endpoint: String,
        /// Key type and SHA256 fingerprint.
        fingerprint: String,
        /// The known_hosts file, what is wrong with it, and what to try.
        reason: String,
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
    /// The SSH server did not say in time whether it can.
    #[error("no answer within {} s; does a firewall drop the port?", .0.as_secs())]
    Silent(Duration),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// Why the login user could not become root, or whom `become_user` names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegeError {
    /// A password is wanted, and there is none to try, or none left.
    #[error("{user} cannot use {program} on this host: {reason}")]
    Password {
        /// sudo or doas.
        program: &'static str,
        /// Login user.
        user: String,
        /// Why there is none.
        reason: SecretError,
    },
    /// A terminal is wanted, and sshd gives none.
    #[error(
        "sudo or doas on this host wants a terminal, which sshd does not give; set `PermitTTY yes` in its sshd_config \
         and look for `restrict` and `no-pty` in authorized_keys, or remove `requiretty` from its sudoers"
    )]
    NoTerminal,
    /// The program knows the user and says no.
    #[error(
        "{user} may not do this by {program} on this host; allow it in {}, or log in as root with become = \"none\"",
        rules(.program)
    )]
    NotAllowed {
        /// sudo or doas.
        program: &'static str,
        /// Login user.
        user: String,
    },
    /// A program that is needed is not there.
    #[error(
        "{program} is not installed on this host; install it, or log in as root with become = \"none\""
    )]
    Missing {
        /// Its name.
        program: String,
    },
    /// Only root can do this, and the inventory names somebody else.
    #[error("this has to be done by root, but become_user is {user}; leave that key out here")]
    NotRoot {
        /// Whom to become.
        user: String,
    },
    /// The program neither ran the command nor gave a well-known reason.
    #[error("{program} did not run the command: {reason}")]
    Failed {
        /// sudo or doas.
        program: &'static str,
        /// What it said, or how it ended.
        reason: String,
    },
}

/// Where a program's rules are written.
fn rules(program: &str) -> &'static str {
    if program == "doas" { "/etc/doas.conf" } else { "/etc/sudoers.d" }
}

/// A duration in seconds, without a fraction when it has none.
fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
