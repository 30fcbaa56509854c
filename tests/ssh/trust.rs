//! `fleetadm trust`: what it shows, what it adds, and when it does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use fleetadm::fleet::{Consent, Trust, Unconfirmed};
use fleetadm::inventory::Host;
use fleetadm::report::{NoAnswer, Prompter, Question, Reporter};
use fleetadm::ssh::{Connector, Environment, Secrets};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::openssh::{HostKeySettings, accepts};
use crate::sshd::{Sshd, connector, free_port, keygen, said};

/// An operator's directory with an inventory and a known_hosts file, which is not there yet.
struct Desk {
    directory: TempDir,
}

/// What came of a command.
struct Run {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Desk {
    /// Hosts with addresses from 127.0.0.1 on, and these names and ports.
    fn new(key: &Path, hosts: &[(&str, u16)]) -> Self {
        let desk = Self { directory: TempDir::new().unwrap() };
        let mut text = format!(
            "[ssh]\nuser = \"{}\"\nknown_hosts = \"known_hosts\"\nidentity_file = \"{}\"\n\n",
            user(),
            key.display()
        );
        for (index, (name, port)) in hosts.iter().enumerate() {
            let host = format!("name = \"{name}\"\naddress = \"127.0.0.{}\"\n", index + 1);
            text.push_str(&format!("[[hosts]]\n{host}[hosts.ssh]\nport = {port}\n\n"));
        }
        fs::write(desk.path("inventory.toml"), text).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn known_hosts(&self) -> String {
        fs::read_to_string(self.path("known_hosts")).unwrap_or_default()
    }

    /// Run `fleetadm trust` without a terminal.
    fn trust(&self, arguments: &[&str]) -> Run {
        let Output { status, stdout, stderr } = Command::new("setsid")
            .arg("--wait")
            .arg(env!("CARGO_BIN_EXE_fleetadm"))
            .args(["trust", "-i"])
            .arg(self.path("inventory.toml"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path())
            .env_remove("SSH_AUTH_SOCK")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let run =
            Run { status: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) };
        eprintln!("{}\n{}", run.stdout, run.stderr);
        run
    }
}

impl Run {
    /// The objects that `--output json` prints.
    fn objects(&self, kind: &str) -> Vec<Value> {
        let objects = self.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        objects.filter(|object| object["kind"] == kind).collect()
    }
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn public(server: &Sshd, name: &str) -> String {
    let text = fs::read_to_string(server.path(name)).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn fingerprint(server: &Sshd, name: &str) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(server.path(name)).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(1).unwrap().to_owned()
}

fn line(server: &Sshd, name: &str) -> String {
    format!("[127.0.0.1]:{} {}\n", server.port, public(server, name))
}

fn desk(server: &Sshd) -> Desk {
    Desk::new(&server.path("id_ed25519"), &[("node-1", server.port)])
}

#[test]
fn new_keys_are_added_once() {
    let server = server!("ed25519 ecdsa rsa", "");
    let desk = desk(&server);
    let run = desk.trust(&["--yes"]);
    assert_eq!(run.status, 0);
    let names = ["host_ed25519.pub", "host_ecdsa.pub", "host_rsa.pub"];
    for name in names {
        assert!(run.stdout.contains(&fingerprint(&server, name)), "{name}");
    }
    assert!(run.stderr.contains("3 changed, 0 failed"), "{}", run.stderr);
    let expected: String = names.map(|name| line(&server, name)).concat();
    assert_eq!(desk.known_hosts(), expected);

    // The second time there is nothing to do, and so nothing to ask.
    for arguments in [&["--yes"][..], &[], &["--replace"]] {
        let run = desk.trust(arguments);
        assert_eq!(run.status, 0);
        assert_eq!(run.stdout, format!("node-1 (127.0.0.1:{}): known\n", server.port));
        assert!(run.stderr.contains("0 changed, 0 failed"), "{}", run.stderr);
        assert_eq!(desk.known_hosts(), expected);
    }
    let settings = HostKeySettings {
        host: "127.0.0.1",
        user_known_hosts: &desk.path("known_hosts"),
        global_known_hosts: "/dev/null".as_ref(),
        alias: None,
        checking: "yes",
    };
    assert!(accepts(&server, &settings));
    assert_eq!(server.logins(), 1);
}

#[test]
fn nobody_to_ask() {
    let server = server!();
    let desk = desk(&server);
    let run = desk.trust(&[]);
    assert_eq!(run.status, 2);
    assert!(run.stdout.contains(&fingerprint(&server, "host_ed25519.pub")), "{}", run.stdout);
    assert!(run.stderr.contains("no terminal to ask on"), "{}", run.stderr);
    assert!(run.stderr.contains("--fingerprints FILE"), "{}", run.stderr);
    assert_eq!(desk.known_hosts(), "");
}

#[test]
fn a_dry_run_adds_nothing() {
    let server = server!();
    let desk = desk(&server);
    let run = desk.trust(&["--dry-run"]);
    assert_eq!(run.status, 0);
    let print = fingerprint(&server, "host_ed25519.pub");
    assert!(run.stderr.contains(&format!("would add ssh-ed25519 {print} to ")), "{}", run.stderr);
    assert!(run.stderr.contains("1 to change"), "{}", run.stderr);
    assert!(!desk.path("known_hosts").exists());
}

#[test]
fn keys_are_held_against_a_list() {
    let server = server!("ed25519 ecdsa", "");
    let desk = desk(&server);
    let list = desk.path("list");
    let trust = |text: &str| {
        fs::write(&list, text).unwrap();
        desk.trust(&["--fingerprints", "list"])
    };
    keygen(&desk.path("other"), &["-t", "ed25519", "-N", ""]);
    let other = fs::read_to_string(desk.path("other.pub")).unwrap();
    let print = fingerprint(&server, "host_ecdsa.pub");

    // Not what the list says.
    for (text, reason) in [
        (other.clone(), "none of its keys is in the list"),
        (format!("node-2 {print}"), "none of its keys is in the list"),
        (format!("node-1 {other}{print}"), "line 1 of the list has SHA256:"),
        (format!("[127.0.0.1]:{} {other}{print}", server.port), "line 1 of the list has SHA256:"),
    ] {
        let run = trust(&text);
        assert_eq!(run.status, 3, "{text}");
        assert!(run.stderr.contains(reason), "{}", run.stderr);
        assert_eq!(desk.known_hosts(), "");
    }
    // A list that is none: nothing is contacted.
    let run = trust("node-1\n");
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("--fingerprints list: line 1: neither a SHA256"), "{}", run.stderr);
    assert_eq!(run.stdout, "");

