//! What others may not get: what is left on the workstation, what a host's other users see, what a stranger in the middle
//! is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use fleetadm::fleet::{Fleet, Link};
use fleetadm::inventory::Become;
use fleetadm::node::{FileBatch, Mode, Node, NodeFile, SshTransport};
use fleetadm::ssh::{HostKeyError, SshError};

use crate::machine::{Machine, PASSWORD};
use crate::operator::Operator;
use crate::sshd::{Agent, Sshd, connector, keygen, said};

/// Every file below a directory that contains one of the words.
fn files_with(directory: &Path, words: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_with(&entry.path(), words));
        } else if let Ok(content) = fs::read(entry.path()) {
            let has = |word: &&str| content.windows(word.len()).any(|part| part == word.as_bytes());
            if words.iter().any(has) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// A node of the machine, as root by way of the user `ops`.
fn node(machine: &Machine) -> (Arc<Fleet>, Node) {
    machine.write("/etc/sudoers.d/test", "ops ALL=(ALL) NOPASSWD: ALL");
    let mut host = machine.host("ops");
    host.ssh_mut().become_root = Some(said(Become::Sudo));
    let fleet = Arc::new(Fleet::new(connector(), 1));
    let link = Link::new(Arc::clone(&fleet), Arc::new(host));
    (fleet, Node::new("node", Arc::new(SshTransport::new(link)), Mode::Apply))
}

#[test]
fn nothing_secret_is_left_on_the_workstation() {
    let machine = machine!();
    machine.write("/etc/sudoers.d/test", "Defaults timestamp_timeout=0\nops ALL=(ALL) ALL");
    let path = |name: &str| machine.server.path(name);
    let desk = path("desk");
    for name in ["home", "state", "tmp", "run"] {
        fs::create_dir_all(desk.join(name)).unwrap();
    }
    let inventory = format!(
        "[ssh]\nuser = \"ops\"\nport = {}\nidentity_file = {:?}\nknown_hosts = {:?}\nbecome = \"sudo\"\n\
         [[hosts]]\nname = \"node\"\naddress = \"127.0.0.1\"\n",
        machine.server.port,
        path("id_ed25519"),
        path("known_hosts"),
    );
    fs::write(desk.join("inventory.toml"), inventory).unwrap();
    fs::write(path("password"), format!("{PASSWORD}\n")).unwrap();
    fs::write(path("input"), "hush-hush").unwrap();
    // One that succeeds and one that fails, which leaves a record for `--limit @failed`.
    for (command, status) in [("cat", 0), ("cat; exit 7", 3)] {
        let output = Command::new("sh")
            .args(["-c", "exec \"$@\" 7<\"$0\""])
            .arg(path("password"))
            .arg(env!("CARGO_BIN_EXE_fleetadm"))
            .args(["-vv", "-i"])
            .arg(desk.join("inventory.toml"))
            .args(["--become-password-fd", "7", "exec", "--become", "--stdin"])
            .arg(path("input"))
            .arg(command)
            .current_dir(&desk)
            .env("HOME", desk.join("home"))
            .env("XDG_STATE_HOME", desk.join("state"))
            .env("XDG_RUNTIME_DIR", desk.join("run"))
            .env("TMPDIR", desk.join("tmp"))
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
        // It was there to be left.
        assert!(text(&output.stdout).contains("hush-hush"), "{}", text(&output.stdout));
        assert!(!text(&output.stderr).contains(PASSWORD));
    }
    assert_eq!(files_with(&desk, &[PASSWORD, "hush-hush"]), Vec::<PathBuf>::new());
    // What is there at all is a record of its own user's.
    assert!(!files_with(&desk.join("state"), &["node"]).is_empty());
    for name in ["home", "tmp", "run"] {
        assert_eq!(fs::read_dir(desk.join(name)).unwrap().count(), 0, "{name}");
    }
}

#[tokio::test]
async fn other_users_of_a_host_see_nothing_on_its_way() {
    let machine = machine!();
    let (fleet, node) = node(&machine);
    let mut batch = FileBatch::default();
    batch.files.push(NodeFile::secret("/etc/test/key", b"hush-hush".to_vec().into(), 0o600));
    node.install(&batch).await.unwrap();
    // While this runs it lies in the payload's directory.
    let script = "#!/bin/sh\n# hush-hush\nmodes() { find /run/fleetadm -exec stat -c '%a %U' {} + | sort -u; }; modes\n\
        su -s /bin/sh ops -c 'umask; ls /run/fleetadm; cat /run/fleetadm/.fleetadm-*/script /etc/test/key' 2>&1 | grep -c hush\n\
        stat -c '%a %U' /run/fleetadm\n";
    let output = node.run_script(script).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "600 root\n700 root\n0\n700 root\n");
    // Nothing in it stays, and nothing got into a directory that everybody writes to.
    let open =
        "find /tmp /var/tmp /dev/shm -maxdepth 1 -name '.fleetadm-*' -exec grep -l hush-hush {} +";
    let left = machine.run(&format!("ls -A /run/fleetadm; {open} || :"));
    assert!(left.starts_with("payload-") && left.lines().count() == 1, "{left}");
    fleet.close().await;
}

