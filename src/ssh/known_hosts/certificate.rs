//! Host certificates: whether one that a known authority signed is good for a host at a time.
//!
//! As strict as OpenSSH 10.3 and later, where a certificate without names is good for no host; older clients
//! took it for good for every host. Names in a certificate may be patterns, as there.

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::report::printable_line;
use crate::ssh::glob::glob;

/// How much of a certificate's names is shown, in characters.
const NAMES_SHOWN: usize = 100;

/// Whether `certificate` is good for the host `name` at `now` (seconds since 1970). The error says how it is bad, as
/// what follows "a certificate".
pub(super) fn check(certificate: &Certificate, name: &str, now: u64) -> Result<(), String> {
    if certificate.cert_type() != CertType::Host {
        return Err("for users".to_owned());
    }
    if now < certificate.valid_after() {
        return Err(format!("that is not valid before {}", date(certificate.valid_after())));
    }
    if now >= certificate.valid_before() {
        return Err(format!("that expired at {}", date(certificate.valid_before())));
    }
    let names = certificate.valid_principals();
    if names.is_empty() {
        return Err("that names no host".to_owned());
    }
    if !names.iter().any(|pattern| glob(pattern, name)) {
        let names = printable_line(&names.join(", "), NAMES_SHOWN);
        return Err(format!("for other hosts ({names}), not for {name}"));
    }
    // None is defined for hosts.
    if let Some(option) = certificate.critical_options().keys().next() {
        let option = printable_line(option, NAMES_SHOWN);
        return Err(format!("with the critical option {option}, which is not understood"));
    }
    if let Algorithm::Dsa | Algorithm::Rsa { hash: None } = certificate.signature().algorithm() {
        return Err("signed with SHA-1".to_owned());
    }
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    certificate
        .validate_at(now, [&authority])
        .map_err(|_| "with a signature that is wrong".to_owned())
}

fn date(seconds: u64) -> String {
    // A date that cannot be written is as far away as one can be.
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| {
            OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
        })
        .unwrap_or_else(|| format!("{seconds} s after 1970"))
}
