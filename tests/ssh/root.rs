//! Becoming root.

use std::fs;
use std::path::PathBuf;

use fleetadm::inventory::Become;
use fleetadm::ssh::{Exit, Input, PrivilegeError, SshError};

use crate::sshd::{Sshd, connector};

/// Put a script called `sudo` first in the server's PATH.
fn fake_sudo(script: &str) -> Option<(Sshd, PathBuf)> {
    let bin = tempfile::TempDir::new().unwrap().keep();
    let sudo = bin.join("sudo");
    fs::write(&sudo, format!("#!/bin/sh\n{script}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&sudo, mode).unwrap();
    let config = format!("SetEnv PATH={}:/usr/bin:/bin", bin.display());
    Some((Sshd::start_with("ed25519", &config)?, bin))
}

#[tokio::test]
async fn becoming_root() {
    // Stands for a sudo that lets the user in: drops its own options and runs the rest.
    let Some((server, bin)) = fake_sudo("shift 2; BECAME=root exec \"$@\"") else { return };
    let mut host = server.host();
    host.ssh.become_root = Become::Sudo;
    let connection = connector().connect(&host).await.unwrap();
    let command = "echo \"$BECAME 'quoted' $0\"; cat; exit 3";
    let output = connection.run_as_root(command, "input".into()).await.unwrap();
    assert_eq!(output.stdout_text(), "root 'quoted' sh\ninput");
    assert_eq!(output.exit, Exit::Code(3));
    fs::remove_dir_all(bin).unwrap();

    let Some((server, bin)) = fake_sudo("echo 'sudo: a password is required' >&2; exit 1") else {
        return;
    };
    let mut host = server.host();
    host.ssh.become_root = Become::Sudo;
    let connection = connector().connect(&host).await.unwrap();
    let error = connection.run_as_root("true", Input::None).await.unwrap_err();
    assert!(
        matches!(error, SshError::Privilege(PrivilegeError::PasswordRequired { .. })),
        "{error:?}"
    );
    fs::remove_dir_all(bin).unwrap();
}
