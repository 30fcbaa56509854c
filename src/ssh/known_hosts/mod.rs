//! known_hosts: which keys and certificate authorities are known for a host, whether what it presented is
//! covered by them, and the writing down of new keys.
//!
//! Follows OpenSSH's client with `StrictHostKeyChecking` `yes` or `accept-new`, or is stricter:
//!
//! - A broken `@revoked` line is an error, and a revocation holds for a host at every port.
//! - A host that a certificate authority is named for is not accepted as new by a key without a good certificate.
//! - A host is never connected to by a new key that could not be written down.
//!
//! There is no way to go on with a changed or revoked key.

mod certificate;
mod check;
mod edit;
mod entries;
mod entry;
mod expected;
mod file;
mod host_keys;
mod names;
mod pattern;
mod record;
mod standing;
mod writer;

use russh::keys::{HashAlg, PublicKey};

use super::settings::Settings;
use names::Names;

pub(super) use check::{HostKeyCheck, KnownHosts};
pub use expected::ExpectedKeys;
pub(super) use host_keys::same_type;
pub use record::Recorded;
pub use standing::{HostKey, KnownLine, Standing};

/// The names by which people may know the server of `settings`: those in known_hosts, with the port and without, and its
/// endpoint.
pub(super) fn names(settings: &Settings) -> Vec<String> {
    let names = Names::new(settings);
    vec![names.entry, names.principal, settings.endpoint()]
}

/// `ssh-ed25519 SHA256:…`.
pub(super) fn describe(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// `address:port`, with brackets around IPv6 addresses.
pub(super) fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}
