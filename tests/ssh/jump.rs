//! Through jump hosts.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetadm::fleet::{Fleet, Outcome};
use fleetadm::inventory::{Hop, Host};
use fleetadm::ssh::{Connector, Environment, HostKeyError, Input, SshConfig, SshError};

use crate::on_all;
use crate::sshd::{Sshd, connector, free_port, keygen, login_user, said};

/// `target` behind `hops`, the nearest first.
fn behind(target: &Sshd, hops: Vec<Hop>) -> Host {
    let mut host = target.host();
    host.ssh_mut().jump = Some(said(hops));
    host
}

/// Why `host` cannot be reached; it must be the fault of the jump host at `port`.
async fn jump_error(host: &Host, port: u16) -> SshError {
    let error = connector().connect(host).await.unwrap_err();
    assert!(error.could_not_reach());
    let text = error.to_string();
    assert!(text.starts_with(&format!("jump host 127.0.0.1:{port}")), "{text}");
    match error {
        SshError::Jump { error, .. } => *error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn three_hops_with_keys_of_their_own() {
    let (first, second) = (server!(), server!("ecdsa", ""));
    let (third, target) = (server!("rsa", ""), server!());
    let hops = vec![first.hop(), second.hop(), third.hop()];
    let connector = connector();
    let connection = connector.connect(&behind(&target, hops)).await.unwrap();
    let output = connection.run("echo hello; cat", "there".into()).await.unwrap();
    assert_eq!(output.stdout_text(), "hello\nthere");
    // Whoever is behind the first two alone shares them.
    let shorter =
        connector.connect(&behind(&third, vec![first.hop(), second.hop()])).await.unwrap();
    assert!(shorter.run("true", Input::None).await.unwrap().exit.success());
    assert_eq!([&first, &second, &third, &target].map(Sshd::logins), [1, 1, 2, 1]);
    connector.close().await;
    let error = connection.run("true", Input::None).await.unwrap_err();
    assert!(error.is_lost(), "{error:?}");
}

#[tokio::test]
async fn much_in_both_directions_at_once() {
    let (first, second, target) = (server!(), server!(), server!());
    let connector = connector();
    let host = behind(&target, vec![first.hop(), second.hop()]);
    let connection = connector.connect(&host).await.unwrap();
    let data = bytes::Bytes::from(vec![7; 16 * 1024 * 1024]);
    let copies = (0..4).map(|_| connection.run("cat", data.clone().into()));
    let copies = futures::future::join_all(copies);
    // Many small pieces come while the others wait for room to send.
    let lines = connection.run("yes | head -n 200000", Input::None);
    let (copies, lines) = tokio::join!(copies, lines);
    for copy in copies {
        assert!(copy.unwrap().stdout == data);
    }
    assert_eq!(lines.unwrap().stdout.len(), 400_000);
}

#[tokio::test]
async fn a_jump_host_out_of_reach_is_named_and_tried_once() {
    let target = server!();
    // Takes connections and closes them, as a busy sshd does, or a closed port behind a load balancer.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let hop = Hop { port: Some(port), ..target.hop() };
    let hosts: Vec<Host> = (0..20)
        .map(|index| Host { name: format!("node-{index}"), ..behind(&target, vec![hop.clone()]) })
        .collect();
    let fleet = Fleet::new(connector(), 4);
    let begun = Instant::now();
    let outcomes = on_all(&hosts, |host| fleet.connection(host)).await;
    for (_, outcome) in outcomes {
        let Outcome::Failed(error) = outcome else { panic!("{outcome:?}") };
        assert!(error.could_not_reach());
        let expected = format!("jump host 127.0.0.1:{port} cannot be reached: connection refused");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    // One round of attempts, not twenty.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_host_key_of_every_hop_is_checked() {
    let (first, second, target) = (server!(), server!(), server!());
    keygen(&second.path("other"), &["-t", "ed25519", "-N", ""]);
    let host = behind(&target, vec![first.hop(), second.hop()]);

    second.write_known_hosts("");
    let error = jump_error(&host, second.port).await;
    assert!(matches!(error, SshError::HostKey(HostKeyError::Unknown { .. })), "{error:?}");

    second.write_known_hosts(&second.known_hosts_line("other.pub"));
    let error = jump_error(&host, second.port).await;
    assert!(matches!(error, SshError::HostKey(HostKeyError::Changed { .. })), "{error:?}");
    assert_eq!((second.logins(), target.logins()), (0, 0));

    // The key of the host at the end is its own affair, not a hop's.
    second.write_known_hosts(&second.known_hosts_line("host_ed25519.pub"));
    target.write_known_hosts("");
    let error = connector().connect(&host).await.unwrap_err();
    assert!(matches!(error, SshError::HostKey(HostKeyError::Unknown { .. })), "{error:?}");
    assert_eq!((second.logins(), target.logins()), (1, 0));
}

#[tokio::test]
async fn a_hop_that_refuses_the_login() {
    let (first, second, target) = (server!(), server!(), server!());
    let stranger = second.path("stranger");
    keygen(&stranger, &["-t", "ed25519", "-N", ""]);
    let mut hop = second.hop();
    hop.ssh.identity_files = Some(said(vec![stranger]));
    let host = behind(&target, vec![first.hop(), hop]);
    let error = jump_error(&host, second.port).await;
    assert!(matches!(error, SshError::Authentication { .. }), "{error:?}");
}

#[tokio::test]
async fn hops_that_let_nobody_through() {
    let target = server!();
    for config in ["AllowTcpForwarding no", "PermitOpen 127.0.0.1:1"] {
        let hop = server!("ed25519", config);
        let error = connector().connect(&behind(&target, vec![hop.hop()])).await.unwrap_err();
        assert!(matches!(error, SshError::Unreachable { .. }), "{error:?}");
        let text = error.to_string();
        let begins = format!(
            "cannot reach 127.0.0.1:{}: jump host 127.0.0.1:{} forbids",
            target.port, hop.port
        );
        assert!(text.starts_with(&begins), "{text}");
        assert!(text.contains("AllowTcpForwarding") && text.contains("PermitOpen"), "{text}");
    }
    let hop = server!("ed25519", "");
    let key = fs::read_to_string(hop.path("id_ed25519.pub")).unwrap();
    fs::write(hop.path("authorized_keys"), format!("no-port-forwarding {key}")).unwrap();
    let error = connector().connect(&behind(&target, vec![hop.hop()])).await.unwrap_err();
    assert!(error.to_string().contains("forbids"), "{error}");
}

#[tokio::test]
async fn what_the_jump_host_cannot_reach() {
    let (hop, target) = (server!(), server!());
    let mut host = behind(&target, vec![hop.hop()]);
    let port = free_port();
    host.ssh_mut().port = Some(said(port));
    let begun = Instant::now();
    let error = connector().connect(&host).await.unwrap_err();
    assert!(matches!(error, SshError::Unreachable { .. }), "{error:?}");
    let begins = format!("cannot reach 127.0.0.1:{port}: jump host 127.0.0.1:{} has no", hop.port);
    assert!(error.to_string().starts_with(&begins), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    // The workstation does not resolve names that only the jump host may know.
    host.address = "no-such-host.invalid".to_owned();
    let error = connector().connect(&host).await.unwrap_err();
    assert!(error.to_string().contains("jump host"), "{error}");
}

#[tokio::test]
async fn a_lost_jump_host_is_named_and_reconnected() {
    let (hop, target) = (server!(), server!());
    let hosts: Vec<Host> = (0..5)
        .map(|index| Host { name: format!("node-{index}"), ..behind(&target, vec![hop.hop()]) })
        .collect();
    let fleet = Fleet::new(connector(), 5);
    let connect = || on_all(&hosts, |host| fleet.connection(host));
    let mut connections = Vec::new();
    for (_, outcome) in connect().await {
        let Outcome::Done(connection) = outcome else { panic!("{outcome:?}") };
        connections.push(connection);
    }
    assert_eq!((hop.logins(), target.logins()), (1, 5));

    let running: Vec<_> = connections
        .iter()
        .cloned()
        .map(|connection| {
            tokio::spawn(async move { connection.run("sleep 30", Input::None).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    hop.kill_sessions();
    let expected = format!("the jump host 127.0.0.1:{} was lost: ", hop.port);
    for task in running {
        let error = task.await.unwrap().unwrap_err();
        assert!(error.is_lost(), "{error:?}");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    let error = connections[0].run("true", Input::None).await.unwrap_err();
    assert!(error.to_string().contains(&expected), "{error}");

    for (_, outcome) in connect().await {
        let Outcome::Done(connection) = outcome else { panic!("{outcome:?}") };
        assert!(connection.run("true", Input::None).await.unwrap().exit.success());
    }
    assert_eq!((hop.logins(), target.logins()), (2, 10));
    fleet.close().await;
}

#[tokio::test]
async fn a_jump_host_that_stops_answering_takes_its_hosts_with_it() {
    let (hop, target) = (server!(), server!());
    let mut host = behind(&target, vec![hop.hop()]);
    host.ssh_mut().keepalive = Some(said(Duration::from_millis(300)));
    let connection = connector().connect(&host).await.unwrap();
    let running = tokio::spawn(async move { connection.run("sleep 30", Input::None).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    hop.signal_sessions("STOP");
    let error = running.await.unwrap().unwrap_err();
    hop.signal_sessions("KILL");
    let expected =
        format!("the jump host 127.0.0.1:{} was lost: the host stopped answering", hop.port);
    assert!(error.to_string().contains(&expected), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_host_that_stops_answering_is_not_its_jump_hosts_fault() {
    let (hop, target, other) = (server!(), server!(), server!());
    let mut host = behind(&target, vec![hop.hop()]);
    host.ssh_mut().keepalive = Some(said(Duration::from_millis(300)));
    let connector = connector();
    let connection = connector.connect(&host).await.unwrap();
    let command = "p=$PPID; kill -STOP $p; sleep 5; kill -KILL $p";
    let error = connection.run(command, Input::None).await.unwrap_err();
    assert!(error.to_string().contains("lost: the host stopped answering keepalives"), "{error}");
    assert!(!error.to_string().contains("jump host"), "{error}");
    // The way there is as good as before.
    let other = behind(&other, vec![hop.hop()]);
    let connection = connector.connect(&other).await.unwrap();
    assert!(connection.run("true", Input::None).await.unwrap().exit.success());
    assert_eq!(hop.logins(), 1);
}

/// All of it with MaxStartups and MaxSessions as sshd has them by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_hosts_through_one_jump_host() {
    // One server that is three hundred hosts, each with an address of its own.
    let (hop, target) = (server!(), server!("ed25519", "ListenAddress 0.0.0.0"));
    let key = fs::read_to_string(target.path("host_ed25519.pub")).unwrap();
    target.write_known_hosts(&format!("[127.*]:{} {key}", target.port));
    let hosts: Vec<Host> = (0..300)
        .map(|index| Host {
            name: format!("node-{index}"),
            address: format!("127.1.{}.{}", index / 100, index % 100 + 1),
            ..behind(&target, vec![hop.hop()])
        })
        .collect();
    let fleet = Fleet::new(connector(), 64);
    let begun = Instant::now();
    let outcomes = on_all(&hosts, async |host| {
        let connection = fleet.connection(host).await?;
        connection.run("true", Input::None).await
    })
    .await;
    eprintln!("300 hosts took {:?}", begun.elapsed());
    for (host, outcome) in outcomes {
        let Outcome::Done(output) = outcome else { panic!("{}: {outcome:?}", host.name) };
        assert!(output.exit.success());
    }
    assert_eq!((hop.logins(), target.logins()), (1, 300));
    fleet.close().await;
}

/// A connector that reads this configuration of OpenSSH's.
fn configured(server: &Sshd, text: &str) -> Connector {
    let path = server.path("ssh_config");
    fs::write(&path, text).unwrap();
    Connector::new(Environment { ssh_config: SshConfig::File(path), ..Environment::default() })
}

/// OpenSSH's client as a way through `hop`.
fn client_through(hop: &Sshd) -> String {
    format!(
        "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i {} -o UserKnownHostsFile={} -p {} -W %h:%p {}@127.0.0.1",
        hop.path("id_ed25519").display(),
        hop.path("known_hosts").display(),
        hop.port,
        login_user()
    )
}

#[tokio::test]
async fn a_proxy_command_leads_to_the_first_jump_host() {
    let (first, second, target) = (server!(), server!(), server!());
    let block = |name: &str, server: &Sshd, way: &str| {
        format!(
            "Host {name}\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n  \
             UserKnownHostsFile {}\n  {way}\n",
            server.port,
            login_user(),
            server.path("id_ed25519").display(),
            server.path("known_hosts").display(),
        )
    };
    let through = format!("ProxyCommand {}", client_through(&first));
    let config = block("inner", &target, "ProxyJump gate") + &block("gate", &second, &through);
    let connector = configured(&target, &config);
    let host = Host { address: "inner".to_owned(), ssh: Arc::default(), ..target.host() };
    let connection = connector.connect(&host).await.unwrap();
    let output = connection.run("echo hello", Input::None).await.unwrap();
    assert_eq!(output.stdout_text(), "hello\n");
    assert_eq!([&first, &second, &target].map(Sshd::logins), [1, 1, 1]);
    connection.close().await;
    connector.close().await;
    // The command has ended with what went through it.
    let deadline = Instant::now() + Duration::from_secs(5);
    while !first.log().contains("Received disconnect") && !first.log().contains("closed by") {
        assert!(Instant::now() < deadline, "{}", first.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_proxy_command_that_fails_says_why() {
    let server = server!();
    let mut host = server.host();
    host.ssh_mut().connect_timeout = Some(said(Duration::from_secs(1)));
    for (command, expected) in [
        (
            "sh -c 'echo no way to %h port %p >&2; exit 1'",
            "said anything: no way to 127.0.0.1 port",
        ),
        ("/nonexistent/proxy", "not found"),
        ("sh -c 'echo waiting for a miracle >&2; sleep 60'", "says: waiting for a miracle"),
        ("true", "it does not say why"),
    ] {
        let connector = configured(&server, &format!("Host *\n  ProxyCommand {command}\n"));
        let error = connector.connect(&host).await.unwrap_err();
        assert!(matches!(error, SshError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("ProxyCommand"), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
