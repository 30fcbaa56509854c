//! Which hosts a run is about, and how it goes through them.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::operator::{Operator, finish, start_and_wait_for};

#[test]
fn a_batch_begins_when_the_one_before_has_ended() {
    let operator = operator!(5);
    let log = operator.server.path("log");
    let command = format!("echo begin >>{0}; sleep 0.3; echo end >>{0}", log.display());
    let ran = operator.run(&["--serial", "40%", "exec", &command]).expect(0);
    let log = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    // However the hosts of a batch overlap, all of them end before the next begins.
    let ends = |lines: &[&str]| lines.iter().filter(|line| **line == "end").count();
    assert_eq!(lines.len(), 10, "{log}");
    assert_eq!([ends(&lines[..4]), ends(&lines[4..8]), ends(&lines[8..])], [2, 2, 1], "{log}");
    let batches: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("batch ")).collect();
    assert_eq!(
        batches,
        ["batch 1 of 3: node-[1-2]", "batch 2 of 3: node-[3-4]", "batch 3 of 3: node-5"]
    );
    for (option, value) in
        [("--serial", "0"), ("--serial", "0%"), ("--serial", "x"), ("--max-failures", "101%")]
    {
        operator.run(&[option, value, "exec", "true"]).expect_error(2, option);
    }
}

