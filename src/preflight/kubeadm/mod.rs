//! kubeadm's checks of one host, under kubeadm's names and in its order.
//!
//! What differs from release to release is data in `rules`. Where these checks differ from kubeadm's:
//!
//! - `FileExisting-crictl` only warns: kubeadm up to 1.30 cannot work without crictl, fleetadm can.
//! - `KubeletVersion` looks at the kubelet that will be installed, where one will be, and compares it with
//!   the control plane's version on joins too, since that version is known here.
//! - A host that is a member already is not told that its ports and files are in use.
//! - `ContainerRuntimeVersion` goes by the name and version the runtime gave, without making the call.
//! - `ExternalEtcdVersion` and `ExternalEtcdClientCertificates` are made where somebody else runs etcd, not where the
//!   inventory's own hosts do; the files are those of the workstation, and looked into, too.
//! - Before an upgrade the cluster is asked once, on the first control plane, not on each. A control plane whose node
//!   has no condition Ready is told of, too. Where the API does not answer, `ControlPlaneNodesReady` says so.
//! - Before an upgrade, `SystemVerification` is made for every release, since its kernel has to do for all.
//!
//! Not here: `ImagePull` (pulling is a phase of its own), `Service-Docker` and `IsDockerSystemdCheck` (kubeadm
//! 1.20 with dockershim, which is never driven here), and an upgrade's `CreateJob`, which makes an object in the cluster, where
//! preflight changes nothing.

mod coredns;
mod corefile;
mod external_etcd;
mod host;
mod images;
mod kubelet;
mod nodes;
mod proxy;
mod rules;
mod runtime;
mod system;

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use super::result::{CheckResult, Findings};
use crate::cluster::etcd_unit;
use crate::inventory::KubernetesVersion;
use crate::node::facts::Facts;

pub use coredns::CoreDns;
pub use external_etcd::ExternalEtcd;
pub use images::image_pull;
pub use nodes::ControlPlaneNode;

use rules::Rules;

/// What is about to happen on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workflow {
    /// It becomes the first control plane.
    Init,
    /// It becomes a further control plane.
    JoinControlPlane,
    /// It becomes a worker.
    JoinWorker,
    /// It becomes a member of etcd and nothing else.
    EtcdMember,
    /// It stops being a node.
    Reset,
    /// It goes to the next release.
    Upgrade,
}

/// Whether a host is part of this cluster already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Membership {
    /// It is not.
    #[default]
    None,
    /// As a control plane, complete or not.
    ControlPlane,
    /// As a worker.
    Worker,
    /// As a member of etcd.
    EtcdMember,
}

/// What the host should become, as far as checks need to know.
#[derive(Debug, Clone)]
pub struct Target {
    /// The cluster's version.
    pub version: KubernetesVersion,
    /// Name of the node.
    pub node_name: String,
    /// Port of the API server.
    pub bind_port: u16,
    /// Address the API server and etcd announce; `None` means the host's default one.
    pub advertise: Option<IpAddr>,
    /// Name or address a joining host reaches the control plane under.
    pub endpoint_host: Option<String>,
    /// Networks of services.
    pub service_subnets: Vec<IpNet>,
    /// Networks of pods.
    pub pod_subnets: Vec<IpNet>,
    /// Where etcd keeps its data; `None` where none runs on the host.
    pub etcd_data_dir: Option<String>,
    /// etcd on hosts of its own is a static pod, not a service.
    pub etcd_in_a_container: bool,
    /// Version, without a leading `v`, of the kubelet that will be installed; `None` when the host's own
    /// is used.
    pub kubelet_version_override: Option<String>,
    /// The etcd that somebody else runs; `None` where none does, or on hosts that have nothing to do with it.
    pub external_etcd: Option<ExternalEtcd>,
    /// What the host is already.
    pub already: Membership,
    /// What the cluster says; `None` where it is not asked.
    pub cluster: Option<ClusterView>,
}

/// What a cluster's API says before an upgrade. Problems are in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// The nodes of control planes, or why they could not be listed.
    pub control_planes: Result<Vec<ControlPlaneNode>, String>,
    /// CoreDNS, `None` when the cluster has none of kubeadm's; or why it could not be looked at.
    pub coredns: Result<Option<CoreDns>, String>,
}

/// The checks of one host, in the order they are made.
struct Checks<'a> {
    workflow: Workflow,
    target: &'a Target,
    facts: &'a Facts,
    rules: &'static Rules,
    results: Vec<CheckResult>,
}

impl Checks<'_> {
    fn push(&mut self, name: impl Into<Cow<'static, str>>, findings: Findings) {
        self.results.push(CheckResult::new(name, findings));
    }

    fn advertise(&self) -> Option<IpAddr> {
        self.facts.address_or(self.target.advertise)
    }
}

/// Makes every check of `workflow` for a host, in kubeadm's order.
pub fn evaluate(workflow: Workflow, target: &Target, facts: &Facts) -> Vec<CheckResult> {
    let rules = Rules::of(target.version);
    let mut checks = Checks { workflow, target, facts, rules, results: Vec::new() };
    checks.privileged_user();
    match workflow {
        Workflow::Init => {
            checks.control_plane();
            checks.common();
            checks.forwarding_for_networks();
            checks.external_etcd_version();
            checks.etcd();
            checks.external_etcd_client_certificates();
        }
        Workflow::JoinControlPlane => {
            checks.unused_by_kubelet();
            checks.common();
            checks.endpoint();
            checks.control_plane();
            checks.etcd();
            checks.external_etcd_client_certificates();
        }
        Workflow::JoinWorker => {
            checks.unused_by_kubelet();
            checks.common();
            checks.file_available("/etc/kubernetes/pki/ca.crt");
            checks.endpoint();
        }
        Workflow::EtcdMember => {
            if target.etcd_in_a_container {
                checks.common();
                checks.file_available("/etc/kubernetes/manifests/etcd.yaml");
            } else {
                checks.file_available(etcd_unit::UNIT_PATH);
            }
            checks.etcd();
        }
        Workflow::Reset => {}
        Workflow::Upgrade => {
            checks.system_verification();
            checks.container_runtime_version();
            if let Some(cluster) = &target.cluster {
                checks.coredns(&cluster.coredns);
                checks.control_plane_nodes(&cluster.control_planes);
            }
            if target.already == Membership::ControlPlane {
                checks.static_pod_manifests();
            }
        }
    }
    let mut results = checks.results;
    if is_member(workflow, target.already) {
        results.retain(|result| !is_about_being_unused(&result.name));
    }
    results
}

/// Whether the host is already what the workflow makes of it. A worker that should become a control
/// plane is not: that takes a reset first, and the checks say so.
fn is_member(workflow: Workflow, already: Membership) -> bool {
    match already {
        Membership::None => false,
        Membership::ControlPlane => {
            matches!(workflow, Workflow::Init | Workflow::JoinControlPlane)
        }
        Membership::Worker => workflow == Workflow::JoinWorker,
        Membership::EtcdMember => workflow == Workflow::EtcdMember,
    }
}

fn is_about_being_unused(name: &str) -> bool {
    ["Port-", "FileAvailable-", "DirAvailable-"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests;
