//! Certificates as they are read: the fields decisions need, and signature checks.

use std::fmt::Write as _;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use super::profile::KeyIdentifier;
use super::sans::AltNames;
use super::spec::Usage;
use super::{der, pem};

const LABEL: &str = "CERTIFICATE";

/// A parsed X.509 certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// Subject common name; empty when there is none.
    pub common_name: String,
    /// Subject organizations.
    pub organizations: Vec<String>,
    /// Start of validity.
    pub not_before: OffsetDateTime,
    /// End of validity.
    pub not_after: OffsetDateTime,
    /// Subject alternative names; kinds other than DNS and IP are left out.
    pub alt_names: AltNames,
    /// Basic constraints say that it may sign.
    pub is_ca: bool,
    /// Extended key usage, as far as it is for servers or clients.
    pub usage: Option<Usage>,
    /// SubjectPublicKeyInfo in DER.
    pub public_key: Vec<u8>,
    /// Subject key identifier, when it has one.
    pub subject_key_id: Option<Vec<u8>>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
}

impl Certificate {
    /// Every certificate of a PEM file, in order; at least one. The reason for refusal is for people.
    pub fn from_pem(input: &[u8]) -> Result<Vec<Self>, String> {
        let certificates = pem::decode(input)?
            .iter()
            .filter(|block| block.label == LABEL)
            .map(|block| Self::from_der(&block.der))
            .collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() {
            return Err("it holds no certificate".to_owned());
        }
        Ok(certificates)
    }

    /// One certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, String> {
        let damaged =
            |reason: &dyn std::fmt::Display| format!("its certificate is damaged: {reason}");
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|error| damaged(&error))?;
        if !rest.is_empty() {
            return Err(damaged(&"something follows it"));
        }
        let mut alt_names = AltNames::default();
        if let Some(extension) =
            parsed.subject_alternative_name().map_err(|error| damaged(&error))?
        {
            for name in &extension.value.general_names {
                match name {
                    GeneralName::DNSName(name) => {
                        alt_names.dns.insert((*name).to_owned());
                    }
                    GeneralName::IPAddress(bytes) => {
                        let ip = ip_from_octets(bytes)
                            .ok_or_else(|| damaged(&"an IP address has a strange length"))?;
                        alt_names.push_ip(ip);
                    }
                    _ => {}
                }
            }
        }
        let is_ca = parsed
            .basic_constraints()
            .map_err(|error| damaged(&error))?
            .is_some_and(|extension| extension.value.ca);
        let usage =
            parsed.extended_key_usage().map_err(|error| damaged(&error))?.and_then(|extension| {
                match (extension.value.server_auth, extension.value.client_auth) {
                    (true, true) => Some(Usage::ServerAndClient),
                    (true, false) => Some(Usage::Server),
                    (false, true) => Some(Usage::Client),
                    (false, false) => None,
                }
            });
        let subject_key_id =
            parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
                x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => {
                    Some(id.0.to_vec())
                }
                _ => None,
            });
        Ok(Self {
            common_name: attributes(parsed.subject().iter_common_name()).pop().unwrap_or_default(),
            organizations: attributes(parsed.subject().iter_organization()),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            alt_names,
            is_ca,
            usage,
            public_key: parsed.public_key().raw.to_vec(),
            subject_key_id,
            subject: raw(parsed.subject()),
            issuer: raw(parsed.issuer()),
            der: der.to_vec(),
        })
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        pem::encode(LABEL, &self.der).to_string()
    }

    /// Whether `issuer` signed this: the names agree and the signature verifies. Validity periods are not
    /// looked at.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let parse = |der| X509Certificate::from_der(der).ok().map(|(_, parsed)| parsed);
        let (Some(own), Some(issuers)) = (parse(&self.der), parse(&issuer.der)) else {
            return false;
        };
        self.issuer == issuer.subject && own.verify_signature(Some(issuers.public_key())).is_ok()
    }

    /// The last component of kubeadm's `--discovery-token-ca-cert-hash`: `sha256:` and the digest of the
    /// public key.
    pub fn public_key_hash(&self) -> String {
        let digest = digest(&SHA256, &self.public_key);
        digest.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The identifier of a public key given as SubjectPublicKeyInfo; it covers only the key's bits.
pub(super) fn key_identifier(public_key_info: &[u8], method: KeyIdentifier) -> Option<Vec<u8>> {
    let (_, fields, _) = der::split(public_key_info)?;
    let (_, _, rest) = der::split(fields)?;
    let (der::BIT_STRING, bits, _) = der::split(rest)? else { return None };
    // The first byte counts unused bits.
    let key = bits.get(1..)?;
    Some(match method {
        KeyIdentifier::Sha1 => digest(&SHA1_FOR_LEGACY_USE_ONLY, key).as_ref().to_vec(),
        KeyIdentifier::TruncatedSha256 => digest(&SHA256, key).as_ref()[..20].to_vec(),
    })
}

fn attributes<'a>(
    values: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>,
) -> Vec<String> {
    values.filter_map(|value| value.as_str().ok()).map(str::to_owned).collect()
}

fn raw(name: &X509Name<'_>) -> Vec<u8> {
    name.as_raw().to_vec()
}

fn ip_from_octets(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rubbish_never_panics(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Certificate::from_der(&input);
            let _ = Certificate::from_pem(pem::encode(LABEL, &input).as_bytes());
            let _ = key_identifier(&input, KeyIdentifier::Sha1);
        }
    }
}