#[test]
fn no_host_begins_after_too_many_failures() {
    let operator = operator!(5);
    let command = "case $PWD in *.[24]) exit 1;; esac; touch done";
    let run = |max: &str| {
        operator.run(&["--serial", "1", "--max-failures", max, "--output", "json", "exec", command])
    };
    let begun = |ran: &crate::operator::Finished| ran.events_of("phase_started").len();
    let ran = run("0").expect(3);
    assert_eq!(begun(&ran), 2);
    let summary = ran.events().pop().unwrap();
    assert_eq!(summary["failed"], 1);
    let skipped: Vec<String> = ran
        .events_of("phase_finished")
        .iter()
        .filter(|event| event["outcome"] == "skipped")
        .map(|event| {
            format!("{} {}", event["host"].as_str().unwrap(), event["reason"].as_str().unwrap())
        })
        .collect();
    insta::assert_snapshot!(skipped.join("\n"), @r"
    node-3 not started: 1 host failed, --max-failures 0
    node-4 not started: 1 host failed, --max-failures 0
    node-5 not started: 1 host failed, --max-failures 0
    ");
    assert!(!operator.host(3).join("done").exists());
    assert_eq!(operator.failed(), "node-2 node-3 node-4 node-5");
    // 20 % of five hosts is one that may fail.
    assert_eq!(begun(&run("20%").expect(3)), 4);
    assert_eq!(begun(&run("2").expect(3)), 5);
    let ran = operator.run(&["--serial", "1", "--max-failures", "0", "exec", command]).expect(3);
    let line = ran.stderr.lines().find(|line| line.starts_with("node-5  ")).unwrap();
    assert!(line.contains("incomplete: not started: 1 host failed"), "{line}");
}

#[test]
fn workflows_roll_too() {
    let operator = operator!(3);
    operator.write_inventory(
        "[[hosts]]\nname = \"cp\"\naddress = \"127.0.0.9\"\nrole = \"control-plane\"\n\
         [cluster]\nkubernetes_version = \"1.36.2\"\n",
    );
    let run = |more: &[&str]| {
        let mut arguments = vec!["--output", "json", "--limit", "worker"];
        arguments.extend(more);
        arguments.extend(["preflight", "reset"]);
        operator.run(&arguments)
    };
    operator.install_sudo();
    let ran = run(&["--serial", "2"]).expect(0);
    let started: Vec<String> = ran
        .events()
        .iter()
        .filter_map(|event| match event["kind"].as_str().unwrap() {
            "batch_started" => Some(event["hosts"].to_string()),
            "phase_finished" => Some(event["host"].as_str().unwrap().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(started[0], r#"["node-1","node-2"]"#);
    assert_eq!(started[3..], [r#"["node-3"]"#, "node-3"]);

    // One that fails is one too many.
    fs::remove_dir_all(operator.host(2)).unwrap();
    let ran = run(&["--serial", "2", "--max-failures", "0%"]).expect(3);
    let last = ran.events_of("phase_finished").pop().unwrap();
    assert_eq!(last["reason"], "not started: 1 host failed, --max-failures 0%");

    // Looking at hosts is limited for each of them, changing them as a whole.
    let ran = run(&["--timeout", "1ms", "--serial", "1"]).expect(3);
    let last = ran.events_of("phase_finished").pop().unwrap();
    assert_eq!(last["error"], "not done within 0.001 s (--timeout)");
    let timed = ["--output", "json", "--limit", "worker", "--timeout", "1ms", "--serial", "1"];
    let reset = operator.run(&[&timed[..], &["reset", "--force", "--dry-run"]].concat());
    let ended = reset.expect(3).events_of("phase_finished");
    let reason = "the run took longer than 0.001 s (--timeout)";
    assert!(ended.iter().any(|event| event["reason"] == reason), "{ended:?}");
}

#[test]
fn the_hosts_that_failed_are_remembered() {
    let operator = operator!(3);
    let unknown = operator.failed();
    assert!(unknown.starts_with("Some(2)") && unknown.contains("is on record"), "{unknown}");

    operator.run(&["exec", "case $PWD in *.[23]) exit 1;; esac"]).expect(3);
    assert_eq!(operator.failed(), "node-2 node-3");

    // The next run is about them, and what is fixed is forgotten.
    let ran = operator.run(&["-l", "@failed,!node-3", "exec", "echo again"]).expect(0);
    assert_eq!(ran.stdout, "node-2  again\n");
    let nothing = operator.failed();
    insta::assert_snapshot!(nothing, @"Some(2) error: --limit: the selection leaves no host: nothing failed in the last run");
    let ran = operator.run(&["-l", "all,!@failed", "exec", "echo all"]).expect(0);
    assert_eq!(ran.stdout.lines().count(), 3);

    // Looking at an inventory is no run, and neither is a mistake.
    operator.run(&["exec", "exit 1"]).expect(3);
    operator.run(&["inventory", "check"]).expect(0);
    operator.run(&["-l", "nobody", "exec", "true"]).expect(2);
    assert_eq!(operator.failed(), "node-1 node-2 node-3");
}

#[test]
fn a_run_that_cannot_be_recorded_is_a_run() {
    let operator = operator!(1);
    let mut command = operator.command(&["exec", "true"]);
    fs::write(operator.work().join("file"), "").unwrap();
    command.env("XDG_STATE_HOME", operator.work().join("file"));
    let ran = finish(command).expect(0);
    assert!(
        ran.stderr.contains("warning: this run is not on record as a whole: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn interrupted_and_aborted_runs_are_remembered() {
    // Ctrl-C, a service manager, and a terminal that is gone: the first stops, the second ends at once.
    for (first, second) in [("INT", "INT"), ("TERM", "HUP"), ("HUP", "TERM")] {
        let operator = operator!(3);
        let kill = |child: &std::process::Child, signal: &str| {
            let status =
                Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
            assert!(status.unwrap().success());
        };
        // Once: what is under way is finished, and nothing else begins.
        let command = "echo begun; sleep 2; touch done";
        let arguments = ["--output", "json", "--parallel", "1", "exec", command];
        let mut child = start_and_wait_for(operator.command(&arguments), "output");
        kill(&child, first);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{first}");
        assert!(operator.host(1).join("done").exists() && !operator.host(2).join("done").exists());
        assert_eq!(operator.failed(), "node-2 node-3");

        // Twice: it ends at once, and what was not done by then is known.
        let long = "case $PWD in *.1) echo begun;; *) sleep 60;; esac";
        let arguments = ["--output", "json", "exec", long];
        let started = Instant::now();
        let mut child = start_and_wait_for(operator.command(&arguments), "phase_finished");
        kill(&child, first);
        std::thread::sleep(Duration::from_millis(300));
        kill(&child, second);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{first} {second}");
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!(operator.failed(), "node-2 node-3");
    }
}

#[test]
fn a_run_whose_terminal_is_gone_stops_in_order() {
    let operator = operator!(3);
    let command =
        operator.command(&["--parallel", "1", "exec", "touch begun; sleep 2; touch done"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| fleetadm::ssh::quote(word.to_str().unwrap())).collect();
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--flush", "--command", &words.join(" "), "/dev/null"]);
    terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.stdin(Stdio::piped()).stdout(Stdio::null());
    terminal.current_dir(operator.work());
    let Ok(mut terminal) = terminal.spawn() else {
        eprintln!("SKIPPED: needs script (package bsdutils)");
        return;
    };
    let soon = |what: &str, is_so: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    soon("the first host begins", &|| operator.host(1).join("begun").exists());
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    soon("the first host ends", &|| operator.host(1).join("done").exists());
    soon("the run is on record", &|| operator.failed() == "node-2 node-3");
    assert!(!operator.host(2).join("begun").exists());
}

#[test]
fn lists_of_hosts_come_from_files() {
    let operator = operator!(4);
    let echo = |limit: &str| operator.run(&["-l", limit, "exec", "echo here"]);
    fs::write(
        operator.work().join("rack.txt"),
        "# the first rack\nnode-[1-3]\n!node-2  # broken\n",
    )
    .unwrap();
    assert_eq!(echo("@rack.txt").expect(0).sorted(), "node-1  here\nnode-3  here");
    assert_eq!(echo("all,&@rack.txt,!node-1").expect(0).sorted(), "node-3  here");
    assert_eq!(echo("!@rack.txt").expect(0).sorted(), "node-2  here\nnode-4  here");

    fs::write(operator.work().join("wrong.txt"), "node-1\n\nnode-44\n").unwrap();
    // The hosts are gone: whatever is said is said before they are needed.
    let Operator { server, .. } = &operator;
    fs::remove_file(server.path("id_ed25519")).unwrap();
    echo("@wrong.txt").expect_error(
        2,
        "--limit: wrong.txt:3: `node-44` matches no host, group or role; did you mean",
    );
    echo("@absent.txt").expect_error(2, "--limit: `@absent.txt`: No such file");
    echo("node-1,&node-2").expect_error(2, "leaves no host");
}
