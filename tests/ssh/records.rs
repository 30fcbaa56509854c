//! Runs on record and their reports, and fleets that several fleetadms share.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::operator::{Finished, Operator, finish, start_and_wait_for};

/// All below a directory.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

fn runs(operator: &Operator) -> Vec<Value> {
    operator.run(&["--output", "json", "report"]).expect(0).events()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_is_on_record_and_nothing_that_hosts_printed() {
    let operator = operator!(3);
    let command = "echo hunter2; echo hunter2 >&2; case $PWD in *.2) exit 7;; esac";
    operator.run(&["exec", command]).expect(3);
    operator.run(&["exec", "--merge", "echo hunter2"]).expect(0);
    let state = operator.server.path("state");
    for path in below(&state) {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("hunter2"), "{}: {text}", path.display());
        }
    }
    let known = runs(&operator);
    let told: Vec<_> =
        known.iter().map(|run| (&run["hosts"], &run["failed"], &run["exit_status"])).collect();
    assert_eq!(
        format!("{told:?}"),
        "[(Number(3), Number(0), Number(0)), (Number(3), Number(1), Number(3))]"
    );

    let listed = operator.run(&["report"]).expect(0).stdout;
    let words: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["RUN", "COMMAND", "BEGAN", "TOOK", "HOSTS", "FAILED", "STATUS"]);
    assert_eq!((words[2][1], words[2].last()), ("exec", Some(&"3")));

    let id = known[1]["id"].as_str().unwrap();
    let shown = operator.run(&["report", &id[..id.len() - 1], "-v"]).expect(0).stdout;
    for words in [
        "failed in exec (1): node-2\n  exit status 7\n",
        "node-2  failed in exec",
        "critical path: ",
    ] {
        assert!(shown.contains(words), "{words:?} in: {shown}");
    }
    let log = operator.run(&["report", id, "--host", "node-2"]).expect(0).stdout;
    assert!(log.contains("16 bytes, which are not kept"), "{log}");
    assert!(log.contains("failed: exit status 7"), "{log}");
    let kept = state.join("fleetadm/runs").join(id);
    assert_eq!(fs::read_to_string(kept.join("hosts/node-2.log")).unwrap(), log);
    operator
        .run(&["report", id, "--host", "node-9"])
        .expect_error(2, "nothing is on record of \"node-9\"");
    operator.run(&["report", "1999"]).expect_error(2, "there is no run 1999");

    let page = operator.work().join("run.html");
    let ran = operator
        .run(&["report", kept.to_str().unwrap(), "--html", page.to_str().unwrap()])
        .expect(0);
    assert_eq!(ran.stdout, "");
    assert!(fs::read_to_string(&page).unwrap().contains("<h1>1 host failed</h1>"));
}

#[test]
fn a_preflight_is_on_record() {
    let operator = operator!(2);
    let inventory = operator.server.path("inventory.toml");
    let text = fs::read_to_string(&inventory).unwrap();
    fs::write(&inventory, format!("[cluster]\nkubernetes_version = \"1.36.2\"\n{text}")).unwrap();
    operator.install_sudo();
    let ran = operator.run(&["preflight", "reset", "--links", "none"]);
    let record = operator.run(&["--output", "json", "report", "last"]).expect(0).events();
    assert_eq!(record[0]["runs"][0]["exit_status"].as_i64(), ran.status.map(i64::from));
    assert_eq!(record[0]["runs"][0]["command"], "preflight");
    assert_eq!(record[0]["hosts"].as_array().unwrap().len(), 2);
    let failed =
        record[0]["hosts"].as_array().unwrap().iter().filter(|host| host["result"] != "ok").count();
    assert_eq!(failed > 0, ran.status != Some(0), "{}{}", ran.stderr, record[0]);
}

#[test]
fn what_was_killed_is_on_record_up_to_then() {
    let operator = operator!(2);
    let command = operator.command(&[
        "--output",
        "json",
        "exec",
        "case $PWD in *.1) echo;; *) sleep 60;; esac",
    ]);
    let started = Instant::now();
    let mut child = start_and_wait_for(command, "output");
    while operator.run(&["report", "last", "--host", "node-1"]).stdout.lines().count() < 4 {
        assert!(started.elapsed() < Duration::from_secs(20), "nothing is written down");
    }
    assert_eq!(runs(&operator)[0]["under_way"], true);
    let none = operator.failed();
    assert!(none.contains("no run with this inventory is on record"), "{none}");
    child.kill().unwrap();
    child.wait().unwrap();
    let run = runs(&operator).remove(0);
    assert_eq!((&run["under_way"], &run["exit_status"]), (&Value::Bool(false), &Value::Null));
    assert_eq!(operator.failed(), "node-2");
    let shown = operator.run(&["report", "last"]).expect(0).stdout;
    assert!(shown.contains("cut short") && shown.contains("not done (1): node-2"), "{shown}");
    operator.run(&["report", "--merge", "last"]).expect(1);
}

