//! One connection: authentication, host keys, commands, tunnels. Knows nothing of Kubernetes.
//!
//! A [`Connector`] holds what a run reads once (key files, known_hosts files) and opens [`Connection`]s.
//! A [`Connection`] is cheap to clone and runs commands and tunnels side by side. Host keys are always
//! checked; nothing here writes to the workstation or to the terminal. What only the operator knows is asked for through
//! [`Secrets`].

mod auth;
mod cache;
mod connection;
mod connector;
mod dial;
mod environment;
mod error;
mod exec;
mod handshake;
mod hops;
mod keys;
mod known_hosts;
mod lines;
mod pattern;
mod privilege;
mod program;
mod proxy_command;
mod relay;
mod resolver;
mod retry;
mod route;
mod secrets;
mod sessions;
mod settings;
mod shared;
mod stream;
mod tunnel;
mod wire;

pub use connection::Connection;
pub use connector::Connector;
pub use environment::Environment;
pub use error::{Fault, HostKeyError, PrivilegeError, SshError, TunnelError};
pub use exec::{Exit, Input, Output, RunOptions, Stream};
pub use privilege::quote;
pub use program::Program;
pub use secrets::{Account, Candidate, Purpose, SecretError, Secrets, read_descriptor};
pub use settings::{Origin, Setting, Settings};
pub use shared::Shared;
pub use tunnel::Tunnel;
