//! A certificate whose subject has several organizations. rcgen holds each kind of attribute once, so its certificate is
//! written anew with another subject, and signed again.

use rcgen::SigningKey;
use rcgen::string::PrintableString;

use super::authority::Authority;
use super::certificate::Certificate;
use super::der::{self, element, split};
use super::error::Error;

const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
/// DER of the object identifiers organizationName and commonName.
const ORGANIZATION: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x0a];
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

/// `certificate`, which `authority` has signed, with these organizations in place of its own.
pub(super) fn replace_organizations(
    certificate: &Certificate,
    organizations: &[&str],
    authority: &Authority,
) -> Result<Certificate, Error> {
    let failed = |reason: &str| Error::crypto("signing a certificate", reason);
    let signer = authority.key.as_ref().ok_or_else(|| failed("the authority's key is not here"))?;
    let subject = subject(organizations, &certificate.common_name);
    let (tbs, algorithm) = with_subject(certificate.der(), &subject)
        .ok_or_else(|| failed("it is not made as it should be"))?;
    let signature = signer.sign(&tbs).map_err(|error| failed(&error.to_string()))?;
    let signature = element(der::BIT_STRING, &[&[0], &signature]);
    let whole = element(der::SEQUENCE, &[&tbs, &algorithm, &signature]);
    let whole = Certificate::from_der(&whole).map_err(|reason| failed(&reason))?;
    if whole.is_signed_by(&authority.certificate) {
        Ok(whole)
    } else {
        Err(failed("the signature does not verify"))
    }
}

/// The signed part of a certificate with another subject, and the algorithm of its signature.
fn with_subject(certificate: &[u8], subject: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (_, outer, _) = split(certificate)?;
    let (tag, tbs, rest) = split(outer)?;
    let (algorithm_tag, algorithm, _) = split(rest)?;
    // Version, serial number, algorithm, issuer, validity, subject; the rest stays as it is.
    let mut fields = Vec::new();
    let mut left = tbs;
    for _ in 0..6 {
        let (tag, content, rest) = split(left)?;
        fields.push(element(tag, &[content]));
        left = rest;
    }
    fields[5] = subject.to_vec();
    let mut parts: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    parts.push(left);
    Some((element(tag, &parts), element(algorithm_tag, &[algorithm])))
}

/// Organizations first, in one set as Go writes them, then the common name.
fn subject(organizations: &[&str], common_name: &str) -> Vec<u8> {
    let attribute = |oid: &[u8], text: &str| {
        let tag = match PrintableString::try_from(text) {
            Ok(_) => PRINTABLE_STRING,
            Err(_) => UTF8_STRING,
        };
        element(der::SEQUENCE, &[oid, &element(tag, &[text.as_bytes()])])
    };
    let mut values: Vec<Vec<u8>> =
        organizations.iter().map(|name| attribute(ORGANIZATION, name)).collect();
    // DER wants the elements of a set in the order of their encodings.
    values.sort();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let organizations = element(SET, &values);
    let common_name = element(SET, &[&attribute(COMMON_NAME, common_name)]);
    element(der::SEQUENCE, &[&organizations, &common_name])
}
