//! A certificate authority: its certificate, and its key unless it is external.

use super::certificate::Certificate;
use super::error::Error;
use super::key::PrivateKey;

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    /// Its certificate (the first one of its file).
    pub certificate: Certificate,
    /// Its key; `None` when the authority is external and certificates come from elsewhere.
    pub key: Option<PrivateKey>,
}

impl Authority {
    /// Reads an authority's files; `base` is what errors call them.
    ///
    /// # Errors
    /// A file cannot be read, the certificate is no authority's, or the key belongs to another.
    pub fn read(base: &str, certificate: &[u8], key: Option<&[u8]>) -> Result<Self, Error> {
        let (crt, key_file) = (format!("{base}.crt"), format!("{base}.key"));
        // kubeadm, too, takes the first certificate of the file.
        let certificate = Certificate::from_pem(certificate)
            .map(|mut chain| chain.swap_remove(0))
            .map_err(|reason| Error::unreadable(&crt, reason))?;
        if !certificate.is_ca {
            return Err(Error::NotAnAuthority { file: crt });
        }
        let key = key.map(PrivateKey::from_pem).transpose();
        let key = key.map_err(|reason| Error::unreadable(&key_file, reason))?;
        if key.as_ref().is_some_and(|key| !key.belongs_to(&certificate)) {
            return Err(Error::NotAPair { certificate: crt, key: key_file });
        }
        Ok(Self { certificate, key })
    }

    /// Whether a leaf file's chain (leaf first) leads to this authority.
    pub fn verifies(&self, chain: &[Certificate]) -> bool {
        let Some((mut current, intermediates)) = chain.split_first() else { return false };
        // Each step uses up one intermediate, so this ends however the chain was forged.
        for _ in 0..=intermediates.len() {
            if current.is_signed_by(&self.certificate) {
                return true;
            }
            match intermediates.iter().find(|next| next.is_ca && current.is_signed_by(next)) {
                Some(next) => current = next,
                None => return false,
            }
        }
        false
    }
}
