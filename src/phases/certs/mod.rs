//! Certificates of a running cluster: when they expire, and new ones in their place.
//!
//! What a host has is the truth: names, usages and places are read there, whoever made the cluster. Looking reads
//! certificates only, never keys.

pub mod expiration;
pub mod places;
pub mod renew;
pub mod requests;
