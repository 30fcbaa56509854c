//! Asking a host for its facts.

use super::{Facts, parse};
use crate::node::{Node, NodeError};

/// What to ask for beyond what is always asked.
#[derive(Debug, Clone, Default)]
pub struct FactsRequest {
    /// The runtime endpoint to ask; `None` means the first one whose socket exists.
    pub cri_socket: Option<String>,
    /// More paths to look at, for example etcd's data directory where it is not the usual one.
    pub paths: Vec<String>,
}

impl Node {
    /// Everything there is to know, in one round trip. Changes nothing on the host
    /// (like kubeadm it may load the kernel module `configs`, though not in a dry run).
    pub async fn facts(&self, request: &FactsRequest) -> Result<Facts, NodeError> {
        let mut arguments = vec!["facts"];
        if let Some(socket) = &request.cri_socket {
            arguments.extend(["--socket", socket]);
        }
        arguments.extend(request.paths.iter().map(String::as_str));
        let answer = self.call(&arguments).await?;
        parse(&String::from_utf8_lossy(&answer), None)
            .map_err(|source| NodeError::Facts { host: self.name().to_owned(), source })
    }
}
