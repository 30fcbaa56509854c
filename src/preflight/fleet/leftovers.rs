//! What an earlier cluster left: which one it was, and how long ago.

use super::groups::{list, shown};
use super::words::duration;
use super::{Checks, FleetHost};
use crate::inventory::Role;
use crate::node::facts::PathState;
use crate::preflight::Membership;
use crate::preflight::result::Findings;
use crate::report::Severity;

/// Files with which a kubelet or a control plane would go on being what it was.
const IDENTITY: &[&str] = &[
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/pki/apiserver.crt",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
    "/etc/kubernetes/manifests/etcd.yaml",
];
/// Files that are written anew, or change what the cluster will be.
const TRACES: &[&str] = &[
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
    "/var/lib/kubelet/pki/kubelet-client-current.pem",
];
/// What a new cluster takes for its own, on its first control plane.
const CA: &str = "/etc/kubernetes/pki/ca.crt";
/// What plugins that come as pods call their configuration. Other files there are installed with the runtime, or by
/// whoever prepared the host.
const PLUGINS: &[&str] = &[
    "antrea",
    "calico",
    "canal",
    "cilium",
    "flannel",
    "kindnet",
    "kube-router",
    "kuberouter",
    "multus",
    "ovn",
    "weave",
];
const PLUGIN_DIRECTORY: &str = "/etc/cni/net.d/";
/// Interfaces that network plugins and kube-proxy make begin with one of these, and none that others make.
const INTERFACES: &[&str] = &[
    "antrea-",
    "cali",
    "cilium_",
    "cni0",
    "flannel.",
    "flannel-",
    "kube-bridge",
    "kube-dummy-if",
    "kube-ipvs",
    "nodelocaldns",
    "ovn-k8s",
    "vxlan.calico",
    "weave",
    "wireguard.cali",
];
/// So much of a hash tells certificate authorities apart.
const DIGITS: usize = 12;

impl Checks<'_> {
    pub(super) fn leftovers(&mut self) {
        let authority = self.authority();
        let data = self.cluster.map_or("/var/lib/etcd", |cluster| &cluster.etcd.data_dir);
        self.each("LeftoverState", |host| {
            if host.is_member() {
                Some(member(host, &authority))
            } else {
                // An external etcd has data of its own.
                host.is_node().then(|| stranger(host, data))
            }
        });
    }

    /// The cluster that members should be of, told by its CA.
    fn authority(&self) -> Authority {
        let control_planes = self.hosts.iter().filter(|host| host.role == Role::ControlPlane);
        let with_ca = control_planes.clone().find(|host| {
            host.already == Membership::ControlPlane && !host.facts.leftovers.ca_sha256.is_empty()
        });
        let all = self.everyone.iter().filter(|role| **role == Role::ControlPlane).count();
        match with_ca {
            Some(host) => Authority::Of {
                host: host.name.to_owned(),
                ca: host.facts.leftovers.ca_sha256.clone(),
            },
            // Each control plane has answered, and none is of any cluster.
            None if control_planes.clone().count() == all
                && control_planes.clone().all(|host| !host.is_member()) =>
            {
                Authority::Nobody
            }
            None => Authority::Unknown,
        }
    }
}

enum Authority {
    /// The first control plane's.
    Of { host: String, ca: String },
    /// There is no cluster yet.
    Nobody,
    /// A control plane that has not answered may know.
    Unknown,
}

fn member(host: &FleetHost<'_>, authority: &Authority) -> Findings {
    let own = &host.facts.leftovers.ca_sha256;
    let mut findings = Findings::default();
    match authority {
        Authority::Of { host: first, ca } if !own.is_empty() && own != ca => findings.add(
            Severity::Error,
            format!(
                "the host belongs to another cluster{}: the CA of {first} is {}",
                origin(host),
                digits(ca)
            ),
        ),
        Authority::Nobody => findings.add(
            Severity::Error,
            format!(
                "the host belongs to a cluster{} that no control plane of the inventory is of",
                origin(host)
            ),
        ),
        Authority::Of { .. } | Authority::Unknown => {}
    }
    findings.saw("CA", digits(own))
}

