//! A local stand-in for a host: runs commands with a chosen shell as `sh`, in no other way special.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fleetadm::node::{Exit, Flow, Input, Mode, Node, Output, Payload, Transport, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

/// The local machine, with one shell for `sh`.
#[derive(Clone)]
pub struct Host {
    directory: Arc<tempfile::TempDir>,
    shell: &'static str,
    environment: Vec<(String, String)>,
    kill_after: Option<Duration>,
    cut_input: Option<usize>,
    commands: Arc<AtomicUsize>,
}

/// A host for each shell that is installed; none without root.
pub fn shells() -> Vec<Host> {
    if !is_root() {
        skip("the payload needs root");
        return vec![];
    }
    let mut hosts = Vec::new();
    for (shell, program) in [("dash", "dash"), ("bash", "bash"), ("ash", "busybox")] {
        let Some(program) = find(program) else {
            skip(&format!("{program} is not installed"));
            continue;
        };
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("sh");
        // BusyBox goes by the name it is called with, and `sh` is one of its names.
        std::os::unix::fs::symlink(program, link).unwrap();
        hosts.push(Host {
            directory: Arc::new(directory),
            shell,
            environment: vec![],
            kill_after: None,
            cut_input: None,
            commands: Arc::default(),
        });
    }
    hosts
}

impl Host {
    pub fn shell(&self) -> &str {
        self.shell
    }

    pub fn shell_path(&self) -> PathBuf {
        self.directory.path().join("sh")
    }

    pub fn node(&self, mode: Mode) -> Node {
        let payload = Payload::kept_in(self.payload_directory().to_str().unwrap());
        Node::new("local", Arc::new(self.clone()), mode).with_payload(payload)
    }

    pub fn payload_directory(&self) -> PathBuf {
        self.directory.path().join("fleetadm")
    }

    pub fn commands_run(&self) -> usize {
        self.commands.load(Ordering::SeqCst)
    }

    pub fn with_environment(&self, name: &str, value: &str) -> Self {
        let mut host = self.clone();
        host.environment.push((name.to_owned(), value.to_owned()));
        host
    }

    /// The payload's shell is killed so long after it has been given all its input.
    pub fn killed_after(&self, delay: Duration) -> Self {
        Self { kill_after: Some(delay), ..self.clone() }
    }

    /// The connection breaks after so many bytes of input.
    pub fn cutting_input_to(&self, bytes: usize) -> Self {
        Self { cut_input: Some(bytes), ..self.clone() }
    }

    /// The payload in a file, for tests that call it themselves.
    pub fn payload_copy(&self, directory: &Path) -> String {
        let copy = directory.join("payload.sh");
        fs::write(&copy, Payload::text()).unwrap();
        copy.to_str().unwrap().to_owned()
    }

    /// Where `sh` is the chosen shell.
    pub fn path_variable(&self) -> String {
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.directory.path().display())
    }
}

#[async_trait]
impl Transport for Host {
    async fn run(&self, command: &str, input: Input) -> Result<Output, TransportError> {
        self.commands.fetch_add(1, Ordering::SeqCst);
        let lost = |error: std::io::Error| TransportError::Lost(Box::new(error));
        let mut child = tokio::process::Command::new(self.shell_path())
            .args(["-c", command])
            .env_clear()
            .env("PATH", self.path_variable())
            .env("HOME", "/nonexistent")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(lost)?;
        let mut stdin = child.stdin.take().unwrap();
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let cut = self.cut_input.unwrap_or(usize::MAX) as u64;
        let is_payload = matches!(input, Input::Bytes(ref bytes) if bytes.starts_with(b"#!"));
        let kill_after = self.kill_after.filter(|_| !is_payload);
        let feed = async move {
            // A command may well end without reading its input.
            let _ = match input {
                Input::Empty => Ok(0),
                Input::Bytes(bytes) => {
                    tokio::io::copy(&mut (&bytes[..]).take(cut), &mut stdin).await
                }
                Input::Reader(reader) => tokio::io::copy(&mut reader.take(cut), &mut stdin).await,
            };
            let _ = stdin.shutdown().await;
            drop(stdin);
            if let Some(delay) = kill_after {
                tokio::time::sleep(delay).await;
                // Fails only when the command has ended by itself.
                let _ = child.start_kill();
            }
            child.wait().await
        };
        let (mut printed, mut complained) = (Zeroizing::new(Vec::new()), Vec::new());
        let (status, ..) = tokio::join!(
            feed,
            stdout.read_to_end(&mut printed),
            stderr.read_to_end(&mut complained)
        );
        let status = status.map_err(lost)?;
        let exit = match status.code() {
            Some(status) => Exit::Status(status.unsigned_abs()),
            None => Exit::Signal("KILL".to_owned()),
        };
        Ok(Output { exit, stdout: printed, stderr: complained })
    }

    async fn stream(
        &self,
        command: &str,
        input: Input,
        sink: &mut (dyn for<'d> FnMut(&'d [u8]) -> Flow + Send),
    ) -> Result<Output, TransportError> {
        let mut output = self.run(command, input).await?;
        for piece in std::mem::take(&mut *output.stdout).chunks(1000) {
            if sink(piece) == Flow::Stop {
                return Err(TransportError::Stopped);
            }
        }
        Ok(output)
    }
}

/// A small file system of its own, gone when dropped. `None` where mounting is not permitted.
pub fn mount_tmpfs(at: &Path, size: &str) -> Option<Unmount> {
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
        .arg(at)
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        skip("mounting is not permitted");
    }
    mounted.then(|| Unmount(at.to_owned()))
}

pub struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Temporary files of the payload in a directory and those in it.
pub fn leftovers(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            found.extend(leftovers(&entry.path()));
        }
        if name.starts_with(".fleetadm-") {
            found.push(name);
        }
    }
    found
}

pub fn path_in(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().unwrap().to_owned()
}

pub fn have(program: &str) -> bool {
    find(program).is_some()
}

pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// Say loudly that a test did not test anything.
pub fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}
