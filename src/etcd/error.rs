//! What can go wrong between fleetadm and etcd, and which of it goes away by itself.

/// Why something with etcd did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// The client could not be set up from what it was given.
    #[error("cannot set up the client of etcd: {0}")]
    Setup(String),
    /// etcd answered with an error.
    #[error("etcd at {endpoint} refuses to {action}: {message}")]
    Refused {
        /// `host:port` of the member that was asked.
        endpoint: String,
        /// What was tried: `promote member 8e9e05c52164694d`.
        action: String,
        /// The code of gRPC (`google.rpc.Code`).
        code: u32,
        /// etcd's words, made printable.
        message: String,
    },
    /// Nothing answered, or nothing that could be understood.
    #[error("cannot {action} with etcd at {endpoint}: {problem}")]
    NoAnswer {
        /// `host:port` of the member that was asked.
        endpoint: String,
        /// What was tried.
        action: String,
        /// What happened instead.
        problem: String,
    },
}

/// `google.rpc.Code`.
const DEADLINE_EXCEEDED: u32 = 4;
const NOT_FOUND: u32 = 5;
const RESOURCE_EXHAUSTED: u32 = 8;
const FAILED_PRECONDITION: u32 = 9;
const ABORTED: u32 = 10;
const UNAVAILABLE: u32 = 14;
/// Those that may be answered otherwise later.
const PASSING: [u32; 5] =
    [DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, UNAVAILABLE];

impl EtcdError {
    /// The member does not exist (any more).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: NOT_FOUND, .. })
    }

    /// etcd is not in the state that the request needs: a learner that lags behind, a second learner, too few members
    /// that are healthy.
    pub fn is_precondition(&self) -> bool {
        matches!(self, Self::Refused { code: FAILED_PRECONDITION, .. })
    }

    /// The member answers, and may answer otherwise later.
    pub fn is_refused_for_now(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if PASSING.contains(code))
    }

    /// The same request may work later.
    pub fn is_transient(&self) -> bool {
        self.is_refused_for_now() || matches!(self, Self::NoAnswer { .. })
    }
}
