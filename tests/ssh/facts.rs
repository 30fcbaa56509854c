//! What is told about hosts that can be looked at, and about those that lie.

use std::fs;
use std::time::{Duration, Instant};

use crate::operator::Operator;

/// A sudo that gives no root away: what is only root's to see stays unseen.
const SUDO: &str = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n";

#[test]
fn tables_csv_and_json() {
    let operator = operator!(3);
    operator.install("sudo", SUDO);
    fs::remove_dir(operator.host(2)).unwrap();

    let ran = operator.run(&["facts", "--columns", "host,kernel,euid,os.id"]).expect(3);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let lines: Vec<Vec<&str>> =
        ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["HOST", "KERNEL", "EUID", "os.id"]);
    assert_eq!(lines[1][..2], ["node-1", kernel.trim()]);
    assert_eq!((lines.len(), lines[2][0]), (3, "node-3"));
    let said = ran.stderr.lines().find(|line| line.contains("failed:")).unwrap();
    assert!(said.starts_with("node-2  facts"), "{said}");
    assert_eq!(operator.failed(), "node-2");

    let ran = operator.run(&["-l", "!node-2", "facts"]).expect(0);
    assert!(ran.stdout.starts_with("HOST "), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ran.stdout);

    let columns = "host,sysctls.net/ipv4/ip_forward,disks./.mount_point,disks./nowhere.free_mb";
    let ran = operator.run(&["-l", "!node-2", "facts", "--format", "csv", "--columns", columns]);
    let forward = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let row = |host: &str| format!("{host},{},/,\n", forward.trim());
    assert_eq!(ran.expect(0).stdout, format!("{columns}\n{}{}", row("node-1"), row("node-3")));

    // The same objects, alone and among all that happens.
    let alone = operator.run(&["-l", "!node-2", "facts", "--format", "json"]).expect(0);
    let alone: Vec<_> = alone.events();
    assert_eq!(alone.len(), 2);
    let ran = operator.run(&["--output", "json", "facts"]).expect(3);
    let all = ran.events_of("facts");
    assert_eq!(all.len(), 2);
    for (one, host) in alone.iter().chain(&all).zip(["node-1", "node-3", "node-1", "node-3"]) {
        assert_eq!(one["kind"], "facts");
        assert_eq!(one["host"], host);
        assert_eq!(one["facts"]["kernel_release"], kernel.trim());
        assert!(one["facts"]["disks"]["/"]["size_mb"].as_u64().unwrap() > 0);
    }
    let summary = ran.events().pop().unwrap();
    assert_eq!((&summary["kind"], &summary["exit_status"]), (&"summary".into(), &3.into()));
}

#[test]
fn what_is_asked_for_is_looked_at_before_any_host() {
    let operator = operator!(1);
    let refused = |arguments: &[&str], words: &str| {
        operator.run(arguments).expect_error(2, words);
    };
    refused(&["facts", "--columns", "host,kernle"], "no column `kernle`, did you mean `kernel`?");
    refused(&["facts", "--format", "json", "--columns", "host"], "--columns is for tables");
    refused(&["--output", "json", "facts", "--format", "csv"], "--output json is for");
    assert_eq!(operator.server.logins(), 0);
    let help = operator.run(&["facts", "--columns", "help"]).expect(0);
    assert!(help.stdout.contains("\ndisks.PATH.free_mb "), "{}", help.stdout);
}

/// Every host prints something else in place of facts, the last one the truth.
#[test]
fn hosts_that_lie_harm_themselves_only() {
    let lies = r#"
        truth() { eval "$SSH_ORIGINAL_COMMAND"; }
        case $3 in
        *.1) truth | sed '/^end$/d'; exit ;;
        *.2) truth | sed 's/^cpus .*/cpus 99999999/'; exit ;;
        *.3) truth | sed 's/^memory_kb .*/memory_kb 0/'; exit ;;
        *.4) truth | sed 's/^hostname .*/\x1b]0;owned\x07\x1b[2Jwelcome/'; exit ;;
        *.5) truth | { sed -u '/^hostname /q'; head -c 100000000 /dev/zero | tr '\0' x; }; exit ;;
        *.6) truth | { sed -u '/^hostname /q'; yes 'port 1F90'; }; exit ;;
        *.7) head -c 100000000 /dev/zero >&2; truth; exit ;;
        *.8) truth | sed 's/^hostname .*/hostname \x1b[31mn8\xe2\x80\xae/'; exit ;;
        esac"#;
    let operator = operator!(9, lies);
    operator.install("sudo", SUDO);
    let begun = Instant::now();
    let ran = operator.run(&["facts", "--columns", "host,hostname"]).expect(3);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let mut failed: Vec<&str> =
        ran.stderr.lines().filter(|line| line.contains("failed: ")).collect();
    failed.sort_unstable();
    // The number of a line depends on what this machine has.
    let reason = |line: &str| {
        let (_, reason) = line.split_once("failed: facts: ").unwrap();
        let words = reason.split(' ').enumerate();
        words
            .filter(|(at, _)| *at != 1 || !reason.starts_with("line "))
            .map(|(_, word)| word)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let reasons: Vec<String> = failed.iter().map(|line| reason(line)).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r"
    cut off: the line `end` is missing
    line unexpected `cpus 99999999`; does something print to standard output on login?
    line unexpected `memory_kb 0`; does something print to standard output on login?
    line unexpected `]0;owned[2Jwelcome`; does something print to standard output on login?
    more text than any host has to say (524288 bytes or lines)
    more text than any host has to say (524288 bytes or lines)
    the host prints nonsense: more than 262144 bytes before the command; what do the startup files of the login shell print?
    ");
    assert!(!ran.stderr.contains('\u{1b}') && !ran.stdout.contains('\u{1b}'));
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let rows: Vec<&str> = ran.stdout.lines().skip(1).collect();
    assert_eq!(rows, ["node-8  [31mn8", &format!("node-9  {}", name.trim())]);
}
