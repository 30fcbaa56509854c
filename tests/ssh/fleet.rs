//! Many hosts at once.

use fleetadm::fleet::{Fleet, Outcome};
use fleetadm::inventory::Host;
use fleetadm::ssh::{Input, SshError};

use crate::on_all;
use crate::sshd::{Sshd, connector, free_port, said};

#[tokio::test]
async fn a_fleet_connects_once_per_host() {
    let server = server!();
    let mut hosts: Vec<Host> =
        (0..12).map(|index| Host { name: format!("node-{index}"), ..server.host() }).collect();
    hosts[5].ssh_mut().port = Some(said(free_port()));
    let fleet = Fleet::new(connector(), 4);
    let outcomes = on_all(&hosts, |host| fleet.connection(host)).await;
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
    assert!(fleet.connection(&hosts[0]).await.unwrap_err().is_lost());
}

#[tokio::test]
async fn a_lost_connection_is_made_again_for_what_comes_next() {
    let server = server!();
    let host = server.host();
    let fleet = Fleet::new(connector(), 1);
    let first = fleet.connection(&host).await.unwrap();
    assert!(first.run("kill -KILL $PPID", Input::None).await.unwrap_err().is_lost());
    let second = fleet.connection(&host).await.unwrap();
    assert!(second.run("true", Input::None).await.unwrap().exit.success());
    assert!(first.run("true", Input::None).await.unwrap_err().is_lost());
    assert_eq!(server.logins(), 2);
}
