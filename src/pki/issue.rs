//! Signing certificates, shaped byte for byte as kubeadm's Go standard library shapes them.
//!
//! Every extension is written here and handed to rcgen as it is: rcgen would put them in another order,
//! and adds a subject key identifier wherever it writes basic constraints.

use std::net::IpAddr;

use aws_lc_rs::rand;
use rcgen::string::PrintableString;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, Issuer, PublicKeyData,
    SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::authority::Authority;
use super::certificate::{Certificate, key_identifier};
use super::der::{self, element};
use super::error::Error;
use super::key::PrivateKey;
use super::organizations::replace_organizations;
use super::profile::Profile;
use super::sans::AltNames;
use super::spec::Usage;

const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const AUTHORITY_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];

/// digitalSignature, keyEncipherment and keyCertSign: two unused bits, then the bits.
const AUTHORITY_USAGE: [u8; 2] = [0x02, 0xa4];
/// digitalSignature and keyEncipherment: five unused bits, then the bits.
const LEAF_USAGE: [u8; 2] = [0x05, 0xa0];

/// DER of the object identifiers serverAuth and clientAuth.
const SERVER_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What a leaf certificate says.
pub(super) struct Leaf<'a> {
    pub(super) common_name: &'a str,
    pub(super) organization: Option<&'a str>,
    pub(super) usage: Usage,
    pub(super) alt_names: &'a AltNames,
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
}

/// A self-signed authority certificate.
pub(super) fn issue_authority(
    common_name: &str,
    key: &PrivateKey,
    now: OffsetDateTime,
    validity: Duration,
    profile: &Profile,
) -> Result<Certificate, Error> {
    let mut alt_names = AltNames::default();
    if profile.ca_dns_san {
        alt_names.dns.insert(common_name.to_owned());
    }
    let key_id = key_identifier(&key.subject_public_key_info(), profile.key_identifier)
        .ok_or_else(|| Error::crypto("signing an authority", "its public key is malformed"))?;

    let mut params = CertificateParams::default();
    params.not_before = now - profile.backdate.unwrap_or_default();
    params.not_after = now + validity;
    params.serial_number = Some(match profile.ca_random_serial {
        true => random_serial()?,
        false => SerialNumber::from_slice(&[0]),
    });
    params.distinguished_name = name(common_name, None);
    params.custom_extensions = vec![
        critical(KEY_USAGE, element(der::BIT_STRING, &[&AUTHORITY_USAGE])),
        critical(BASIC_CONSTRAINTS, element(der::SEQUENCE, &[&[0x01, 0x01, 0xff]])),
        plain(SUBJECT_KEY_IDENTIFIER, element(der::OCTET_STRING, &[&key_id])),
    ];
    params.custom_extensions.extend(alt_name_extension(&alt_names));
    let signed =
        params.self_signed(key).map_err(|error| Error::crypto("signing an authority", error))?;
    read_back(signed.der())
}

/// A leaf certificate signed by `authority`, which must have its key.
pub(super) fn issue_leaf(
    leaf: &Leaf<'_>,
    key: &PrivateKey,
    authority: &Authority,
    profile: &Profile,
) -> Result<Certificate, Error> {
    let failed = |reason: &dyn std::fmt::Display| Error::crypto("signing a certificate", reason);
    let signer =
        authority.key.as_ref().ok_or_else(|| failed(&"the authority's key is not here"))?;
    let issuer = Issuer::from_ca_cert_der(&authority.certificate.der().into(), signer)
        .map_err(|error| failed(&error))?;

    let mut params = CertificateParams::default();
    params.not_before = leaf.not_before;
    params.not_after = leaf.not_after;
    params.serial_number = Some(random_serial()?);
    params.distinguished_name = name(leaf.common_name, leaf.organization);
    let extensions = &mut params.custom_extensions;
    extensions.push(critical(KEY_USAGE, element(der::BIT_STRING, &[&LEAF_USAGE])));
    let usages: &[&[u8]] = match leaf.usage {
        Usage::Server => &[SERVER_AUTH],
        Usage::Client => &[CLIENT_AUTH],
        Usage::ServerAndClient => &[SERVER_AUTH, CLIENT_AUTH],
    };
    extensions.push(plain(EXTENDED_KEY_USAGE, element(der::SEQUENCE, usages)));
    if profile.leaf_basic_constraints {
        extensions.push(critical(BASIC_CONSTRAINTS, element(der::SEQUENCE, &[])));
    }
    if let Some(id) = &authority.certificate.subject_key_id {
        let id = element(der::context(0), &[id]);
        extensions.push(plain(AUTHORITY_KEY_IDENTIFIER, element(der::SEQUENCE, &[&id])));
    }
    extensions.extend(alt_name_extension(leaf.alt_names));
    let signed = params.signed_by(key, &issuer).map_err(|error| failed(&error))?;

    let certificate = read_back(signed.der())?;
    // rcgen rewrites the authority's subject as the issuer; an exotic subject could come out different.
    if !certificate.is_signed_by(&authority.certificate) {
        return Err(failed(&"the authority's key or subject does not match its certificate"));
    }
    Ok(certificate)
}

