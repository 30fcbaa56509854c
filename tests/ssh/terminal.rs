//! The whole program on a terminal of its own: questions, their answers, and what becomes of the terminal.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::account::{PAM, PASSWORD, USER};
use crate::sshd::Sshd;

const FLEETADM: &str = env!("CARGO_BIN_EXE_fleetadm");

/// How many addresses one sshd listens on.
const HOSTS: usize = 16;

/// A server that stands for all of them, 127.0.0.1 to 127.0.0.16.
fn many_hosts() -> Option<Sshd> {
    let listen: String =
        (1..=HOSTS).map(|last| format!("ListenAddress 127.0.0.{last}\n")).collect();
    let config = "PasswordAuthentication yes\nKbdInteractiveAuthentication no\nMaxStartups 100\n";
    let server = Sshd::start_with_account(PAM, &format!("{config}{listen}"))?;
    let key = fs::read_to_string(server.path("host_ed25519.pub")).unwrap();
    server.write_known_hosts(&format!("[127.0.0.*]:{} {key}", server.port));
    Some(server)
}

/// Their inventory, with more lines for `[ssh]`.
fn inventory(server: &Sshd, ssh: &str) -> PathBuf {
    let path = server.path("inventory.toml");
    let text = format!(
        "[ssh]\nuser = \"{USER}\"\nport = {}\nknown_hosts = \"{}\"\nidentity_agent = \"none\"\n{ssh}\n\
         [[hosts]]\nname = \"node-[01-16]\"\naddress = \"127.0.0.[1-16]\"\nrole = \"worker\"\n",
        server.port,
        server.path("known_hosts").display(),
    );
    fs::write(&path, text).unwrap();
    path
}

/// The program with what every test wants: it sees nothing of the real home.
fn fleetadm(server: &Sshd, ssh: &str) -> Command {
    let mut command = Command::new(FLEETADM);
    command.arg("-i").arg(inventory(server, ssh)).env("HOME", server.directory.path());
    command.env_remove("SSH_AUTH_SOCK");
    command
}

/// A command on a terminal of its own. Dropping it ends it.
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    /// Run `line` with a shell, its output to the terminal. `None`, loudly, where there is no `script`.
    fn run(line: &str, server: &Sshd) -> Option<Self> {
        let child = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command", line, "/dev/null"])
            .env("HOME", server.directory.path())
            .env("SHELL", "/bin/sh")
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("SKIPPED: needs script (package bsdutils)");
            return None;
        };
        let keyboard = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let screen = Arc::<Mutex<String>>::default();
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut part) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..length]));
            }
        });
        Some(Self { child, keyboard, screen })
    }

    fn shown(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(90);
        while !self.shown().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in: {}", self.shown());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Wait for the end: what was shown, and the exit status.
    fn finish(mut self) -> (String, i32) {
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (self.shown(), status.code().unwrap());
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.shown());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| fleetadm::ssh::quote(word.to_str().unwrap())).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_operator_is_asked_once_for_all_hosts() {
    let server = server!(@ many_hosts());
    let mut command = fleetadm(&server, "");
    command.args(["exec", "echo done-by-$(id -un)"]);
    let line = format!("{}; echo ended with $?; stty -a", line(&command));
    let Some(mut terminal) = Terminal::run(&line, &server) else { return };
    terminal.wait_for("Password of fleet (node-");
    // Events have time to come and are not shown over the question.
    thread::sleep(Duration::from_millis(300));
    terminal.type_in("wrong\n");
    terminal.wait_for("The password was refused.");
    thread::sleep(Duration::from_millis(300));
    terminal.type_in(&format!("{PASSWORD}\n"));
    let (shown, _) = terminal.finish();
    assert_eq!(shown.matches("Password of fleet").count(), 2, "{shown}");
    assert_eq!(shown.matches("done-by-fleet").count(), HOSTS, "{shown}");
    assert!(shown.contains("ended with 0"), "{shown}");
    assert!(!shown.contains(PASSWORD) && !shown.contains("wrong"), "{shown}");
    // What is typed can be seen again.
    assert!(shown.contains(" echo ") && !shown.contains(" -echo "), "{shown}");
    assert_eq!(server.logged("Failed password for fleet"), 1);
}

