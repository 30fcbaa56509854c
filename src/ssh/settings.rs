//! How a host is reached, every question answered: what the inventory says, what OpenSSH's configuration says
//! where the inventory is silent, and defaults below both. Each answer knows where it comes from.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::inventory::{Become, Hop, HostKeyPolicy, Place, SshSettings, Written};

use super::environment::Environment;
use super::keys::DEFAULT_NAMES;
use super::known_hosts::endpoint;

/// The port of SSH.
pub(super) const DEFAULT_PORT: u16 = 22;

/// An answer and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Who says so.
    pub origin: Origin,
}

/// Who decided a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: it is the default.
    Default,
    /// A line of OpenSSH's configuration.
    SshConfig {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The inventory, or the command line above it.
    Inventory(Place),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::SshConfig { file, line } => write!(f, "{}, line {line}", file.display()),
            Self::Inventory(place) => place.fmt(f),
        }
    }
}

/// Every setting of a connection to one host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to connect to: OpenSSH's HostName.
    pub host_name: Setting<String>,
    /// TCP port.
    pub port: Setting<u16>,
    /// Login user; `None` where nobody says one and the workstation's user has no name.
    pub user: Setting<Option<String>>,
    /// Private key files in the order they are offered. Those of the default may be missing.
    pub identity_files: Setting<Vec<PathBuf>>,
    /// OpenSSH user certificates, besides those beside the key files.
    pub certificate_files: Setting<Vec<PathBuf>>,
    /// Offer no agent key that no identity file or certificate names.
    pub identities_only: Setting<bool>,
    /// The agent's socket; `None` for no agent.
    pub identity_agent: Setting<Option<PathBuf>>,
    /// known_hosts files; new keys are added to the first.
    pub known_hosts: Setting<Vec<PathBuf>>,
    /// The name to look for in known_hosts in place of the address.
    pub host_key_alias: Setting<Option<String>>,
    /// What to do about a host without a known key.
    pub host_key_policy: Setting<HostKeyPolicy>,
    /// Hosts on the way, the nearest to the workstation first.
    pub jump: Setting<Vec<Hop>>,
    /// A command of the workstation's shell whose input and output are the connection; `None` for TCP.
    pub proxy_command: Setting<Option<String>>,
    /// Limit for TCP connect, handshake and authentication together.
    pub connect_timeout: Setting<Duration>,
    /// Interval of keepalive requests; zero for none.
    pub keepalive: Setting<Duration>,
    /// Unanswered keepalive requests after which the connection counts as lost; zero for any number.
    pub keepalive_count: Setting<usize>,
    /// Limit for one remote command.
    pub command_timeout: Setting<Duration>,
    /// How the login user becomes root.
    pub become_root: Setting<Become>,
    /// Whom to become.
    pub become_user: Setting<String>,
    /// A shell command of the workstation that prints the login password.
    pub password_command: Setting<Option<String>>,
    /// The same for the password that sudo or doas asks for; `None`: it is the login password.
    pub become_password_command: Setting<Option<String>>,
}

impl Settings {
    /// Answer everything for the host that `written` is about and that an operator would reach by `ssh ADDRESS`.
    pub(super) fn resolve(address: &str, written: &SshSettings, environment: &Environment) -> Self {
        let home = environment.home.as_deref();
        let in_home = |name: &str| home.map(|home| home.join(".ssh").join(name));
        let system_known_hosts = PathBuf::from("/etc/ssh/ssh_known_hosts");
        Self {
            host_name: or_default(&None, || address.to_owned()),
            port: or_default(&written.port, || DEFAULT_PORT),
            user: optional(&written.user, || environment.user.clone()),
            identity_files: or_default(&written.identity_files, || {
                DEFAULT_NAMES.iter().filter_map(|name| in_home(name)).collect()
            }),
            certificate_files: or_default(&written.certificate_files, Vec::new),
            identities_only: or_default(&written.identities_only, || false),
            identity_agent: {
                let mut agent = optional(&written.identity_agent, || environment.agent.clone());
                // OpenSSH's word for no agent at all.
                agent.value = agent.value.filter(|path| path.as_os_str() != "none");
                agent
            },
            known_hosts: or_default(&written.known_hosts, || {
                in_home("known_hosts").into_iter().chain([system_known_hosts]).collect()
            }),
            host_key_alias: optional(&written.host_key_alias, || None),
            host_key_policy: or_default(&written.host_key_policy, || HostKeyPolicy::Strict),
            jump: or_default(&written.jump, Vec::new),
            proxy_command: optional(&None, || None),
            connect_timeout: or_default(&written.connect_timeout, || Duration::from_secs(15)),
            keepalive: or_default(&written.keepalive, || Duration::from_secs(15)),
            keepalive_count: or_default(&None, || 3),
            command_timeout: or_default(&written.command_timeout, || Duration::from_secs(600)),
            become_root: or_default(&written.become_root, || Become::None),
            become_user: or_default(&written.become_user, || "root".to_owned()),
            password_command: optional(&written.password_command, || None),
            become_password_command: optional(&written.become_password_command, || None),
        }
    }

    /// How long the server may take nothing of what is sent to it: as long as it may leave keepalives unanswered. `None`
    /// for ever.
    pub(super) fn patience(&self) -> Option<Duration> {
        let count = u32::try_from(self.keepalive_count.value).unwrap_or(u32::MAX);
        let patience = self.keepalive.value.saturating_mul(count.saturating_add(1));
        (count > 0 && !patience.is_zero()).then_some(patience)
    }

    /// `address:port` of the server.
    pub(super) fn endpoint(&self) -> String {
        endpoint(&self.host_name.value, self.port.value)
    }
}

fn or_default<T: Clone>(written: &Option<Written<T>>, default: impl FnOnce() -> T) -> Setting<T> {
    match written {
        Some(written) => Setting {
            value: written.value.clone(),
            origin: Origin::Inventory(written.place.clone()),
        },
        None => Setting { value: default(), origin: Origin::Default },
    }
}

fn optional<T: Clone>(
    written: &Option<Written<T>>,
    default: impl FnOnce() -> Option<T>,
) -> Setting<Option<T>> {
    let some = written.as_ref().map(|written| Written {
        value: Some(written.value.clone()),
        place: written.place.clone(),
    });
    or_default(&some, default)
}
