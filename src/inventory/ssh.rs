//! What an inventory says about reaching a host, and where it says it.
//!
//! Nothing here is a default: what the inventory leaves open is for the SSH layer, which knows
//! `~/.ssh/config` and OpenSSH's own defaults.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The `[ssh]` keys of one host, the nearest layer first: command line, host, groups, `[ssh]`. `None` is left open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshSettings {
    /// `user`: the login user.
    pub user: Option<Written<String>>,
    /// `port`: the TCP port.
    pub port: Option<Written<u16>>,
    /// `identity_file`: private key files in the order they are offered, absolute.
    pub identity_files: Option<Written<Vec<PathBuf>>>,
    /// `certificate_file`: OpenSSH user certificates, absolute.
    pub certificate_files: Option<Written<Vec<PathBuf>>>,
    /// `identities_only`: offer no agent key that no identity file or certificate names.
    pub identities_only: Option<Written<bool>>,
    /// `identity_agent`: the agent's socket; `none` for no agent.
    pub identity_agent: Option<Written<PathBuf>>,
    /// `known_hosts`: files that are looked in instead of the user's and the system's, absolute.
    pub known_hosts: Option<Written<Vec<PathBuf>>>,
    /// `host_key_alias`: the name to look for in known_hosts in place of the address.
    pub host_key_alias: Option<Written<String>>,
    /// `host_key_policy`: what to do about a host without a known key.
    pub host_key_policy: Option<Written<HostKeyPolicy>>,
    /// `jump`: hosts to go through, the nearest to the workstation first; empty for a direct connection.
    pub jump: Option<Written<Vec<Hop>>>,
    /// `connect_timeout`: limit for TCP connect, handshake and authentication together.
    pub connect_timeout: Option<Written<Duration>>,
    /// `command_timeout`: limit for one remote command.
    pub command_timeout: Option<Written<Duration>>,
    /// `keepalive`: interval of keepalive requests.
    pub keepalive: Option<Written<Duration>>,
    /// `become`: how the login user becomes root.
    pub become_root: Option<Written<Become>>,
    /// `become_user`: whom to become where that is not root.
    pub become_user: Option<Written<String>>,
    /// `password_command`: a shell command of the workstation that prints the login password.
    pub password_command: Option<Written<String>>,
    /// `become_password_command`: the same for the password that sudo or doas asks for; where it is left out that is the
    /// login password.
    pub become_password_command: Option<Written<String>>,
}

impl SshSettings {
    /// Lay `upper` over these: what it says counts.
    pub fn add(&mut self, upper: &Self) {
        fn put<T: Clone>(lower: &mut Option<T>, upper: &Option<T>) {
            if upper.is_some() {
                lower.clone_from(upper);
            }
        }
        put(&mut self.user, &upper.user);
        put(&mut self.port, &upper.port);
        put(&mut self.identity_files, &upper.identity_files);
        put(&mut self.certificate_files, &upper.certificate_files);
        put(&mut self.identities_only, &upper.identities_only);
        put(&mut self.identity_agent, &upper.identity_agent);
        put(&mut self.known_hosts, &upper.known_hosts);
        put(&mut self.host_key_alias, &upper.host_key_alias);
        put(&mut self.host_key_policy, &upper.host_key_policy);
        put(&mut self.jump, &upper.jump);
        put(&mut self.connect_timeout, &upper.connect_timeout);
        put(&mut self.command_timeout, &upper.command_timeout);
        put(&mut self.keepalive, &upper.keepalive);
        put(&mut self.become_root, &upper.become_root);
        put(&mut self.become_user, &upper.become_user);
        put(&mut self.password_command, &upper.password_command);
        put(&mut self.become_password_command, &upper.become_password_command);
    }

    /// What holds for the jump hosts on the way as well: keys, trust and patience. Not the user and the port, which belong to
    /// the host at the end, as with `ssh -l` and `ssh -p`.
    pub fn for_hop(&self) -> Self {
        Self {
            identity_files: self.identity_files.clone(),
            certificate_files: self.certificate_files.clone(),
            identities_only: self.identities_only.clone(),
            identity_agent: self.identity_agent.clone(),
            known_hosts: self.known_hosts.clone(),
            host_key_policy: self.host_key_policy.clone(),
            connect_timeout: self.connect_timeout.clone(),
            keepalive: self.keepalive.clone(),
            ..Self::default()
        }
    }
}

/// A value with the place it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T> {
    /// The value.
    pub value: T,
    /// Where it is said.
    pub place: Place,
}

/// Where an inventory, or the command line above it, says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A table of the inventory.
    Inventory {
        /// The table: `[ssh]`, `[groups.gpu.ssh]`, `host gpu-5`.
        table: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// `--ssh KEY=VALUE`.
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inventory { table, line } => write!(f, "{table}, line {line}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A host on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The login user, where `jump` says one: `user@host`.
    pub user: Option<String>,
    /// The address: that of `[jump_hosts.NAME]`, or what stands in `jump`.
    pub host: String,
    /// The port, where `jump` says one.
    pub port: Option<u16>,
    /// The keys of `[jump_hosts.NAME]`; empty for a host that has no such table.
    pub ssh: SshSettings,
}

/// `[jump_hosts.NAME]`.
#[derive(Debug, Clone)]
pub struct JumpHost {
    /// `address`, default its name.
    pub address: String,
    /// The keys of its `ssh` table.
    pub ssh: SshSettings,
}

/// How the login user becomes root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Become {
    /// The login user is root already.
    None,
    /// By `sudo`.
    Sudo,
    /// By `doas`.
    Doas,
}

impl Become {
    /// The word used in inventories.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sudo => "sudo",
            Self::Doas => "doas",
        }
    }
}

/// What to do about a host that no known_hosts file has a key for. There is no way to accept a changed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyPolicy {
    /// Refuse it.
    Strict,
    /// Add the key it presents to known_hosts.
    AcceptNew,
}

impl HostKeyPolicy {
    /// The word used in inventories.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::AcceptNew => "accept-new",
        }
    }
}