#[test]
fn runs_at_once_have_records_of_their_own() {
    let operator = operator!(2);
    let children: Vec<_> = (0..6)
        .map(|number| {
            let command = format!("exit {}", number % 2);
            operator.command(&["exec", &command]).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        child.wait().unwrap();
    }
    let mut failed: Vec<String> =
        runs(&operator).iter().map(|run| run["failed"].to_string()).collect();
    failed.sort_unstable();
    assert_eq!(failed.join(" "), "0 0 0 2 2 2");
    for run in runs(&operator) {
        let path = operator.server.path("state/fleetadm/runs").join(run["id"].as_str().unwrap());
        let lines = lines(&path.join("events.jsonl"));
        assert_eq!(
            (&lines[0]["kind"], &lines.last().unwrap()["kind"]),
            (&"run".into(), &"summary".into())
        );
    }
}

/// Who answered, by what was printed.
fn hosts_of(ran: &Finished) -> Vec<String> {
    ran.stdout.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn shards_share_the_hosts_and_make_one_report() {
    let operator = operator!(5);
    let command = "case $PWD in *.4) exit 1;; esac; echo";
    let mut hosts = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let status = i32::from(shard == "1/3") * 3;
        hosts.push(
            hosts_of(&operator.run(&["--shard", shard, "exec", command]).expect(status)).len(),
        );
    }
    assert_eq!(hosts, [1, 2, 1]);
    let mut ids: Vec<String> =
        runs(&operator).iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    // What a container's log has of a run serves as well: events, and what is said to people.
    let mut last = operator.command(&["--output", "json", "exec", "true"]);
    last.env("FLEETADM_SHARD", "3/3");
    let ran = finish(last).expect(0);
    let log = operator.work().join("pod.log");
    fs::write(&log, format!("warning: for people\n{}", ran.stdout)).unwrap();
    ids[0] = log.to_str().unwrap().to_owned();

    let merged: Vec<&str> = ["--output", "json", "report", "--merge"]
        .into_iter()
        .chain(ids.iter().map(String::as_str))
        .collect();
    let report = operator.run(&merged).expect(3).events().remove(0);
    let result = |host: &Value| {
        format!("{}={}", host["host"].as_str().unwrap(), host["result"].as_str().unwrap())
    };
    let results: Vec<String> = report["hosts"].as_array().unwrap().iter().map(result).collect();
    assert_eq!(results.join(" "), "node-1=ok node-2=ok node-3=ok node-4=failed node-5=ok");
    assert_eq!(report["runs"].as_array().unwrap().len(), 3);

    operator
        .run(&["report", &ids[0], &ids[1]])
        .expect_error(2, "--merge for one report of several");
    operator
        .run(&["--shard", "6/6", "exec", "true"])
        .expect_error(2, "--shard 6/6 has no host: 5 hosts are selected");
    operator
        .run(&["--shard", "0/4", "exec", "true"])
        .expect_error(2, "4 parts are numbered from 1/4 to 4/4");
}

#[test]
fn control_planes_are_not_shared_out() {
    let operator = operator!(3);
    let inventory = operator.server.path("inventory.toml");
    let text = fs::read_to_string(&inventory).unwrap();
    let text = format!(
        "[cluster]\nkubernetes_version = \"1.36.2\"\n{text}\
         [[hosts]]\nname = \"cp-1\"\naddress = \"127.0.0.1\"\nrole = \"control-plane\"\nssh.port = 1\n"
    );
    fs::write(&inventory, text).unwrap();
    for command in ["apply", "init", "join", "reset"] {
        let arguments = ["--shard", "1/2", command];
        operator.run(&arguments).expect_error(
            2,
            "only workers can be shared out, and cp-1 is selected; do what is none first",
        );
    }
    operator.run(&["--shard", "1/2", "certs", "renew"]).expect_error(2, "certs renew --shard: ");
    // Workers can be: here they fail for want of sudo, each shard on its own hosts.
    let ran = operator.run(&["--shard", "2/2", "-l", "worker", "apply", "--timings"]).expect(3);
    assert!(ran.stderr.contains("node-2") && !ran.stderr.contains("node-1 "), "{}", ran.stderr);
    let (_, timings) = ran.stderr.split_once("critical path: ").unwrap();
    assert!(timings.contains("node-2  join/preflight  -\n"), "{timings}");
    let ran = operator.run(&["--output", "json", "-l", "node-1", "apply", "--timings"]).expect(3);
    let events = ran.events();
    let [.., timings, summary] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&timings["kind"], &summary["kind"]), (&"timings".into(), &"summary".into()));
    assert_eq!(timings["critical_path"][0]["phase"], "join/preflight");
}
