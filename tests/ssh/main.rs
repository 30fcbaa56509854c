//! Connections, commands and tunnels against a real OpenSSH server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/openssh.rs"]
mod openssh;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/sshd.rs"]
mod sshd;

/// Start a server, or leave the test where there is none.
macro_rules! server {
    () => {
        server!(@ Sshd::start())
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

mod accept_new;
mod commands;
mod fleet;
mod host_certificates;
mod host_keys;
mod hostile;
mod jump;
mod login;
mod lost;
mod robust;
mod root;
mod trust;
mod tunnels;

use fleetadm::ssh::Connection;
use sshd::{Sshd, connector};

async fn connect(server: &Sshd) -> Connection {
    connector().connect(&server.host()).await.unwrap()
}
