//! API objects that fleetadm owns, and a client that reaches the API server through an SSH tunnel.
//!
//! `objects` is pure: it says what the objects of each kubeadm phase look like. The other modules talk
//! to the API server: [`ApiClient`] over a [`Dial`], `apply` to converge objects, `manifests` for the
//! operator's own files, `health` and `wait` to wait for something, `drain` to empty a node. Nothing here knows
//! of SSH, hosts or phases, and nothing here prints.

pub mod apply;
pub mod client;
pub mod compare;
pub mod dial;
pub mod drain;
pub mod error;
pub mod health;
pub mod manifests;
pub mod nodes;
pub mod object;
pub mod objects;
pub mod poll;
pub mod reviews;
pub mod rollout;
pub mod tokens;
pub mod wait;

pub use apply::{Applied, Change};
pub use client::{ApiClient, Credentials, Timing};
pub(crate) use client::{Tls, client_of, tls_client};
pub use dial::{BoxStream, Dial};
pub use error::ApiError;
pub use object::{Kind, Object, ObjectKey, Ownership};
pub use poll::Poll;
