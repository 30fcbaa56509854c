//! Connections, commands and tunnels against a real OpenSSH server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/account.rs"]
mod account;
#[path = "../support/operator.rs"]
mod operator;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/sshd.rs"]
mod sshd;

/// Start a server, or leave the test where there is none.
macro_rules! server {
    () => {
        server!(@ Sshd::start())
    };
    (account $auth:expr, $config:expr) => {
        server!(@ Sshd::start_with_account($auth, $config))
    };
    ($host_key_types:expr, $config:expr) => {
        server!(@ Sshd::start_with($host_key_types, $config))
    };
    (@ $start:expr) => {
        match $start {
            Some(server) => server,
            None => return,
        }
    };
}

mod commands;
mod fleet;
mod hostile;
mod jump;
mod keys;
mod login;
mod lost;
mod odd_servers;
mod passwords;
mod robust;
mod root;
mod terminal;
mod tunnels;

use fleetadm::ssh::Connection;
use sshd::{Sshd, connector};

async fn connect(server: &Sshd) -> Connection {
    connector().connect(&server.host()).await.unwrap()
}
