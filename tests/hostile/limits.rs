//! Documents that are small and mean much, or are simply large: fleetadm itself, with little memory and little time.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output, Stdio};

/// Of address space, in KiB.
const MEMORY: u32 = 1 << 20;
/// Of a processor, in seconds.
const SECONDS: u32 = 20;

/// Run fleetadm with a file of this name as its last argument.
fn run(arguments: &[&str], name: &str, text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    Command::new("sh")
        .args(["-c", &format!("ulimit -v {MEMORY}; ulimit -t {SECONDS}; exec \"$@\""), "sh"])
        .arg(env!("CARGO_BIN_EXE_fleetadm"))
        .args(arguments)
        .arg(path)
        .env("HOME", directory.path())
        .env("XDG_STATE_HOME", directory.path())
        .env("SSH_AUTH_SOCK", "")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Fails unless the text is refused as a mistake, in few words that say this.
fn refused(arguments: &[&str], name: &str, text: &str, words: &str) {
    let output = run(arguments, name, text);
    let said = String::from_utf8_lossy(&output.stderr);
    let start: String = said.chars().take(600).collect();
    assert_eq!(output.status.code(), Some(2), "{name}, {words}: {} {start}", output.status);
    assert!(said.len() < 64 << 10, "{name}, {words}: {} bytes of {start}", said.len());
    assert!(said.contains(words), "{name}: {words:?} in {start}");
    assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{name}: {start:?}");
}

const CHECK: [&str; 3] = ["inventory", "check", "-i"];
const VALIDATE: [&str; 3] = ["config", "validate", "--config"];
const IMPORT: [&str; 2] = ["inventory", "import"];

/// Names that stand for ten of the one before, ten times.
fn bomb(before: &str) -> String {
    let mut text = format!("{before}a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{list}]");
    }
    text
}

#[test]
fn nothing_is_nested_without_end() {
    let deep = 50_000;
    let [open, close] = ["[", "]"].map(|bracket| bracket.repeat(deep));
    refused(&CHECK, "a.toml", &format!("x = {open}{close}"), "error");
    refused(&CHECK, "a.toml", &format!("x = {}", "{a=".repeat(deep)), "error");
    refused(&CHECK, "a.toml", &format!("{}x = 1", "a.".repeat(deep)), "error");
    refused(&CHECK, "a.toml", &format!("[{}x]\n", "a.".repeat(deep)), "error");
    refused(&CHECK, "a.json", &format!("{{\"x\": {open}{close}}}"), "nested too deeply");
    refused(&CHECK, "a.json", &"{\"a\":".repeat(deep), "nested too deeply");
    refused(&VALIDATE, "a.yaml", &format!("a: {open}{close}"), "not valid YAML");
    refused(&VALIDATE, "a.yaml", &"{a: ".repeat(deep), "not valid YAML");
    refused(&VALIDATE, "a.yaml", &"- ".repeat(deep), "not valid YAML");
    refused(&IMPORT, "a.yaml", &format!("all: {{vars: {open}{close}}}"), "not valid YAML");
    let imported = run(&IMPORT, "a.ini", &format!("a x={open}{close}"));
    assert!(imported.status.code().is_some(), "{}", imported.status);
}

#[test]
fn references_are_not_followed_without_end() {
    let cluster = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n";
    refused(&VALIDATE, "a.yaml", &bomb(cluster), "not valid YAML");
    refused(&VALIDATE, "a.yaml", &format!("{cluster}a: &a [*a]\n"), "not valid YAML");
    let merged = "x: &x {<<: *x}\n";
    refused(&VALIDATE, "a.yaml", &format!("{cluster}{merged}"), "not valid YAML");
    refused(&IMPORT, "a.yaml", &bomb(""), "not valid YAML");
}

#[test]
fn ranges_and_selections_are_bounded() {
    let host = |name: &str, address: &str| {
        format!("[[hosts]]\nname = \"{name}\"\naddress = \"{address}\"\n")
    };
    refused(&CHECK, "a.toml", &host("n-[1-999999999]", "10.0.0.1"), "n-[1-999999999]");
    refused(&CHECK, "a.toml", &host("[1-9999][1-9999]", "10.0.0.1"), "error");
    refused(&CHECK, "a.toml", &host("n-[1-99999999999999999999999]", "10.0.0.1"), "error");
    refused(&CHECK, "a.toml", &host(&"[0-9]".repeat(40), "10.0.0.1"), "error");
}

#[test]
fn a_thousand_mistakes_are_few_words() {
    let many: String = (0..5_000).map(|number| format!("key{number} = {number}\n")).collect();
    refused(&CHECK, "a.toml", &many, "unknown key");
    let hosts = "[[hosts]]\nname = \"a b\"\n".repeat(5_000);
    refused(&CHECK, "a.toml", &hosts, "name");
    let cluster = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n";
    let fields: String = (0..5_000).map(|number| format!("key{number}: {number}\n")).collect();
    refused(&VALIDATE, "a.yaml", &format!("{cluster}{fields}"), "unknown");
    refused(&VALIDATE, "a.yaml", &format!("{cluster}---\n").repeat(2_000), "two documents");
}

#[test]
fn long_lines_are_shown_in_part() {
    let long = "x".repeat(1 << 20);
    refused(&CHECK, "a.toml", &format!("a = \"{long}\"\n"), "unknown key");
    refused(&CHECK, "a.toml", &long, "not valid TOML");
    refused(&CHECK, "a.json", &format!("{{\"{long}\": 1}}"), "unknown key");
    refused(&VALIDATE, "a.yaml", &long, "");
    refused(&VALIDATE, "a.yaml", &format!("kind: {long}\n"), "");
}

#[test]
fn what_is_too_large_is_not_read() {
    let large = format!("# {}\n", "x".repeat(65 << 20));
    refused(&CHECK, "a.toml", &large, "larger than 64 MiB");
}

#[test]
fn no_character_of_a_document_controls_a_terminal() {
    for text in [
        "\u{1b}[2J = 1\n",
        "a = \"\u{1b}]0;x\u{7}\"\n",
        "\"\\u001b[2J\" = 1\n",
        "\u{9b}31m",
        "a = 1\r\u{8}\n",
        "\0",
    ] {
        refused(&CHECK, "a.toml", text, "");
        refused(&VALIDATE, "a.yaml", text, "");
    }
    refused(&CHECK, "\u{1b}[2J.toml", "x = 1\n", "unknown key");
    refused(&CHECK, "a.json", "{\"\\u001b[2J\": 1}", "unknown key");
    refused(&CHECK, "a.toml", "[[hosts]]\nname = \"\\u001b[2J\"\naddress = \"\\u009b\"\n", "name");
}
