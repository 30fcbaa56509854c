//! How commands reach a host. The SSH layer is adapted to this; tests run commands locally.
//!
//! Must never learn what the commands mean.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncRead;
use zeroize::Zeroizing;

/// The most output, in bytes, that a transport has to accept from one command. A host that prints more
/// is broken or hostile.
pub const MAX_OUTPUT: usize = 64 << 20;

/// Why a command that gives way was ended.
pub(super) const GAVE_WAY: &str = "sshd has room for one session only (MaxSessions), or this process for too few connections (ulimit -Hn)";

/// Runs commands on one host, as root unless it was made otherwise.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Run a command line for a POSIX shell, and wait for its end.
    ///
    /// Input and output flow at the same time. A command that ends without reading its input is no
    /// error. Output beyond [`MAX_OUTPUT`] may be answered with [`TransportError::TooMuchOutput`].
    async fn run(&self, command: &str, input: Input) -> Result<Output, TransportError>;

    /// The same, for output of any size: `sink` is given it as it arrives, and [`Output::stdout`] stays
    /// empty. Where `sink` says [`Flow::Stop`] the command is given up, with [`TransportError::Stopped`].
    async fn stream(
        &self,
        command: &str,
        input: Input,
        sink: &mut (dyn for<'d> FnMut(&'d [u8]) -> Flow + Send),
    ) -> Result<Output, TransportError>;

    /// As [`Self::stream`], for a command that goes on until it is dropped, and gives way, with
    /// [`TransportError::GaveWay`], where there is no room for others beside it: on the host, or here. A transport without
    /// such limits has nothing to add.
    async fn hold(
        &self,
        command: &str,
        input: Input,
        sink: &mut (dyn for<'d> FnMut(&'d [u8]) -> Flow + Send),
    ) -> Result<Output, TransportError> {
        self.stream(command, input, sink).await
    }
}

/// Whether more is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Yes.
    GoOn,
    /// No.
    Stop,
}

/// What a command reads.
pub enum Input {
    /// Nothing: end of file at once.
    Empty,
    /// Bytes, shared between hosts where they are the same.
    Bytes(Bytes),
    /// A stream, for what is too large for memory.
    Reader(Box<dyn AsyncRead + Send + Unpin>),
}

/// What a command left.
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it printed. May be secret: private keys are read this way.
    pub stdout: Zeroizing<Vec<u8>>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("exit", &self.exit)
            .field("stdout", &format_args!("{} bytes", self.stdout.len()))
            .field("stderr", &String::from_utf8_lossy(&self.stderr))
            .finish()
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(u32),
    /// Killed by this signal, named without `SIG`.
    Signal(String),
    /// The host did not say.
    Unknown,
}

impl Exit {
    /// Status 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(signal) => write!(f, "killed by SIG{signal}"),
            Self::Unknown => f.write_str("no exit status"),
        }
    }
}

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The connection is gone, or the command could not be started on it.
    #[error("{0}")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no result after {} s; raise command_timeout if that is too short", .0.as_secs())]
    TimedOut(Duration),
    /// It printed too much.
    #[error("more than {0} bytes of output")]
    TooMuchOutput(usize),
    /// There is room for no other command beside it, on the host or here.
    #[error("{GAVE_WAY}")]
    GaveWay,
    /// Whoever read its output wanted no more.
    #[error("given up because of what it printed")]
    Stopped,
}
