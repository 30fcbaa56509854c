//! Keys, certificate authorities and leaf certificates, as kubeadm lays them out under its PKI directory.
//!
//! [`ensure()`] takes the files a host has and returns the files it should have. The rest of the module
//! is what that needs: [`PrivateKey`], [`Certificate`], the table [`CERTIFICATES`] and the per-release
//! [`Profile`].
//!
//! Pure: never does I/O, never reads the clock (`now` is passed in), never decides which release is
//! which (that is `cluster::release`). Randomness for keys and serial numbers is its only input that is
//! not an argument.

mod authority;
mod certificate;
mod der;
mod ensure;
mod error;
mod issue;
mod key;
mod organizations;
mod pem;
mod profile;
mod request;
mod residual;
mod sans;
mod spec;

pub use crate::inventory::EncryptionAlgorithm as Algorithm;
pub use authority::Authority;
pub use certificate::Certificate;
pub(crate) use ensure::validity_warning;
pub use ensure::{Existing, Extended, Outcome, PkiFile, adopt, ensure, keys_needed};
pub use error::Error;
pub use issue::{ClientCertificate, issue_client, reissue};
pub use key::{KeyPool, PrivateKey};
pub use profile::{KeyIdentifier, Profile};
pub use request::request;
pub use residual::residual;
pub use sans::AltNames;
pub use spec::{
    AuthorityName, CA_VALIDITY, CERTIFICATES, Kind, LEAF_VALIDITY, Purpose, Requirements, Sans,
    Spec, Usage,
};
