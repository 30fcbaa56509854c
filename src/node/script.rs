//! Running an operator's own script on a host.

use bytes::Bytes;

use super::{Node, NodeError, Output, Source};

impl Node {
    /// Run a script by its interpreter, given as a `#!` line has it (a program and at most one
    /// argument). Its exit status and output are the result; `None` in a dry run, where it is not run.
    pub async fn run_script(
        &self,
        script: impl Into<Bytes>,
        interpreter: &str,
    ) -> Result<Option<Output>, NodeError> {
        if self.is_dry_run() {
            return Ok(None);
        }
        // As the kernel does: what follows the program is one argument.
        let interpreter = interpreter.trim();
        let (program, argument) = interpreter.split_once([' ', '\t']).unwrap_or((interpreter, ""));
        let mut arguments = vec!["run-script", program];
        arguments.extend(Some(argument.trim()).filter(|argument| !argument.is_empty()));
        self.run_with_input(&arguments, Source::Bytes(script.into())).await.map(Some)
    }
}
