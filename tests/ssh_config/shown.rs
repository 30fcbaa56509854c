//! `fleetadm inventory show` and the options that decide what it shows.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;
use insta::assert_snapshot;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::client::{Client, Files, VARIABLES};
use crate::generated;

const INVENTORY: &str = r#"
[ssh]
user = "ops"
connect_timeout = "5s"
[jump_hosts.edge]
address = "203.0.113.9"
ssh = { port = 2222 }
[[hosts]]
name = "a"
address = "10.0.0.1"
[[hosts]]
name = "b"
address = "10.0.0.2"
groups = ["far"]
labels = { tier = "db" }
[groups.far.ssh]
jump = ["me@edge"]
become = "sudo"
"#;

/// fleetadm in a directory with an inventory and `config`.
struct Place {
    files: Files,
    home: PathBuf,
}

impl Place {
    fn new(config: &str) -> Self {
        let files = Files::new(config);
        files.write("inventory.toml", INVENTORY);
        let home = files.directory.path().join("home");
        fs::create_dir(&home).unwrap();
        Self { files, home }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::cargo_bin("fleetadm")
            .unwrap()
            .current_dir(self.files.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(VARIABLES)
            .env("HOME", &self.home)
            .args(arguments)
            .output()
            .unwrap()
    }

    /// What it prints; it must succeed.
    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().replace(self.home.to_str().unwrap(), "/home/me")
    }

    /// What it says about a mistake; nothing may be touched.
    fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let directory = self.files.directory.path().to_str().unwrap();
        String::from_utf8(output.stderr).unwrap().replace(directory, "DIR")
    }
}

#[test]
fn a_host_and_its_jump_hosts() {
    let place = Place::new(
        "Host 10.0.0.2\nIdentityFile ~/.ssh/%h\nIdentityFile late\nHost 203.*\nPort 1\n",
    );
    let text = place.prints(&["-F", "config", "inventory", "show", "b"]);
    // How wide columns are depends on where this runs.
    let squeeze = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.collect::<Vec<_>>().join(" | ")
    };
    let said: Vec<String> =
        text.lines().map(squeeze).filter(|line| !line.ends_with("| default")).collect();
    assert_snapshot!(said.join("\n"), @r"
    name | b
    role | worker
    address | 10.0.0.2
    groups | far
    labels | tier=db

    SETTING | VALUE | FROM
    user | ops | [ssh], line 3
    identity_file | /home/me/.ssh/10.0.0.2, late | config, line 2; config, line 3
    jump | me@203.0.113.9 | [groups.far.ssh], line 17
    proxy_command | - | [groups.far.ssh], line 17
    connect_timeout | 5 s | [ssh], line 4
    become | sudo | [groups.far.ssh], line 18

    by way of 203.0.113.9:
    SETTING | VALUE | FROM
    port | 2222 | [jump_hosts.edge.ssh], line 7
    user | me | [groups.far.ssh], line 17
    connect_timeout | 5 s | [ssh], line 4
    ");
}

#[test]
fn the_same_for_programs() {
    let place = Place::new("Host 10.0.0.1\nPort 7\nProxyJump edge.example.com\n");
    let text = place.prints(&["-F", "config", "inventory", "show", "a", "--output", "json"]);
    let host: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(host["name"], "a");
    assert_eq!(host["ssh"]["port"]["value"], 7);
    assert_eq!(host["ssh"]["port"]["from"], "config, line 2");
    assert_eq!(host["ssh"]["user"]["from"], "[ssh], line 3");
    assert_eq!(host["ssh"]["connect_timeout"]["value"], 5.0);
    assert_eq!(host["ssh"]["jump"]["value"][0], "edge.example.com");
    let hop = &host["jump_hosts"][0];
    assert_eq!(
        (&hop["name"], &hop["ssh"]["port"]["from"]),
        (&"edge.example.com".into(), &"default".into())
    );
    assert!(hop["ssh"].get("become").is_none());

    // Every host, one line each; the one that is shown need not be selected.
    let all = place.prints(&["-F", "config", "inventory", "show", "--output", "json"]);
    assert_eq!(all.lines().count(), 2);
    place.prints(&["-F", "config", "--limit", "b", "inventory", "show", "a"]);
    assert_eq!(
        place.refuses(&["-F", "config", "inventory", "show", "c"]),
        "error: there is no host \"c\" in inventory.toml\n"
    );
}

