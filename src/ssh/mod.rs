//! One connection: authentication, host keys, commands, tunnels. Knows nothing of Kubernetes.
//!
//! A [`Connector`] holds what a run reads once (key files, known_hosts files) and opens [`Connection`]s.
//! A [`Connection`] is cheap to clone and runs commands and tunnels side by side. Host keys are always
//! checked. Nothing here writes to the terminal, or to the workstation, except a new host's key to known_hosts where the
//! host's `host_key_policy` is `accept-new`. What only the operator knows is asked for through [`Secrets`].

mod auth;
mod cache;
mod config;
mod connect;
mod connection;
mod environment;
mod error;
mod exec;
mod glob;
mod keys;
mod known_hosts;
mod lines;
mod privilege;
mod program;
mod secrets;
mod settings;
mod shell;

pub use config::{ConfigError, ConfigLine};
pub use connect::connector::Connector;
pub use connect::scan::{Offer, Server};
pub use connect::shared::Shared;
pub use connection::Connection;
pub use connection::tunnel::Tunnel;

pub use error::{Fault, HostKeyError, PrivilegeError, SshError, TunnelError};
pub use exec::{Exit, Input, Output, RunAs, RunOptions, Stream};
pub use known_hosts::{ExpectedKeys, HostKey, KnownLine, Recorded, Standing};
pub use program::Program;

pub use environment::{Environment, SshConfig, Variables};
pub use secrets::{Account, Candidate, Purpose, SecretError, Secrets, read_descriptor};
pub use settings::{Origin, Setting, Settings};

pub use shell::quote;
