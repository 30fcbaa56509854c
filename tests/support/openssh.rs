//! What OpenSSH's own client says of a server's host key.

use std::path::Path;
use std::process::Command;

use crate::sshd::Sshd;

/// The client's settings that decide about host keys.
pub struct HostKeySettings<'a> {
    /// The name or address to connect to.
    pub host: &'a str,
    pub user_known_hosts: &'a Path,
    pub global_known_hosts: &'a Path,
    pub alias: Option<&'a str>,
    /// `yes` or `accept-new`.
    pub checking: &'a str,
}

/// Whether ssh connects. It must fail for no other reason than the host key.
pub fn accepts(server: &Sshd, settings: &HostKeySettings<'_>) -> bool {
    let mut command = Command::new("ssh");
    command.args(["-F", "/dev/null", "-p", &server.port.to_string()]);
    let identity = format!("IdentityFile={}", server.path("id_ed25519").display());
    let user = format!("UserKnownHostsFile={}", settings.user_known_hosts.display());
    let global = format!("GlobalKnownHostsFile={}", settings.global_known_hosts.display());
    let checking = format!("StrictHostKeyChecking={}", settings.checking);
    for option in [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "UpdateHostKeys=no",
        &identity,
        &user,
        &global,
        &checking,
    ] {
        command.args(["-o", option]);
    }
    if let Some(alias) = settings.alias {
        command.args(["-o", &format!("HostKeyAlias={alias}")]);
    }
    let output = command.args([settings.host, "true"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let refused = stderr.contains("Host key verification failed");
    assert!(output.status.success() != refused, "{}: {stderr}", output.status);
    !refused
}
