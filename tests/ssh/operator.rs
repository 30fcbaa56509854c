//! The built fleetadm as an operator runs it, against several hosts that are one server: each has an address of its own,
//! and a directory of its own in which its commands start.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::sshd::{Sshd, login_user};

/// Hosts `node-1`, `node-2`, ... and somebody who looks after them.
pub struct Operator {
    pub server: Sshd,
    count: usize,
}

/// What a run left behind.
pub struct Finished {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Operator {
    /// So many hosts, and shell commands that run on a host ahead of each command. `None`, loudly, where there is no
    /// sshd.
    pub fn with(count: usize, before: &str) -> Option<Self> {
        let mut config = String::new();
        for host in 1..=count {
            config += &format!("ListenAddress 127.0.0.{host}\n");
        }
        // Behind this nothing but Match blocks may follow: what the server itself needs was said before.
        let server = Sshd::start_with("ed25519", &config)?;
        let own = server.path("enter");
        let root = server.directory.path().display();
        fs::write(
            &own,
            format!(
                "set -- $SSH_CONNECTION\ncd {root}/host-$3 || exit 99\n{before}\nset --\neval \"$SSH_ORIGINAL_COMMAND\"\n"
            ),
        )
        .unwrap();
        let mut keys = fs::read_to_string(server.path("authorized_keys")).unwrap();
        keys = format!("command=\". {}\" {keys}", own.display());
        fs::write(server.path("authorized_keys"), keys).unwrap();
        let mut known_hosts = String::new();
        for host in 1..=count {
            fs::create_dir(server.path(&format!("host-127.0.0.{host}"))).unwrap();
            let line = server.known_hosts_line("host_ed25519.pub");
            known_hosts += &line.replace("127.0.0.1", &format!("127.0.0.{host}"));
        }
        server.write_known_hosts(&known_hosts);
        fs::create_dir(server.path("work")).unwrap();
        let operator = Self { server, count };
        operator.write_inventory("");
        Some(operator)
    }

    /// Replace the inventory, with these lines at its end.
    pub fn write_inventory(&self, more: &str) {
        let (server, count) = (&self.server, self.count);
        let path = |name: &str| server.path(name).display().to_string();
        let text = format!(
            "[ssh]\nuser = \"{}\"\nport = {}\nidentity_file = \"{}\"\nknown_hosts = \"{}\"\nbecome = \"sudo\"\n\
             connect_timeout = 20\n[groups.odd]\n\
             [[hosts]]\nname = \"node-[1-{count}]\"\naddress = \"127.0.0.[1-{count}]\"\n{more}",
            login_user(),
            server.port,
            path("id_ed25519"),
            path("known_hosts"),
        );
        fs::write(server.path("inventory.toml"), text).unwrap();
    }

    /// Where the commands of a host start.
    pub fn host(&self, number: usize) -> PathBuf {
        self.server.path(&format!("host-127.0.0.{number}"))
    }

    /// Where the operator is.
    pub fn work(&self) -> PathBuf {
        self.server.path("work")
    }

    /// A program for the hosts, found before any other of its name.
    pub fn install(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let _ = fs::create_dir(self.server.path("bin"));
        let path = self.server.path("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// A sudo that lets everybody in, and says so to what it runs.
    pub fn install_sudo(&self) {
        let script = "while [ \"$1\" != -- ]; do shift; done\nshift\nBECAME=root exec \"$@\"\n";
        self.install("sudo", &format!("#!/bin/sh\n{script}"));
    }

    /// A fleetadm that has not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetadm"));
        command
            .arg("--inventory")
            .arg(self.server.path("inventory.toml"))
            .args(arguments)
            .current_dir(self.work())
            .env("HOME", self.server.path("home"))
            .env("XDG_STATE_HOME", self.server.path("state"))
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null());
        command
    }

    /// Run fleetadm to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments))
    }

    /// The hosts that the next `@failed` means, or why there are none.
    pub fn failed(&self) -> String {
        let shown = self.run(&["--limit", "@failed", "inventory", "show", "--output", "json"]);
        let name = |line: &str| {
            let host: Value = serde_json::from_str(line).unwrap();
            host["name"].as_str().unwrap().to_owned()
        };
        match shown.status {
            Some(0) => shown.stdout.lines().map(name).collect::<Vec<_>>().join(" "),
            status => format!("{status:?} {}", shown.stderr.trim()),
        }
    }
}

/// Run a command to its end.
pub fn finish(mut command: Command) -> Finished {
    let output = command.output().unwrap();
    Finished {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Finished {
    /// Fails unless the exit status is this one.
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless standard error says this.
    pub fn expect_error(self, status: i32, words: &str) -> Self {
        let finished = self.expect(status);
        assert!(finished.stderr.contains(words), "{words:?} in:\n{}", finished.stderr);
        finished
    }

    /// Lines of standard output, in order of their text: hosts finish in any order.
    pub fn sorted(&self) -> String {
        let mut lines: Vec<&str> = self.stdout.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    }

    /// The lines of `--output json`.
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// Those of one kind.
    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["kind"] == kind).collect()
    }
}

/// Start a command with `--output json` and wait until it tells something of this kind.
pub fn start_and_wait_for(mut command: Command, kind: &str) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if event["kind"] == kind {
            return child;
        }
    }
    panic!("no {kind} before the end: {:?}", child.wait());
}

/// Names of fleetadm's own files below a directory.
pub fn leftovers(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with(".fleetadm") {
            found.push(entry.path());
        } else if entry.file_type().unwrap().is_dir() {
            found.extend(leftovers(&entry.path()));
        }
    }
    found
}