fn stranger(host: &FleetHost<'_>, etcd_data: &str) -> Findings {
    let facts = host.facts;
    let there = |paths: &[&'static str]| -> Vec<String> {
        paths
            .iter()
            .filter(|path| facts.paths.contains_key(**path))
            .map(|path| (*path).to_owned())
            .collect()
    };
    let (mut blocking, mut traces) = (there(IDENTITY), there(TRACES));
    if facts.paths.get(etcd_data) == Some(&PathState::Directory) {
        // In the way of a member of etcd, and only of that.
        let found = if host.role == Role::ControlPlane { &mut blocking } else { &mut traces };
        found.push(etcd_data.to_owned());
    }
    let plugins = facts.leftovers.changed.keys().filter_map(|path| {
        let file = path.strip_prefix(PLUGIN_DIRECTORY)?.to_ascii_lowercase();
        PLUGINS.iter().any(|plugin| file.contains(plugin)).then(|| path.clone())
    });
    traces.extend(plugins);
    let of_plugin = |name: &&str| INTERFACES.iter().any(|prefix| name.starts_with(prefix));
    let interfaces = facts.interfaces.iter().map(|interface| interface.name.as_str());
    traces.extend(interfaces.filter(of_plugin).map(|name| format!("interface {name}")));
    let mut findings = Findings::default();
    if !blocking.is_empty() {
        let also = if traces.is_empty() { String::new() } else { format!("; {}", list(&traces)) };
        findings.add(
            Severity::Error,
            format!("an earlier cluster{} is still there: {}{also}", origin(host), list(&blocking)),
        );
    } else if !traces.is_empty() {
        findings.add(
            Severity::Warning,
            format!("there are traces of an earlier cluster{}: {}", origin(host), list(&traces)),
        );
    }
    if host.role == Role::ControlPlane && facts.paths.contains_key(CA) {
        findings.add(
            Severity::Warning,
            format!("a new cluster will have the CA that is in {CA}{}", origin(host)),
        );
    }
    findings.saw("left over", blocking.len() + traces.len())
}

