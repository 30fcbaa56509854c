//! The SSH layer as a [`Transport`].

use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::fleet::Link;
use crate::ssh::{self, RunAs, RunOptions, SshError};

use super::transport::{Exit, Flow, Input, MAX_OUTPUT, Output, Transport, TransportError};

/// Limit for commands that read or print a file of any size.
const STREAM_TIMEOUT: Duration = Duration::from_secs(3600);

/// Runs commands over the SSH connection to one host. Where that was lost, the next command has a new one; the one that
/// was running has failed.
pub struct SshTransport {
    link: Link,
    run_as: RunAs,
    limit: Option<Duration>,
}

impl SshTransport {
    /// Commands are run as root.
    pub fn new(link: Link) -> Self {
        Self { link, run_as: RunAs::Root, limit: None }
    }

    /// Let commands be run by somebody else.
    #[must_use]
    pub fn run_as(self, run_as: RunAs) -> Self {
        Self { run_as, ..self }
    }

    /// Let a command take so long, in place of the inventory's `command_timeout`.
    #[must_use]
    pub fn with_limit(self, limit: Option<Duration>) -> Self {
        Self { limit, ..self }
    }

    async fn streaming(
        &self,
        command: &str,
        input: Input,
        options: &RunOptions,
        sink: &mut (dyn for<'d> FnMut(&'d [u8]) -> Flow + Send),
    ) -> Result<Output, TransportError> {
        let wanted = |data: &[u8]| sink(data) == Flow::GoOn;
        let connection = self.link.connection().await.map_err(failed)?;
        match connection.run_streaming(command, adapt(input), options, wanted).await {
            Ok(Some(output)) => Ok(finished(output)),
            Ok(None) => Err(TransportError::Stopped),
            Err(error) => Err(failed(error)),
        }
    }

    /// What is streamed is large, and how long it takes is the network's affair.
    fn options(&self, streams: bool) -> RunOptions {
        RunOptions {
            run_as: self.run_as,
            timeout: self.limit.or(streams.then_some(STREAM_TIMEOUT)),
            stdout_limit: MAX_OUTPUT,
            ..RunOptions::default()
        }
    }
}

#[async_trait]
impl Transport for SshTransport {
    async fn run(&self, command: &str, input: Input) -> Result<Output, TransportError> {
        let options = self.options(matches!(input, Input::Reader(_)));
        let connection = self.link.connection().await.map_err(failed)?;
        let output = connection.run_with(command, adapt(input), &options).await;
        output.map(finished).map_err(failed)
    }

    async fn stream(
        &self,
        command: &str,
        input: Input,
        sink: &mut (dyn for<'d> FnMut(&'d [u8]) -> Flow + Send),
    ) -> Result<Output, TransportError> {
        self.streaming(command, input, &self.options(true), sink).await
    }

    async fn hold(
        &self,
        command: &str,
        input: Input,
        sink: &mut (dyn for<'d> FnMut(&'d [u8]) -> Flow + Send),
    ) -> Result<Output, TransportError> {
        let options =
            RunOptions { timeout: Some(Duration::MAX), gives_way: true, ..self.options(true) };
        tokio::select! {
            ended = self.streaming(command, input, &options, sink) => ended,
            () = self.link.crowded() => Err(TransportError::GaveWay),
        }
    }
}

fn adapt(input: Input) -> ssh::Input {
    match input {
        Input::Empty => ssh::Input::None,
        Input::Bytes(bytes) => ssh::Input::Bytes(bytes),
        Input::Reader(reader) => ssh::Input::Reader(reader),
    }
}

fn finished(output: ssh::Output) -> Output {
    Output {
        exit: match output.exit {
            ssh::Exit::Code(code) => Exit::Status(code.cast_unsigned()),
            ssh::Exit::Signal(name) => Exit::Signal(name),
        },
        stdout: Zeroizing::new(output.stdout),
        stderr: output.stderr,
    }
}

fn failed(error: SshError) -> TransportError {
    match error {
        SshError::Timeout { limit } => TransportError::TimedOut(limit),
        SshError::OutputTooLong { limit, .. } => TransportError::TooMuchOutput(limit),
        SshError::GaveWay => TransportError::GaveWay,
        error => TransportError::Lost(Box::new(error)),
    }
}
