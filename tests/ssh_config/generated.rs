//! Configurations nobody would write, held against the client.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::client::{Files, compare};

/// How many configurations are tried where `PROPTEST_CASES` does not say. Each asks the client several times.
const CASES: u32 = 48;

const HOSTS: [&str; 6] = ["web1", "web2", "DB1", "db1.example.com", "10.0.0.1", "bastion"];

/// A main file and the files it may include, `a.conf` and `b.conf`.
#[derive(Debug, Clone)]
pub struct Configuration {
    main: String,
    included: [String; 2],
}

impl Configuration {
    /// As files.
    pub fn files(&self) -> Files {
        let files = Files::new(&self.main);
        for (name, text) in ["a.conf", "b.conf"].iter().zip(&self.included) {
            files.write(name, text);
        }
        files
    }
}

fn any_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(words).prop_map(str::to_owned)
}

/// Something in between, as often as not nothing.
fn maybe(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(String::new()), 1 => any_of(words)]
}

fn pattern() -> impl Strategy<Value = String> {
    let body = any_of(&[
        "*",
        "web*",
        "web?",
        "web1",
        "WEB1",
        "db1",
        "*.example.com",
        "*1",
        "10.0.0.*",
        "10.*",
        "??*",
        "bastion",
        "node-*",
        "nothing",
    ]);
    (prop::bool::weighted(0.25), body)
        .prop_map(|(negated, body)| format!("{}{body}", if negated { "!" } else { "" }))
}

fn patterns(separator: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(pattern(), 1..4).prop_map(move |patterns| patterns.join(separator))
}

fn criterion() -> impl Strategy<Value = String> {
    let list = |name: &'static str| patterns(",").prop_map(move |list| format!("{name} {list}"));
    let test = prop_oneof![
        any_of(&[
            "canonical",
            "final",
            "final",
            "CANONICAL",
            "user ops,r*",
            "user !ops,*",
            "localuser *"
        ]),
        any_of(&["exec true", "exec false", "exec \"test %h = web1\"", "exec \"test %p -gt 22\""]),
        any_of(&["exec \"test %r != ops\"", "host=web1", "user = ops", "localuser nobody-else"]),
        list("host"),
        list("originalhost"),
        list("HOST"),
    ];
    (prop::bool::weighted(0.2), test)
        .prop_map(|(negated, test)| format!("{}{test}", if negated { "!" } else { "" }))
}

/// What stands behind `Match`.
fn criteria() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => any_of(&["all", "!all", "final all", "canonical all", "host web1 all"]),
        5 => prop::collection::vec(criterion(), 1..4).prop_map(|criteria| criteria.join(" ")),
    ]
}

/// A path with tokens in it.
fn path() -> impl Strategy<Value = String> {
    any_of(&[
        "~/.ssh/key",
        "~/.ssh/%h",
        "/keys/%n-%p",
        "%d/.ssh/%r@%k",
        "${FLEET_KEYS}/%u/%i",
        "relative",
        "/keys/%L-%l-%%",
        "/keys/%C",
        "none",
        "~/.ssh/%h",
        "/keys/a",
    ])
}

