//! What can go wrong between fleetadm and an API server, and which of it is worth another try.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use crate::report::printable;

/// Why something with the API server did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The client could not be set up from what it was given.
    #[error("cannot set up the API client: {problem}")]
    Setup {
        /// What is wrong with the address, certificate or key.
        problem: String,
    },
    /// An object has no name, kind or namespace, or is of a kind fleetadm does not write.
    #[error("not an API object fleetadm can write: {problem}")]
    Object {
        /// What is missing or wrong.
        problem: String,
    },
    /// The API server answered with an error, or the answer was unusable.
    #[error("cannot {action}: {}", describe(source))]
    Request {
        /// What was tried: `get configmap kube-system/kubeadm-config`.
        action: String,
        /// What the client said.
        #[source]
        source: kube::Error,
    },
    /// It kept failing for as long as it was allowed to.
    #[error("gave up after {:.0?} trying to {action}; the last answer: {last}", waited)]
    TimedOut {
        /// What was waited for: `get node cp-1`.
        action: String,
        /// How long.
        waited: Duration,
        /// The last failure.
        last: String,
    },
    /// The run was cancelled.
    #[error("cancelled while trying to {action}")]
    Cancelled {
        /// What was waited for.
        action: String,
    },
    /// An operator's manifest is not YAML.
    #[error("{file} is not YAML: {}", printable(problem))]
    ManifestSyntax {
        /// The file as the operator named it.
        file: String,
        /// Where and why.
        problem: String,
    },
    /// One document of an operator's manifest cannot be applied.
    #[error("{file}, document {document}{}: {}", what.as_deref().map(|w| format!(" ({})", printable(w))).unwrap_or_default(), printable(problem))]
    Manifest {
        /// The file as the operator named it.
        file: String,
        /// Counted from 1.
        document: usize,
        /// `kind/name`, once known.
        what: Option<String>,
        /// What is wrong.
        problem: String,
    },
}

impl ApiError {
    /// The HTTP status code, when the API server sent one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Request { source: kube::Error::Api(status), .. } => Some(status.code),
            _ => None,
        }
    }

    /// What went wrong, without what was tried.
    pub fn reason(&self) -> String {
        match self {
            Self::Request { source, .. } => describe(source),
            Self::TimedOut { last, .. } => last.clone(),
            other => other.to_string(),
        }
    }

    /// True when the same request may work later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Request { source, .. } => retry(source) != Retry::Never,
            _ => false,
        }
    }

    /// True when nothing answered: as opposed to an answer that says no.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Request { source: kube::Error::Api(_), .. } => false,
            other => other.is_transient(),
        }
    }
}

/// Whether a failed request may work when sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// The answer will not change.
    Never,
    /// Authorization lags behind a binding just written, but not for long.
    Briefly,
    /// The server or the way to it is not up, or is busy.
    Always,
}

/// Whether this failure may go away by itself.
pub(super) fn retry(error: &kube::Error) -> Retry {
    match error {
        kube::Error::Api(status) => match status.code {
            429 | 500..=599 => Retry::Always,
            401 | 403 => Retry::Briefly,
            _ => Retry::Never,
        },
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {
            if is_tls_refusal(error) {
                Retry::Never
            } else {
                Retry::Always
            }
        }
        _ => Retry::Never,
    }
}

/// A certificate that does not verify stays so: rustls reports it as invalid data.
fn is_tls_refusal(error: &kube::Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| {
        // An I/O error inside an I/O error is not among its sources.
        std::iter::successors(Some(error), |outer| outer.get_ref()?.downcast_ref())
            .any(|error: &io::Error| error.kind() == io::ErrorKind::InvalidData)
    })
}

fn causes(error: &kube::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |cause| (*cause).source())
}

/// The failure in one line: the server's own words, or the chain of causes without repetition.
pub(crate) fn describe(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return match (status.message.trim(), status.code) {
            ("", code) => format!("the API server answered {code} {}", status.reason),
            (message, code) => format!("{message} ({code})"),
        };
    }
    let mut text = String::new();
    // kube's own layer only says which of its layers failed.
    for cause in causes(error).skip(1) {
        let line = cause.to_string();
        if text.contains(&line) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&line);
    }
    if text.is_empty() { error.to_string() } else { text }
}
