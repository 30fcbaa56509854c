//! Leases of a host over real connections: one holder at a time, several that share, and nobody once the connection is gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleetadm::fleet::{Fleet, Link};
use fleetadm::inventory::{Become, Host};
use fleetadm::node::{Answer, LEASE_LIMIT, Lease, Mode, Node, Payload, Sharing, SshTransport};

use crate::sshd::{Sshd, connector, said};

/// A workstation with a connection of its own.
struct Workstation {
    fleet: Arc<Fleet>,
    node: Node,
    link: Link,
}

impl Workstation {
    fn of(server: &Sshd) -> Self {
        Self::reaching(server.host(), server)
    }

    fn reaching(host: Host, server: &Sshd) -> Self {
        let fleet = Arc::new(Fleet::new(connector(), 1));
        let link = Link::new(fleet.clone(), Arc::new(host));
        let payload = Payload::kept_in(server.path("fleetadm").to_str().unwrap());
        let transport = Arc::new(SshTransport::new(link.clone()));
        Self { fleet, node: Node::new("one", transport, Mode::Apply).with_payload(payload), link }
    }

    async fn ask(&self, sharing: Sharing, holder: &str) -> Answer {
        self.node.lease("host", sharing, holder).await.unwrap()
    }

    async fn granted(&self, sharing: Sharing, holder: &str) -> Lease {
        let begun = Instant::now();
        loop {
            match self.ask(sharing, holder).await {
                Answer::Granted(lease) => return lease,
                other => assert!(begun.elapsed() < Duration::from_secs(10), "{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn busy(&self, sharing: Sharing) -> Vec<String> {
        match self.ask(sharing, "late").await {
            Answer::Busy(holders) => holders,
            other => panic!("{other:?}"),
        }
    }
}

fn lease_file(server: &Sshd) -> PathBuf {
    server.path("fleetadm-host.lease")
}

#[tokio::test]
async fn whoever_comes_as_a_lease_is_let_go_is_told_or_gets_it() {
    let server = server!();
    let held = Arc::new(AtomicBool::new(false));
    let mut contenders = tokio::task::JoinSet::new();
    for number in 0..6 {
        let (workstation, held) = (Workstation::of(&server), held.clone());
        contenders.spawn(async move {
            let mut granted = 0;
            for _ in 0..40 {
                match workstation.ask(Sharing::Exclusive, &format!("number {number}")).await {
                    Answer::Granted(lease) => {
                        assert!(!held.swap(true, Ordering::SeqCst), "two hold it");
                        granted += 1;
                        held.store(false, Ordering::SeqCst);
                        drop(lease);
                    }
                    Answer::Busy(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            granted
        });
    }
    let granted = contenders.join_all().await;
    assert!(granted.iter().sum::<usize>() > 20, "{granted:?}");
}

#[tokio::test]
async fn a_lease_has_one_holder_until_it_is_let_go() {
    let server = server!();
    let (ann, bob) = (Workstation::of(&server), Workstation::of(&server));
    let lease = ann.granted(Sharing::Exclusive, "ann@laptop since noon").await;
    assert_eq!(bob.busy(Sharing::Exclusive).await, ["ann@laptop since noon"]);
    assert_eq!(bob.busy(Sharing::Shared).await, ["ann@laptop since noon"]);
    // Other commands go on beside it.
    assert!(ann.node.read(&["/etc/hostname"]).await.is_ok());
    assert!(lease.is_held());
    drop(lease);
    let lease = bob.granted(Sharing::Exclusive, "bob").await;
    assert_eq!(ann.busy(Sharing::Exclusive).await, ["bob"]);
    drop(lease);
    let begun = Instant::now();
    while lease_file(&server).exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the lock is left on the host");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_lease_can_be_shared() {
    let server = server!();
    let (ann, bob) = (Workstation::of(&server), Workstation::of(&server));
    let of_ann = ann.granted(Sharing::Shared, "ann").await;
    let _of_bob = bob.granted(Sharing::Shared, "bob").await;
    let eve = Workstation::of(&server);
    assert_eq!(eve.busy(Sharing::Exclusive).await, ["ann", "bob"]);
    drop(of_ann);
    let begun = Instant::now();
    // Only who is still there is named.
    while eve.busy(Sharing::Exclusive).await != ["bob"] {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_lost_connection_lets_go() {
    let server = server!();
    let (ann, bob) = (Workstation::of(&server), Workstation::of(&server));
    let lease = ann.granted(Sharing::Exclusive, "ann").await;
    let connection = ann.link.connection().await.unwrap();
    let _ = connection.run("kill -KILL $PPID", fleetadm::ssh::Input::None).await;
    let of_bob = bob.granted(Sharing::Exclusive, "bob").await;
    let begun = Instant::now();
    while lease.is_held() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the loss is not noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The next connection finds the host taken.
    assert_eq!(ann.busy(Sharing::Exclusive).await, ["bob"]);
    drop(of_bob);
    bob.fleet.close().await;
}

#[tokio::test]
async fn who_gives_no_sign_of_life_lets_go() {
    let server = server!();
    let workstation = Workstation::of(&server);
    // The payload, held by a client that sends nothing, with a shorter limit than fleetadm's.
    let _ = workstation.granted(Sharing::Exclusive, "payload").await;
    let payload = Payload::kept_in(server.path("fleetadm").to_str().unwrap()).remote_path();
    let connection = workstation.link.connection().await.unwrap();
    let begun = Instant::now();
    let output = loop {
        let command = format!("sh {payload} lease host exclusive 2 'the silent one'");
        let (reader, _silent) = tokio::io::duplex(1);
        let output = connection.run(&command, fleetadm::ssh::Input::reader(reader)).await.unwrap();
        if output.stdout == b"granted\n" {
            break output;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", output.stdout_text());
    };
    assert!(output.exit.success(), "{output:?}");
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(!lease_file(&server).exists());
}

#[tokio::test]
async fn a_server_with_room_for_one_session_is_not_blocked() {
    let server = server!("ed25519", "MaxSessions 1");
    let workstation = Workstation::of(&server);
    let lease = workstation.granted(Sharing::Exclusive, "ann").await;
    assert!(workstation.node.read(&["/etc/hostname"]).await.is_ok());
    assert!(!lease.is_held() && lease.gave_way().is_some());
}

#[tokio::test]
async fn signs_of_life_get_through_sudo_and_its_terminal() {
    for defaults in ["!use_pty", "use_pty", "requiretty,use_pty"] {
        eprintln!("{defaults}");
        let machine = machine!();
        let rule = format!("Defaults {defaults}\nops ALL=(ALL) NOPASSWD: ALL");
        machine.write("/etc/sudoers.d/test", &rule);
        let workstation = || {
            let mut host = machine.host("ops");
            host.ssh_mut().become_root = Some(said(Become::Sudo));
            Workstation::reaching(host, &machine.server)
        };
        let (ann, bob) = (workstation(), workstation());
        let lease = ann.granted(Sharing::Exclusive, "ann").await;
        assert_eq!(bob.busy(Sharing::Exclusive).await, ["ann"]);
        // The other ways to become root differ in nothing that comes after the first sign.
        if defaults.starts_with("requiretty") {
            tokio::time::sleep(LEASE_LIMIT + Duration::from_secs(4)).await;
            assert!(lease.is_held());
            assert_eq!(bob.busy(Sharing::Exclusive).await, ["ann"]);
        }
        ann.fleet.close().await;
        bob.granted(Sharing::Exclusive, "bob").await;
    }
}
