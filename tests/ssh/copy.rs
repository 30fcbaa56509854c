//! `fleetadm copy`: what differs and nothing else gets to hosts, and what becomes of a copy that is cut short.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::exec::install_busybox;
use crate::operator::{Finished, Operator, leftovers, start_and_wait_for};

pub fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A tree with everything that can be copied.
pub fn make_tree(at: &Path) {
    fs::create_dir_all(at.join("sub/empty")).unwrap();
    fs::write(at.join("text"), "one\ntwo\n").unwrap();
    fs::write(at.join("sub/with  two spaces 'n \\ quotes"), vec![7; 100_000]).unwrap();
    fs::write(at.join("sub/nothing"), "").unwrap();
    symlink("../text", at.join("sub/link")).unwrap();
    symlink("/nowhere", at.join("dangling")).unwrap();
    set_mode(&at.join("text"), 0o640);
    set_mode(&at.join("sub/nothing"), 0o755);
    set_mode(&at.join("sub/empty"), 0o550);
    set_mode(&at.join("sub"), 0o750);
}

/// Fails unless both trees are the same, modes included.
pub fn assert_same(left: &Path, right: &Path) {
    let list = |root: &Path| {
        let output = Command::new("find")
            .current_dir(root)
            .args([".", "-printf", "%p %y %m %l\n", "-type", "f", "-exec", "sha256sum", "{}", ";"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    };
    assert_eq!(list(left), list(right));
}

pub fn changed(ran: &Finished) -> u64 {
    let summary = ran.events().pop().unwrap();
    assert_eq!(summary["kind"], "summary");
    summary["changes"].as_u64().unwrap()
}

pub fn copy(operator: &Operator, arguments: &[&str]) -> Finished {
    let mut all = vec!["--output", "json", "copy"];
    all.extend(arguments);
    operator.run(&all)
}

#[test]
fn a_tree_gets_to_every_host_once() {
    let operator = operator!(3);
    let tree = operator.work().join("tree");
    make_tree(&tree);
    let ran = copy(&operator, &["tree", "deep/copy"]).expect(0);
    assert_eq!(changed(&ran), 3 * 8);
    for host in 1..=3 {
        assert_same(&tree, &operator.host(host).join("deep/copy"));
        assert_eq!(mode(&operator.host(host).join("deep")), 0o755);
    }
    // Again: nothing is sent, nothing is touched.
    let identity = |path: &str| {
        let data = fs::symlink_metadata(operator.host(2).join(path)).unwrap();
        (data.ino(), data.mtime(), data.mtime_nsec(), data.ctime_nsec())
    };
    let names = ["deep/copy", "deep/copy/text", "deep/copy/sub/link", "deep/copy/sub"];
    let before = names.map(identity);
    assert_eq!(changed(&copy(&operator, &["tree", "deep/copy"]).expect(0)), 0);
    assert_eq!(names.map(identity), before);

    // Only what differs, each in its own way; what is only there stays there.
    let on = |path: &str| operator.host(2).join("deep/copy").join(path);
    fs::write(on("text"), "one\nTWO\n").unwrap();
    set_mode(&on("sub/nothing"), 0o600);
    fs::remove_file(on("sub/link")).unwrap();
    symlink("elsewhere", on("sub/link")).unwrap();
    fs::remove_file(on("dangling")).unwrap();
    fs::write(on("own"), "").unwrap();
    std::os::unix::fs::chown(on("sub/with  two spaces 'n \\ quotes"), Some(1), None).unwrap();
    set_mode(&on("sub"), 0o700);
    let ran = copy(&operator, &["tree", "deep/copy"]).expect(0);
    let mut what: Vec<String> = ran
        .events_of("changed")
        .iter()
        .map(|event| {
            format!("{} {}", event["host"].as_str().unwrap(), event["what"].as_str().unwrap())
        })
        .collect();
    what.sort();
    insta::assert_snapshot!(what.join("\n"), @r"
    node-2 change deep/copy/sub/link
    node-2 change deep/copy/sub/nothing
    node-2 change deep/copy/sub/with  two spaces 'n \ quotes
    node-2 change deep/copy/text
    node-2 create deep/copy/dangling
    ");
    assert!(on("own").exists());
    // A directory that was there keeps its mode.
    assert_eq!(mode(&on("sub")), 0o700);
    set_mode(&on("sub"), 0o750);
    fs::remove_file(on("own")).unwrap();
    assert_same(&tree, &operator.host(2).join("deep/copy"));
    assert_eq!(
        leftovers(&operator.server.directory.path().join("host-127.0.0.2")),
        Vec::<std::path::PathBuf>::new()
    );
}

#[test]
fn destinations_are_names_or_directories() {
    let operator = operator!(1);
    let (work, host) = (operator.work(), operator.host(1));
    fs::write(work.join("a"), "a").unwrap();
    fs::write(work.join("b"), "b").unwrap();
    make_tree(&work.join("tree"));
    let absolute = host.join("absolute").display().to_string();
    for (arguments, made) in [
        (&["a", "named"][..], &["named"][..]),
        (&["a", "into/"], &["into/a"]),
        (&["a", "b", "several"], &["several/a", "several/b"]),
        (&["tree", "into/"], &["into/tree/text"]),
        (&["a", "."], &["a"]),
        (&["a", &absolute], &["absolute"]),
        (&["./tree/", "exact"], &["exact/text"]),
    ] {
        copy(&operator, arguments).expect(0);
        for path in made {
            assert!(host.join(path).is_file(), "{arguments:?} makes {path}");
        }
    }
    fs::create_dir(host.join("directory")).unwrap();
    copy(&operator, &["a", "directory"]).expect(3);
    let refused = operator.run(&["copy", "a", "directory"]).expect(3);
    assert!(
        refused
            .stderr
            .contains("directory: is a directory on the host; end the destination with `/`"),
        "{}",
        refused.stderr
    );
    copy(&operator, &["a", "directory/"]).expect(0);
    // A directory may be reached through a link that was named.
    symlink("directory", host.join("current")).unwrap();
    copy(&operator, &["b", "current/"]).expect(0);
    assert!(host.join("directory/b").is_file());
    operator.run(&["copy", "a", "named/"]).expect_error(3, "named: is not a directory");
}

#[test]
fn modes_and_owners_can_be_given() {
    let operator = operator!(1);
    let (work, host) = (operator.work(), operator.host(1));
    fs::create_dir(work.join("tree")).unwrap();
    fs::write(work.join("tree/tool"), "#!/bin/sh\n").unwrap();
    set_mode(&work.join("tree/tool"), 0o4777);
    set_mode(&work.join("tree"), 0o755);
    let options = ["--mode", "2750", "--owner", "daemon:1", "tree", "tree"];
    assert_eq!(changed(&copy(&operator, &options).expect(0)), 2);
    let data = fs::metadata(host.join("tree/tool")).unwrap();
    assert_eq!((data.mode() & 0o7777, data.uid(), data.gid()), (0o2750, 1, 1));
    assert_eq!(fs::metadata(host.join("tree")).unwrap().uid(), 1);
    assert_eq!(changed(&copy(&operator, &options).expect(0)), 0);
    // Without them: the source's, less what lets it run as somebody else, and the writer's own.
    assert_eq!(changed(&copy(&operator, &["tree", "tree"]).expect(0)), 1);
    let data = fs::metadata(host.join("tree/tool")).unwrap();
    assert_eq!((data.mode() & 0o7777, data.uid()), (0o777, 0));
    for wrong in [["--mode", "rwx"], ["--owner", "a b"], ["--max-size", "1x"]] {
        operator.run(&["copy", wrong[0], wrong[1], "tree", "x"]).expect_error(2, wrong[0]);
    }
    operator
        .run(&["copy", "--owner", "no-such-user", "tree", "new"])
        .expect_error(3, "cannot give files to no-such-user");
    assert!(!host.join("new").exists());
}

#[test]
fn become_reads_and_writes_as_root() {
    let operator = operator!(1);
    operator.install(
        "sudo",
        "#!/bin/sh\ntouch became\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n",
    );
    fs::write(operator.work().join("a"), "a").unwrap();
    let became = operator.host(1).join("became");
    copy(&operator, &["a", "b"]).expect(0);
    assert!(!became.exists());
    copy(&operator, &["--become", "a", "c"]).expect(0);
    assert!(became.exists());
    fs::remove_file(&became).unwrap();
    copy(&operator, &["--become", "--fetch", "c", "got"]).expect(0);
    assert!(became.exists());
}

#[test]
fn a_dry_run_says_what_would_change() {
    let operator = operator!(1);
    let (work, host) = (operator.work(), operator.host(1));
    make_tree(&work.join("tree"));
    let ran = operator.run(&["copy", "--dry-run", "tree", "t"]).expect(0);
    assert!(ran.stderr.contains("would create t/sub/link"), "{}", ran.stderr);
    assert!(ran.stderr.contains("8 to change"), "{}", ran.stderr);
    assert_eq!(fs::read_dir(&host).unwrap().count(), 0);

    copy(&operator, &["tree", "t"]).expect(0);
    fs::write(host.join("t/text"), "one\nthree\x1b[2J\n").unwrap();
    set_mode(&host.join("t/text"), 0o600);
    fs::write(host.join("t/sub/nothing"), vec![0xff; 10]).unwrap();
    let stale = host.join("t/.fleetadm-copy-999999999-x");
    fs::write(&stale, "").unwrap();
    let ran = operator.run(&["copy", "--dry-run", "tree", "t"]).expect(0);
    let diff: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("    ")).collect();
    insta::assert_snapshot!(diff.join("\n"), @r"
        binary content differs
        mode 0600 to 0640
        --- t/text
        +++ t/text
        @@ -1,2 +1,2 @@
         one
        -three[2J
        +two
    ");
    let ran = operator.run(&["copy", "--dry-run", "--no-diff", "tree", "t"]).expect(0);
    assert!(
        !ran.stderr.contains("+two") && ran.stderr.contains("mode 0600 to 0640"),
        "{}",
        ran.stderr
    );
    assert_eq!(mode(&host.join("t/text")), 0o600);
    assert!(stale.exists(), "a dry run removes nothing");
}

#[test]
fn no_link_at_the_destination_is_followed() {
    let operator = operator!(1);
    let (work, host) = (operator.work(), operator.host(1));
    make_tree(&work.join("tree"));
    let outside = operator.server.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("text"), "untouched").unwrap();
    fs::create_dir(host.join("t")).unwrap();
    // A directory in the tree that is a link there.
    symlink(&outside, host.join("t/sub")).unwrap();
    operator.run(&["copy", "tree", "t"]).expect_error(3, "t/sub: is a symbolic link on the host");
    operator.run(&["copy", "tree", "t/sub"]).expect_error(3, "sub: is a symbolic link on the host");
    fs::remove_file(host.join("t/sub")).unwrap();
    // A file in the tree that is a link there, to a file or a directory: the link is replaced.
    symlink(outside.join("text"), host.join("t/text")).unwrap();
    symlink(&outside, host.join("t/dangling")).unwrap();
    copy(&operator, &["tree", "t"]).expect(0);
    assert_same(&work.join("tree"), &host.join("t"));
    assert_eq!(fs::read(outside.join("text")).unwrap(), b"untouched");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    // What is not a file is left alone.
    fs::remove_file(host.join("t/text")).unwrap();
    let pipe = Command::new("mkfifo").arg(host.join("t/text")).status().unwrap();
    assert!(pipe.success());
    operator.run(&["copy", "tree", "t"]).expect_error(3, "t/text: is a device, a socket or a pipe");
}

#[test]
fn what_cannot_be_copied_is_told_before_any_host_is_contacted() {
    let operator = operator!(1);
    let work = operator.work();
    fs::create_dir(work.join("tree")).unwrap();
    let pipe = Command::new("mkfifo").arg(work.join("tree/pipe")).status().unwrap();
    assert!(pipe.success());
    fs::write(work.join("a"), "").unwrap();
    for (arguments, words) in [
        (&["absent", "x"][..], "absent: No such file"),
        (&["tree", "x"], "tree/pipe: is neither a file, nor a directory, nor a symbolic link"),
        (&["a", ""], "expected a path"),
        (&["a", "~/x"], "relative to the login directory"),
        (&["a", "work/../a", "x"], "two sources are called `a`"),
        (&["--fetch", "a/../b", "x"], "write it without `..`"),
        (&["--fetch", "/", "x"], "name a file or directory in it"),
        (&["--fetch", "--mode", "644", "a", "x"], "cannot be used with"),
        (&["a"], "2 values required"),
    ] {
        let mut all = vec!["copy"];
        all.extend(arguments);
        operator.run(&all).expect_error(2, words);
    }
    assert!(!operator.server.path("state").exists(), "no run was recorded");
}

#[test]
fn failures_of_one_host_are_its_own() {
    let operator = operator!(3);
    fs::write(operator.work().join("a"), "a").unwrap();
    fs::create_dir(operator.host(2).join("a")).unwrap();
    let arguments = ["--serial", "1", "copy", "a", "a"];
    let ran = operator.run(&arguments).expect_error(3, "node-2  copy");
    assert!(ran.stderr.contains("2 changed, 1 failed"), "{}", ran.stderr);
    assert_eq!(operator.failed(), "node-2");
    fs::write(operator.work().join("a"), "b").unwrap();
    let mut limited = vec!["--max-failures", "0"];
    limited.extend(arguments);
    operator.run(&limited).expect_error(3, "not started: 1 host failed");
    assert_eq!(fs::read(operator.host(3).join("a")).unwrap(), b"a");
    assert_eq!(operator.failed(), "node-2 node-3");
}

/// Copies that take a while, at any speed of the machine.
fn make_large(operator: &Operator) {
    let large = fs::File::create(operator.work().join("large")).unwrap();
    large.set_len(1 << 30).unwrap();
}

#[test]
fn a_copy_that_is_cut_short_leaves_nothing_half_done() {
    let operator = operator!(1);
    make_large(&operator);
    fs::write(operator.host(1).join("large"), "old").unwrap();
    let command = operator.command(&["--output", "json", "copy", "large", "large"]);
    let mut child = start_and_wait_for(command, "progress");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read(operator.host(1).join("large")).unwrap(), b"old");
    // The host notices by itself.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !leftovers(&operator.host(1)).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", leftovers(&operator.host(1)));
        std::thread::sleep(Duration::from_millis(50));
    }
    // What a power cut leaves, the next copy removes, and not what somebody is still at.
    fs::write(operator.work().join("small"), "small").unwrap();
    let stale = operator.host(1).join(".fleetadm-copy-999999999-abc");
    fs::create_dir(&stale).unwrap();
    fs::write(stale.join("0"), "half").unwrap();
    let mut other =
        Command::new("sh").args(["-c", "sleep 60; :", "fleetadm-copy"]).spawn().unwrap();
    let own = operator.host(1).join(format!(".fleetadm-copy-{}-abc", other.id()));
    fs::create_dir(&own).unwrap();
    copy(&operator, &["small", "small"]).expect(0);
    assert_eq!(leftovers(&operator.host(1)), [own]);
    other.kill().unwrap();
    other.wait().unwrap();
    // Also when there is nothing to copy.
    assert_eq!(changed(&copy(&operator, &["small", "small"]).expect(0)), 0);
    assert!(leftovers(&operator.host(1)).is_empty());
}

#[test]
fn a_limit_holds_for_copies() {
    let operator = operator!(1);
    make_large(&operator);
    let started = Instant::now();
    operator
        .run(&["--timeout", "1", "copy", "large", "large"])
        .expect_error(3, "not done within 1 s (--timeout)");
    assert!(started.elapsed() < Duration::from_secs(60));
    assert!(!operator.host(1).join("large").exists());
}

#[test]
fn a_file_that_changes_meanwhile_is_not_copied() {
    let operator = operator!(1);
    make_large(&operator);
    let command = operator.command(&["--output", "json", "copy", "large", "large"]);
    let mut child = start_and_wait_for(command, "phase_started");
    fs::File::options()
        .write(true)
        .open(operator.work().join("large"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(!operator.host(1).join("large").exists());
}

#[test]
fn busybox_is_enough() {
    let operator = operator!(1, "PATH=${PWD%/*}/busybox; export PATH");
    if !install_busybox(&operator) {
        return;
    }
    let (work, host) = (operator.work(), operator.host(1));
    make_tree(&work.join("tree"));
    assert_eq!(changed(&copy(&operator, &["--mode", "4711", "tree", "t/"]).expect(0)), 8);
    assert_eq!(mode(&host.join("t/tree/text")), 0o4711);
    assert_eq!(changed(&copy(&operator, &["--mode", "4711", "tree", "t/"]).expect(0)), 0);
    assert_eq!(changed(&copy(&operator, &["tree", "t/"]).expect(0)), 3);
    assert_same(&work.join("tree"), &host.join("t/tree"));
    fs::remove_file(host.join("t/tree/dangling")).unwrap();
    set_mode(&host.join("t/tree/sub/empty"), 0o750);
    copy(&operator, &["--fetch", "t", "got"]).expect(0);
    assert_same(&host.join("t/tree"), &work.join("got/node-1/t/tree"));
    assert_eq!(changed(&copy(&operator, &["--fetch", "t", "got"]).expect(0)), 0);
    assert!(leftovers(&host).is_empty() && leftovers(&work).is_empty());
}

#[test]
fn bash_is_a_shell_like_any_other() {
    let operator = operator!(1);
    let bash = Path::new("/bin/bash");
    if !bash.exists() {
        eprintln!("SKIPPED: needs {}", bash.display());
        return;
    }
    fs::create_dir(operator.server.path("bin")).unwrap();
    symlink(bash, operator.server.path("bin/sh")).unwrap();
    make_tree(&operator.work().join("tree"));
    assert_eq!(changed(&copy(&operator, &["tree", "t"]).expect(0)), 8);
    assert_same(&operator.work().join("tree"), &operator.host(1).join("t"));
    assert_eq!(changed(&copy(&operator, &["tree", "t"]).expect(0)), 0);
    assert_eq!(changed(&copy(&operator, &["--fetch", "t/text", "got"]).expect(0)), 1);
}

#[test]
fn nobody_needs_to_be_root() {
    const NOBODY: u32 = 65534;
    let switch =
        "exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c \"$SSH_ORIGINAL_COMMAND\"";
    let operator = operator!(1, switch);
    let own = operator.host(1);
    std::os::unix::fs::chown(&own, Some(NOBODY), Some(NOBODY)).unwrap();
    set_mode(operator.server.directory.path(), 0o755);
    if operator.run(&["exec", "[ \"$(id -u)\" = 65534 ]"]).status != Some(0) {
        eprintln!("SKIPPED: needs root and setpriv, to be somebody else");
        return;
    }
    make_tree(&operator.work().join("tree"));
    assert_eq!(changed(&copy(&operator, &["tree", "t"]).expect(0)), 8);
    assert_same(&operator.work().join("tree"), &own.join("t"));
    assert_eq!(fs::metadata(own.join("t/text")).unwrap().uid(), NOBODY);
    assert_eq!(changed(&copy(&operator, &["tree", "t"]).expect(0)), 0);
    // A file of somebody else could be changed by them: it is replaced.
    std::os::unix::fs::chown(own.join("t/text"), Some(0), None).unwrap();
    assert_eq!(changed(&copy(&operator, &["tree", "t"]).expect(0)), 1);
    assert_eq!(fs::metadata(own.join("t/text")).unwrap().uid(), NOBODY);
    assert_eq!(changed(&copy(&operator, &["--fetch", "t/text", "got"]).expect(0)), 1);

    let elsewhere = operator.server.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let text = operator.work().join("tree/text").display().to_string();
    let into = elsewhere.display().to_string();
    operator.run(&["copy", &text, &format!("{into}/")]).expect_error(3, "--become");
    fs::write(own.join("secret"), "hush").unwrap();
    std::os::unix::fs::chown(own.join("secret"), Some(0), None).unwrap();
    set_mode(&own.join("secret"), 0o600);
    operator.run(&["copy", "--fetch", "secret", "got"]).expect_error(3, "--become");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(leftovers(&own).is_empty());
}
