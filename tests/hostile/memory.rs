//! What is in fleetadm's memory stays there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nobody's number.
const NOBODY: u32 = 65534;

/// A command that waits for its standard input, in a directory where everybody may write.
fn waiting(directory: &Path, program: &str, as_nobody: bool) -> Child {
    let mut command = match as_nobody {
        true => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={NOBODY}"), "--clear-groups", "--"]).arg("sh");
            command
        }
        false => Command::new("sh"),
    };
    command
        .args(["-c", &format!("ulimit -c unlimited; exec {program}")])
        .current_dir(directory)
        .env("HOME", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A place where everybody may run fleetadm, and how.
fn place() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let program = directory.path().join("fleetadm");
    fs::copy(env!("CARGO_BIN_EXE_fleetadm"), &program).unwrap();
    let line = format!("{} -i - inventory check", program.display());
    (directory, line)
}

/// Wait until it is what it is to become: a shell of another name comes first.
fn wait_for(child: &Child, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let path = format!("/proc/{}/comm", child.id());
    while fs::read_to_string(&path).unwrap().trim() != name {
        assert!(Instant::now() < deadline, "{name} does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    // The first thing that it does takes no longer.
    std::thread::sleep(Duration::from_millis(500));
}

fn quit(mut child: Child) -> ExitStatus {
    let status = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    child.wait().unwrap()
}

fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        eprintln!("SKIPPED: needs root, to run fleetadm as somebody else");
    }
    is_root
}

#[test]
fn no_core_is_written() {
    let (directory, line) = place();
    let other = waiting(directory.path(), "cat", false);
    wait_for(&other, "cat");
    if !quit(other).core_dumped() {
        eprintln!("SKIPPED: no program's core is written on this machine");
        return;
    }
    let fleetadm = waiting(directory.path(), &line, false);
    wait_for(&fleetadm, "fleetadm");
    let status = quit(fleetadm);
    assert_eq!(status.signal(), Some(3));
    assert!(!status.core_dumped());
}

#[test]
fn no_other_process_of_the_operator_looks_into_it() {
    if !is_root() {
        return;
    }
    let (directory, line) = place();
    // What the kernel shows to other processes of the user belongs to the user in /proc.
    for (program, name, owner) in [("cat", "cat", NOBODY), (line.as_str(), "fleetadm", 0)] {
        let mut child = waiting(directory.path(), program, true);
        wait_for(&child, name);
        assert_eq!(
            fs::metadata(format!("/proc/{}/environ", child.id())).unwrap().uid(),
            owner,
            "{name}"
        );
        let read = Command::new("setpriv")
            .args([&format!("--reuid={NOBODY}"), "--clear-groups", "--", "cat"])
            .arg(format!("/proc/{}/environ", child.id()))
            .output()
            .unwrap();
        assert_eq!(read.status.success(), owner == NOBODY, "{name}");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
