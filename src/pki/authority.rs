//! A certificate authority: its certificate, and its key unless it is external.

use super::certificate::Certificate;
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
