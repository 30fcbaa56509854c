//! Byte streams through a connection, and ports of the workstation that lead to them.

use std::sync::Arc;
use std::time::Duration;

use fleetadm::fleet::{Fleet, Forward, Service};
use fleetadm::inventory::Host;
use fleetadm::report::{Event, Reporter};
use fleetadm::ssh::{SshError, TunnelError};
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connect;
use crate::sshd::{Sshd, connector, free_port, host};

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

fn service(host: Host, name: &str, port: u16) -> Service {
    let host = Arc::new(Host { name: name.to_owned(), ..host });
    Service { host, address: "127.0.0.1".to_owned(), port }
}

/// The port of a forward that serves, and the forward itself.
fn forward(services: Vec<Service>, reporter: Reporter) -> (u16, Arc<Forward>) {
    let fleet = Arc::new(Fleet::new(connector(), 8));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let forward = Arc::new(Forward::new(listener, fleet, services, reporter, "tunnel").unwrap());
    let serving = forward.clone();
    tokio::spawn(async move { serving.serve().await });
    (port, forward)
}

/// What comes back of what is sent; nothing where the connection leads nowhere.
async fn echoed(port: u16, data: &[u8]) -> Vec<u8> {
    let mut received = Vec::new();
    let exchange = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let send = async {
            // Where it leads nowhere, either end may notice first.
            let _ = write.write_all(data).await;
            let _ = write.shutdown().await;
        };
        let (_, _) = tokio::join!(send, read.read_to_end(&mut received));
    };
    timeout(Duration::from_secs(20), exchange).await.unwrap();
    received
}

#[tokio::test]
async fn a_port_leads_to_a_service_that_answers() {
    let server = server!();
    let (reporter, mut events) = Reporter::channel();
    let echo = echo_server().await;
    let services = vec![
        service(server.host(), "down", free_port()),
        service(host("gone", free_port()), "gone", echo),
        service(server.host(), "up", echo),
    ];
    let (port, forward) = forward(services, reporter);
    assert_eq!(forward.probe().await.unwrap().name, "up");
    let data: Vec<u8> = (0..3_000_000u32).map(|number| number as u8).collect();
    assert!(echoed(port, &data).await == data);
    // Several at once, and one that sends and never reads.
    let mut idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    idle.write_all(&data).await.unwrap();
    let (one, other) = tokio::join!(echoed(port, &data), echoed(port, b"short"));
    assert!(one == data && other == b"short");
    let Some(Event::Warning { host, text, .. }) = events.recv().await else { panic!() };
    assert_eq!((host.as_str(), text.as_str()), ("up", "connections go through up now"));
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let server = server!();
    let (reporter, mut events) = Reporter::channel();
    let (port, forward) =
        forward(vec![service(server.host(), "n1", echo_server().await)], reporter);
    assert_eq!(echoed(port, b"one").await, b"one");
    server.kill_sessions();
    assert_eq!(echoed(port, b"two").await, b"two");
    assert_eq!(server.logins(), 2);

    // A service that is not there: its clients' connections end.
    let services = vec![service(server.host(), "n1", free_port())];
    let (nowhere, absent) = self::forward(services, Reporter::channel().0);
    assert!(matches!(absent.probe().await, Err(SshError::Tunnel { .. })));
    assert!(echoed(nowhere, b"x").await.is_empty());
    assert!(forward.probe().await.is_ok());
    assert!(timeout(Duration::from_millis(100), events.recv()).await.is_err(), "nothing to tell");
}
