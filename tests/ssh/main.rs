//! Connections, commands and tunnels against a real OpenSSH server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/account.rs"]
mod account;
#[path = "../support/machine.rs"]
mod machine;
#[path = "../support/openssh.rs"]
mod openssh;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/sshd.rs"]
mod sshd;
#[path = "../support/typist.rs"]
mod typist;

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

/// Look after so many hosts, or leave the test where there is no server.
macro_rules! operator {
    ($count:expr) => {
        operator!($count, "")
    };
    ($count:expr, $before:expr) => {
        match Operator::with($count, $before) {
            Some(operator) => operator,
            None => return,
        }
    };
}

/// Start a machine with users, sudo and doas of its own, or leave the test where there is none.
macro_rules! machine {
    () => {
        machine!("")
    };
    ($config:expr) => {
        match crate::machine::Machine::start($config) {
            Some(machine) => machine,
            None => return,
        }
    };
}

mod accept_new;
mod artifacts;
mod commands;
mod copy;
mod dropbear;
mod exec;
mod facts;
mod fetch;
mod fleet;
mod host_certificates;
mod host_keys;
mod hostile;
mod jump;
mod keys;
mod leases;
mod links;
mod login;
mod lost;
mod mirror;
mod odd_hosts;
mod odd_servers;
mod operator;
mod passwords;
mod privilege;
mod records;
mod registries;
mod robust;
mod rolling;
mod root;
mod secrecy;
mod terminal;
mod trust;
mod tunnels;

use fleetadm::fleet::{Outcome, Pace, run_all};
use fleetadm::inventory::Host;
use fleetadm::ssh::Connection;
use tokio_util::sync::CancellationToken;

use sshd::{Sshd, connector};

async fn connect(server: &Sshd) -> Connection {
    connector().connect(&server.host()).await.unwrap()
}

/// `work` on all hosts at once, as far as that is done for an operator who asks for nothing else.
async fn on_all<'a, T, E, F>(
    hosts: &'a [Host],
    work: impl Fn(&'a Host) -> F,
) -> Vec<(&'a Host, Outcome<T, E>)>
where
    F: Future<Output = Result<T, E>>,
{
    run_all(hosts, &Pace::parallel(64), &CancellationToken::new(), |_| {}, |_, host| work(host))
        .await
}
