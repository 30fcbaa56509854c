//! Getting in: keys, agents, host keys, and what is said when it does not work.

use std::fs;
use std::process::Command;
use std::time::Duration;

use fleetadm::inventory::Host;
use fleetadm::ssh::{Connector, Environment, Exit, HostKeyError, Input, SshError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::sshd::{Agent, Sshd, connector, free_port, keygen, said};

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
        host.ssh_mut().identity_files = Some(said(vec![server.authorize(name, arguments)]));
        works(&connector, &host).await;
    }
}

#[tokio::test]
async fn agent_keys_and_certificates() {
    let server = server!();
    let agent = Agent::start(server.directory.path());
    let mut host = server.host();
    host.ssh_mut().identity_files = None;
    host.ssh_mut().identity_agent = Some(said(agent.socket.clone()));

    let error = connect_error(&host).await;
    assert!(error.to_string().contains("holds no keys"), "{error}");

    // A key the server does not know comes first, and must not be the end of it.
    let stranger = server.path("stranger");
    keygen(&stranger, &["-t", "ed25519", "-N", ""]);
    agent.add(&stranger);
    agent.add(&server.authorize("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]));
    works(&connector(), &host).await;

    // SSH_AUTH_SOCK does as well as a configured socket.
    host.ssh_mut().identity_agent = None;
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
    let user = host.ssh.user.clone().unwrap().value;
    let status = Command::new("ssh-keygen")
        .args(["-q", "-I", "test", "-n", &user, "-s"])
        .args([server.path("ca"), server.path("id_ed25519.pub")])
        .status()
        .unwrap();
    assert!(status.success());
    let agent = Agent::start(server.directory.path());
    agent.add(&server.path("id_ed25519"));

    let mut host = host;
    host.ssh_mut().identity_files = None;
    host.ssh_mut().identity_agent = Some(said(agent.socket.clone()));
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
    host.ssh_mut().identity_files = None;
    host.ssh_mut().known_hosts = None;
    let environment = Environment { home: Some(home), ..Environment::default() };
    works(&Connector::new(environment), &host).await;
}

#[tokio::test]
async fn refused_keys_say_what_was_tried() {
    let server = server!();
    let mut host = server.host();
    let stranger = server.path("stranger");
    keygen(&stranger, &["-t", "ed25519", "-N", ""]);
    host.ssh_mut().identity_files = Some(said(vec![stranger.clone()]));
    let error = connect_error(&host).await;
    assert!(matches!(error, SshError::Authentication { .. }), "{error:?}");
    assert!(error.could_not_reach());
    assert!(error.to_string().contains(&format!("tried {}", stranger.display())), "{error}");

    host.ssh_mut().identity_files = Some(said(vec![server.path("absent")]));
    let error = connect_error(&host).await;
    assert!(error.to_string().ends_with("absent (no such file)"), "{error}");

    for (name, format) in [("encrypted", "RFC4716"), ("encrypted_pem", "PEM")] {
        let key =
            server.authorize(name, &["-t", "rsa", "-b", "2048", "-m", format, "-N", "secret"]);
        host.ssh_mut().identity_files = Some(said(vec![key]));
        let error = connect_error(&host).await;
        assert!(matches!(error, SshError::Authentication { .. }), "{error:?}");
        let reason = "is encrypted, and there is no terminal to ask on; add it to the agent with";
        assert!(error.to_string().contains(reason), "{error}");
    }

    host.ssh_mut().identity_files = Some(said(vec![server.path("id_ed25519.pub")]));
    let error = connect_error(&host).await;
    assert!(error.to_string().contains("is a public key"), "{error}");

    host.ssh_mut().identity_files = None;
    let error = connect_error(&host).await;
    assert!(error.to_string().contains("no key to offer"), "{error}");
}

#[tokio::test]
async fn too_many_keys() {
    let server = server!("ed25519", "MaxAuthTries 2");
    let mut host = server.host();
    let strangers = (0..4).map(|index| {
        let key = server.path(&format!("stranger{index}"));
        keygen(&key, &["-t", "ed25519", "-N", ""]);
        key
    });
    host.ssh_mut().identity_files = Some(said(strangers.collect()));
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
    assert!(error.to_string().contains("`fleetadm trust -l node`"), "{error}");

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
    host.ssh_mut().port = Some(said(free_port()));
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
    host.ssh_mut().port = Some(said(listener.local_addr().unwrap().port()));
    host.ssh_mut().connect_timeout = Some(said(Duration::from_millis(300)));
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
