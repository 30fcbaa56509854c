//! The script's subcommands on one host.

use std::sync::LazyLock;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::CopyError;
use super::incoming::Expected;
use super::listing::{self, Listing};
use crate::fleet::Task;
use crate::node::NodeError;
use crate::node::transport::{Flow, Input, Output, Transport};
use crate::ssh::Program;

/// The script, for whoever wants to read what runs on hosts.
const TEXT: &str = include_str!("../../../templates/copy.sh");

/// Its name in the host's process list. The script looks for it there.
const NAME: &str = "fleetadm-copy";

static LIST: LazyLock<Program> = LazyLock::new(|| Program::new(NAME, TEXT, &["list"]));

/// One host, as the script sees it.
pub(super) struct Remote<'a> {
    pub(super) host: &'a str,
    pub(super) transport: &'a dyn Transport,
}

/// What came of putting files in place.
pub(super) struct Placed {
    /// The paths that are in place now.
    pub(super) paths: Vec<String>,
    /// Whether that is all of them.
    pub(super) result: Result<(), NodeError>,
}

impl<'a> Remote<'a> {
    pub(super) fn new(task: &'a Task, transport: &'a dyn Transport) -> Self {
        Self { host: &task.host.name, transport }
    }

    /// What is at these paths below a directory. With `sweep` what earlier runs left there is removed.
    pub(super) async fn look(
        &self,
        root: &str,
        sweep: bool,
        paths: &[String],
    ) -> Result<Listing, CopyError> {
        let sweep = if sweep { "sweep" } else { "keep" };
        let program = Program::new(NAME, TEXT, &["look", sweep, root]);
        let answer = self.call(&program, &format!("looking at {root}"), paths).await?;
        self.listing(&answer)
    }

    /// Everything at and below these paths.
    pub(super) async fn list(&self, paths: &[String]) -> Result<Listing, CopyError> {
        let answer = self.call(&LIST, "listing", paths).await?;
        self.listing(&answer)
    }

    fn listing(&self, answer: &[u8]) -> Result<Listing, CopyError> {
        listing::parse(answer).map_err(CopyError::Refused)
    }

    /// The checksums of these files below a directory, in order.
    pub(super) async fn sums(
        &self,
        root: &str,
        paths: &[String],
    ) -> Result<Vec<String>, CopyError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let program = Program::new(NAME, TEXT, &["sums", root]);
        let answer = self.call(&program, "comparing checksums", paths).await?;
        listing::parse_sums(&answer, paths.len()).ok_or_else(|| {
            CopyError::Refused("something else than the checksums asked for".to_owned())
        })
    }

    /// Have these files below a directory sent to `sink`, as the script frames them.
    pub(super) async fn get(
        &self,
        root: &str,
        files: &[Expected],
        sink: &mut (dyn FnMut(&[u8]) -> Flow + Send),
    ) -> Result<(), NodeError> {
        let program = Program::new(NAME, TEXT, &["get", root]);
        let lines: Vec<String> = files.iter().map(Expected::line).collect();
        let input = Input::Bytes(with_lines(&program, &lines));
        let output = self.transport.stream(&program.command(), input, sink).await;
        self.demand_success("reading files", output)?;
        Ok(())
    }

    /// Put what a tar stream holds in place below a directory.
    pub(super) async fn put(
        &self,
        root: &str,
        owner: &str,
        tar: impl AsyncRead + Send + Unpin + 'static,
    ) -> Placed {
        let program = Program::new(NAME, TEXT, &["put", root, owner]);
        let head = std::io::Cursor::new(program.text());
        let input = Input::Reader(Box::new(AsyncReadExt::chain(head, tar)));
        let output = self.transport.run(&program.command(), input).await;
        let paths = output.as_ref().map(placed).unwrap_or_default();
        let action = format!("putting files into {root}");
        Placed { paths, result: self.demand_success(&action, output).map(|_| ()) }
    }

    async fn call(
        &self,
        program: &Program,
        action: &str,
        paths: &[String],
    ) -> Result<Vec<u8>, NodeError> {
        let input = Input::Bytes(with_lines(program, paths));
        let output = self.transport.run(&program.command(), input).await;
        Ok(self.demand_success(action, output)?.stdout.to_vec())
    }

    fn demand_success(
        &self,
        action: &str,
        output: Result<Output, crate::node::TransportError>,
    ) -> Result<Output, NodeError> {
        let (host, action) = (self.host.to_owned(), action.to_owned());
        match output {
            Ok(output) if output.exit.is_success() => Ok(output),
            Ok(output) => Err(NodeError::failed(&host, action, &output)),
            Err(source) => Err(NodeError::Transport { host, action, source }),
        }
    }
}

fn with_lines(program: &Program, lines: &[String]) -> Bytes {
    let mut input = program.text().to_vec();
    for line in lines {
        input.extend_from_slice(line.as_bytes());
        input.push(b'\n');
    }
    input.into()
}

fn placed(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.strip_prefix("put ")).map(str::to_owned).collect()
}
