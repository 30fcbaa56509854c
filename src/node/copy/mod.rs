//! Files and trees from the workstation to a host, and from a host to the workstation.
//!
//! Other than the rest of this layer this works as the login user, too, and leaves nothing on a host but
//! what was copied: one small script, `templates/copy.sh`, travels ahead of the data. Checksums are
//! compared first, and only what differs is sent, all of it into a private directory beside the destination;
//! when it has arrived whole, it is renamed into place. Nothing is deleted, and below the destination no symbolic
//! link is followed. What a host sends is untrusted: it can only become files below the directory meant for it.

mod error;
mod fetch;
mod incoming;
mod listing;
mod local;
mod places;
mod plan;
mod push;
mod remote;
mod shipment;
mod source;

pub use error::CopyError;
pub use fetch::Fetch;
pub use plan::Owner;
pub use push::Push;

/// How the names of files on their way begin.
const RESERVED: &str = ".fleetadm-copy";

/// Whether anything is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyMode {
    /// What differs is.
    Apply,
    /// Only what differs is told, for small text files with the difference where that is wanted.
    DryRun {
        /// It is.
        diff: bool,
    },
}
