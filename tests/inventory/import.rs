//! `fleetadm inventory import`: what it prints, what it lists, and what it refuses.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;

fn import(arguments: &[&str], directory: &Path) -> assert_cmd::assert::Assert {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_fleetadm"));
    command.args(["inventory", "import"]).args(arguments).current_dir(directory).assert()
}

/// The inventory and the notes of an import that works; what is printed has to load.
fn imported(arguments: &[&str], directory: &Path) -> (String, String) {
    let run = import(arguments, directory).success();
    let [document, notes] = [&run.get_output().stdout, &run.get_output().stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut check = assert_cmd::Command::new(env!("CARGO_BIN_EXE_fleetadm"));
    check.args(["inventory", "check", "-i", "-"]).write_stdin(document.clone()).assert().success();
    (document, notes)
}

fn refusal(arguments: &[&str], directory: &Path) -> String {
    let run = import(arguments, directory).code(2).stdout("");
    String::from_utf8_lossy(&run.get_output().stderr).into_owned()
}

fn write(directory: &TempDir, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = directory.path().join(name);
        let parent = path.parent().expect("it has a parent");
        fs::create_dir_all(parent).expect("the directory can be made");
        fs::write(path, text).expect("the file can be written");
    }
}

#[test]
fn variables_beside_the_inventory_belong_to_it() {
    let directory = TempDir::new().unwrap();
    write(
        &directory,
        &[
            ("hosts", "[web]\nweb-[1:2] a=host\n[web:vars]\na=inline\nb=inline\nc=inline\n"),
            ("group_vars/all.yml", "---\nb: all\nansible_user: ops\n"),
            ("group_vars/web/10-first.yml", "c: first\nd: first\n"),
            ("group_vars/web/20-second", "d: second\n"),
            ("group_vars/web/.hidden.yml", "d: hidden\n"),
            ("group_vars/web/backup.yml~", "d: backup\n"),
            ("group_vars/web/notes.md", "# not variables\n"),
            ("group_vars/nobody.yml", "e: 1\n"),
            ("group_vars/empty.yml", "# nothing\n"),
            ("host_vars/web-2.yaml", "e: [1, two]\nansible_port: 2222\n"),
            ("host_vars/web-1.yml", "$ANSIBLE_VAULT;1.1;AES256\n3132\n"),
        ],
    );
    let (document, notes) = imported(&["hosts"], directory.path());
    assert_snapshot!(format!("{document}\n{notes}"), @r#"
    # Imported from the Ansible inventory hosts by `fleetadm inventory import`.
    # To make a cluster of these hosts, add [cluster] with a kubernetes_version.

    [ssh]
    user = "ops"

    [groups.all-hosts.vars]
    b = "all"

    [groups.web.vars]
    c = "first"
    d = "second"

    [[hosts]]
    name = "web-1"
    groups = ["all-hosts", "web"]

    [hosts.vars]
    a = "host"

    [[hosts]]
    name = "web-2"
    groups = ["all-hosts", "web"]

    [hosts.ssh]
    port = 2222

    [hosts.vars]
    a = "host"
    e = [1, "two"]

    note: group_vars/empty.yml: left out: there is no group `empty`
    note: group_vars/nobody.yml: left out: there is no group `nobody`
    note: host_vars/web-1.yml: it is encrypted by ansible-vault; its variables are left out
    note: no group says what a host is for: every host is a worker until it says `role = "control-plane"`
    note: `web-[1-2]` has no `ansible_become`, which playbooks may say instead; say `become = "sudo"` where the login user is not root
    "#);
}

#[test]
fn a_directory_is_all_of_its_files() {
    let directory = TempDir::new().unwrap();
    write(
        &directory,
        &[
            ("fleet/10-hosts.yml", "all: {hosts: {a: , b: }}\n"),
            ("fleet/20-groups", "[web]\na\nb\n[web:vars]\nx=1\n"),
            ("fleet/more/30-db", "[db]\nc\n"),
            ("fleet/dynamic.sh", "#!/bin/sh\nexit 1\n"),
            ("fleet/README.md", "not an inventory\n"),
            ("fleet/.hidden", "nor this\n"),
            ("fleet/group_vars/db.yml", "x: 2\n"),
        ],
    );
    let (document, notes) = imported(&["fleet"], directory.path());
    assert_snapshot!(format!("{document}\n{notes}"), @r#"
    # Imported from the Ansible inventory fleet by `fleetadm inventory import`.
    # To make a cluster of these hosts, add [cluster] with a kubernetes_version.

    [groups.web.vars]
    x = 1

    [groups.db.vars]
    x = 2

    [[hosts]]
    name = "a"
    groups = ["web"]

    [[hosts]]
    name = "b"
    groups = ["web"]

    [[hosts]]
    name = "c"
    groups = ["db"]

    note: fleet/dynamic.sh: left out: it is a program; import what `ansible-inventory -i fleet/dynamic.sh --list --yaml` prints
    note: no group says what a host is for: every host is a worker until it says `role = "control-plane"`
    note: `a,b,c` has no `ansible_become`, which playbooks may say instead; say `become = "sudo"` where the login user is not root
    "#);
}

#[test]
fn standard_input_can_be_imported() {
    let directory = TempDir::new().unwrap();
    let run = |format: &str, text: &str| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_fleetadm"));
        command.args(["inventory", "import", "-", "--format", format]).current_dir(&directory);
        command.write_stdin(text).assert()
    };
    for (format, text) in
        [("auto", "all:\n  hosts: {a: }\n"), ("yaml", "all: {hosts: a}"), ("ini", "a")]
    {
        let output = run(format, text).success();
        let document = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        assert!(document.ends_with("[[hosts]]\nname = \"a\"\n"), "{document}");
    }
    let failed = run("ini", "a b\n").code(2).stdout("");
    assert_eq!(
        String::from_utf8_lossy(&failed.get_output().stderr),
        "error: standard input:1: expected `variable=value` after the host, found `b`\n"
    );
}

#[test]
fn what_cannot_be_imported() {
    let directory = TempDir::new().unwrap();
    let bad = "x ansible_connection=winrm\n\x1b[31m\n";
    write(
        &directory,
        &[
            ("local", "x ansible_connection=winrm\n"),
            ("odd", bad),
            ("broken/hosts", "a\n"),
            ("broken/group_vars/all.yml", "a: [\n"),
            ("list/hosts", "a\n"),
            ("list/host_vars/a", "- 1\n"),
        ],
    );
    let path = directory.path();
    assert_eq!(
        refusal(&["local"], path),
        "note: local:1: `x` is not reached by SSH (winrm); left out\n\
         error: local: no host can be carried over\n"
    );
    assert!(!refusal(&["odd"], path).contains('\x1b'));
    let error = refusal(&["no-such-file"], path);
    assert_eq!(error, "error: cannot read no-such-file: No such file or directory (os error 2)\n");
    let error = refusal(&["broken/hosts"], path);
    assert!(error.starts_with("error: broken/group_vars/all.yml:"), "{error}");
    let error = refusal(&["list"], path);
    assert_eq!(error, "error: list/host_vars/a: expected a mapping of variables\n");
}

#[test]
fn secrets_are_never_printed() {
    let directory = TempDir::new().unwrap();
    write(
        &directory,
        &[
            (
                "hosts",
                "a ansible_password=hunter2 ansible_become_pass=hunter2\n[all:vars]\n\
                 db_password=hunter2\nansible_ssh_common_args=-o ProxyCommand='sshpass -p hunter2 ssh -W %h:%p b'\n",
            ),
            ("group_vars/all.yml", "api: {token: hunter2}\nansible_ssh_private_key: hunter2\n"),
        ],
    );
    let (document, notes) = imported(&["hosts"], directory.path());
    assert!(!document.contains("hunter2") && !notes.contains("hunter2"), "{document}{notes}");
    assert!(notes.contains("password_command"), "{notes}");
}