    // What it says, and no more.
    let run = trust(&format!("# from the console\nnode-1 {print}\n{other}"));
    assert_eq!(run.status, 0);
    assert!(run.stdout.contains("not in the list"), "{}", run.stdout);
    assert_eq!(desk.known_hosts(), line(&server, "host_ecdsa.pub"));
    assert_eq!(trust(&print).status, 0);
    // Known keys are held against it as well.
    assert_eq!(trust(&other).status, 3);
    assert_eq!(desk.known_hosts(), line(&server, "host_ecdsa.pub"));
}

#[test]
fn changed_keys_are_replaced_only_on_demand() {
    let server = server!("ed25519 ecdsa", "");
    let desk = desk(&server);
    keygen(&desk.path("old"), &["-t", "ed25519", "-N", ""]);
    let old = fs::read_to_string(desk.path("old.pub")).unwrap();
    let name = format!("[127.0.0.1]:{}", server.port);
    let known = format!("# mine\n{name},other {old}other {old}");
    fs::write(desk.path("known_hosts"), &known).unwrap();
    fs::write(desk.path("list"), fingerprint(&server, "host_ed25519.pub")).unwrap();

    for arguments in [&["--yes"][..], &["--fingerprints", "list"], &["--dry-run"]] {
        let run = desk.trust(arguments);
        assert_eq!(run.status, 3);
        assert!(run.stderr.contains("the host key has changed"), "{}", run.stderr);
        assert!(run.stdout.contains("in place of ssh-ed25519 SHA256:"), "{}", run.stdout);
        assert!(run.stdout.contains("known_hosts:2"), "{}", run.stdout);
        assert_eq!(desk.known_hosts(), known);
    }
    // That is never taken on trust.
    assert_eq!(desk.trust(&["--replace", "--yes"]).status, 2);
    assert_eq!(desk.trust(&["--replace"]).status, 2);
    assert_eq!(desk.known_hosts(), known);

    let run = desk.trust(&["--replace", "--fingerprints", "list", "--dry-run"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("would remove ssh-ed25519 SHA256:"), "{}", run.stderr);
    assert_eq!(desk.known_hosts(), known);

    let run = desk.trust(&["--replace", "--fingerprints", "list"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("2 changed, 0 failed"), "{}", run.stderr);
    let new = line(&server, "host_ed25519.pub");
    assert_eq!(desk.known_hosts(), format!("# mine\nother {old}other {old}{new}"));
    let run = desk.trust(&["--replace", "--fingerprints", "list"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("0 changed, 0 failed"), "{}", run.stderr);

    // A line for a pattern of hosts is the operator's to edit.
    let known = format!("[127.0.0.*]:* {old}");
    fs::write(desk.path("known_hosts"), &known).unwrap();
    let run = desk.trust(&["--replace", "--fingerprints", "list"]);
    assert_eq!(run.status, 3);
    assert!(run.stderr.contains("line 1 has the old key for a pattern"), "{}", run.stderr);
    assert_eq!(desk.known_hosts(), known);
}

#[test]
fn revoked_keys_are_never_added() {
    let server = server!("ed25519 ecdsa", "");
    let desk = desk(&server);
    let known = format!("@revoked * {}\n", public(&server, "host_ed25519.pub"));
    fs::write(desk.path("known_hosts"), &known).unwrap();
    fs::write(desk.path("list"), fingerprint(&server, "host_ed25519.pub")).unwrap();
    for arguments in [&["--yes"][..], &["--replace", "--fingerprints", "list"]] {
        let run = desk.trust(arguments);
        assert_eq!(run.status, 3);
        assert!(run.stderr.contains("the host key is revoked"), "{}", run.stderr);
        assert_eq!(desk.known_hosts(), known);
    }
}

#[test]
fn certified_hosts_need_no_key() {
    let server = server!("ed25519 ecdsa", "HostCertificate DIRECTORY/host_ed25519-cert.pub");
    let desk = desk(&server);
    keygen(&server.path("ca"), &["-t", "ed25519", "-N", ""]);
    let sign = |name: &str| {
        let status = Command::new("ssh-keygen")
            .args(["-q", "-h", "-I", "test", "-n", name, "-s"])
            .args([server.path("ca"), server.path("host_ed25519.pub")])
            .status();
        assert!(status.unwrap().success());
    };
    let known = format!("@cert-authority * {}\n", public(&server, "ca.pub"));
    fs::write(desk.path("known_hosts"), &known).unwrap();
    sign("127.0.0.1");
    let run = desk.trust(&["--yes"]);
    assert_eq!(run.status, 0);
    assert_eq!(run.stdout, format!("node-1 (127.0.0.1:{}): certified\n", server.port));
    assert_eq!(desk.known_hosts(), known);

    // A bad one is said to be bad, and the keys are there to be added.
    sign("node-9");
    let run = desk.trust(&["--yes"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("for other hosts (node-9), not for 127.0.0.1"), "{}", run.stderr);
    let keys = ["host_ed25519.pub", "host_ecdsa.pub"].map(|name| line(&server, name)).concat();
    assert_eq!(desk.known_hosts(), format!("{known}{keys}"));
}

#[test]
fn one_object_for_each_key() {
    let server = server!("ed25519 ecdsa", "");
    let desk = desk(&server);
    fs::write(desk.path("known_hosts"), line(&server, "host_ecdsa.pub")).unwrap();
    let run = desk.trust(&["--yes", "--output", "json"]);
    assert_eq!(run.status, 0);
    let keys = run.objects("host_key");
    let summary: Vec<(&str, &str)> = keys
        .iter()
        .map(|key| (key["type"].as_str().unwrap(), key["status"].as_str().unwrap()))
        .collect();
    assert_eq!(summary, [("ecdsa-sha2-nistp256", "known"), ("ssh-ed25519", "new")]);
    let new = &keys[1];
    assert_eq!(new["host"], "node-1");
    assert_eq!(new["address"], format!("127.0.0.1:{}", server.port));
    assert_eq!(new["fingerprint"], fingerprint(&server, "host_ed25519.pub"));
    assert_eq!(new["through"], serde_json::json!([]));
    assert_eq!(run.objects("changed").len(), 1);
    let last: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["kind"], &last["changes"]), (&"summary".into(), &1.into()));
}

#[test]
fn hosts_that_cannot_be_reached_do_not_hold_up_others() {
    let server = server!("ed25519", "ListenAddress 0.0.0.0");
    let hosts = [("node-1", free_port()), ("node-2", server.port), ("node-3", server.port)];
    let desk = Desk::new(&server.path("id_ed25519"), &hosts);
    let run = desk.trust(&["--yes"]);
    assert_eq!(run.status, 4);
    assert!(run.stderr.contains("connection refused"), "{}", run.stderr);
    // Two addresses of one server.
    assert!(run.stdout.contains("node-[2-3] (2 servers with the same keys"), "{}", run.stdout);
    let [second, third] = ["127.0.0.2", "127.0.0.3"]
        .map(|address| line(&server, "host_ed25519.pub").replace("127.0.0.1", address));
    assert_eq!(desk.known_hosts(), second + &third);
}

#[test]
fn another_file() {
    let server = server!();
    let desk = desk(&server);
    fs::write(desk.path("known_hosts"), line(&server, "host_ed25519.pub")).unwrap();
    let run = desk.trust(&["--yes", "--known-hosts", "team/known_hosts"]);
    assert_eq!(run.status, 0);
    let team = fs::read_to_string(desk.path("team/known_hosts")).unwrap();
    assert_eq!(team, line(&server, "host_ed25519.pub"));
    assert_eq!(desk.known_hosts(), team);
}

#[test]
fn jump_hosts_come_first() {
    let (bastion, target) = (server!(), server!("ed25519", "ListenAddress 0.0.0.0"));
    let jump = format!("{}@127.0.0.1:{}", user(), bastion.port);
    let hosts = [("node-1", target.port), ("node-2", target.port)];
    let desk = Desk::new(&bastion.path("id_ed25519"), &hosts);
    let inventory = fs::read_to_string(desk.path("inventory.toml")).unwrap();
    let inventory = inventory.replacen("[ssh]\n", &format!("[ssh]\njump = [\"{jump}\"]\n"), 1);
    fs::write(desk.path("inventory.toml"), inventory).unwrap();

    // Nothing is looked at through a jump host that is not trusted.
    let run = desk.trust(&["--dry-run"]);
    assert_eq!(run.status, 4);
    assert!(
        run.stdout.contains(&format!("127.0.0.1:{} (jump host)", bastion.port)),
        "{}",
        run.stdout
    );
    assert!(run.stderr.contains("the host key of"), "{}", run.stderr);
    assert_eq!(bastion.logins(), 0);

    let run = desk.trust(&["--yes", "--output", "json"]);
    assert_eq!(run.status, 0);
    let keys = run.objects("host_key");
    let hosts: Vec<&str> = keys.iter().map(|key| key["host"].as_str().unwrap()).collect();
    let jump_host = format!("127.0.0.1:{}", bastion.port);
    assert_eq!(hosts, [&jump_host, "node-1", "node-2"]);
    assert_eq!(keys[0]["jump_host"], true);
    assert_eq!(keys[1]["through"], serde_json::json!([jump_host]));
    let first = line(&target, "host_ed25519.pub");
    let second = first.replace("127.0.0.1", "127.0.0.2");
    assert_eq!(desk.known_hosts(), line(&bastion, "host_ed25519.pub") + &first + &second);
    // One connection to it, however many are behind it.
    assert_eq!((bastion.logins(), target.logins()), (1, 0));

    let run = desk.trust(&[]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("0 changed, 0 failed"), "{}", run.stderr);
}

/// Look at the keys of `hosts`; the operator gives `answers`. The questions, and how it ended.
async fn ask(
    hosts: &[Host],
    answers: &'static [&'static str],
) -> (Vec<String>, Result<(), Unconfirmed>) {
    let (prompter, mut questions) = Prompter::channel();
    let secrets = Arc::new(Secrets::asking(prompter));
    let connector = Connector::new(Environment::default()).with_secrets(secrets);
    let operator = tokio::spawn(async move {
        let mut asked = Vec::new();
        let mut answers = answers.iter();
        while let Some(Question { text, echo, reply }) = questions.recv().await {
            assert!(echo);
            asked.push(text);
            let answer = answers.next().map(|answer| SecretString::from(*answer));
            let _ = reply.send(answer.ok_or(NoAnswer::Closed));
        }
        asked
    });
    let (reporter, _events) = Reporter::channel();
    let trust = Trust {
        connector: &connector,
        parallel: 4,
        cancel: &CancellationToken::new(),
        reporter: &reporter,
        consent: &Consent::Ask,
        replace: true,
        dry_run: false,
    };
    let hosts: Vec<_> = hosts.iter().cloned().map(Arc::new).collect();
    let result = trust.run(&hosts).await;
    connector.close().await;
    drop(connector);
    (operator.await.unwrap(), result)
}

#[tokio::test]
async fn the_operator_is_asked() {
    let (bastion, target) = (server!(), server!());
    let mut host = target.host();
    host.ssh_mut().jump = Some(said(vec![bastion.hop()]));
    let hosts = [host];
    for server in [&bastion, &target] {
        server.write_known_hosts("");
    }
    let known = |server: &Sshd| fs::read_to_string(server.path("known_hosts")).unwrap();

    for answers in [&["n"][..], &[""], &["yes please"], &[]] {
        let (asked, result) = ask(&hosts, answers).await;
        assert_eq!(asked.len(), 1);
        assert!(
            asked[0].contains(&format!("1 host keys of 127.0.0.1:{}", bastion.port)),
            "{asked:?}"
        );
        assert!(asked[0].contains("known_hosts"), "{asked:?}");
        result.unwrap_err();
        assert_eq!(known(&bastion), "");
    }
    // The jump host is trusted, what is behind it is not.
    let (asked, result) = ask(&hosts, &["y", "no"]).await;
    assert_eq!(asked.len(), 2);
    assert!(asked[1].contains("1 host keys of node "), "{asked:?}");
    assert!(matches!(result, Err(Unconfirmed::Declined)), "{result:?}");
    assert_eq!(known(&bastion), line(&bastion, "host_ed25519.pub"));
    assert_eq!(known(&target), "");

    let (asked, result) = ask(&hosts, &["Yes"]).await;
    assert_eq!(asked.len(), 1);
    result.unwrap();
    assert_eq!(known(&target), line(&target, "host_ed25519.pub"));
    let (asked, result) = ask(&hosts, &[]).await;
    assert_eq!(asked.len(), 0);
    result.unwrap();
    connector().connect(&hosts[0]).await.unwrap();
}

#[tokio::test]
async fn replacing_is_said_to_be_replacing() {
    let server = server!();
    keygen(&server.path("other"), &["-t", "ed25519", "-N", ""]);
    server.write_known_hosts(&line(&server, "other.pub"));
    let (asked, result) = ask(&[server.host()], &["y"]).await;
    assert!(asked[0].contains("REPLACE"), "{asked:?}");
    result.unwrap();
    let known = fs::read_to_string(server.path("known_hosts")).unwrap();
    assert_eq!(known, line(&server, "host_ed25519.pub"));
}