#[test]
fn the_command_line_is_above_everything() {
    let place = Place::new("User never\nPort 1\n");
    let setting = |options: &[&str], key: &str| {
        let rest = ["-F", "config", "inventory", "show", "b", "--output", "json"];
        let host: Value = serde_json::from_str(&place.prints(&[options, &rest].concat())).unwrap();
        let setting = host["ssh"][key].clone();
        (setting["value"].to_string(), setting["from"].as_str().unwrap().to_owned())
    };
    let command_line = |value: &str| (value.to_owned(), "command line".to_owned());
    assert_eq!(setting(&["--ssh", "user=root"], "user"), command_line("\"root\""));
    assert_eq!(setting(&["--ssh", "user=1234"], "user"), command_line("\"1234\""));
    assert_eq!(setting(&["--ssh", "user = \"root\""], "user"), command_line("\"root\""));
    assert_eq!(setting(&["--ssh", "port=1", "--ssh", "port=2"], "port"), command_line("2"));
    assert_eq!(
        setting(&["--ssh", "identities_only=true"], "identities_only"),
        command_line("true")
    );
    assert_eq!(setting(&["--ssh", "connect_timeout=2m"], "connect_timeout"), command_line("120.0"));
    assert_eq!(setting(&["--ssh", "jump=[]"], "jump"), command_line("[]"));
    assert_eq!(setting(&["--ssh", "jump=x"], "jump"), command_line("[\"x\"]"));
    assert_eq!(
        setting(&["--ssh", "jump=[\"x\", \"edge\"]"], "jump"),
        command_line("[\"x\",\"203.0.113.9\"]")
    );
    assert_eq!(setting(&["--ssh", "become=none"], "become"), command_line("\"none\""));
    let (path, _) = setting(&["--ssh", "known_hosts=known"], "known_hosts");
    assert!(path.ends_with("/known\"]") && path.starts_with("[\"/"), "{path}");
    // It is not for the jump host to be somebody else.
    assert_eq!(setting(&[], "user"), ("\"ops\"".to_owned(), "[ssh], line 3".to_owned()));
}

