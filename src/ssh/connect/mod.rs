//! From the settings of a host to a connection: the way there, the handshake, logging in, and trying again. What a connection
//! can do once it is there is for [`super::connection`].

pub(super) mod connector;
pub(super) mod descriptors;
pub(super) mod dial;
pub(super) mod handshake;
pub(super) mod hops;
pub(super) mod proxy_command;
pub(super) mod read_ahead;
pub(super) mod relay;
pub(super) mod retry;
pub(super) mod scan;
pub(super) mod shared;
pub(super) mod wire;
