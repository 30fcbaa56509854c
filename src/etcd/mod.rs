//! etcd's membership and health, asked over an SSH tunnel.
//!
//! [`EtcdClient`] speaks to one member through etcd's JSON gateway; [`Members`] is what it says, with the arithmetic of
//! quorums, which is pure. Nothing here decides who should be a member, and nothing here reads or writes keys of
//! Kubernetes.

mod client;
mod error;
mod in_turn;
mod members;

pub use client::{Access, EtcdClient, Status};
pub use error::EtcdError;
pub use in_turn::in_turn;
pub use members::{Member, MemberId, Members, quorum};
