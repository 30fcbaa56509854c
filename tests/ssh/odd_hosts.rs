//! Hosts on which little is as usual: login shells that are not POSIX, startup files that print, restrictive umasks,
//! homes that are not there, BusyBox in place of everything.

use std::sync::Arc;
use std::time::Duration;

use fleetadm::fleet::{Fleet, Link};
use fleetadm::inventory::{Become, Host};
use fleetadm::node::{FileBatch, Mode, Node, NodeDirectory, NodeFile, SshTransport};
use fleetadm::ssh::{Connection, Exit, Input, RunOptions};

use crate::machine::Machine;
use crate::sshd::{connector, said};

const SUDOERS: &str = "/etc/sudoers.d/test";

/// Characters that shells disagree on, in several lines.
const COMMAND: &str = r#"printf '%s ' "it's \\ \$ ! !! !x $0" 'a\b' # comment
cat
printf '%s\n' "$(echo {a,b} *ö* ~x [c] ^d% | wc -c)" '   ' >&2; exit 3"#;

fn host(machine: &Machine, user: &str) -> Host {
    let mut host = machine.host(user);
    host.ssh_mut().become_root = Some(said(Become::Sudo));
    host
}

async fn connect(machine: &Machine, user: &str) -> Connection {
    connector().connect(&host(machine, user)).await.unwrap()
}

/// Everything comes out as `sh` would have it, for the login user and for root.
async fn works(connection: &Connection) {
    let output = connection.run(COMMAND, "in\0put\n".into()).await.unwrap();
    assert_eq!(output.stdout_text(), "it's \\ $ ! !! !x sh a\\b in\0put\n");
    assert_eq!(output.stderr_text(), "22\n   \n");
    assert_eq!(output.exit, Exit::Code(3));
    let same = connection.run_as_root(COMMAND, "in\0put\n".into()).await.unwrap();
    assert_eq!((same.stdout, same.stderr), (output.stdout, output.stderr));
    assert_eq!(connection.run_as_root("id -u", Input::None).await.unwrap().stdout, b"0\n");

    let long = format!("echo {} | wc -c", "'x! '".repeat(2000));
    let output = connection.run(&long, Input::None).await.unwrap();
    assert_eq!(output.stdout_text().trim(), "6001");
    let output = connection.run("kill -TERM $$", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Signal("TERM".to_owned()));
}

/// The payload stores itself and runs, and what it makes has the modes that were asked for.
async fn node_works(host: Host) {
    let fleet = Arc::new(Fleet::new(connector(), 1));
    let link = Link::new(Arc::clone(&fleet), Arc::new(host));
    let node = Node::new("node", Arc::new(SshTransport::new(link)), Mode::Apply);
    let script = "#!/bin/sh\necho \"it's $(id -u)\"; umask";
    let output = node.run_script(script).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "it's 0\n0022\n");
    let batch = FileBatch {
        directories: vec![NodeDirectory::new("/etc/test", 0o750)],
        files: vec![
            NodeFile::public("/etc/test/public", "text", 0o644),
            NodeFile::public("/etc/test/made/secret", "text", 0o600),
        ],
    };
    node.install(&batch).await.unwrap();
    let script =
        "#!/bin/sh\ncd /etc/test; stat -c '%a %U %n' . public made made/secret; rm -r /etc/test";
    let output = node.run_script(script).await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "750 root .\n644 root public\n755 root made\n600 root made/secret\n"
    );
    fleet.close().await;
}

#[tokio::test]
async fn login_shells() {
    let machine = machine!();
    machine.write(SUDOERS, "ALL ALL=(ALL) NOPASSWD: ALL");
    for shell in
        ["/bin/bash", "/bin/dash", "/usr/bin/fish", "/bin/tcsh", "/bin/bsd-csh", "/bin/rbash"]
    {
        eprintln!("{shell}");
        let user = shell.rsplit('/').next().unwrap();
        machine.add_user(user, shell);
        let connection = connect(&machine, user).await;
        if user == "rbash" {
            let error = connection.run("id", Input::None).await.unwrap_err();
            insta::assert_snapshot!(error, @"the login shell did not run the command: it said `rbash: line 1: exec: restricted`; is it a shell, and what do its startup files do?");
            continue;
        }
        works(&connection).await;
    }
}

