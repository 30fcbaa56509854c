//! What the workstation contributes to a connection.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use nix::unistd::{User, gethostname, getuid};

/// What the workstation contributes to a connection when the inventory leaves it open. The default sees nothing of the
/// workstation.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The operator's home directory, for default keys, known hosts and configuration.
    pub home: Option<PathBuf>,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// The operator's user name.
    pub user: Option<String>,
    /// The operator's user id.
    pub uid: Option<u32>,
    /// The workstation's own name.
    pub host_name: Option<String>,
    /// Environment variables that OpenSSH's configuration may refer to.
    pub variables: Variables,
    /// Where OpenSSH's configuration is.
    pub ssh_config: SshConfig,
}

/// Where OpenSSH's configuration is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SshConfig {
    /// Nowhere.
    #[default]
    None,
    /// `~/.ssh/config` and `/etc/ssh/ssh_config`, as far as they exist.
    Usual,
    /// This file only, as with `ssh -F`.
    File(PathBuf),
}

/// Environment variables. Only their names show up when they are printed: values can be secret.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// A variable's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// Of this process, with OpenSSH's configuration at the usual places.
    pub fn current() -> Self {
        let variables: Variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let text = |name| variables.get(name).filter(|value| !value.is_empty());
        let uid = getuid();
        let account = User::from_uid(uid).ok().flatten();
        // Users of directories that are out of reach have no account here, but mostly a variable.
        let named = || text("USER").or_else(|| text("LOGNAME")).map(str::to_owned);
        Self {
            home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
            agent: text("SSH_AUTH_SOCK").map(PathBuf::from),
            user: account.map(|account| account.name).or_else(named),
            uid: Some(uid.as_raw()),
            host_name: gethostname().ok().and_then(|name| name.into_string().ok()),
            ssh_config: SshConfig::Usual,
            variables,
        }
    }

    /// Another user's home directory.
    pub(super) fn home_of(&self, user: &str) -> Option<PathBuf> {
        User::from_name(user).ok().flatten().map(|account| account.dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_not_printed() {
        let variables: Variables = [("TOKEN", "secret")].into_iter().collect();
        assert_eq!(format!("{variables:?}"), "{\"TOKEN\"}");
    }
}
