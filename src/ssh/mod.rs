//! One connection: authentication, host keys, commands, tunnels. Knows nothing of Kubernetes.
//!
//! A [`Connector`] holds what a run reads once (key files, known_hosts files) and opens [`Connection`]s.
//! A [`Connection`] is cheap to clone and runs commands and tunnels side by side. Host keys are always
//! checked; nothing here ever asks the operator or writes to the workstation.

mod auth;
mod cache;
mod config;
mod connection;
mod connector;
mod environment;
mod error;
mod exec;
mod keys;
mod known_hosts;
mod lines;
mod pattern;
mod privilege;
mod resolver;
mod settings;

pub use config::{ConfigError, ConfigLine};
pub use connection::{Connection, Tunnel};
pub use connector::Connector;
pub use environment::{Environment, SshConfig, Variables};
pub use error::{HostKeyError, PrivilegeError, SshError, TunnelError};
pub use exec::{Exit, Input, Output, RunOptions, Stream};
pub use privilege::quote;
pub use settings::{Origin, Setting, Settings};