/// Keywords and their values. Few of each, so that they meet.
fn assignment() -> impl Strategy<Value = (String, String)> {
    let of = |keyword: &'static str, values: &'static [&'static str]| {
        any_of(values).prop_map(move |value| (keyword.to_owned(), value)).boxed()
    };
    let paths =
        |keyword: &'static str| path().prop_map(move |path| (keyword.to_owned(), path)).boxed();
    prop_oneof![
        2 => of("HostName", &["10.0.0.9", "%h.example.com", "Node-%h", "127.1", "fd00::0:1", "web1"]),
        2 => of("Port", &["22", "2222", "2200", "ssh"]),
        2 => of("User", &["ops", "root", "deploy"]),
        3 => paths("IdentityFile"),
        2 => paths("CertificateFile"),
        2 => paths("UserKnownHostsFile"),
        1 => paths("GlobalKnownHostsFile"),
        1 => of("IdentitiesOnly", &["yes", "no", "TRUE"]),
        1 => of("IdentityAgent", &["none", "SSH_AUTH_SOCK", "$FLEET_AGENT", "~/agent-%h", "${FLEET_AGENT}", "$UNSET"]),
        2 => of("ProxyJump", &["bastion", "ops@bastion:2222", "a,b@b:22", "none", "10.0.0.5", "[fd00::1]:22"]),
        2 => of("ProxyCommand", &["nc %h %p", "none", "connect -H %n:%r"]),
        1 => of("HostKeyAlias", &["alias", "Alias2"]),
        1 => of("ConnectTimeout", &["5", "1m30", "none", "0"]),
        1 => of("ConnectionAttempts", &["1", "3"]),
        1 => of("ServerAliveInterval", &["0", "30", "none", "1h"]),
        1 => of("ServerAliveCountMax", &["0", "5"]),
        1 => of("PubkeyAuthentication", &["yes", "no"]),
        1 => of("PasswordAuthentication", &["yes", "no"]),
        1 => of("KbdInteractiveAuthentication", &["yes", "no"]),
        1 => of("StrictHostKeyChecking", &["yes", "no", "ask", "accept-new"]),
        1 => of("ForwardAgent", &["yes", "no"]),
        1 => of("SendEnv", &["LANG LC_*"]),
        1 => of("IgnoreUnknown", &["Unheard*,Other", "nothing"]),
    ]
}

/// An assignment as a line, in one of the many ways to write it.
fn setting() -> impl Strategy<Value = String> {
    let separator = any_of(&[" ", " ", "=", " = ", "\t", "  "]);
    let spelling = select(vec![str::to_owned, |text: &str| text.to_lowercase(), |text: &str| {
        text.to_uppercase()
    }]);
    let quote = any_of(&["", "", "\"", "'"]);
    (assignment(), separator, spelling, quote, comment()).prop_map(
        |((keyword, value), separator, spelling, quote, comment)| {
            // These take the rest of the line as it is.
            let raw = ["ProxyJump", "ProxyCommand"].contains(&keyword.as_str());
            let (quote, comment) = if raw || value.contains(' ') {
                (String::new(), String::new())
            } else {
                (quote, comment)
            };
            format!("{}{separator}{quote}{value}{quote}{comment}", spelling(&keyword))
        },
    )
}

fn comment() -> impl Strategy<Value = String> {
    maybe(&["  # comment", " #", "\t"])
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        40 => setting(),
        3 => any_of(&["", "# comment", "   ", "\t# Port 1"]),
        4 => any_of(&["Include DIR/a.conf", "Include DIR/b.conf", "Include DIR/*.conf", "Include DIR/missing*"]),
        1 => any_of(&["Unheard yes", "unheard-of x y", "Nonsense 1", "Port x", "User", "Port 1 2", "User \"a"]),
    ]
}

fn block() -> impl Strategy<Value = String> {
    let header = prop_oneof![
        3 => patterns(" ").prop_map(|patterns| format!("Host {patterns}")),
        2 => criteria().prop_map(|criteria| format!("Match {criteria}")),
    ];
    (header, comment(), prop::collection::vec((maybe(&["  ", "\t"]), line()), 0..5)).prop_map(
        |(header, comment, lines)| {
            let mut text = format!("{header}{comment}\n");
            for (indent, line) in lines {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{indent}{line}");
            }
            text
        },
    )
}

fn file(blocks: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let top = prop::collection::vec(line(), 0..3);
    (top, prop::collection::vec(block(), blocks)).prop_map(|(top, blocks)| {
        let top: String = top.iter().map(|line| format!("{line}\n")).collect();
        top + &blocks.concat()
    })
}

pub fn configuration() -> impl Strategy<Value = Configuration> {
    // Files that include each other would mostly be that and nothing else.
    let included = || file(0..3).prop_map(|text| text.replace("Include", "#"));
    (file(1..7), [included(), included()])
        .prop_map(|(main, included)| Configuration { main, included })
}

#[test]
fn configurations_resolve_as_ssh_resolves_them() {
    let client = client!();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let check = |configuration: Configuration| {
        let files = configuration.files();
        for host in HOSTS {
            let result = compare(client, &files, host);
            prop_assert!(result.is_ok(), "{host}:\n{}", result.unwrap_err());
        }
        Ok(())
    };
    if let Err(error) = TestRunner::new(config).run(&configuration(), check) {
        panic!("{error}");
    }
}
