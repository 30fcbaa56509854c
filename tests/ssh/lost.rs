//! Connections that end while they are in use.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fleetadm::ssh::Input;

use crate::connect;
use crate::sshd::{Sshd, connector, said};

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
    host.ssh_mut().keepalive = Some(said(Duration::from_millis(300)));
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
