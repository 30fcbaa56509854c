//! Running commands that print more than anybody wants to hold.

use super::Connection;
use crate::ssh::error::SshError;
use crate::ssh::exec::{Input, Output, RunOptions, Stream};

impl Connection {
    /// Run `command` and hand standard output to `on_data` as it arrives, which says whether it wants more; the
    /// result's own stays empty. `None` where it wanted no more: the command was asked to terminate.
    ///
    /// Output is taken from the connection no faster than `on_data` takes it.
    pub async fn run_streaming(
        &self,
        command: &str,
        input: Input,
        options: &RunOptions,
        mut on_data: impl FnMut(&[u8]) -> bool + Send,
    ) -> Result<Option<Output>, SshError> {
        let mut stderr = Vec::new();
        let mut stopped = false;
        let result = self
            .execute(command, input, options, |stream, data| {
                let (name, limit) = match stream {
                    Stream::Stdout if on_data(data) => return Ok(()),
                    Stream::Stdout => {
                        stopped = true;
                        ("standard output", 0)
                    }
                    Stream::Stderr if stderr.len() + data.len() <= options.stderr_limit => {
                        stderr.extend_from_slice(data);
                        return Ok(());
                    }
                    Stream::Stderr => ("standard error", options.stderr_limit),
                };
                Err(SshError::OutputTooLong { stream: name, limit })
            })
            .await;
        match result {
            Err(SshError::OutputTooLong { .. }) if stopped => Ok(None),
            Err(error) => Err(error),
            Ok(exit) => Ok(Some(Output { exit, stdout: Vec::new(), stderr })),
        }
    }
}
