//! `fleetadm copy --fetch`: from many hosts, none of which is trusted.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::copy::{assert_same, changed, copy, make_tree, set_mode};
use crate::operator::{Operator, leftovers};

#[test]
fn trees_are_fetched_into_a_directory_for_each_host() {
    let operator = operator!(3);
    for host in 1..=3 {
        let tree = operator.host(host).join("tree");
        make_tree(&tree);
        fs::write(tree.join("name"), host.to_string()).unwrap();
        set_mode(&tree.join("sub/empty"), 0o750);
    }
    symlink("tree", operator.host(1).join("link")).unwrap();
    let ran = copy(&operator, &["--fetch", "tree", "got/it"]).expect(0);
    // What leads elsewhere is not made here.
    let warnings = ran.events_of("warning");
    assert_eq!(warnings.len(), 3);
    assert!(warnings[0]["text"].as_str().unwrap().ends_with("./tree/dangling -> /nowhere"));
    assert_eq!(changed(&ran), 3 * 8);
    for host in 1..=3 {
        fs::remove_file(operator.host(host).join("tree/dangling")).unwrap();
        let got = operator.work().join(format!("got/it/node-{host}/tree"));
        assert_same(&operator.host(host).join("tree"), &got);
    }
    assert_eq!(changed(&copy(&operator, &["--fetch", "tree", "got/it"]).expect(0)), 0);

    // Only what differs, in either place.
    fs::write(operator.host(2).join("tree/text"), "one\ntwO\n").unwrap();
    set_mode(&operator.host(3).join("tree/name"), 0o600);
    let ran = copy(&operator, &["--fetch", "tree", "got/it"]).expect(0);
    let mut what: Vec<String> = ran
        .events_of("changed")
        .iter()
        .map(|event| event["what"].as_str().unwrap().to_owned())
        .collect();
    what.sort();
    assert_eq!(what, ["change got/it/node-2/tree/text", "change got/it/node-3/tree/name"]);
    assert_same(&operator.host(2).join("tree"), &operator.work().join("got/it/node-2/tree"));
    assert_same(&operator.host(3).join("tree"), &operator.work().join("got/it/node-3/tree"));

    // Absolute paths, single files, and a link that was named.
    let file = operator.host(1).join("tree/text").display().to_string();
    let only = |arguments: &[&str]| {
        let mut all = vec!["--limit", "node-1", "--output", "json", "copy", "--fetch"];
        all.extend(arguments);
        operator.run(&all)
    };
    only(&[&file, "link", "one"]).expect(0);
    let one = operator.work().join("one/node-1");
    assert_eq!(fs::read(one.join(&file[1..])).unwrap(), b"one\ntwo\n");
    assert_eq!(fs::read(one.join("link/name")).unwrap(), b"1");
    assert!(leftovers(&operator.work()).is_empty());

    let ran = operator.run(&["copy", "--fetch", "--dry-run", "tree", "dry"]).expect(0);
    assert!(ran.stderr.contains("would create dry/node-3/tree/sub/nothing"), "{}", ran.stderr);
    assert!(!operator.work().join("dry").exists());
}

#[test]
fn what_cannot_be_fetched_is_refused() {
    let operator = operator!(2);
    fs::write(operator.host(1).join("a"), vec![b'x'; 5000]).unwrap();
    let fetch = |arguments: &[&str]| {
        let mut all = vec!["--limit", "node-1", "copy", "--fetch"];
        all.extend(arguments);
        operator.run(&all)
    };
    fetch(&["b", "got"]).expect_error(3, "./b: there is no such file or directory");
    fetch(&["--max-size", "4K", "a", "got"]).expect_error(3, "5000 bytes are more than --max-size");
    assert!(!operator.work().join("got/node-1/a").exists());
    // One host's lack is not the other's.
    let ran = operator.run(&["copy", "--fetch", "a", "both"]).expect(3);
    assert!(ran.stderr.contains("1 changed, 1 failed"), "{}", ran.stderr);
    assert!(operator.work().join("both/node-1/a").exists());

    fs::create_dir(operator.host(1).join("tree")).unwrap();
    let pipe = Command::new("mkfifo").arg(operator.host(1).join("tree/pipe")).status().unwrap();
    assert!(pipe.success());
    fetch(&["tree", "got"]).expect_error(3, "tree/pipe: is a device, a socket or a pipe");
    fs::remove_file(operator.host(1).join("tree/pipe")).unwrap();
    fs::write(operator.host(1).join("tree/new\nline"), "").unwrap();
    fetch(&["tree", "got"]).expect_error(3, "is there a name with a newline in it?");
    fs::remove_file(operator.host(1).join("tree/new\nline")).unwrap();

    // Links on the workstation are not followed either.
    let outside = operator.server.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir_all(operator.work().join("linked/node-1")).unwrap();
    symlink(&outside, operator.work().join("linked/node-1/tree")).unwrap();
    fs::write(operator.host(1).join("tree/x"), "x").unwrap();
    fetch(&["tree/x", "linked"]).expect_error(3, "linked/node-1/tree: is not a directory");
    fetch(&["tree", "linked"]).expect_error(3, "tree");
    symlink(&outside, operator.work().join("linked/node-2")).unwrap();
    fs::write(operator.host(2).join("a"), "x").unwrap();
    let ran = operator.run(&["--limit", "node-2", "copy", "--fetch", "a", "linked"]);
    ran.expect_error(3, "linked/node-2: is not a directory");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_host_that_lies_is_refused() {
    let operator = operator!(1);
    fs::create_dir(operator.host(1).join("d")).unwrap();
    let fetch = |stat: &str| {
        operator.install("stat", &format!("#!/bin/sh\n{stat}\n"));
        operator.run(&["copy", "--fetch", "d", "got"])
    };
    let directory = "echo 'entry 41ed 0 0 0 root root ./d'";
    fetch(&format!("{directory}; echo 'entry 81a4 1 0 0 root root ./d/../../x'"))
        .expect_error(3, "`./d/../../x`, which was not asked for");
    fetch(&format!("{directory}; echo 'entry 81a4 1 0 0 root root /etc/x'"))
        .expect_error(3, "`/etc/x`, which was not asked for");
    fetch("echo 'entry 81a4 99999999999999 0 0 root root ./d'")
        .expect_error(3, "99999999999999 bytes are more than --max-size");
    fetch("yes 'entry 41ed 0 0 0 root root ./d'").expect_error(3, "listing: more than");
    // What it then sends is counted, too: it is asked for 1 byte and sends more.
    operator.install("head", "#!/bin/sh\nyes\n");
    fetch("echo 'entry 81a4 1 0 0 root root ./d'").expect_error(3, "`y` between two files");
    assert!(leftovers(&operator.work()).is_empty());
    assert!(!operator.work().join("got/node-1/d").exists());
}
