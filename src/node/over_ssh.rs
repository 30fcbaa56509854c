//! The SSH layer as a [`Transport`].

use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::fleet::Link;
use crate::ssh::{self, RunOptions, SshError};

use super::transport::{Exit, Input, MAX_OUTPUT, Output, Transport, TransportError};

/// Limit for commands that are fed a file of any size.
const STREAM_TIMEOUT: Duration = Duration::from_secs(3600);

/// Runs commands as root over the SSH connection to one host. Where that was lost, the next command has a new one; the
/// one that was running has failed.
pub struct SshTransport(Link);

impl SshTransport {
    /// A transport over a link.
    pub fn new(link: Link) -> Self {
        Self(link)
    }
}

#[async_trait]
impl Transport for SshTransport {
    async fn run(&self, command: &str, input: Input) -> Result<Output, TransportError> {
        let input = match input {
            Input::Empty => ssh::Input::None,
            Input::Bytes(bytes) => ssh::Input::Bytes(bytes),
            Input::Reader(reader) => ssh::Input::Reader(reader),
        };
        // What is streamed is large, and how long it takes is the network's affair.
        let timeout = matches!(input, ssh::Input::Reader(_)).then_some(STREAM_TIMEOUT);
        let options = RunOptions {
            as_root: true,
            timeout,
            stdout_limit: MAX_OUTPUT,
            ..RunOptions::default()
        };
        let output = async { self.0.connection().await?.run_with(command, input, &options).await };
        let output = output.await.map_err(|error| match error {
            SshError::Timeout { limit } => TransportError::TimedOut(limit),
            SshError::OutputTooLong { limit, .. } => TransportError::TooMuchOutput(limit),
            error => TransportError::Lost(Box::new(error)),
        })?;
        Ok(Output {
            exit: match output.exit {
                ssh::Exit::Code(code) => Exit::Status(code.cast_unsigned()),
                ssh::Exit::Signal(name) => Exit::Signal(name),
            },
            stdout: Zeroizing::new(output.stdout),
            stderr: output.stderr,
        })
    }
}
