//! What can be wrong with a PKI, and what the operator can do about it.

/// Why a PKI cannot be used or completed. File names are relative to the PKI directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is not what its name says.
    #[error(
        "{file} cannot be read: {reason}; restore it from a backup, or remove it and its \
         counterpart to have both made anew"
    )]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate authority's certificate and key are not a pair.
    #[error(
        "{certificate} does not belong to {key}; put the matching pair in place, or remove \
         both if no cluster uses them yet"
    )]
    NotAPair {
        /// The certificate file.
        certificate: String,
        /// The key file.
        key: String,
    },
    /// A certificate was signed by someone else.
    #[error(
        "{file} is not signed by {authority}; remove it and its key to have them made anew, \
         or put back the authority that signed it"
    )]
    WrongAuthority {
        /// The certificate file.
        file: String,
        /// The certificate authority's file.
        authority: String,
    },
    /// A certificate authority's file holds a certificate that may not sign.
    #[error(
        "{file} is not a certificate authority: its basic constraints do not say so; put \
         the authority's own certificate in place"
    )]
    NotAnAuthority {
        /// The certificate file.
        file: String,
    },
    /// A certificate lacks names it must have, and its authority is external (no key here).
    #[error(
        "{file} is not valid for {missing}, and {authority}.key, which could sign another, is not \
         here; put a certificate with these names in its place (external authority), or list no \
         such name in the inventory"
    )]
    MissingNames {
        /// The certificate file.
        file: String,
        /// The names and addresses, comma-separated.
        missing: String,
        /// The authority's file base.
        authority: String,
    },
    /// The authority is external (no key here) and a file only it can make is missing.
    #[error(
        "{file} is missing, and {authority}.key, which could sign it, is missing too; put \
         the certificate and key in place (external authority), or restore {authority}.key"
    )]
    ExternalAuthority {
        /// The missing file.
        file: String,
        /// The authority's file base.
        authority: String,
    },
    /// A public service account key without its private key.
    #[error(
        "sa.pub is there but sa.key is not; restore sa.key, or remove sa.pub to have both \
         made anew (which ends every service account token)"
    )]
    LonelyPublicKey,
    /// A joining control plane already holds another cluster's file.
    #[error(
        "{file} differs from the cluster's; this host seems to belong to another cluster: \
         reset it first"
    )]
    OtherCluster {
        /// The file.
        file: String,
    },
    /// The cryptographic library refused.
    #[error("{operation} failed: {reason}")]
    Crypto {
        /// What was attempted.
        operation: &'static str,
        /// What the library said.
        reason: String,
    },
}

impl Error {
    pub(super) fn unreadable(file: &str, reason: impl Into<String>) -> Self {
        Self::Unreadable { file: file.to_owned(), reason: reason.into() }
    }

    pub(super) fn crypto(operation: &'static str, reason: impl ToString) -> Self {
        Self::Crypto { operation, reason: reason.to_string() }
    }
}
