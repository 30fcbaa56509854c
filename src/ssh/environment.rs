//! What the workstation contributes to a connection.

use std::path::PathBuf;

/// What the workstation contributes to a connection when the inventory leaves it open.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The operator's home directory, for default keys and known hosts.
    pub home: Option<PathBuf>,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// The operator's user name.
    pub user: Option<String>,
}

impl Environment {
    /// `HOME`, `SSH_AUTH_SOCK`, and `USER`, `LOGNAME` or what `id` says, for this process.
    pub fn current() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            home: path("HOME").map(PathBuf::from),
            agent: path("SSH_AUTH_SOCK").map(PathBuf::from),
            // Containers and service managers often set neither variable.
            user: text("USER").or_else(|| text("LOGNAME")).or_else(user_from_id),
        }
    }
}

fn user_from_id() -> Option<String> {
    let output = std::process::Command::new("id").arg("-un").output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !name.is_empty()).then_some(name)
}