#[test]
fn mistakes_on_the_command_line() {
    let place = Place::new("");
    let refused = |assignment| place.refuses(&["--ssh", assignment, "inventory", "check"]);
    assert_snapshot!(refused("usr=x"), @r#"
    error: unknown key `usr`
     --> --ssh:1:1
      |
    1 | usr = "x"
      | ^^^ not a key of this table
      |
      = help: did you mean `user`?
    "#);
    assert_snapshot!(refused("port=99999"), @r"
    error: 99999 is not a port
     --> --ssh:1:8
      |
    1 | port = 99999
      |        ^^^^^ expected 1 to 65535
    ");
    assert_snapshot!(refused("host_key_policy=off"), @r#"
    error: `off` is not a host key policy
     --> --ssh:1:19
      |
    1 | host_key_policy = "off"
      |                   ^^^^^ expected `strict` or `accept-new`; host keys are always checked
    "#);
    assert_snapshot!(refused("user=[\"a\"]"), @r#"
    error: an array is not of the right type
     --> --ssh:1:8
      |
    1 | user = ["a"]
      |        ^^^^^ expected a string
    "#);
    assert_snapshot!(refused("user"), @r"
    error: `user` is not an assignment
     --> --ssh:1:1
      |
    1 | user
      | ^^^^ expected KEY=VALUE, with a key of `[ssh]`
    ");
    assert_snapshot!(refused("jump=a b"), @r#"
    error: `a b` is not a jump host
     --> --ssh:1:8
      |
    1 | jump = "a b"
      |        ^^^^^ expected `host`, `user@host` or `user@host:port`
    "#);
}

#[test]
fn a_wrong_configuration_stops_everything_before_it_begins() {
    let place = Place::new("Host 10.0.0.1\nPort 7\nHost elsewhere\nPrt 8\n");
    let expected = "error: config:4: OpenSSH knows no keyword `prt`; correct it, or name it in `IgnoreUnknown` before\n";
    for command in [&["inventory", "show"][..], &["inventory", "show", "a"], &["exec", "true"]] {
        assert_eq!(place.refuses(&[&["-F", "config"], command].concat()), expected);
    }
    let missing = place.refuses(&["-F", "missing", "exec", "true"]);
    assert_eq!(missing, "error: missing: there is no such file\n");
    // Nobody asked for it here.
    place.prints(&["-F", "config", "inventory", "check"]);
    place.prints(&["-F", "none", "inventory", "show"]);
}

#[test]
fn the_usual_places_are_looked_in() {
    let place = Place::new("");
    let home = place.home.join(".ssh");
    fs::create_dir_all(home.join("config.d")).unwrap();
    fs::write(home.join("config"), "Include config.d/*\nPort 8\n").unwrap();
    fs::write(home.join("config.d/one"), "Host 10.0.0.1\nPort 7\n").unwrap();
    let table = place.prints(&["inventory", "show"]);
    let ports = table.lines().map(|line| line.split_whitespace().nth(4).unwrap());
    assert_eq!(ports.collect::<Vec<_>>(), ["PORT", "7", "8"]);
    let table = place.prints(&["-F", "none", "inventory", "show"]);
    assert!(!table.contains(" 7 "), "{table}");
}

/// A few of the generated configurations all the way through the program.
#[test]
fn generated_configurations_are_shown_as_ssh_resolves_them() {
    let client: &Client = client!();
    let config = Config { cases: 8, failure_persistence: None, ..Config::default() };
    let check = |configuration: generated::Configuration| {
        let files = configuration.files();
        files.write("inventory.toml", "[[hosts]]\nname = \"web1\"\n");
        // The client does not look at HOME.
        let place = Place { files, home: client.environment.home.clone().unwrap() };
        let expected = client.asks(&place.files.config(), "web1");
        let output = place.run(&["-F", "config", "inventory", "show", "web1", "--output", "json"]);
        let Ok(expected) = expected else {
            prop_assert_eq!(output.status.code(), Some(2));
            return Ok(());
        };
        if !output.status.success() {
            // A loop of jump hosts, or a mistake in what only they have.
            prop_assert!(!expected["jump"].is_empty(), "{:?}", output);
            return Ok(());
        }
        let host: Value = serde_json::from_slice(&output.stdout).unwrap();
        let value = |key: &str| host["ssh"][key]["value"].clone();
        prop_assert_eq!(value("host_name"), Value::from(expected["host_name"].clone()));
        prop_assert_eq!(value("port").to_string(), expected["port"].clone());
        prop_assert_eq!(value("user"), Value::from(expected["user"].clone()));
        prop_assert_eq!(value("host_key_policy"), Value::from(expected["host_key_policy"].clone()));
        prop_assert_eq!(value("keepalive_count").to_string(), expected["keepalive_count"].clone());
        for (key, words) in [
            ("identity_file", "identity_files"),
            ("certificate_file", "certificate_files"),
            ("known_hosts", "known_hosts"),
        ] {
            let paths = value(key);
            let paths = paths.as_array().unwrap().iter().map(|path| path.as_str().unwrap());
            let paths = paths.collect::<Vec<_>>().join(" ");
            let expected = expected[words].trim_start_matches("none");
            prop_assert_eq!(paths.trim_start_matches("none"), expected, "{}", key);
        }
        let only = if value("identities_only") == true { "yes" } else { "no" };
        prop_assert_eq!(only, expected["identities_only"].as_str());
        Ok(())
    };
    if let Err(error) = TestRunner::new(config).run(&generated::configuration(), check) {
        panic!("{error}");
    }
}