#[test]
fn the_passphrase_is_asked_for_once() {
    let server = server!(@ many_hosts());
    let key = server.authorize("key", &["-t", "ed25519", "-N", "open sesame"]);
    let mut command = fleetadm(&server, &format!("identity_file = \"{}\"", key.display()));
    command.args(["exec", "--", "echo", "hello"]);
    let Some(mut terminal) = Terminal::run(&line(&command), &server) else { return };
    terminal.wait_for(&format!("Passphrase of {}: ", key.display()));
    terminal.type_in("open sesame\n");
    let (shown, status) = terminal.finish();
    assert_eq!(status, 0, "{shown}");
    assert_eq!(shown.matches("Passphrase of").count(), 1, "{shown}");
    assert_eq!(shown.matches("hello").count(), HOSTS, "{shown}");
    assert!(!shown.contains("sesame"), "{shown}");
}

#[test]
fn an_interrupted_question_leaves_the_terminal_as_it_was() {
    let server = server!(@ many_hosts());
    let mut command = fleetadm(&server, "");
    command.args(["exec", "true"]);
    let line = format!("trap : INT; {}; echo ended with $?; stty -a", line(&command));
    let Some(mut terminal) = Terminal::run(&line, &server) else { return };
    terminal.wait_for("Password of fleet");
    terminal.type_in("half a passw\x03");
    let (shown, _) = terminal.finish();
    assert!(shown.contains("ended with 130"), "{shown}");
    assert!(shown.contains("interrupted"), "{shown}");
    assert!(shown.contains(" echo ") && !shown.contains(" -echo "), "{shown}");
    assert_eq!(server.logged("Failed password"), 0);
}

#[test]
fn the_end_of_input_is_no_answer() {
    let server = server!(@ many_hosts());
    let mut command = fleetadm(&server, "");
    command.args(["exec", "true"]);
    let Some(mut terminal) = Terminal::run(&line(&command), &server) else { return };
    terminal.wait_for("Password of fleet");
    terminal.type_in("\x04");
    let (shown, status) = terminal.finish();
    assert_eq!(status, 4, "{shown}");
    assert!(shown.contains("the question was not answered"), "{shown}");
}

#[test]
fn without_a_terminal_it_says_how_to_give_a_password() {
    let server = server!(@ many_hosts());
    for output in ["plain", "json"] {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(FLEETADM).args(fleetadm(&server, "").get_args());
        let output = command
            .args(["--output", output, "exec", "true"])
            .env("HOME", server.directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let expected =
            "there is no terminal to ask on; set password_command, or give it with --password-fd";
        assert!(text.matches(expected).count() >= HOSTS, "{text}");
    }
}

#[test]
fn a_password_from_a_descriptor_is_seen_nowhere() {
    let server = server!(@ many_hosts());
    fs::write(server.path("password"), format!("{PASSWORD}\n")).unwrap();
    let mut command = fleetadm(&server, "");
    command.args(["-vv", "--password-fd", "7", "exec", "echo hello; sleep 2"]);
    let shell = format!("exec {} 7<{}", line(&command), server.path("password").display());
    let child = Command::new("sh")
        .args(["-c", &shell])
        .env("HOME", server.directory.path())
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut looked = 0;
    let done = Arc::new(Mutex::new(false));
    let watched = Arc::clone(&done);
    let output = thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        *watched.lock().unwrap() = true;
        output
    });
    while !*done.lock().unwrap() {
        looked += 1;
        assert_eq!(processes_showing(PASSWORD), Vec::<PathBuf>::new());
    }
    let output = output.join().unwrap();
    assert!(looked > 1);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout.matches("hello").count(), HOSTS, "{stdout}");
    for text in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(PASSWORD));
    }
}

#[test]
fn descriptors_that_hold_nothing() {
    let server = server!(@ many_hosts());
    for (redirection, expected) in [
        ("7</dev/null", "error: --password-fd: file descriptor 7 holds an empty first line"),
        ("", "error: --password-fd: file descriptor 7 cannot be read"),
    ] {
        let mut command = fleetadm(&server, "");
        command.args(["--password-fd", "7", "exec", "true"]);
        let output = Command::new("sh")
            .args(["-c", &format!("exec {} {redirection}", line(&command))])
            .env("HOME", server.directory.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.starts_with(expected), "{text}");
    }
    // Before any host is contacted.
    assert_eq!(server.logged(USER), 0);
}

/// Arguments and environments of this machine's processes that contain `secret`.
fn processes_showing(secret: &str) -> Vec<PathBuf> {
    let contains = |path: &Path| {
        fs::read(path).is_ok_and(|bytes| {
            bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        })
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    processes
        .flat_map(|process| [process.join("cmdline"), process.join("environ")])
        .filter(|path| contains(path))
        .collect()
}
