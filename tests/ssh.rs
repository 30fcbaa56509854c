//! Connections, commands and tunnels against a real OpenSSH server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/sshd.rs"]
mod sshd;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fleetadm::fleet::{Fleet, Outcome};
use fleetadm::inventory::{Become, Host};
use fleetadm::ssh::{
    Connection, Connector, Environment, Exit, HostKeyError, Input, PrivilegeError, RunOptions,
    SshError, Stream, TunnelError,
};
use sshd::{Agent, Sshd, connector, free_port, keygen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Start a server, or leave the test where there is none.
macro_rules! server {
    ($($argument:expr),*) => {
        match server!(@ $($argument),*) {
            Some(server) => server,
            None => return,
        }
    };
    (@) => { Sshd::start() };
    (@ $($argument:expr),+) => { Sshd::start_with($($argument),+) };
}

async fn connect(server: &Sshd) -> Connection {
    connector().connect(&server.host()).await.unwrap()
}

async fn connect_error(host: &Host) -> SshError {
    connector().connect(host).await.unwrap_err()
}

async fn works(connector: &Connector, host: &Host) {
    let connection = connector.connect(host).await.unwrap();
    let output = connection.run("echo hello", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Code(0));
    assert_eq!(output.stdout_text(), "hello\n");
}

#[tokio::test]
async fn key_files_of_every_kind() {
    let server = server!();
    let kinds: [(&str, &[&str]); 7] = [
        ("ed25519", &["-t", "ed25519", "-N", ""]),
        ("ecdsa", &["-t", "ecdsa", "-N", ""]),
        ("ecdsa521", &["-t", "ecdsa", "-b", "521", "-N", ""]),
        ("ecdsa_pkcs8", &["-t", "ecdsa", "-m", "PKCS8", "-N", ""]),
        ("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]),
        ("rsa_pkcs1", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]),
        ("rsa_pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", ""]),
    ];
    let connector = connector();
    for (name, arguments) in kinds {
        eprintln!("{name}");
        let mut host = server.host();
        host.ssh.identity_files = vec![server.authorize(name, arguments)];
        works(&connector, &host).await;
    }
}

