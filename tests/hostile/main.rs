//! What hosts, colleagues and strangers may hand to fleetadm, damaged in every way: it is read, or refused by an error
//! that can be shown. Nothing panics, hangs, or takes memory out of proportion.
//!
//! Parsers that are private have such tests beside them. `PROPTEST_CASES` raises the number of cases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claims;
mod documents;
mod hosts;
mod keys;
mod limits;
mod memory;
mod noise;
mod ssh_files;