#[tokio::test]
async fn startup_files_that_print() {
    let machine = machine!();
    machine.write(SUDOERS, "ALL ALL=(ALL) NOPASSWD: ALL");
    let files = [
        (
            "/bin/bash",
            ".bashrc",
            "echo Welcome; printf 'no newline'; echo 'stty: not a terminal' >&2; set -x",
        ),
        ("/usr/bin/fish", ".config/fish/config.fish", "echo Welcome; echo trouble >&2"),
        ("/bin/tcsh", ".cshrc", "echo Welcome; stty erase x"),
    ];
    for (shell, file, text) in files {
        eprintln!("{shell}");
        let user = shell.rsplit('/').next().unwrap();
        machine.add_user(user, shell);
        machine.run(&format!(
            "cd /home/{user}; mkdir -p $(dirname {file}); cat >{file} <<'END'\n{text}\nEND\nchown -R {user}: ."
        ));
        let connection = connect(&machine, user).await;
        works(&connection).await;
        node_works(host(&machine, user)).await;
    }
}

#[tokio::test]
async fn login_shells_that_are_none() {
    let machine = machine!();
    machine.add_user("nologin", "/usr/sbin/nologin");
    machine.add_user("false", "/bin/false");
    machine.add_user("endless", "/bin/bash");
    machine.run("echo 'yes Welcome' >/home/endless/.bashrc");
    machine.add_user("stuck", "/bin/bash");
    machine.run("echo 'sleep 60' >/home/stuck/.bashrc");
    let mut messages = String::new();
    for user in ["nologin", "false", "endless", "stuck"] {
        let connection = connect(&machine, user).await;
        let timeout = Some(Duration::from_secs(2));
        let options = RunOptions { timeout, ..RunOptions::default() };
        let error = connection.run_with("id", Input::None, &options).await.unwrap_err();
        messages.push_str(&format!("{user}: {error}\n"));
    }
    insta::assert_snapshot!(messages, @r"
    nologin: the login shell did not run the command: it said `This account is currently not available.`; is it a shell, and what do its startup files do?
    false: the login shell did not run the command: exit status 1; is it a shell, and what do its startup files do?
    endless: the host prints nonsense: more than 262144 bytes before the command; what do the startup files of the login shell print?
    stuck: the command did not finish within 2 s; raise command_timeout if it needs longer
    ");
}

#[tokio::test]
async fn nothing_writable_and_nothing_executable() {
    let machine = machine!();
    machine.write(SUDOERS, "ops ALL=(ALL) NOPASSWD: ALL");
    // bash reads this before every command.
    machine.run(
        "usermod -s /bin/bash ops 2>/dev/null || sed -i '/^ops:/s,:[^:]*$,:/bin/bash,' /etc/passwd
        echo 'umask 777; export TMPDIR=/nowhere' >/etc/bash.bashrc
        rm -r /home/ops
        mount --bind /tmp /tmp
        mount -o remount,bind,noexec /tmp
        mount -o remount,noexec /run
        mount -o remount,ro /root
        mount -o remount,ro /home",
    );
    let connection = connect(&machine, "ops").await;
    assert_eq!(connection.run("pwd; umask", Input::None).await.unwrap().stdout_text(), "/\n0777\n");
    works(&connection).await;
    node_works(host(&machine, "ops")).await;
    let modes = machine.run("stat -c '%a %U' /run/fleetadm /run/fleetadm/payload-*");
    assert_eq!(modes, "700 root\n600 root\n");
}

#[tokio::test]
async fn busybox_only() {
    let machine = machine!("SetEnv PATH=/usr/applets");
    // Every program that users find is one of BusyBox.
    machine.run(
        "mkdir /usr/applets
        for applet in $(busybox --list); do ln -s /usr/bin/busybox /usr/applets/$applet; done
        ln -s /usr/bin/doas /usr/bin/sudo /usr/applets
        ln -sf /usr/applets/sh /usr/bin/sh
        echo 'permit nopass ops' >/etc/doas.conf",
    );
    machine.write(SUDOERS, "Defaults secure_path=/usr/applets\nops ALL=(ALL) NOPASSWD: ALL");
    machine.run("sed -i '/^ops:/s,:[^:]*$,:/usr/applets/ash,' /etc/passwd");
    for (by, requiretty) in [(Become::Sudo, false), (Become::Sudo, true), (Become::Doas, false)] {
        eprintln!("{by:?} {requiretty}");
        if requiretty {
            machine.write(
                SUDOERS,
                "Defaults secure_path=/usr/applets,requiretty\nops ALL=(ALL) NOPASSWD: ALL",
            );
        }
        let mut host = machine.host("ops");
        host.ssh_mut().become_root = Some(said(by));
        let connection = connector().connect(&host).await.unwrap();
        let shell =
            connection.run("exe=$(readlink /proc/$$/exe); echo $exe", Input::None).await.unwrap();
        assert_eq!(shell.stdout_text(), "/usr/bin/busybox\n");
        works(&connection).await;
        node_works(host).await;
    }
}