/// Which cluster, and how old: ` (server https://10.0.0.1:6443, CA 0123456789ab, last changed 12 days ago)`.
fn origin(host: &FleetHost<'_>) -> String {
    let leftovers = &host.facts.leftovers;
    let mut parts = Vec::new();
    let of_kubelet = leftovers.servers.get("/etc/kubernetes/kubelet.conf");
    if let Some(server) = of_kubelet.or_else(|| leftovers.servers.values().next()) {
        parts.push(format!("server {}", shown(server)));
    }
    if !leftovers.ca_sha256.is_empty() {
        parts.push(format!("CA {}", digits(&leftovers.ca_sha256)));
    }
    // A file that was changed later than now says nothing but that a clock was wrong.
    let newest = leftovers.changed.values().max();
    if let Some(age) = newest.and_then(|newest| host.facts.clock.checked_sub(*newest)) {
        parts.push(format!("last changed {} ago", duration(age as f64)));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// The first digits of a hash.
fn digits(hash: &str) -> String {
    hash.chars().take(DIGITS).filter(char::is_ascii_hexdigit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::facts::{Facts, Interface};
    use crate::preflight::fleet::testing::{Fleet, found};

    fn files(facts: &mut Facts, paths: &[&str]) {
        for path in paths {
            facts.paths.insert((*path).to_owned(), PathState::File);
        }
    }

    #[test]
    fn an_earlier_cluster_is_named() {
        let mut fleet = Fleet::healthy(1, 3);
        fleet.host("node-1", |facts| {
            files(facts, &["/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml"]);
            facts.paths.insert("/var/lib/etcd".to_owned(), PathState::EmptyDirectory);
            facts.clock = 1_700_000_000;
            let leftovers = &mut facts.leftovers;
            leftovers.ca_sha256 = "0123456789abcdef".repeat(4);
            leftovers.changed.insert("/etc/kubernetes/kubelet.conf".to_owned(), 1_698_963_200);
            leftovers.changed.insert("/etc/kubernetes/admin.conf".to_owned(), 1_600_000_000);
            leftovers.servers.insert(
                "/etc/kubernetes/kubelet.conf".to_owned(),
                "https://10.9.9.9:6443".to_owned(),
            );
        });
        fleet.host("node-2", |facts| {
            facts.paths.insert("/var/lib/etcd".to_owned(), PathState::Directory);
            facts
                .interfaces
                .push(Interface { name: "flannel.1".to_owned(), ..Interface::default() });
            for file in ["10-flannel.conflist", "87-podman-bridge.conflist"] {
                facts.leftovers.changed.insert(format!("/etc/cni/net.d/{file}"), 1);
            }
        });
        // What a runtime's package brings, and pods that somebody prepared, are nobody's leftovers.
        fleet.host("node-3", |facts| {
            files(facts, &["/etc/kubernetes/manifests/kube-vip.yaml"]);
            facts.interfaces.push(Interface { name: "docker0".to_owned(), ..Interface::default() });
            facts.leftovers.changed.insert("/etc/cni/net.d/100-crio-bridge.conf".to_owned(), 1);
        });
        insta::assert_snapshot!(fleet.only("LeftoverState"), @r"
        node-1 error LeftoverState: an earlier cluster (server https://10.9.9.9:6443, CA 0123456789ab, last changed 12 days ago) is still there: /etc/kubernetes/kubelet.conf; /var/lib/kubelet/config.yaml
        node-2 warning LeftoverState: there are traces of an earlier cluster (last changed 19676 days ago): /var/lib/etcd, /etc/cni/net.d/10-flannel.conflist, interface flannel.1
        ");
    }

    #[test]
    fn data_of_etcd_is_in_the_way_of_etcd() {
        let mut fleet = Fleet::healthy(1, 0);
        fleet.host("cp-1", |facts| {
            facts.paths.insert("/var/lib/etcd".to_owned(), PathState::Directory);
        });
        insta::assert_snapshot!(found(&fleet), @"cp-1 error LeftoverState: an earlier cluster is still there: /var/lib/etcd");
        // A CA that is to be used is put there beforehand.
        let mut fleet = Fleet::healthy(1, 0);
        fleet.host("cp-1", |facts| {
            files(facts, &["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key"]);
        });
        insta::assert_snapshot!(found(&fleet), @"cp-1 warning LeftoverState: a new cluster will have the CA that is in /etc/kubernetes/pki/ca.crt");
    }

    #[test]
    fn members_are_of_one_cluster() {
        let mut fleet = Fleet::healthy(1, 2);
        let (ours, theirs) = ("a1".repeat(32), "b2".repeat(32));
        for (host, ca) in [("cp-1", &ours), ("node-1", &ours), ("node-2", &theirs)] {
            fleet.host(host, |facts| facts.leftovers.ca_sha256.clone_from(ca));
            fleet.member(host, Membership::Worker);
        }
        fleet.member("cp-1", Membership::ControlPlane);
        insta::assert_snapshot!(found(&fleet), @"node-2 error LeftoverState: the host belongs to another cluster (CA b2b2b2b2b2b2): the CA of cp-1 is a1a1a1a1a1a1");
    }

    #[test]
    fn workers_of_nobody_are_strangers() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.host("node-1", |facts| facts.leftovers.ca_sha256 = "b2".repeat(32));
        fleet.member("node-1", Membership::Worker);
        insta::assert_snapshot!(found(&fleet), @"node-1 error LeftoverState: the host belongs to a cluster (CA b2b2b2b2b2b2) that no control plane of the inventory is of");
        // Another control plane may be the one.
        fleet.silent.extend([Role::ControlPlane, Role::ControlPlane]);
        assert_eq!(found(&fleet), "");
    }
}
