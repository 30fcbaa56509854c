//! Why a phase failed, in one line that says what to try.

use crate::cluster::YamlError;
use crate::cluster::component_config::ComponentConfigError;
use crate::cluster::kubeconfig;
use crate::cluster::patches::PatchError;
use crate::etcd::EtcdError;
use crate::kubernetes::ApiError;
use crate::kubernetes::drain::DrainError;
use crate::kubernetes::objects::TemplateError;
use crate::kubernetes::tokens::CreateError;
use crate::node::NodeError;
use crate::pki;
use crate::ssh::SshError;

/// Why a phase failed.
#[derive(Debug, thiserror::Error)]
pub enum PhaseError {
    /// The host cannot be reached or the connection was lost.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The host refused a step.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The API server refused a request or does not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A node could not be drained.
    #[error("{0}")]
    Drain(DrainError),
    /// etcd refuses a request or does not answer.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// The certificates on the host cannot be used.
    #[error("/etc/kubernetes/pki: {0}")]
    Pki(#[from] pki::Error),
    /// A kubeconfig on the host cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    /// A configuration document cannot be rendered or read.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// The operator's patches do not fit what they are for.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// A component's configuration cannot be rendered.
    #[error(transparent)]
    ComponentConfig(#[from] ComponentConfigError),
    /// An add-on cannot be rendered.
    #[error(transparent)]
    Addon(#[from] TemplateError),
    /// Another template of our own cannot be rendered.
    #[error(transparent)]
    Template(#[from] minijinja::Error),
    /// Checks failed; each was reported.
    #[error("{count} preflight {} failed: {}; fix them, or name them in --ignore-preflight-errors",
        if *count == 1 { "check" } else { "checks" }, names.join(", "))]
    Preflight {
        /// How many.
        count: usize,
        /// Their names.
        names: Vec<String>,
    },
    /// The control plane, which the host's own phase needs.
    #[error("the control plane {host}: {source}")]
    ControlPlane {
        /// Its inventory name.
        host: String,
        /// What is the matter with it.
        source: Box<PhaseError>,
    },
    /// The first host of etcd, which the host's own phase needs.
    #[error("the first host of etcd {host}: {source}")]
    EtcdHost {
        /// Its inventory name.
        host: String,
        /// What is the matter with it.
        source: Box<PhaseError>,
    },
    /// Something local is wrong.
    #[error("{0}")]
    Local(String),
    /// The cluster or the host is in a state the phase cannot go on from.
    #[error("{0}")]
    State(String),
    /// The run was interrupted while the phase waited.
    #[error("interrupted")]
    Interrupted,
}

impl From<DrainError> for PhaseError {
    fn from(error: DrainError) -> Self {
        match error {
            DrainError::Api(error) => Self::Api(error),
            other => Self::Drain(other),
        }
    }
}

impl PhaseError {
    /// The operator wanted the run to stop; nothing is wrong.
    pub fn interrupted(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Api(ApiError::Cancelled { .. }))
    }

    /// The host could not be reached (exit status 4 rather than 3).
    pub fn unreachable(&self) -> bool {
        match self {
            Self::Ssh(error) => error.could_not_reach() || error.is_lost(),
            Self::Node(error) => error.is_unreachable(),
            Self::ControlPlane { source, .. } | Self::EtcdHost { source, .. } => {
                source.unreachable()
            }
            _ => false,
        }
    }
}

impl From<CreateError> for PhaseError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Api(error) => Self::Api(error),
            exists @ CreateError::Exists(_) => Self::State(exists.to_string()),
        }
    }
}
