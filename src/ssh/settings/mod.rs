//! How a host is reached, every question answered: what the inventory says, what OpenSSH's configuration says
//! where the inventory is silent, and defaults below both. Each answer knows where it comes from.
//!
//! Where OpenSSH's client resolves something else from the same configuration, that is a mistake in [`super::config`],
//! except for what differs on purpose:
//!
//! - What the inventory says about a key replaces what the configuration says, lists of files included; `ssh -i` adds.
//! - Host keys are always checked: `StrictHostKeyChecking` counts only as `yes` and `accept-new`. Everything else is
//!   `strict`, the default, because nobody can be asked about hundreds of hosts.
//! - No wait is endless: without a `ConnectTimeout` it is 15 s, and without a `ServerAliveInterval` keepalives are sent
//!   every 15 s.
//! - Key files of types that are not supported are not among the defaults.
//! - The home directory is HOME's, as for every other file; OpenSSH asks the user database.
//! - A configuration that others may write to is refused as OpenSSH refuses it, without the exception that Debian makes
//!   for groups of one member.
//! - `RevokedHostKeys`, `CanonicalizePermittedCNAMEs`, `ProxyUseFdpass` and `Match command` are refused for the hosts they
//!   concern. Keywords about sessions, forwarding, algorithms and what is printed are checked for mistakes, and have no
//!   effect.

pub(super) mod resolver;
pub(super) mod route;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::inventory::{Become, Hop, HostKeyPolicy, Place, SshSettings, Written};

use super::config::{ConfigLine, Resolved, Said};
use super::environment::Environment;
use super::keys::DEFAULT_NAMES;
use super::known_hosts::endpoint;

/// The port of SSH.
pub(super) const DEFAULT_PORT: u16 = 22;

/// The system's known_hosts files.
const SYSTEM_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/// The operator's, below `~/.ssh`.
const OWN_KNOWN_HOSTS: [&str; 2] = ["known_hosts", "known_hosts2"];

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
    /// Lines of OpenSSH's configuration: one, or one for each file of a list.
    SshConfig(Vec<ConfigLine>),
    /// The inventory, or the command line above it.
    Inventory(Place),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::SshConfig(lines) => {
                for (index, line) in lines.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{line}")?;
                }
                Ok(())
            }
            Self::Inventory(place) => place.fmt(f),
        }
    }
}

/// Every setting of a connection to one host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What an operator would type behind `ssh`.
    pub name: String,
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
    /// Whether keys are offered at all.
    pub pubkey_authentication: Setting<bool>,
    /// Whether a password is sent.
    pub password_authentication: Setting<bool>,
    /// Whether the server's questions are answered.
    pub kbd_interactive_authentication: Setting<bool>,
    /// known_hosts files of the operator; new keys are added to the first.
    pub known_hosts: Setting<Vec<PathBuf>>,
    /// known_hosts files of the system, which are only read.
    pub global_known_hosts: Setting<Vec<PathBuf>>,
    /// The name to look for in known_hosts in place of the address.
    pub host_key_alias: Setting<Option<String>>,
    /// What to do about a host without a known key.
    pub host_key_policy: Setting<HostKeyPolicy>,
    /// Hosts on the way, the nearest to the workstation first, without those that the nearest has on its own way.
    pub jump: Setting<Vec<Hop>>,
    /// A command of the workstation's shell whose input and output are the connection; `None` for TCP.
    pub proxy_command: Setting<Option<String>>,
    /// Limit for TCP connect, handshake and authentication together.
    pub connect_timeout: Setting<Duration>,
    /// How often to try a TCP connect, at least.
    pub connection_attempts: Setting<u32>,
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

/// What decides the settings of one host, from the nearest to the host on.
pub(super) struct Layers<'a> {
    /// What an operator would type behind `ssh`.
    pub(super) name: &'a str,
    /// The login user, where the inventory says one.
    pub(super) user: Option<Setting<String>>,
    /// The port, where the inventory says one.
    pub(super) port: Option<Setting<u16>>,
    /// Everything else that the inventory says.
    pub(super) written: &'a SshSettings,
    /// Who says how the host is reached, where that is not for its own settings to say because it is a jump host behind
    /// another.
    pub(super) reached_by: Option<&'a Origin>,
    /// OpenSSH's configuration.
    pub(super) config: Resolved,
    /// The workstation.
    pub(super) environment: &'a Environment,
}

