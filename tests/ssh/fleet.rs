//! Many hosts at once.

use fleetadm::fleet::{Fleet, Outcome};
use fleetadm::inventory::Host;
use fleetadm::ssh::{Input, SshError};
use tokio_util::sync::CancellationToken;

use crate::sshd::{Sshd, connector, free_port, said};

#[tokio::test]
async fn a_fleet_connects_once_per_host() {
    let server = server!();
    let mut hosts: Vec<Host> =
        (0..12).map(|index| Host { name: format!("node-{index}"), ..server.host() }).collect();
    hosts[5].ssh.port = Some(said(free_port()));
    let fleet = Fleet::new(connector(), 4);
    let outcomes = fleet.connect_all(&hosts, &CancellationToken::new()).await;
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
    let connection = fleet.connection(&hosts[0]).await.unwrap();
    assert!(connection.run("true", Input::None).await.unwrap_err().is_lost());
}
