//! What this run says of itself to others who want to work on the same hosts.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::phases::lease::{LeaseOptions, PATIENCE};
use crate::ssh::Environment;

use super::args::Global;

/// Leases for a run of this command.
pub(super) fn options(global: &Global, command: &str) -> LeaseOptions {
    let environment = Environment::current();
    let named = |name: Option<String>, unknown: &str| name.unwrap_or_else(|| unknown.to_owned());
    let user = named(environment.user, "somebody");
    let host = named(environment.host_name, "a host without a name");
    let process = std::process::id();
    let now = OffsetDateTime::now_utc();
    // Formatting the current time fails only for years outside RFC 3339.
    let since = now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default();
    LeaseOptions {
        holder: format!("{user}@{host} (fleetadm {command}, process {process}) since {since}"),
        patience: global.lease_timeout.unwrap_or(PATIENCE),
    }
}