#[tokio::test]
async fn agent_keys_and_certificates() {
    let server = server!();
    let agent = Agent::start(server.directory.path());
    let mut host = server.host();
    host.ssh.identity_files = Vec::new();
    host.ssh.identity_agent = Some(agent.socket.clone());

    let error = connect_error(&host).await;
    assert!(error.to_string().contains("holds no keys"), "{error}");

    // A key the server does not know comes first, and must not be the end of it.
    let stranger = server.path("stranger");
    keygen(&stranger, &["-t", "ed25519", "-N", ""]);
    agent.add(&stranger);
    agent.add(&server.authorize("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]));
    works(&connector(), &host).await;

    // SSH_AUTH_SOCK does as well as a configured socket.
    host.ssh.identity_agent = None;
    let environment = Environment { agent: Some(agent.socket.clone()), ..Environment::default() };
    works(&Connector::new(environment), &host).await;
}

#[tokio::test]
async fn certificate_in_the_agent() {
    let server = server!();
    keygen(&server.path("ca"), &["-t", "ed25519", "-N", ""]);
    let ca = fs::read_to_string(server.path("ca.pub")).unwrap();
    fs::write(server.path("authorized_keys"), format!("cert-authority {ca}")).unwrap();
    let host = server.host();
    let user = host.ssh.user.clone().unwrap();
    let status = Command::new("ssh-keygen")
        .args(["-q", "-I", "test", "-n", &user, "-s"])
        .args([server.path("ca"), server.path("id_ed25519.pub")])
        .status()
        .unwrap();
    assert!(status.success());
    let agent = Agent::start(server.directory.path());
    agent.add(&server.path("id_ed25519"));

    let mut host = host;
    host.ssh.identity_files = Vec::new();
    host.ssh.identity_agent = Some(agent.socket.clone());
    works(&connector(), &host).await;
}

#[tokio::test]
async fn default_key_files() {
    let server = server!();
    let home = server.path("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    fs::copy(server.path("id_ed25519"), home.join(".ssh/id_ed25519")).unwrap();
    fs::copy(server.path("known_hosts"), home.join(".ssh/known_hosts")).unwrap();
    let mut host = server.host();
    host.ssh.identity_files = Vec::new();
    host.ssh.known_hosts = Vec::new();
    let environment = Environment { home: Some(home), ..Environment::default() };
    works(&Connector::new(environment), &host).await;
}

#[tokio::test]
async fn refused_keys_say_what_was_tried() {
    let server = server!();
    let mut host = server.host();
    let stranger = server.path("stranger");
    keygen(&stranger, &["-t", "ed25519", "-N", ""]);
    host.ssh.identity_files = vec![stranger.clone()];
    let error = connect_error(&host).await;
    assert!(matches!(error, SshError::Authentication { .. }), "{error:?}");
    assert!(error.could_not_reach());
    assert!(error.to_string().contains(&format!("tried {}", stranger.display())), "{error}");

    host.ssh.identity_files = vec![server.path("absent")];
    let error = connect_error(&host).await;
    assert!(error.to_string().ends_with("absent (no such file)"), "{error}");

    for (name, format) in [("encrypted", "RFC4716"), ("encrypted_pem", "PEM")] {
        let key =
            server.authorize(name, &["-t", "rsa", "-b", "2048", "-m", format, "-N", "secret"]);
        host.ssh.identity_files = vec![key];
        let error = connect_error(&host).await;
        assert!(matches!(error, SshError::Authentication { .. }), "{error:?}");
        assert!(error.to_string().contains("is encrypted; add it to the agent"), "{error}");
    }

    host.ssh.identity_files = vec![server.path("id_ed25519.pub")];
    let error = connect_error(&host).await;
    assert!(error.to_string().contains("is a public key"), "{error}");

    host.ssh.identity_files = Vec::new();
    let error = connect_error(&host).await;
    assert!(error.to_string().contains("no key to offer"), "{error}");
}

#[tokio::test]
async fn too_many_keys() {
    let server = server!("ed25519", "MaxAuthTries 2");
    let mut host = server.host();
    host.ssh.identity_files = (0..4)
        .map(|index| {
            let key = server.path(&format!("stranger{index}"));
            keygen(&key, &["-t", "ed25519", "-N", ""]);
            key
        })
        .collect();
    let error = connect_error(&host).await;
    assert!(matches!(error, SshError::Authentication { .. }), "{error:?}");
    assert!(error.to_string().contains("Too many authentication failures"), "{error}");
}

#[tokio::test]
async fn host_keys_are_checked() {
    let server = server!();
    let host = server.host();
    keygen(&server.path("other"), &["-t", "ed25519", "-N", ""]);
    keygen(&server.path("other_ecdsa"), &["-t", "ecdsa", "-N", ""]);
    let own = server.known_hosts_line("host_ed25519.pub");

    server.write_known_hosts("");
    let error = connect_error(&host).await;
    assert!(matches!(error, SshError::HostKey(HostKeyError::Unknown { .. })), "{error:?}");
    let fingerprint = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(server.path("host_ed25519.pub"))
        .output()
        .unwrap();
    let fingerprint = String::from_utf8(fingerprint.stdout).unwrap();
    let fingerprint = fingerprint.split_whitespace().nth(1).unwrap();
    assert!(error.to_string().contains(fingerprint), "{error}");
    assert!(error.to_string().contains("ssh-keyscan"), "{error}");

    for other in ["other.pub", "other_ecdsa.pub"] {
        server.write_known_hosts(&server.known_hosts_line(other));
        let error = connect_error(&host).await;
        assert!(matches!(error, SshError::HostKey(HostKeyError::Changed { .. })), "{error:?}");
        assert!(error.could_not_reach());
    }

    server.write_known_hosts(&format!("{own}@revoked {own}"));
    let error = connect_error(&host).await;
    assert!(matches!(error, SshError::HostKey(HostKeyError::Revoked { line: 2, .. })), "{error:?}");

    // As `ssh-keygen -H` hashes it.
    server.write_known_hosts(&own);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(server.path("known_hosts"))
        .output()
        .unwrap();
    assert!(status.status.success());
    let hashed = fs::read_to_string(server.path("known_hosts")).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    works(&connector(), &host).await;
}

#[tokio::test]
async fn the_known_type_of_host_key_is_asked_for() {
    let server = server!("ed25519 ecdsa rsa", "");
    for kind in ["ed25519", "ecdsa", "rsa"] {
        server.write_known_hosts(&server.known_hosts_line(&format!("host_{kind}.pub")));
        works(&connector(), &server.host()).await;
    }
}

#[tokio::test]
async fn nobody_listens() {
    let server = server!();
    let mut host = server.host();
    host.ssh.port = free_port();
    let error = connect_error(&host).await;
    assert!(matches!(error, SshError::Unreachable { .. }), "{error:?}");
    assert!(error.could_not_reach());
    assert!(error.to_string().contains("connection refused"), "{error}");

    host.address = "no-such-host.invalid".to_owned();
    let error = connect_error(&host).await;
    assert!(matches!(error, SshError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot resolve"), "{error}");
}

#[tokio::test]
async fn a_silent_peer_times_out_and_is_let_go() {
    let server = server!();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut host = server.host();
    host.ssh.port = listener.local_addr().unwrap().port();
    host.ssh.connect_timeout = Duration::from_millis(300);
    let accept = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-Silent\r\n").await.unwrap();
        // Ends only when the client lets go.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let error = connect_error(&host).await;
    assert!(matches!(error, SshError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("within 0.3 s"), "{error}");
    tokio::time::timeout(Duration::from_secs(5), accept).await.unwrap().unwrap();
}

#[tokio::test]
async fn exit_codes_signals_and_both_outputs() {
    let server = server!();
    let connection = connect(&server).await;
    let output = connection.run("echo out; echo err >&2; exit 7", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Code(7));
    assert_eq!((output.stdout_text().as_str(), output.stderr_text().as_str()), ("out\n", "err\n"));

    let output = connection.run("kill -KILL $$", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Signal("KILL".to_owned()));
    assert_eq!(output.exit.to_string(), "killed by SIGKILL");

    // Standard input always ends.
    let output = connection.run("cat; echo end", Input::None).await.unwrap();
    assert_eq!(output.stdout_text(), "end\n");
}

#[tokio::test]
async fn eight_mebibytes_through_cat() {
    let server = server!();
    let connection = connect(&server).await;
    let data: Bytes = (0..8u32 * 1024 * 1024).map(|index| (index % 251) as u8).collect();
    let output = connection.run("cat", data.clone().into()).await.unwrap();
    assert_eq!(output.exit, Exit::Code(0));
    assert!(output.stdout == data);
}

#[tokio::test]
async fn a_command_that_ignores_its_input() {
    let server = server!();
    let connection = connect(&server).await;
    let data = Bytes::from(vec![0; 16 * 1024 * 1024]);
    let output = connection.run("exec <&-; echo done", data.into()).await.unwrap();
    assert_eq!(output.stdout_text(), "done\n");
}

#[tokio::test]
async fn a_large_file_is_streamed() {
    let server = server!();
    let connection = connect(&server).await;
    let path = server.path("image.tar");
    let size = 128 * 1024 * 1024;
    fs::File::create(&path).unwrap().set_len(size).unwrap();
    let file = tokio::fs::File::open(&path).await.unwrap();
    let output = connection.run("wc -c", Input::reader(file)).await.unwrap();
    assert_eq!(output.stdout_text().trim(), size.to_string());
}

#[tokio::test]
async fn output_is_bounded() {
    let server = server!();
    let connection = connect(&server).await;
    let options = RunOptions { stdout_limit: 1024 * 1024, ..RunOptions::default() };
    let error = connection.run_with("yes", Input::None, &options).await.unwrap_err();
    assert!(
        matches!(error, SshError::OutputTooLong { stream: "standard output", limit: 1_048_576 }),
        "{error:?}"
    );
    // The connection is as good as before.
    assert!(connection.run("true", Input::None).await.unwrap().exit.success());
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_terminated() {
    let server = server!();
    let connection = connect(&server).await;
    let mark = server.path("terminated");
    // sshd passes the signal on for ordinary users; root's commands get SIGPIPE when they print.
    let command = format!(
        "trap 'touch {}; exit' TERM PIPE; while echo .; do sleep 0.1; done; touch {0}",
        mark.display()
    );
    let options = RunOptions { timeout: Some(Duration::from_millis(500)), ..RunOptions::default() };
    let error = connection.run_with(&command, Input::None, &options).await.unwrap_err();
    assert!(matches!(error, SshError::Timeout { .. }), "{error:?}");
    assert!(!error.could_not_reach());
    let deadline = Instant::now() + Duration::from_secs(10);
    while !mark.exists() {
        assert!(Instant::now() < deadline, "the command was not terminated");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(connection.run("true", Input::None).await.unwrap().exit.success());
}

#[tokio::test]
async fn sixty_commands_at_once() {
    let server = server!();
    let connection = connect(&server).await;
    let tasks: Vec<_> = (0..60)
        .map(|index| {
            let connection = connection.clone();
            tokio::spawn(async move {
                connection.run(&format!("echo {index}; cat"), format!("in {index}").into()).await
            })
        })
        .collect();
    for (index, task) in tasks.into_iter().enumerate() {
        let output = task.await.unwrap().unwrap();
        assert_eq!(output.stdout_text(), format!("{index}\nin {index}"));
    }
}

#[tokio::test]
async fn lines_arrive_while_the_command_runs() {
    let server = server!();
    let connection = connect(&server).await;
    let lines = Mutex::new(Vec::new());
    let command = "echo one; echo two >&2; sleep 1; printf three";
    let exit = connection
        .run_lines(command, Input::None, &RunOptions::default(), |stream, line| {
            lines.lock().unwrap().push((Instant::now(), stream, line.to_owned()));
        })
        .await
        .unwrap();
    assert!(exit.success());
    let lines = lines.into_inner().unwrap();
    let text = |stream| {
        let lines = lines.iter().filter(|(_, of, _)| *of == stream);
        lines.map(|(_, _, line)| line.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(text(Stream::Stdout), ["one", "three"]);
    assert_eq!(text(Stream::Stderr), ["two"]);
    let spread = lines.last().unwrap().0 - lines.first().unwrap().0;
    assert!(spread > Duration::from_millis(500), "{spread:?}");
}

/// Echo what every connection sends, on a free port.
async fn echo_server() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn tunnel_to_an_echo_server() {
    let server = server!();
    let connection = connect(&server).await;
    let port = echo_server().await;
    let tunnel = connection.tunnel("127.0.0.1", port).await.unwrap();
    // The tunnel outlives the handle it came from.
    drop(connection);
    let data = vec![42; 4 * 1024 * 1024];
    let (mut read, mut write) = tokio::io::split(tunnel);
    let send = async {
        write.write_all(&data).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut echoed = Vec::new();
    let ((), received) = tokio::join!(send, read.read_to_end(&mut echoed));
    assert_eq!(received.unwrap(), data.len());
    assert!(echoed == data);
}

#[tokio::test]
async fn tunnels_that_cannot_be() {
    let server = server!();
    let connection = connect(&server).await;
    let error = connection.tunnel("127.0.0.1", free_port()).await.unwrap_err();
    assert!(matches!(error, SshError::Tunnel { kind: TunnelError::Refused, .. }), "{error:?}");

    let server = server!("ed25519", "AllowTcpForwarding no");
    let connection = connect(&server).await;
    let error = connection.tunnel("127.0.0.1", echo_server().await).await.unwrap_err();
    assert!(matches!(error, SshError::Tunnel { kind: TunnelError::Prohibited, .. }), "{error:?}");
}

#[tokio::test]
async fn a_killed_server_is_a_lost_connection() {
    let server = server!();
    let connection = connect(&server).await;
    let waiting = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.run("sleep 30", Input::None).await })
    };
    // More input than the window takes, to a command that reads none of it.
    let writing = {
        let connection = connection.clone();
        let data = Bytes::from(vec![0; 16 * 1024 * 1024]);
        tokio::spawn(async move { connection.run("sleep 30", data.into()).await })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let killing = connection.run("kill -KILL $PPID; sleep 30", Input::None).await;
    for result in [killing, waiting.await.unwrap(), writing.await.unwrap()] {
        let error = result.unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert!(!error.could_not_reach());
    }
    assert!(connection.is_closed());
    assert!(connection.run("true", Input::None).await.unwrap_err().is_lost());
    assert!(connection.tunnel("127.0.0.1", 1).await.unwrap_err().is_lost());
}

#[tokio::test]
async fn a_server_that_stops_answering_is_a_lost_connection() {
    let server = server!();
    let mut host = server.host();
    host.ssh.keepalive = Duration::from_millis(300);
    let connection = connector().connect(&host).await.unwrap();
    // Freezes sshd, and ends it later in any case.
    let command = "p=$PPID; kill -STOP $p; sleep 5; kill -KILL $p";
    let begun = Instant::now();
    let error = connection.run(command, Input::None).await.unwrap_err();
    assert!(error.is_lost(), "{error:?}");
    assert!(error.to_string().contains("keepalives"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn closing_ends_what_runs() {
    let server = server!();
    let connection = connect(&server).await;
    let running = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.run("sleep 30", Input::None).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    connection.close().await;
    let error = running.await.unwrap().unwrap_err();
    assert!(error.is_lost(), "{error:?}");
    assert!(error.to_string().contains("closed by fleetadm"), "{error}");
}

/// Put a script called `sudo` first in the server's PATH.
fn fake_sudo(script: &str) -> Option<(Sshd, PathBuf)> {
    let bin = tempfile::TempDir::new().unwrap().keep();
    let sudo = bin.join("sudo");
    fs::write(&sudo, format!("#!/bin/sh\n{script}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&sudo, mode).unwrap();
    let config = format!("SetEnv PATH={}:/usr/bin:/bin", bin.display());
    Some((Sshd::start_with("ed25519", &config)?, bin))
}

#[tokio::test]
async fn becoming_root() {
    // Stands for a sudo that lets the user in: drops its own options and runs the rest.
    let Some((server, bin)) = fake_sudo("shift 2; BECAME=root exec \"$@\"") else { return };
    let mut host = server.host();
    host.ssh.become_root = Become::Sudo;
    let connection = connector().connect(&host).await.unwrap();
    let command = "echo \"$BECAME 'quoted' $0\"; cat; exit 3";
    let output = connection.run_as_root(command, "input".into()).await.unwrap();
    assert_eq!(output.stdout_text(), "root 'quoted' sh\ninput");
    assert_eq!(output.exit, Exit::Code(3));
    fs::remove_dir_all(bin).unwrap();

    let Some((server, bin)) = fake_sudo("echo 'sudo: a password is required' >&2; exit 1") else {
        return;
    };
    let mut host = server.host();
    host.ssh.become_root = Become::Sudo;
    let connection = connector().connect(&host).await.unwrap();
    let error = connection.run_as_root("true", Input::None).await.unwrap_err();
    assert!(
        matches!(error, SshError::Privilege(PrivilegeError::PasswordRequired { .. })),
        "{error:?}"
    );
    fs::remove_dir_all(bin).unwrap();
}

#[tokio::test]
async fn a_fleet_connects_once_per_host() {
    let server = server!();
    let mut hosts: Vec<Host> =
        (0..12).map(|index| Host { name: format!("node-{index}"), ..server.host() }).collect();
    hosts[5].ssh.port = free_port();
    let fleet = Arc::new(Fleet::new(connector(), 4));
    let outcomes = fleet.connect_all(&hosts, &CancellationToken::new()).await;
    for (index, (host, outcome)) in outcomes.iter().enumerate() {
        assert_eq!(host.name, format!("node-{index}"));
        match outcome {
            Outcome::Failed(SshError::Unreachable { .. }) => assert_eq!(index, 5),
            Outcome::Done(connection) => {
                assert!(connection.run("true", Input::None).await.unwrap().exit.success());
            }
            other => panic!("{other:?}"),
        }
    }
    // Asking again gives the same connections and the same failure, without connecting.
    drop(server);
    assert!(fleet.connection(&hosts[0]).await.is_ok());
    assert!(fleet.connection(&hosts[5]).await.is_err());
    fleet.close().await;
    let connection = fleet.connection(&hosts[0]).await.unwrap();
    assert!(connection.run("true", Input::None).await.unwrap_err().is_lost());
}
