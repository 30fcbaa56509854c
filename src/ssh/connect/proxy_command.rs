//! OpenSSH's ProxyCommand: a process of the workstation whose standard input and output lead to the server.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How much of what the command complains about is kept.
const COMPLAINTS: usize = 1024;
/// How long its last words may take to arrive after its output has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A running command. Dropping it ends it.
pub(in crate::ssh) struct ProxyCommand {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// Tells who listens to the complaints that there will be no more.
    _gone: DropGuard,
}

/// What a command has printed to standard error.
#[derive(Debug, Clone, Default)]
pub(in crate::ssh) struct Complaints {
    text: Arc<Mutex<Vec<u8>>>,
    complete: CancellationToken,
}

impl ProxyCommand {
    /// File descriptors that it takes: three pipes and the process.
    pub(in crate::ssh) const DESCRIPTORS: u32 = 4;

    /// Run `command`, whose tokens are expanded.
    pub(in crate::ssh) fn start(command: &str) -> io::Result<(Self, Complaints)> {
        let mut child = Command::new("sh")
            // As OpenSSH does, so that there is no shell between.
            .args(["-c", &format!("exec {command}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // An interrupt from the terminal is for this process, which lets running steps finish.
            .process_group(0)
            .spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let errors = child.stderr.take().ok_or_else(missing)?;
        let (complaints, gone) = (Complaints::default(), CancellationToken::new());
        tokio::spawn(complaints.clone().listen(errors, gone.clone()));
        Ok((Self { child, input, output, _gone: gone.drop_guard() }, complaints))
    }
}

impl Drop for ProxyCommand {
    fn drop(&mut self) {
        // What it has started in turn is told as well. It may all have ended.
        let group = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

impl Complaints {
    /// The last of it, untrusted, once it is complete or soon.
    pub(in crate::ssh) async fn last(&self) -> String {
        // What has come by then is what there is.
        let _ = timeout(LAST_WORDS, self.complete.cancelled()).await;
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Listen until there is no more to come, or nobody left who may say it.
    async fn listen(self, mut errors: ChildStderr, gone: CancellationToken) {
        let _complete = self.complete.drop_guard();
        let hear = async {
            let mut buffer = [0; COMPLAINTS];
            while let Ok(length @ 1..) = errors.read(&mut buffer).await {
                let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
                text.extend_from_slice(&buffer[..length]);
                let surplus = text.len().saturating_sub(COMPLAINTS);
                text.drain(..surplus);
            }
        };
        let long_gone = async {
            gone.cancelled().await;
            sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = hear => {}
            () = long_gone => {}
        }
    }
}

impl AsyncRead for ProxyCommand {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ProxyCommand {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn bytes_go_both_ways() {
        let (mut command, _) = ProxyCommand::start("cat").unwrap();
        command.write_all(b"there").await.unwrap();
        let mut back = [0; 5];
        command.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"there");
    }

    #[tokio::test]
    async fn the_last_complaints_are_kept() {
        let script = "sh -c 'head -c 100000 /dev/zero >&2; echo oops >&2; exit 1'";
        let (mut command, complaints) = ProxyCommand::start(script).unwrap();
        assert_eq!(command.read(&mut [0; 10]).await.unwrap(), 0);
        let last = complaints.last().await;
        assert_eq!((last.len(), last.ends_with("\0oops\n")), (COMPLAINTS, true));
    }

    #[tokio::test]
    async fn nothing_goes_on_after_it() {
        let (mut command, _) = ProxyCommand::start("sh -c 'echo $$; sleep 60 & wait'").unwrap();
        let mut text = [0; 20];
        let length = command.read(&mut text).await.unwrap();
        let id = str::from_utf8(&text[..length]).unwrap().trim().to_owned();
        let status = format!("/proc/{id}/status");
        assert!(Path::new(&status).exists());
        let children = format!("/proc/{id}/task/{id}/children");
        let child = std::fs::read_to_string(children).unwrap_or_default();
        drop(command);
        let ended = |path: &str| {
            // One that waits to be collected by whoever inherited it has ended.
            std::fs::read_to_string(path).map_or(true, |text| text.contains("State:\tZ"))
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        let child = format!("/proc/{}/status", child.trim());
        while !(ended(&status) && ended(&child)) {
            assert!(Instant::now() < deadline, "{id} goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
