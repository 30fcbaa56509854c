//! Whether the cluster's control planes are up, by what its API says of their nodes.

use super::{Checks, Findings};

/// The Node of a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlaneNode {
    /// Its name.
    pub name: String,
    /// Status of its condition Ready: `True`, `False`, `Unknown`; `None` when it has none.
    pub ready: Option<String>,
}

impl Checks<'_> {
    /// kubeadm's wording, which people search for. An API that does not answer is this check's error, as it is the
    /// first to ask it.
    pub(super) fn control_plane_nodes(&mut self, nodes: &Result<Vec<ControlPlaneNode>, String>) {
        let findings = match nodes {
            Err(problem) => {
                Findings::error(format!("could not list the nodes of control planes: {problem}"))
                    .saw("nodes", "unknown")
            }
            Ok(nodes) => {
                let is_ready = |node: &&ControlPlaneNode| node.ready.as_deref() == Some("True");
                let not_ready: Vec<&str> =
                    nodes.iter().filter(|node| !is_ready(node)).map(|n| n.name.as_str()).collect();
                let findings = Findings::error_if(!not_ready.is_empty(), || {
                    let names = not_ready.join(" ");
                    format!("there are NotReady control-planes in the cluster: [{names}]")
                });
                nodes.iter().fold(findings.saw("nodes", nodes.len()), |findings, node| {
                    let ready = node.ready.as_deref().unwrap_or("not said");
                    findings.saw(format!("{} Ready", node.name), ready)
                })
            }
        };
        self.push("ControlPlaneNodesReady", findings);
    }
}