impl Settings {
    /// Answer everything from `layers`.
    pub(super) fn resolve(layers: Layers<'_>) -> Self {
        let Layers { name, user, port, written, reached_by, config, environment } = layers;
        let in_home = |names: &[&str]| -> Vec<PathBuf> {
            let home = environment.home.as_ref().map(|home| home.join(".ssh"));
            home.iter().flat_map(|home| names.iter().map(|name| home.join(name))).collect()
        };
        let jump = written.jump.as_ref().map(from_inventory);
        // Whoever says how the host is reached says all of it.
        let direct = written.jump.as_ref().map(|jump| Origin::Inventory(jump.place.clone()));
        let proxy = reached_by.cloned().or(direct);
        Self {
            name: name.to_owned(),
            host_name: Setting {
                value: config.host_name,
                origin: match config.host_name_line {
                    Some(line) => Origin::SshConfig(vec![line]),
                    None => Origin::Default,
                },
            },
            port: port.or(config.port.map(Setting::from)).unwrap_or_else(|| default(DEFAULT_PORT)),
            user: match user.or(config.user.map(Setting::from)) {
                Some(user) => Setting { value: Some(user.value), origin: user.origin },
                None => default(environment.user.clone()),
            },
            identity_files: either(&written.identity_files, config.identity_files.map(list))
                .unwrap_or_else(|| default(in_home(&DEFAULT_NAMES))),
            certificate_files: either(
                &written.certificate_files,
                Some(config.certificate_files).filter(|files| !files.is_empty()).map(list),
            )
            .unwrap_or_else(|| default(Vec::new())),
            identities_only: setting(&written.identities_only, config.identities_only, false),
            identity_agent: match &written.identity_agent {
                Some(agent) => Setting {
                    // OpenSSH's word for no agent at all.
                    value: Some(agent.value.clone()).filter(|path| path.as_os_str() != "none"),
                    origin: Origin::Inventory(agent.place.clone()),
                },
                None => setting(&None, config.identity_agent, environment.agent.clone()),
            },
            pubkey_authentication: setting(&None, config.pubkey_authentication, true),
            password_authentication: setting(&None, config.password_authentication, true),
            kbd_interactive_authentication: setting(
                &None,
                config.kbd_interactive_authentication,
                true,
            ),
            known_hosts: setting(
                &written.known_hosts,
                config.user_known_hosts,
                in_home(&OWN_KNOWN_HOSTS),
            ),
            global_known_hosts: match &written.known_hosts {
                // They are looked in instead of the system's, too.
                Some(own) => {
                    Setting { value: Vec::new(), origin: Origin::Inventory(own.place.clone()) }
                }
                None => setting(
                    &None,
                    config.global_known_hosts,
                    SYSTEM_KNOWN_HOSTS.map(PathBuf::from).to_vec(),
                ),
            },
            host_key_alias: optional(&written.host_key_alias, config.host_key_alias),
            host_key_policy: setting(
                &written.host_key_policy,
                config.host_key_policy,
                HostKeyPolicy::Strict,
            ),
            jump: match (reached_by, jump, config.proxy_jump) {
                (Some(origin), _, _) => Setting { value: Vec::new(), origin: origin.clone() },
                (None, Some(jump), _) => jump,
                (None, None, Some(said)) => Setting {
                    value: said.value.into_iter().map(hop).collect(),
                    origin: Origin::SshConfig(vec![said.line]),
                },
                (None, None, None) => default(Vec::new()),
            },
            proxy_command: match proxy {
                Some(origin) => Setting { value: None, origin },
                None => setting(&None, config.proxy_command, None),
            },
            connect_timeout: setting(
                &written.connect_timeout,
                config.connect_timeout.map(seconds),
                Duration::from_secs(15),
            ),
            connection_attempts: setting(&None, config.connection_attempts, 1),
            keepalive: setting(
                &written.keepalive,
                config.server_alive_interval.map(seconds),
                Duration::from_secs(15),
            ),
            keepalive_count: setting(
                &None,
                config.server_alive_count.map(|said| said.map(|count| count as usize)),
                3,
            ),
            command_timeout: setting(&written.command_timeout, None, Duration::from_secs(600)),
            become_root: setting(&written.become_root, None, Become::None),
            become_user: setting(&written.become_user, None, "root".to_owned()),
            password_command: optional(&written.password_command, None),
            become_password_command: optional(&written.become_password_command, None),
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

impl<T> From<Said<T>> for Setting<T> {
    fn from(said: Said<T>) -> Self {
        Self { value: said.value, origin: Origin::SshConfig(vec![said.line]) }
    }
}

/// What the inventory says, as a setting.
pub(super) fn from_inventory<T: Clone>(written: &Written<T>) -> Setting<T> {
    Setting { value: written.value.clone(), origin: Origin::Inventory(written.place.clone()) }
}

fn default<T>(value: T) -> Setting<T> {
    Setting { value, origin: Origin::Default }
}

fn either<T: Clone>(
    written: &Option<Written<T>>,
    config: Option<Setting<T>>,
) -> Option<Setting<T>> {
    written.as_ref().map(from_inventory).or(config)
}

fn setting<T: Clone>(
    written: &Option<Written<T>>,
    config: Option<Said<T>>,
    otherwise: T,
) -> Setting<T> {
    either(written, config.map(Setting::from)).unwrap_or_else(|| default(otherwise))
}

fn optional<T: Clone>(written: &Option<Written<T>>, config: Option<Said<T>>) -> Setting<Option<T>> {
    match either(written, config.map(Setting::from)) {
        Some(setting) => Setting { value: Some(setting.value), origin: setting.origin },
        None => default(None),
    }
}

/// Files that add up, one line each.
fn list(files: Vec<Said<PathBuf>>) -> Setting<Vec<PathBuf>> {
    let (value, lines) = files.into_iter().map(|said| (said.value, said.line)).unzip();
    Setting { value, origin: Origin::SshConfig(lines) }
}

fn seconds(said: Said<u32>) -> Said<Duration> {
    said.map(|seconds| Duration::from_secs(seconds.into()))
}

fn hop(host: super::config::JumpHost) -> Hop {
    let super::config::JumpHost { user, host, port } = host;
    Hop { user, host, port, ssh: SshSettings::default() }
}
