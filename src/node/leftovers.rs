//! What kubeadm's reset leaves on a host, taken away by a script that stays on none.

use super::transport::Input;
use super::{Change, Node, NodeError, payload};
use crate::report::printable_line;

/// Something that kubeadm's reset leaves. In the order in which they can go: rules hold ipsets, and pods' interfaces are
/// named in rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leftover {
    /// Chains KUBE-* and CNI-* with the rules that lead there, in both iptables, for IPv4 and IPv6; kube-proxy's tables
    /// of nftables.
    Iptables,
    /// kube-ipvs0 with the services of IPVS on its addresses and on node ports, and ipsets KUBE-*.
    Ipvs,
    /// Configuration in /etc/cni/net.d, interfaces of pod networks, and their state.
    Cni,
    /// Images of the container runtime that no container uses.
    Images,
    /// The kubelet's package with what depends on it, or its binary, kubeadm's and kubectl's; its unit; its directory.
    Kubelet,
}

impl Leftover {
    fn as_str(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Ipvs => "ipvs",
            Self::Cni => "cni",
            Self::Images => "images",
            Self::Kubelet => "kubelet",
        }
    }
}

/// What cleaning up came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What is gone.
    pub changes: Vec<Change>,
    /// What is still there, each with why.
    pub kept: Vec<String>,
}

impl Node {
    /// Take these away as far as they are Kubernetes' own. `socket` is the endpoint of the container runtime.
    ///
    /// # Errors
    /// What the host said. What was taken away until then is gone.
    pub async fn clean(&self, what: &[Leftover], socket: &str) -> Result<Cleaned, NodeError> {
        let mut what = what.to_vec();
        what.sort_unstable();
        what.dedup();
        let mut arguments = Vec::new();
        if self.is_dry_run() {
            arguments.push("--dry-run");
        }
        arguments.push(socket);
        arguments.extend(what.iter().map(|leftover| leftover.as_str()));
        let command = payload::cleanup_command(&arguments);
        let mut words = vec!["cleanup"];
        words.extend(what.iter().map(|leftover| leftover.as_str()));
        let input = Input::Bytes(payload::cleanup_script());
        let output = self.transmit(&words, &command, input).await?;
        let answer = self.demand_success(&words, output)?;
        let mut cleaned = Cleaned::default();
        for (word, rest) in self.lines("cleanup", &answer)? {
            let rest = printable_line(rest, 300);
            match word {
                "removed" => cleaned.changes.push(Change::new(format!("remove {rest}"))),
                "kept" => cleaned.kept.push(rest),
                _ => return Err(self.unexpected("cleanup", word)),
            }
        }
        Ok(cleaned)
    }
}