#[tokio::test]
async fn a_payload_that_somebody_else_put_there_is_not_run() {
    let machine = machine!();
    let (fleet, node) = node(&machine);
    node.run_script("#!/bin/sh\n").await.unwrap();
    // A directory that is another user's, and in it a script by the payload's own name.
    machine.run("for p in /run/fleetadm/payload-*; do echo 'touch /run/owned' >$p; chown ops: $p; done; chown ops: /run/fleetadm");
    let error = node.run_script("#!/bin/sh\n").await.unwrap_err().to_string();
    assert!(error.contains("/run/fleetadm is not there, or somebody else's"), "{error}");
    assert_eq!(machine.run("ls /run | grep owned || :"), "");
    // Root's own directory is closed again, and another's file in it replaced.
    machine.run("chown root: /run/fleetadm; chmod 0777 /run/fleetadm");
    node.run_script("#!/bin/sh\n").await.unwrap();
    assert_eq!(
        machine.run("stat -c '%a %U' /run/fleetadm /run/fleetadm/*"),
        "700 root\n600 root\n"
    );
    assert_eq!(machine.run("ls /run | grep owned || :"), "");
    fleet.close().await;
}

#[test]
fn what_hosts_print_does_not_control_the_terminal() {
    let operator = operator!(1);
    let nasty = r"printf '\033]0;owned\007\033[31mred\302\2332J\340\302\200\r\b\n'; printf '\033[2Jerr\n' >&2";
    for arguments in [&["exec", nasty][..], &["exec", "--merge", nasty]] {
        let ran = operator.run(arguments).expect(0);
        for text in [&ran.stdout, &ran.stderr] {
            let control = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(control), "{text:?}");
        }
        assert!(ran.stdout.contains("red"), "{:?}", ran.stdout);
    }
    // JSON is for programs and says it all, escaped as far as JSON asks for it.
    let ran = operator.run(&["--output", "json", "exec", nasty]).expect(0);
    assert!(!ran.stdout.contains(|c: char| c.is_ascii_control() && c != '\n'), "{:?}", ran.stdout);
    let ran = operator.run(&["exec", &format!("({nasty}) >&2; exit 3")]).expect(3);
    assert!(!ran.stderr.contains(|c: char| c.is_control() && c != '\n'), "{:?}", ran.stderr);
}

#[test]
fn the_agent_stays_at_home() {
    let operator = operator!(1);
    let agent = Agent::start(operator.server.directory.path());
    agent.add(&operator.server.path("id_ed25519"));
    let mut command = operator.command(&["exec", "echo \"agent: ${SSH_AUTH_SOCK-none}\""]);
    command.env("SSH_AUTH_SOCK", &agent.socket);
    let ran = crate::operator::finish(command).expect(0);
    assert!(ran.stdout.contains("agent: none"), "{}", ran.stdout);
}

#[tokio::test]
async fn a_stranger_at_the_address_is_told_nothing() {
    let server = server!("ed25519", "LogLevel DEBUG3");
    keygen(&server.path("other"), &["-t", "ed25519", "-N", ""]);
    server.write_known_hosts(&server.known_hosts_line("other.pub"));
    let error = connector().connect(&server.host()).await.err().unwrap();
    assert!(matches!(error, SshError::HostKey(HostKeyError::Changed { .. })), "{error:?}");
    // It was spoken to, and heard no user's name, let alone a key or a password.
    assert!(server.logged("kex") > 0, "{}", server.log());
    assert_eq!(server.logged("userauth-request"), 0, "{}", server.log());
    server.write_known_hosts(&server.known_hosts_line("host_ed25519.pub"));
    connector().connect(&server.host()).await.unwrap();
    assert!(server.logged("userauth-request") > 0, "{}", server.log());
}

#[tokio::test]
async fn algorithms_that_are_broken_are_not_spoken() {
    for config in [
        "KexAlgorithms diffie-hellman-group14-sha1",
        "KexAlgorithms diffie-hellman-group1-sha1",
        "Ciphers aes128-cbc,3des-cbc",
        "Ciphers aes256-ctr\nMACs hmac-md5,hmac-sha1",
    ] {
        let server = server!("ed25519", config);
        let error = connector().connect(&server.host()).await.err();
        let error = error.unwrap_or_else(|| panic!("{config}: connected")).to_string();
        assert!(error.contains("no common"), "{config}: {error}\n{}", server.log());
    }
    // An RSA key signs by SHA-2 only.
    let server = server!("rsa", "HostKeyAlgorithms ssh-rsa");
    let error = connector().connect(&server.host()).await.err().unwrap().to_string();
    assert!(error.contains("no common"), "{error}\n{}", server.log());
}

#[test]
fn an_inventory_that_is_only_looked_at_runs_nothing() {
    let operator = operator!(1);
    operator.write_inventory(
        "[groups.marked.ssh]\npassword_command = \"touch ran; echo x\"\nbecome_password_command = \"touch ran; echo x\"\n\
         [[hosts]]\nname = \"other\"\naddress = \"127.0.0.9\"\ngroups = [\"marked\"]\n",
    );
    // A document, even where a file system gives it that bit.
    let document = operator.server.path("inventory.toml");
    fs::set_permissions(&document, PermissionsExt::from_mode(0o755)).unwrap();
    for arguments in
        [&["inventory", "check"][..], &["inventory", "show"], &["inventory", "show", "other"]]
    {
        operator.run(arguments).expect(0);
    }
    assert_eq!(operator.server.logins(), 0);
    assert_eq!(fs::read_dir(operator.work()).unwrap().count(), 0);
}

#[test]
fn a_server_has_keys_that_are_checked() {
    // Guards this file: a test server that took any client would prove nothing.
    let Some(server) = Sshd::start() else { return };
    fs::write(server.path("authorized_keys"), "").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(connector().connect(&server.host())).is_err());
}