/// The client certificate of a kubeconfig.
#[derive(Debug, Clone, Copy)]
pub struct ClientCertificate<'a> {
    /// User name.
    pub common_name: &'a str,
    /// Groups.
    pub organizations: &'a [&'a str],
    /// End of validity, counted from now. It starts when the authority starts.
    pub validity: Duration,
}

/// Signs a kubeconfig's client certificate.
pub fn issue_client(
    client: &ClientCertificate<'_>,
    key: &PrivateKey,
    authority: &Authority,
    profile: &Profile,
    now: OffsetDateTime,
) -> Result<Certificate, Error> {
    let leaf = Leaf {
        common_name: client.common_name,
        organization: client.organizations.first().copied(),
        usage: Usage::Client,
        alt_names: &AltNames::default(),
        not_before: authority.certificate.not_before,
        not_after: now + client.validity,
    };
    let certificate = issue_leaf(&leaf, key, authority, profile)?;
    match client.organizations {
        [] | [_] => Ok(certificate),
        several => replace_organizations(&certificate, several, authority),
    }
}

/// Signs another certificate in the place of `present`: the same subject, names and usages, for a new key. Its validity
/// begins and ends as that of any leaf that is made now.
///
/// `keep_organization`: otherwise it is left out.
///
/// # Errors
/// `present` says something that kubeadm's certificates never say, or the authority's key is not here.
pub fn reissue(
    present: &Certificate,
    keep_organization: bool,
    key: &PrivateKey,
    authority: &Authority,
    profile: &Profile,
    now: OffsetDateTime,
    validity: Duration,
) -> Result<Certificate, Error> {
    let failed = |reason| Error::crypto("renewing a certificate", reason);
    let usage = present
        .usage
        .ok_or_else(|| failed("it says neither that it is for servers nor for clients"))?;
    let organization = match present.organizations.as_slice() {
        _ if !keep_organization => None,
        [] => None,
        [only] => Some(only.as_str()),
        _ => return Err(failed("it names several organizations")),
    };
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let leaf = Leaf {
        common_name: &present.common_name,
        organization,
        usage,
        alt_names: &present.alt_names,
        not_before: profile.backdate.map_or(authority.certificate.not_before, |back| now - back),
        not_after: now + validity,
    };
    issue_leaf(&leaf, key, authority, profile)
}

/// 1 to 2^63 - 2, both included.
fn random_serial() -> Result<SerialNumber, Error> {
    loop {
        let mut bytes = [0; 8];
        rand::fill(&mut bytes).map_err(|error| Error::crypto("drawing a serial number", error))?;
        let serial = u64::from_be_bytes(bytes) >> 1;
        if serial != 0 && serial != u64::MAX >> 1 {
            return Ok(SerialNumber::from(serial));
        }
    }
}

/// Organization first, then common name; PrintableString wherever the text allows, as Go does.
pub(super) fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let value = |text: &str| {
        PrintableString::try_from(text)
            .map_or_else(|_| DnValue::Utf8String(text.to_owned()), DnValue::PrintableString)
    };
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, value(organization));
    }
    name.push(DnType::CommonName, value(common_name));
    name
}

pub(super) fn alt_name_extension(names: &AltNames) -> Option<CustomExtension> {
    if names.is_empty() {
        return None;
    }
    let dns = names.dns.iter().map(|name| element(der::context(2), &[name.as_bytes()]));
    let ips = names.ips.iter().map(|ip| match ip {
        IpAddr::V4(ip) => element(der::context(7), &[&ip.octets()]),
        IpAddr::V6(ip) => element(der::context(7), &[&ip.octets()]),
    });
    let names: Vec<_> = dns.chain(ips).collect();
    let names: Vec<_> = names.iter().map(Vec::as_slice).collect();
    Some(plain(SUBJECT_ALT_NAME, element(der::SEQUENCE, &names)))
}

fn plain(oid: &[u64], content: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(oid, content)
}

fn critical(oid: &[u64], content: Vec<u8>) -> CustomExtension {
    let mut extension = plain(oid, content);
    extension.set_criticality(true);
    extension
}

fn read_back(der: &[u8]) -> Result<Certificate, Error> {
    Certificate::from_der(der).map_err(|reason| Error::crypto("reading back a certificate", reason))
}
