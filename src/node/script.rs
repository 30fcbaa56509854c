//! Running an operator's own script on a host.

use bytes::Bytes;

use super::{Node, NodeError, Output, Source};
use crate::fleet::Interpreter;

impl Node {
    /// Run a script by the interpreter it names. Its exit status and output are the result; `None` in a
    /// dry run, where it is not run.
    pub async fn run_script(&self, script: impl Into<Bytes>) -> Result<Option<Output>, NodeError> {
        if self.is_dry_run() {
            return Ok(None);
        }
        let script = script.into();
        let interpreter = Interpreter::of(&script);
        let mut arguments = vec!["run-script"];
        arguments.extend(interpreter.words());
        self.run_with_input(&arguments, Source::Bytes(script)).await.map(Some)
    }
}
