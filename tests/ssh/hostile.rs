//! Servers that mean harm, or are no SSH servers at all: none may harm more than its own host's result.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleetadm::fleet::{Fleet, Outcome};
use fleetadm::inventory::{Hop, Host};
use fleetadm::ssh::{Connection, HostKeyError, Input, RunOptions, SshError};

use crate::on_all;
use crate::peers::{Peer, Trick, known_host};
use crate::sshd::{Sshd, connector, keygen, said};

/// A key for rogue servers.
fn rogue_key(server: &Sshd, name: &str) -> PathBuf {
    let path = server.path(name);
    keygen(&path, &["-t", "ed25519", "-N", ""]);
    path
}

/// `server`'s host entry at another port, with little patience.
fn at(server: &Sshd, port: u16) -> Host {
    let mut host = server.host();
    host.ssh_mut().port = Some(said(port));
    host.ssh_mut().connect_timeout = Some(said(Duration::from_secs(5)));
    host.ssh_mut().command_timeout = Some(said(Duration::from_secs(3)));
    host
}

async fn work(fleet: &Fleet, host: &Host) -> Result<usize, SshError> {
    let connection = fleet.connection(host).await?;
    let mut lines = 0;
    let options = RunOptions::default();
    connection.run_lines("echo done", Input::None, &options, |_, _| lines += 1).await?;
    Ok(lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_do_not_suffer() {
    let (server, hop) = (server!(), server!());
    let key = rogue_key(&server, "rogue");
    let mut peers = Vec::new();
    let mut bad = |peer: Peer, expected: &'static str| peers.push((peer, expected));

    let no_server = "no SSH server answers there but something that says";
    bad(Peer::saying("").await, "no SSH handshake within 5 s");
    bad(Peer::saying("SSH-2.0-half").await, "no SSH handshake within 5 s");
    bad(Peer::saying("SSH-2.0-mute\r\n").await, "no SSH handshake within 5 s");
    bad(Peer::saying("SSH-2.0-large\r\n\0\u{3}\0\0").await, "no SSH handshake within 5 s");
    bad(Peer::saying(*b"SSH-2.0-huge\r\n\xff\xff\xff\xff").await, "Bad packet size");
    bad(Peer::babbling("\u{1b}[31mgarbage").await, no_server);
    bad(Peer::babbling("\u{1b}[31mgarbage\r\n").await, no_server);
    bad(Peer::hanging_up("HTTP/1.1 400 Bad Request\r\n\r\n").await, no_server);
    bad(Peer::stalling(server.port, 500).await, "no SSH handshake within 5 s");
    for (trick, expected) in [
        (Trick::EscapesInGoodbye, "the server closed it: go away"),
        (Trick::LongGoodbye, "the server closed it: go away"),
        (Trick::EndlessOutput, "the host prints nonsense"),
        (Trick::EndlessErrors, "the host prints nonsense"),
        (Trick::SilentExec, "did not finish within 3 s"),
        (Trick::NoStatus, "without an exit status"),
        (Trick::EscapesInRefusal, "did not accept"),
    ] {
        bad(Peer::rogue(std::slice::from_ref(&key), trick).await, expected);
    }
    let good = Peer::rogue(std::slice::from_ref(&key), Trick::None).await;
    let known: String = peers.iter().map(|(peer, _)| known_host(peer.port, &key)).collect();
    server.write_known_hosts(&format!(
        "{}{known}{}",
        server.known_hosts_line("host_ed25519.pub"),
        known_host(good.port, &key)
    ));

    // Each of them directly and behind a jump host that serves healthy hosts as well.
    let direct: Option<Vec<Hop>> = None;
    let mut hosts = Vec::new();
    for (way, jump) in [("direct", direct), ("behind", Some(vec![hop.hop()]))] {
        let mut add = |name: String, port: u16| {
            let mut host = Host { name: format!("{name}-{way}"), ..at(&server, port) };
            host.ssh_mut().jump = jump.clone().map(said);
            hosts.push(host);
        };
        for (index, (peer, _)) in peers.iter().enumerate() {
            add(index.to_string(), peer.port);
        }
        for index in 0..5 {
            add(format!("healthy{index}"), server.port);
        }
        add("healthy-rogue".to_owned(), good.port);
    }
    let fleet = Fleet::new(connector(), 64);
    let begun = Instant::now();
    let outcomes = on_all(&hosts, async |host| {
        let result = work(&fleet, host).await;
        result.map_err(|error| (error, begun.elapsed())).map(|lines| (lines, begun.elapsed()))
    })
    .await;
    for (host, outcome) in outcomes {
        let index = host.name.split('-').next().unwrap().parse::<usize>();
        match (index, outcome) {
            (Ok(index), Outcome::Failed((error, took))) => {
                let (text, expected) = (error.to_string(), peers[index].1);
                assert!(text.contains(expected), "{}: {text}, not {expected}", host.name);
                assert!(text.chars().count() < 600, "{}: {text}", host.name);
                assert!(!text.contains(|c: char| c.is_control()), "{}: {text:?}", host.name);
                assert!(took < Duration::from_secs(15), "{}: {took:?}", host.name);
            }
            (Err(_), Outcome::Done((lines, took))) => {
                assert_eq!(lines, 1);
                assert!(took < Duration::from_secs(10), "{}: {took:?}", host.name);
            }
            (_, outcome) => panic!("{}: {outcome:?}", host.name),
        }
    }
    assert_eq!(hop.logins(), 1);
}

#[tokio::test]
async fn a_host_key_that_changes_with_the_second_connection() {
    let server = server!();
    let keys = [rogue_key(&server, "one"), rogue_key(&server, "two")];
    let peer = Peer::rogue(&keys, Trick::EscapesInGoodbye).await;
    server.write_known_hosts(&known_host(peer.port, &keys[0]));
    let fleet = Fleet::new(connector(), 1);
    let host = at(&server, peer.port);
    let connection = fleet.connection(&host).await.unwrap();
    assert!(connection.run("true", Input::None).await.unwrap_err().is_lost());
    for _ in 0..2 {
        let error = fleet.connection(&host).await.unwrap_err();
        assert!(matches!(error, SshError::HostKey(HostKeyError::Changed { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn a_session_that_is_never_opened_can_be_given_up() {
    let server = server!();
    let key = rogue_key(&server, "rogue");
    let peer = Peer::rogue(std::slice::from_ref(&key), Trick::SilentOpen).await;
    server.write_known_hosts(&known_host(peer.port, &key));
    let connection: Connection = connector().connect(&at(&server, peer.port)).await.unwrap();
    let running = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.run("true", Input::None).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!running.is_finished());
    connection.close().await;
    let error = tokio::time::timeout(Duration::from_secs(3), running).await.unwrap().unwrap();
    assert!(error.unwrap_err().is_lost());
}
