//! Becoming root, with a script in the place of sudo: what works without root on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fleetadm::inventory::Become;
use fleetadm::ssh::{Connection, Exit, Input};

use crate::sshd::{Sshd, connector, said};

/// Connect to a server with `script` in the place of sudo.
async fn connect_with_sudo(script: &str) -> Option<(Sshd, Connection)> {
    let server = Sshd::start()?;
    fs::create_dir(server.path("bin")).unwrap();
    let sudo = server.path("bin/sudo");
    fs::write(&sudo, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&sudo, PermissionsExt::from_mode(0o755)).unwrap();
    let mut host = server.host();
    host.ssh_mut().become_root = Some(said(Become::Sudo));
    let connection = connector().connect(&host).await.unwrap();
    Some((server, connection))
}

#[tokio::test]
async fn sudo_lets_the_user_in() {
    // Drops sudo's own options and runs the rest.
    let script = "shift 4; BECAME=root exec \"$@\"";
    let Some((_server, connection)) = connect_with_sudo(script).await else { return };
    let command = "echo \"$BECAME 'quoted' $0\"; cat; exit 3";
    let output = connection.run_as_root(command, "input".into()).await.unwrap();
    assert_eq!(output.stdout_text(), "root 'quoted' sh\ninput");
    assert_eq!(output.exit, Exit::Code(3));
    // The login user's own commands do not go through it.
    let output = connection.run("echo \"$BECAME\"", Input::None).await.unwrap();
    assert_eq!(output.stdout_text(), "\n");
}
