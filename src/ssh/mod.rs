//! One connection: authentication, host keys, commands, tunnels. Knows nothing of Kubernetes.
//!
//! A [`Connector`] holds what a run reads once (key files, known_hosts files) and opens [`Connection`]s.
//! A [`Connection`] is cheap to clone and runs commands and tunnels side by side. Host keys are always
//! checked. Nothing here writes to the terminal, or to the workstation, except a new host's key to known_hosts where the
//! host's `host_key_policy` is `accept-new`. What only the operator knows is asked for through [`Secrets`].

mod auth;
mod cache;
mod config;
mod connection;
mod connector;
mod descriptors;
mod dial;
mod environment;
mod error;
mod exec;
mod glob;
mod handshake;
mod hops;
mod keys;
mod known_hosts;
mod lines;
mod privilege;
mod program;
mod proxy_command;
mod relay;
mod resolver;
mod retry;
mod route;
mod scan;
mod secrets;
mod sessions;
mod settings;
mod shared;
mod shell;
mod stream;
mod tunnel;
mod wire;

pub use config::{ConfigError, ConfigLine};
pub use connection::Connection;
pub use connector::Connector;
pub use environment::{Environment, SshConfig, Variables};
pub use error::{Fault, HostKeyError, PrivilegeError, SshError, TunnelError};
pub use exec::{Exit, Input, Output, RunAs, RunOptions, Stream};
pub use known_hosts::{ExpectedKeys, HostKey, KnownLine, Recorded, Standing};
pub use program::Program;
pub use scan::{Offer, Server};
pub use secrets::{Account, Candidate, Purpose, SecretError, Secrets, read_descriptor};
pub use settings::{Origin, Setting, Settings};
pub use shared::Shared;
pub use shell::quote;
pub use tunnel::Tunnel;
