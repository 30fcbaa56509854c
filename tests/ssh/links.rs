//! Which ports hosts reach on each other. All hosts here are one machine's sshd, so they share their ports: one listens,
//! the others find the port taken.

use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use fleetadm::fleet::{Dial, Fleet, LinkState, Place, try_links};
use fleetadm::inventory::Host;
use tokio_util::sync::CancellationToken;

use crate::sshd::{Sshd, connector, free_port};

/// Try `dials` between two hosts, all of which are at `address`.
async fn tried(hosts: [&Host; 2], address: &str, dials: &[Dial]) -> Vec<LinkState> {
    let address: IpAddr = address.parse().unwrap();
    let places = hosts.map(|host| Place { host, address: Some(address), mtu: 1500 });
    let fleet = Fleet::new(connector(), 8);
    let states = try_links(&fleet, &places, dials, 8, &CancellationToken::new()).await;
    fleet.close().await;
    states
}

fn dial(from: usize, to: usize, port: u16) -> Dial {
    Dial { from, to, port }
}

fn two(server: &Sshd) -> [Host; 2] {
    ["a", "b"].map(|name| Host { name: name.to_owned(), ..server.host() })
}

/// Nothing of the listener is left, neither the port nor a process.
fn is_over(port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    let listed = || {
        let output = Command::new("ps").args(["-eo", "args"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains(&format!(" {port}"))
    };
    while std::net::TcpListener::bind(("127.0.0.1", port)).is_err() || listed() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

#[tokio::test]
async fn a_free_port_is_listened_to_and_left_again() {
    let server = server!();
    let [a, b] = two(&server);
    let (free, other) = (free_port(), free_port());
    let dials = [dial(0, 1, free), dial(1, 0, other), dial(0, 1, other)];
    for address in ["127.0.0.1", "::1"] {
        let states = tried([&a, &b], address, &dials).await;
        assert_eq!(states, [LinkState::Open, LinkState::Open, LinkState::Open], "{address}");
        assert!(is_over(free) && is_over(other));
    }
}

#[tokio::test]
async fn what_listens_already_is_only_connected_to() {
    let server = server!();
    let [a, b] = two(&server);
    let service = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = service.local_addr().unwrap().port();
    // It never answers, as a service that waits for a handshake does not.
    assert_eq!(tried([&a, &b], "127.0.0.1", &[dial(0, 1, port)]).await, [LinkState::Open]);
    // It listens on one address only, and is looked for on another.
    let states = tried([&a, &b], "127.0.0.2", &[dial(0, 1, port)]).await;
    assert!(matches!(states.as_slice(), [LinkState::Refused(_)]), "{states:?}");
}

#[tokio::test]
async fn a_server_that_forbids_it_is_not_taken_for_a_broken_network() {
    let server = server!("ed25519", "AllowTcpForwarding no");
    let [a, b] = two(&server);
    let states = tried([&a, &b], "127.0.0.1", &[dial(0, 1, free_port())]).await;
    let [LinkState::Untested(reason)] = states.as_slice() else { panic!("{states:?}") };
    assert!(reason.contains("AllowTcpForwarding"), "{reason}");
}

#[tokio::test]
async fn a_host_without_a_shell_says_nothing_about_its_network() {
    let (server, silent) = (server!(), server!("ed25519", "ForceCommand /bin/false"));
    let (a, b) = (server.host(), Host { name: "b".to_owned(), ..silent.host() });
    let states = tried([&a, &b], "127.0.0.1", &[dial(0, 1, free_port())]).await;
    assert!(matches!(states.as_slice(), [LinkState::Untested(_)]), "{states:?}");
}

#[tokio::test]
async fn an_interruption_ends_the_listeners() {
    let server = server!();
    let [a, b] = two(&server);
    let port = free_port();
    let places = [&a, &b].map(|host| Place { host, address: "192.0.2.1".parse().ok(), mtu: 1500 });
    let fleet = Fleet::new(connector(), 8);
    let cancel = CancellationToken::new();
    let dials = [dial(0, 1, port)];
    let work = try_links(&fleet, &places, &dials, 8, &cancel);
    let interrupt = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        cancel.cancel();
    };
    let (states, ()) = tokio::join!(work, interrupt);
    // The address is nobody's: there was no answer yet, or no way there.
    assert!(!states.contains(&LinkState::Open), "{states:?}");
    assert!(is_over(port));
    fleet.close().await;
}
