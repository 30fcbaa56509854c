//! Byte streams through a connection.

use fleetadm::ssh::{SshError, TunnelError};
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::connect;
use crate::sshd::{Sshd, free_port};

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
