//! Commands on a terminal, for hosts whose sudo wants one.

use std::path::Path;
use std::time::{Duration, Instant};

use fleetadm::inventory::Become;
use fleetadm::ssh::{Connection, Exit, Input, RunAs, RunOptions, SshError, Stream};

use super::{SUDOERS, knowing};
use crate::machine::Machine;

async fn connect(machine: &Machine) -> Connection {
    super::connect(machine, &knowing("unused"), Become::Sudo).await
}

/// Wait for a file.
async fn appears(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        assert!(Instant::now() < deadline, "no {}", path.display());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_command_on_a_terminal_ends_with_its_channel() {
    let machine = machine!();
    machine.write(SUDOERS, "Defaults requiretty\nops ALL=(ALL) NOPASSWD: ALL");
    let connection = connect(&machine).await;
    let (started, ended) = (machine.server.path("started"), machine.server.path("ended"));
    // sudo sends one signal after the other; a process that the first makes the shell start may not live to see the end.
    let command = format!(
        "trap ': >{}; exit' HUP TERM; touch {}; sleep 30 & wait",
        ended.display(),
        started.display()
    );
    // The input is not there yet: whatever reads it on the host waits.
    let (reader, _writer) = tokio::io::simplex(64);
    let run = connection.run_as_root(&command, Input::reader(reader));
    tokio::select! {
        result = run => panic!("{result:?}"),
        () = appears(&started) => {}
    }
    appears(&ended).await;
    // A command does not wait for input that it does not want.
    let (reader, _writer) = tokio::io::simplex(64);
    let output = connection.run_as_root("echo done; exit 4", Input::reader(reader)).await.unwrap();
    assert_eq!((output.exit, output.stdout), (Exit::Code(4), b"done\n".to_vec()));
}

#[tokio::test]
async fn lines_and_limits_on_a_terminal() {
    let machine = machine!();
    machine.write(SUDOERS, "Defaults requiretty\nops ALL=(ALL) NOPASSWD: ALL");
    let connection = connect(&machine).await;
    let mut lines = Vec::new();
    let options = RunOptions { run_as: RunAs::Root, ..RunOptions::default() };
    let command = "echo one; echo two >&2; echo three; printf 'f\\0ur' >&2; exit 5";
    let exit = connection
        .run_lines(command, Input::None, &options, |stream, line| {
            lines.push(format!("{} {line}", if stream == Stream::Stdout { 1 } else { 2 }));
        })
        .await
        .unwrap();
    assert_eq!(exit, Exit::Code(5));
    assert_eq!(lines, ["1 one", "1 three", "2 two", "2 fur"]);
    // However much it prints where.
    let command = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo done";
    let options = RunOptions { stderr_limit: 2 << 20, ..options };
    let output = connection.run_with(command, Input::None, &options).await.unwrap();
    assert_eq!((output.stdout_text().as_str(), output.stderr.len()), ("done\n", 1 << 20));
    let options = RunOptions { stdout_limit: 1000, ..options };
    let error = connection.run_with("yes", Input::None, &options).await.unwrap_err();
    assert!(matches!(error, SshError::OutputTooLong { .. }), "{error:?}");
    assert!(connection.run("true", Input::None).await.unwrap().exit.success());
}

#[tokio::test]
async fn nothing_stays_behind_when_input_was_under_way() {
    for defaults in ["requiretty", "requiretty,use_pty", "use_pty", "!use_pty"] {
        eprintln!("{defaults}");
        let machine = machine!();
        machine.write(SUDOERS, &format!("Defaults {defaults}\nops ALL=(ALL) NOPASSWD: ALL"));
        let connection = connect(&machine).await;
        let started = machine.server.path("started");
        let command = format!("touch {}; sleep 3; cat", started.display());
        let run = connection.run_as_root(&command, vec![7; 16 << 20].into());
        let stuck = async {
            appears(&started).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! {
            result = run => panic!("{result:?}"),
            () = stuck => {}
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while !machine.processes().is_empty() {
            assert!(Instant::now() < deadline, "{:?}", machine.processes());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
