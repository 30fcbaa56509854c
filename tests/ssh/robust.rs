//! Faults that pass, peers that stall, limits of the server and of the workstation.

use std::fs;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fleetadm::fleet::{Fleet, Outcome};
use fleetadm::inventory::Host;
use fleetadm::report::{Event, Reporter};
use fleetadm::ssh::{Connection, Exit, Input, RunOptions, SshError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::peers::Peer;
use crate::sshd::{Sshd, connector, free_port, said};
use crate::{connect, on_all};

fn at(server: &Sshd, port: u16) -> Host {
    let mut host = server.host();
    host.ssh_mut().port = Some(said(port));
    host
}

/// Whether to go on in this process. What looks at the whole process runs in one of its own, which this starts and waits
/// for.
fn alone(test: &str) -> bool {
    const MARK: &str = "FLEETADM_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let status = command.args(["--exact", test, "--nocapture"]).env(MARK, "1").status().unwrap();
    assert!(status.success(), "{test} failed");
    false
}

/// Open descriptors of this process, and tasks of this runtime.
fn held() -> (usize, usize) {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    (descriptors, tokio::runtime::Handle::current().metrics().num_alive_tasks())
}

async fn comes_true(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_busy_server_is_tried_again() {
    let server = server!();
    let port = server.port;
    // Drops connections as sshd does beyond MaxStartups, then lets them through.
    let peer = Peer::start(move |mut stream, number| async move {
        match number {
            0 => {}
            1 => stream.write_all(b"Exceeded MaxStartups\r\n").await.unwrap(),
            2 => {
                stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
                // With something unread it is a reset.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            _ => {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            }
        }
    })
    .await;
    let key = fs::read_to_string(server.path("host_ed25519.pub")).unwrap();
    server.write_known_hosts(&format!("[127.0.0.1]:{} {key}", peer.port));
    let (reporter, mut events) = Reporter::channel();
    let connector = connector().reporting_to(reporter);
    let connection = connector.connect(&at(&server, peer.port)).await.unwrap();
    assert!(connection.run("true", Input::None).await.unwrap().exit.success());
    for expected in ["closed the connection", "Exceeded MaxStartups", "closed the connection"] {
        let Some(Event::Note { host, text }) = events.recv().await else { panic!("no note") };
        assert_eq!(host, "node");
        assert!(text.contains(expected) && text.contains("; trying again in 0."), "{text}");
    }
}

#[tokio::test]
async fn a_refused_port_is_given_up_soon() {
    let server = server!();
    let begun = Instant::now();
    let error = connector().connect(&at(&server, free_port())).await.unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
    let took = begun.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_silent_host_gets_no_second_chance() {
    let server = server!();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let peer = Peer::start(move |stream, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let _open = stream;
            std::future::pending().await
        }
    })
    .await;
    let mut host = at(&server, peer.port);
    host.ssh_mut().connect_timeout = Some(said(Duration::from_secs(1)));
    let begun = Instant::now();
    let error = connector().connect(&host).await.unwrap_err();
    assert!(error.to_string().contains("no SSH handshake within 1 s"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_another_attempt_would_not_change_is_tried_once() {
    let server = server!();
    server.write_known_hosts("");
    let begun = Instant::now();
    assert!(connector().connect(&server.host()).await.is_err());
    let mut host = server.host();
    host.address = "no-such-host.invalid".to_owned();
    assert!(connector().connect(&host).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(server.log().matches("[preauth]").count(), 1, "{}", server.log());
}

#[tokio::test]
async fn stalled_peers_leave_nothing_behind() {
    if !alone("robust::stalled_peers_leave_nothing_behind") {
        return;
    }
    let (server, hop) = (server!(), server!());
    let connector = connector();
    // Whatever is made once is made now.
    let connection = connector.connect(&server.host()).await.unwrap();
    connection.close().await;
    drop(connection);
    let before = held();
    for jump in [None, Some(vec![hop.hop()])] {
        let mut peers = Vec::new();
        for index in 0..50 {
            // Silent at every stage, from the first byte to what follows the key exchange.
            peers.push(Peer::stalling(server.port, index * 35).await);
        }
        let key = fs::read_to_string(server.path("host_ed25519.pub")).unwrap();
        let line = |peer: &Peer| format!("[127.0.0.1]:{} {key}", peer.port);
        let known = server.path("known_hosts");
        fs::write(&known, peers.iter().map(line).collect::<String>()).unwrap();
        let connector = crate::sshd::connector();
        let attempts = peers.iter().map(|peer| {
            let mut host = at(&server, peer.port);
            host.ssh_mut().connect_timeout = Some(said(Duration::from_millis(1500)));
            host.ssh_mut().jump = jump.clone().map(said);
            let connector = &connector;
            async move { connector.connect(&host).await }
        });
        let results = futures::future::join_all(attempts).await;
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), peers.len());
        drop(results);
        // While the jump host's connection is still there.
        comes_true("connections are left", || peers.iter().all(|peer| peer.open() == 0)).await;
        drop(peers);
        connector.close().await;
        comes_true("something is left", || held() <= before).await;
    }
}

/// Keep `connection` busy in both directions.
fn exchange(connection: &Connection) -> Vec<JoinHandle<Result<Exit, SshError>>> {
    let data = Bytes::from(vec![0; 256 * 1024 * 1024]);
    let run = |command: &'static str, input: Input| {
        let connection = connection.clone();
        tokio::spawn(async move {
            connection.run_lines(command, input, &RunOptions::default(), |_, _| {}).await
        })
    };
    let sending = (0..4).map(|_| run("cat > /dev/null", data.clone().into()));
    sending.chain((0..4).map(|_| run("yes", Input::None))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_nothing_more_is_noticed_while_data_waits() {
    let (server, hop) = (server!(), server!());
    for jump in [None, Some(vec![hop.hop()])] {
        let deaf = Arc::new(AtomicBool::new(false));
        let peer = Peer::deafening(server.port, Arc::clone(&deaf)).await;
        let key = fs::read_to_string(server.path("host_ed25519.pub")).unwrap();
        let known = format!("[127.0.0.1]:{} {key}[127.0.0.1]:{} {key}", peer.port, server.port);
        server.write_known_hosts(&known);
        let connector = connector();
        let connect = async |port, keepalive| {
            let mut host = at(&server, port);
            host.ssh_mut().keepalive = Some(said(keepalive));
            host.ssh_mut().jump = jump.clone().map(said);
            connector.connect(&host).await.unwrap()
        };
        let neighbour = connect(server.port, Duration::from_secs(15)).await;
        let connection = connect(peer.port, Duration::from_secs(1)).await;
        let busy = exchange(&connection);
        tokio::time::sleep(Duration::from_millis(500)).await;
        deaf.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_millis(500)).await;
        // Whatever goes through the same jump host is not held up.
        let output = neighbour.run("true", Input::None).await.unwrap();
        assert!(output.exit.success());
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        for task in busy {
            let error = task.await.unwrap().unwrap_err();
            assert!(error.to_string().contains("lost: the host takes nothing"), "{error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
        assert!(!neighbour.is_closed());
    }
}

#[tokio::test]
async fn room_for_one_session_is_enough() {
    for sessions in ["MaxSessions 1", "MaxSessions 2"] {
        let server = server!("ed25519", sessions);
        let connection = connect(&server).await;
        // It takes longer than a refused session is asked for again.
        let long = {
            let connection = connection.clone();
            tokio::spawn(async move { connection.run("sleep 6; echo long", Input::None).await })
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        let short = (0..12).map(|index| {
            let connection = connection.clone();
            async move { connection.run(&format!("echo {index}"), Input::None).await }
        });
        for (index, output) in futures::future::join_all(short).await.into_iter().enumerate() {
            assert_eq!(output.unwrap().stdout_text(), format!("{index}\n"));
        }
        assert_eq!(long.await.unwrap().unwrap().exit, Exit::Code(0));
    }
    let server = server!("ed25519", "MaxSessions 0");
    let error = connect(&server).await.run("true", Input::None).await.unwrap_err();
    assert!(matches!(error, SshError::Channel { .. }), "{error:?}");
    assert!(error.to_string().contains("MaxSessions"), "{error}");
}

/// Run `fleetadm exec -- true` on `count` hosts that are one server, from a shell that has run `setup`.
fn exec(server: &Sshd, count: usize, setup: &str, options: &str) -> Output {
    let key = fs::read_to_string(server.path("host_ed25519.pub")).unwrap();
    server.write_known_hosts(&format!("[127.*]:{} {key}", server.port));
    let host = server.host();
    let inventory = format!(
        "[ssh]\nuser = {:?}\nport = {}\nidentity_file = {:?}\nknown_hosts = {:?}\n\n\
         [[hosts]]\nname = \"node-[1-{count}]\"\naddress = \"127.0.0.[1-{count}]\"\nrole = \"worker\"\n",
        host.ssh.user.clone().unwrap().value,
        server.port,
        server.path("id_ed25519"),
        server.path("known_hosts"),
    );
    let path = server.path("inventory.toml");
    fs::write(&path, inventory).unwrap();
    let fleetadm = env!("CARGO_BIN_EXE_fleetadm");
    let script = format!("{setup}; exec {fleetadm} -i {} {options} exec -- true", path.display());
    Command::new("sh").args(["-c", &script]).output().unwrap()
}

#[test]
fn few_open_files_are_enough_for_many_hosts() {
    let server = server!("ed25519", "ListenAddress 0.0.0.0\nMaxStartups 100");
    for limit in ["ulimit -Sn 32", "ulimit -n 40"] {
        let output = exec(&server, 100, limit, "");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{limit}: {text}");
        // As far as it may be raised it is.
        let told = text.matches("connections are open at a time").count();
        assert_eq!(told, usize::from(limit == "ulimit -n 40"), "{text}");
    }
}

#[tokio::test]
async fn connections_that_nobody_uses_make_room() {
    if !alone("robust::connections_that_nobody_uses_make_room") {
        return;
    }
    let server = server!("ed25519", "ListenAddress 0.0.0.0\nMaxStartups 100");
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) })
        .unwrap();
    let key = fs::read_to_string(server.path("host_ed25519.pub")).unwrap();
    server.write_known_hosts(&format!("[127.*]:{} {key}", server.port));
    let host = |index: u8| {
        let (name, address) = (format!("node-{index}"), format!("127.0.0.{index}"));
        Host { name, address, ..server.host() }
    };
    let hosts: Vec<Host> = (1..=60).map(host).collect();
    let (reporter, mut events) = Reporter::channel();
    let fleet = Fleet::new(connector().reporting_to(reporter), 10);
    assert_eq!(fleet.most_connections(), 32);
    // None is given back, and all are used once more.
    for _ in 0..2 {
        let outcomes = on_all(&hosts, async |host| {
            fleet.connection(host).await?.run("true", Input::None).await
        })
        .await;
        for (host, outcome) in outcomes {
            assert!(matches!(outcome, Outcome::Done(_)), "{}: {outcome:?}", host.name);
        }
    }
    fleet.close().await;
    drop(fleet);
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Message { text } = event {
            told.push(text);
        }
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("at most 32 connections are open at a time"), "{told:?}");
}

#[test]
fn attempts_are_told_where_the_operator_wants_to_know() {
    let server = server!();
    let host = |options| {
        let output = exec(&server, 2, "true", options);
        assert_eq!(output.status.code(), Some(4));
        String::from_utf8(output.stderr).unwrap()
    };
    // The second address is not listened on.
    assert!(!host("").contains("trying again"));
    let text = host("-v");
    let told = |line: &&str| {
        line.starts_with("node-2 ")
            && line.contains("cannot reach 127.0.0.2")
            && line.contains("; trying again in ")
    };
    assert!(text.lines().filter(told).count() >= 2, "{text}");
}
