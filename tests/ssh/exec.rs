//! `fleetadm exec`: output, merging, scripts, standard input, limits.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::operator::{Operator, finish, leftovers};

#[test]
fn lines_carry_their_hosts_name() {
    let operator = operator!(3);
    let ran = operator.run(&["exec", "echo in ${PWD##*-}; echo oops >&2"]).expect(0);
    insta::assert_snapshot!(ran.sorted(), @r"
    node-1  in 127.0.0.1
    node-2  in 127.0.0.2
    node-3  in 127.0.0.3
    ");
    assert_eq!(ran.stderr.lines().filter(|line| line.ends_with("  oops")).count(), 3);
    // Several words are the command and its arguments.
    let ran = operator.run(&["-l", "node-2", "exec", "printf", "%s|", "a b", "$HOME"]).expect(0);
    assert_eq!(ran.stdout, "node-2  a b|$HOME|\n");
}

#[test]
fn the_exit_status_is_that_of_the_worst_host() {
    let operator = operator!(2);
    let command = "case $PWD in *.2) exit 7;; esac";
    operator.run(&["exec", command]).expect_error(3, "failed: exit status 7");
    let port = crate::sshd::free_port();
    operator.write_inventory(&format!(
        "[[hosts]]\nname = \"gone\"\naddress = \"127.0.0.1\"\nssh.port = {port}\nssh.connect_timeout = 5\n"
    ));
    let ran = operator.run(&["exec", command]).expect_error(4, "connection refused");
    assert!(ran.stderr.contains("failed: exit status 7"), "{}", ran.stderr);
}

#[test]
fn equal_outputs_are_told_once() {
    let operator = operator!(4);
    let command = "echo same; case $PWD in *.3) echo odd; echo complaint >&2; exit 2;; esac";
    let ran = operator.run(&["exec", "--merge", command]).expect(3);
    insta::assert_snapshot!(ran.stdout, @r"
    node-[1-2,4] (3 hosts):
    same
    node-3 (1 host), exit status 2:
    same
    odd
    ");
    assert!(
        ran.stderr.contains("node-3 (1 host), exit status 2, standard error:\ncomplaint\n"),
        "{}",
        ran.stderr
    );
    let ran = operator.run(&["--output", "json", "exec", "--merge", command]).expect(3);
    let mut merged: Vec<String> = ran
        .events_of("merged")
        .iter()
        .map(|event| {
            let text = |key: &str| event[key].as_str().unwrap();
            format!(
                "{} {} {} {:?}",
                text("host"),
                text("same_on"),
                event["exit_code"],
                text("stdout")
            )
        })
        .collect();
    merged.sort();
    insta::assert_snapshot!(merged.join("\n"), @r#"
    node-1 node-[1-2,4] 0 "same\n"
    node-2 node-[1-2,4] 0 "same\n"
    node-3 node-3 2 "same\nodd\n"
    node-4 node-[1-2,4] 0 "same\n"
    "#);
    assert_eq!(ran.events().last().unwrap()["kind"], "summary");
}

#[test]
fn long_outputs_are_cut_when_they_are_merged() {
    let operator = operator!(2);
    let command = "yes 0123456789012345678901234567890123456789012345678 | head -c 3000000";
    let ran = operator.run(&["exec", "--merge", command]).expect(0);
    assert!(ran.stdout.len() < 1_100_000, "{}", ran.stdout.len());
    assert!(
        ran.stderr.contains("node-[1-2] (2 hosts): 1951450 more bytes are left out"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_limit_ends_what_takes_too_long() {
    let operator = operator!(2);
    let started = Instant::now();
    let command = "echo begun; case $PWD in *.2) sleep 30;; esac";
    let ran = operator.run(&["--timeout", "2s", "exec", "--merge", command]).expect(3);
    assert!(started.elapsed() < Duration::from_secs(15));
    assert!(ran.stderr.contains("failed: not done within 2 s (--timeout)"), "{}", ran.stderr);
    // What it had printed is not lost.
    assert!(ran.stdout.contains("node-2 (1 host), not finished:\nbegun\n"), "{}", ran.stdout);
    for limit in ["0", "5x", "1.5"] {
        operator.run(&["--timeout", limit, "exec", "true"]).expect_error(2, "--timeout");
    }
}

#[test]
fn become_goes_through_sudo() {
    let operator = operator!(1);
    operator.install_sudo();
    let whoami = "echo \"${BECAME:-nobody}\"";
    assert_eq!(operator.run(&["exec", whoami]).expect(0).stdout, "node-1  nobody\n");
    assert_eq!(operator.run(&["exec", "--become", whoami]).expect(0).stdout, "node-1  root\n");
    fs::write(operator.work().join("who"), "#!/bin/sh\necho \"$1 ${BECAME:-nobody}\"\n").unwrap();
    let ran = operator.run(&["exec", "--become", "--script", "who", "it is"]).expect(0);
    assert_eq!(ran.stdout, "node-1  it is root\n");
}

/// Scripts for several interpreters, and what they print with the arguments `a b` and `--x`.
const SCRIPTS: [(&str, &str); 4] = [
    ("#!/bin/bash\nwords=(\"$@\"); echo \"${words[1]} ${words[0]}\"\n", "--x a b"),
    ("#!/bin/sh -eu\ncase $- in *e*u*|*u*e*) printf '%s|' \"$@\";; esac", "a b|--x|"),
    (
        "#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:], sys.stdin.read())\n",
        "['a b', '--x'] ",
    ),
    ("echo \"$#\"", "2"),
];

#[test]
fn scripts_are_run_by_their_interpreter() {
    let operator = operator!(2);
    for (script, printed) in SCRIPTS {
        if script.contains("python3") && Command::new("python3").arg("-V").output().is_err() {
            eprintln!("SKIPPED: needs python3");
            continue;
        }
        fs::write(operator.work().join("script"), script).unwrap();
        let ran = operator.run(&["exec", "--script", "script", "--", "a b", "--x"]).expect(0);
        assert_eq!(ran.sorted(), format!("node-1  {printed}\nnode-2  {printed}"));
    }
    fs::write(operator.work().join("script"), "exit 5").unwrap();
    operator.run(&["exec", "--script", "script"]).expect_error(3, "failed: exit status 5");
    fs::write(operator.work().join("script"), "#!/no/such/interpreter\n").unwrap();
    operator.run(&["exec", "--script", "script"]).expect_error(3, "failed: exit status 127");
}

#[test]
fn scripts_leave_nothing_and_need_little() {
    let operator = operator!(1, "XDG_RUNTIME_DIR=$PWD/run; export XDG_RUNTIME_DIR");
    let run = operator.host(1).join("run");
    fs::create_dir(&run).unwrap();
    // Seen by the script itself, and after it, also when it was killed.
    let script = "#!/bin/bash\nls -A \"$XDG_RUNTIME_DIR\"; readlink /proc/self/fd/3; [ -z \"$1\" ] || kill -9 $$\n";
    fs::write(operator.work().join("script"), script).unwrap();
    let ran = operator.run(&["exec", "--script", "script"]).expect(0);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("/run/.fleetadm-") && ran.stdout.contains("(deleted)"),
        "{}",
        ran.stdout
    );
    operator.run(&["exec", "--script", "script", "die"]).expect_error(3, "exit status 137");
    assert_eq!(leftovers(&run), Vec::<std::path::PathBuf>::new());

    // Nothing can be executed there.
    let mount = ["-t", "tmpfs", "-o", "noexec,size=1m", "none"];
    if Command::new("mount").args(mount).arg(&run).status().is_ok_and(|status| status.success()) {
        let ran = operator.run(&["exec", "--script", "script"]);
        let unmounted = Command::new("umount").arg(&run).status().unwrap();
        assert!(unmounted.success());
        assert!(ran.expect(0).stdout.contains("(deleted)"));
    } else {
        eprintln!("SKIPPED: needs permission to mount");
    }
}

#[test]
fn every_host_gets_the_same_input() {
    let operator = operator!(3);
    fs::write(operator.work().join("input"), "one\ntwo\n").unwrap();
    let ran = operator.run(&["exec", "--stdin", "input", "tail -n 1"]).expect(0);
    assert_eq!(ran.sorted(), "node-1  two\nnode-2  two\nnode-3  two");
    fs::write(
        operator.work().join("script"),
        "#!/bin/bash\nread -r line; echo \"$1 $line\"; wc -l\n",
    )
    .unwrap();
    let script = ["-l", "node-1", "exec", "--script", "script", "--stdin", "input", "first:"];
    let ran = operator.run(&script).expect(0);
    assert_eq!(ran.stdout, "node-1  first: one\nnode-1  1\n");

    let mut command = operator.command(&["exec", "--stdin", "-", "cat"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"piped\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("piped").count(), 3);
    // Without it there is nothing to read, and nobody waits.
    let ran = operator.run(&["-l", "node-1", "exec", "wc -c"]).expect(0);
    assert_eq!(ran.stdout, "node-1  0\n");
}

#[test]
fn what_cannot_be_read_is_told_before_any_host_is_contacted() {
    let operator = operator!(1);
    fs::write(operator.work().join("large"), vec![b'#'; (1 << 20) + 1]).unwrap();
    for (arguments, words) in [
        (&["exec", "--script", "absent"][..], "--script absent: No such file"),
        (&["exec", "--script", "large"], "copy it to the hosts"),
        (&["exec", "--stdin", "absent", "true"], "--stdin absent: No such file"),
        (&["exec", "--stdin", ".", "true"], "--stdin"),
        (&["exec"], "required"),
    ] {
        let mut command = operator.command(arguments);
        command.env("XDG_STATE_HOME", operator.work().join("untouched"));
        finish(command).expect_error(2, words);
    }
    assert!(!operator.work().join("untouched").exists(), "no run was recorded");
    let mut twice = Command::new(env!("CARGO_BIN_EXE_fleetadm"));
    twice.args(["-i", "-", "exec", "--stdin", "-", "true"]).stdin(Stdio::null());
    finish(twice).expect_error(2, "the inventory comes from there already");
}

#[test]
fn busybox_is_enough_for_scripts() {
    let operator = operator!(1, "PATH=${PWD%/*}/busybox; export PATH");
    if !install_busybox(&operator) {
        return;
    }
    fs::write(operator.work().join("script"), "#!/bin/sh\necho \"$1\"; cat\n").unwrap();
    fs::write(operator.work().join("input"), "rest\n").unwrap();
    let ran = operator.run(&["exec", "--script", "script", "--stdin", "input", "a b"]).expect(0);
    assert_eq!(ran.stdout, "node-1  a b\nnode-1  rest\n");
}

/// Put BusyBox' programs where nothing else is.
pub fn install_busybox(operator: &Operator) -> bool {
    let directory = operator.server.path("busybox");
    fs::create_dir(&directory).unwrap();
    let installed = Command::new("busybox").args(["--install", "-s"]).arg(&directory).output();
    let installed = installed.is_ok_and(|output| output.status.success());
    if !installed {
        eprintln!("SKIPPED: needs busybox");
    }
    installed
}
