//! OpenSSH's configuration, resolved by fleetadm and by OpenSSH's own client: whatever is generated, and one case for
//! each thing there is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// The client to agree with, or leave the test where there is none.
macro_rules! client {
    () => {
        match crate::client::Client::find() {
            Some(client) => client,
            None => return,
        }
    };
}

mod cases;
mod client;
mod generated;
mod jumps;
mod refused;
mod shown;
