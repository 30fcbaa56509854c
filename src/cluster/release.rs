//! Everything that differs between Kubernetes releases, in one place. Other modules ask a [`Release`]
//! instead of comparing version numbers.
//!
//! A threshold holds from the first patch of the minor release named. Some changes were also backported to late
//! patches of older minors; where that matters to a cluster (the image registry) the patch is looked at,
//! where it does not, the minor decides.

mod table;

use crate::cluster::kubeconfig;
use crate::inventory::KubernetesVersion;
use crate::pki;

/// The oldest supported minor release.
pub const OLDEST_MINOR: u16 = 20;
/// The newest supported minor release.
pub const NEWEST_MINOR: u16 = 36;

/// A version outside the supported range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "kubernetes {0} is not supported; set kubernetes_version to a release from 1.{OLDEST_MINOR} to 1.{NEWEST_MINOR}"
)]
pub struct UnsupportedRelease(pub KubernetesVersion);

/// How one Kubernetes release wants its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The version asked for.
    pub version: KubernetesVersion,
    /// Images and the registry they come from.
    pub images: ImageFacts,
    /// kubeadm's own configuration API and what it keeps in the cluster.
    pub config: ConfigFacts,
    /// Certificates.
    pub pki: PkiFacts,
    /// Kubeconfig files.
    pub kubeconfigs: KubeconfigFacts,
    /// Static pod manifests.
    pub static_pods: StaticPodFacts,
    /// The kubelet's files and flags.
    pub kubelet: KubeletFacts,
    /// Which fields the KubeProxyConfiguration of the release has.
    pub kube_proxy: KubeProxyFacts,
    /// Labels, taints and annotations of nodes.
    pub nodes: NodeFacts,
    /// Add-ons.
    pub addons: AddonFacts,
    /// Waiting for components, and joining them.
    pub runtime: RuntimeFacts,
}

/// Images and the registry they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageFacts {
    /// The default registry, also the one that makes CoreDNS special.
    pub repository: &'static str,
    /// Tag of the etcd image of the release's early patches.
    pub etcd: &'static str,
    /// Tag of the CoreDNS image.
    pub coredns: &'static str,
    /// In the default registry, CoreDNS is `coredns/coredns`.
    pub coredns_in_own_folder: bool,
    /// Tag of the pause image.
    pub pause: &'static str,
    /// CoreDNS is listed ahead of pause and etcd, not after them.
    pub coredns_listed_first: bool,
}

/// Version of kubeadm's configuration API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigApi {
    /// 1.20 and 1.21.
    V1Beta2,
    /// 1.22 to 1.30.
    V1Beta3,
    /// 1.31 and newer.
    V1Beta4,
}

impl ConfigApi {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V1Beta2, Self::V1Beta3, Self::V1Beta4];

    /// The value of `apiVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1Beta2 => "kubeadm.k8s.io/v1beta2",
            Self::V1Beta3 => "kubeadm.k8s.io/v1beta3",
            Self::V1Beta4 => "kubeadm.k8s.io/v1beta4",
        }
    }
}

/// kubeadm's own configuration API and what it keeps in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigFacts {
    /// API version of the stored ClusterConfiguration.
    pub api: ConfigApi,
    /// The ConfigMap also carries a ClusterStatus.
    pub cluster_status: bool,
    /// Component arguments are an ordered list appended to the defaults, not a map merged with them.
    pub ordered_extra_args: bool,
    /// `--patches` may change the kubelet's configuration.
    pub patches_kubelet_configuration: bool,
    /// `--patches` may change the Deployment of CoreDNS.
    pub patches_coredns: bool,
    /// `config print` fills in placeholders, and no `v` before the version, not what it finds on its machine.
    pub config_print_placeholders: bool,
    /// The kubelet ConfigMap and its Role carry the minor version in their names.
    pub versioned_kubelet_config: bool,
    /// Group `kubeadm:cluster-admins` and its ClusterRoleBinding exist.
    pub cluster_admins_binding: bool,
    /// An external etcd also has `httpEndpoints`, by default its endpoints.
    pub etcd_http_endpoints: bool,
    /// ClusterRoleBinding `kubeadm:apiserver-kubelet-client` exists.
    pub apiserver_kubelet_client_binding: bool,
}

/// Certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PkiFacts {
    /// The kinds of private keys that the release's kubeadm makes, the default first.
    pub encryption_algorithms: &'static [pki::Algorithm],
    /// notBefore of files under the PKI directory is five minutes in the past.
    pub backdate_certificates: bool,
    /// CA certificates carry their common name as a DNS name.
    pub ca_dns_san: bool,
    /// CA certificates have serial number 0.
    pub zero_ca_serial: bool,
    /// Leaf certificates carry basicConstraints.
    pub leaf_basic_constraints: bool,
    /// Organisation of apiserver-kubelet-client.
    pub apiserver_kubelet_client_organization: Option<&'static str>,
    /// Organisation of etcd/healthcheck-client and apiserver-etcd-client.
    pub etcd_client_organization: Option<&'static str>,
    /// Key identifiers are SHA-256 cut short rather than SHA-1, as the Go release that built kubeadm does.
    pub sha256_key_identifier: bool,
}

/// Kubeconfig files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubeconfigFacts {
    /// super-admin.conf exists.
    pub super_admin: bool,
    /// Organisation of admin.conf's client certificate.
    pub admin_organization: &'static str,
    /// kubelet.conf of a control-plane node points at its own API server.
    pub kubelet_local_server: bool,
    /// An empty `preferences` is written.
    pub preferences: bool,
}

/// Which default flags etcd gets for its consistency checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtcdFlags {
    /// None at all.
    None,
    /// `experimental-initial-corrupt-check`.
    ExperimentalCheck,
    /// `experimental-initial-corrupt-check` and `experimental-watch-progress-notify-interval`.
    Experimental,
    /// The flags of etcd 3.6, or the experimental ones when the image is an older etcd.
    ByImage,
    /// The flags of etcd 3.6.
    Stable,
}

/// Paths of etcd's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtcdProbes {
    /// Liveness.
    pub live: &'static str,
    /// Readiness, where there is one.
    pub ready: Option<&'static str>,
    /// Startup.
    pub start: &'static str,
}

/// Static pod manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticPodFacts {
    /// Probes refer to a container port named `probe-port`.
    pub named_probe_port: bool,
    /// The pod's seccomp profile is RuntimeDefault.
    pub seccomp: bool,
    /// `priority` is spelled out beside the class.
    pub priority_number: bool,
    /// Serialised objects carry `creationTimestamp: null`.
    pub null_creation_timestamp: bool,
    /// kube-apiserver gets `insecure-port=0`.
    pub apiserver_insecure_port: bool,
    /// kube-controller-manager and kube-scheduler get `port=0`.
    pub port_zero: bool,
    /// The scheduler is probed at /livez and /readyz, not /healthz.
    pub scheduler_livez: bool,
    /// kube-controller-manager mounts the flexvolume directory.
    pub flexvolume: bool,
    /// etcd asks for ephemeral storage.
    pub etcd_ephemeral_storage: bool,
    /// etcd's consistency flags.
    pub etcd_flags: EtcdFlags,
    /// etcd's probes.
    pub etcd_probes: EtcdProbes,
    /// Directories with CA certificates, mounted where the host has them.
    pub extra_ca_directories: &'static [&'static str],
}

/// The kubelet's files and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubeletFacts {
    /// `cgroupDriver` when nobody says.
    pub cgroup_driver: Option<&'static str>,
    /// The runtime's endpoint is in instance-config.yaml, not in a flag.
    pub instance_config: bool,
    /// `--container-runtime=remote` is passed.
    pub container_runtime_flag: bool,
    /// `--network-plugin=cni` is passed to a kubelet with dockershim.
    pub dockershim: bool,
    /// `--pod-infra-container-image` is passed: to dockershim only in 1.20, to all runtimes later.
    pub pod_infra_image: PodInfraImage,
    /// systemd-resolved's resolvConf stays out of the ConfigMap.
    pub resolv_conf_local_only: bool,
    /// Endpoints are written with their `unix://`.
    pub endpoint_scheme: bool,
    /// The configuration has `containerRuntimeEndpoint`.
    pub field_container_runtime_endpoint: bool,
    /// The configuration has `memorySwap`.
    pub field_memory_swap: bool,
    /// The configuration has `imageMaximumGCAge`.
    pub field_image_maximum_gc_age: bool,
    /// The configuration has `crashLoopBackOff`.
    pub field_crash_loop_back_off: bool,
    /// `logging` has zero values for its JSON format.
    pub field_logging_json: bool,
    /// `logging` (also kube-proxy's) has zero values for its text format.
    pub field_logging_text: bool,
    /// How many minor releases a kubelet may lag behind.
    pub skew: u16,
}

/// When the kubelet is told which pause image not to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodInfraImage {
    /// Only with dockershim.
    Docker,
    /// With every runtime.
    Always,
    /// The flag is gone.
    Never,
}

/// Which fields the KubeProxyConfiguration of the release has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubeProxyFacts {
    /// `udpIdleTimeout`.
    pub udp_idle_timeout: bool,
    /// `detectLocal`, and winkernel's `forwardHealthCheckVip` and `rootHnsEndpointName`.
    pub detect_local: bool,
    /// `iptables.localhostNodePorts`.
    pub localhost_node_ports: bool,
    /// `logging`.
    pub logging: bool,
    /// `nftables`, and conntrack's `tcpBeLiberal`, `udpTimeout` and `udpStreamTimeout`.
    pub nftables: bool,
}

/// Labels, taints and annotations of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeFacts {
    /// Labels of control-plane nodes; their values are empty.
    pub control_plane_labels: &'static [&'static str],
    /// Keys of the NoSchedule taints of control-plane nodes.
    pub control_plane_taints: &'static [&'static str],
    /// Nodes carry the runtime's endpoint as an annotation.
    pub cri_socket_annotation: bool,
}

/// Add-ons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddonFacts {
    /// Keys of the control-plane taints that CoreDNS tolerates.
    pub coredns_tolerations: &'static [&'static str],
    /// CoreDNS may read nodes.
    pub coredns_reads_nodes: bool,
    /// CoreDNS pods prefer different hosts.
    pub coredns_anti_affinity: bool,
    /// CoreDNS does not cache answers about the cluster's own domain.
    pub coredns_cache_disabled: bool,
    /// CoreDNS probes refer to named ports.
    pub coredns_named_ports: bool,
    /// CoreDNS may read EndpointSlices.
    pub coredns_endpoint_slices: bool,
    /// `kubernetes.io/name` of the DNS Service.
    pub dns_service_name: &'static str,
    /// How CoreDNS spells "all capabilities".
    pub all_capabilities: &'static str,
    /// kube-proxy tolerates `CriticalAddonsOnly` by name beside tolerating everything.
    pub kube_proxy_tolerates_critical_addons: bool,
}

/// Waiting for components, and joining them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeFacts {
    /// Controller manager and scheduler are waited for too, and the API server at /livez.
    pub wait_for_all_components: bool,
    /// A joining etcd member is a learner first.
    pub etcd_learner: bool,
}

impl Release {
    /// The release's certificates, in the PKI layer's terms.
    pub fn pki_profile(&self) -> pki::Profile {
        pki::Profile {
            backdate: self.pki.backdate_certificates.then_some(pki::Profile::BACKDATE),
            ca_dns_san: self.pki.ca_dns_san,
            ca_random_serial: !self.pki.zero_ca_serial,
            leaf_basic_constraints: self.pki.leaf_basic_constraints,
            key_identifier: if self.pki.sha256_key_identifier {
                pki::KeyIdentifier::TruncatedSha256
            } else {
                pki::KeyIdentifier::Sha1
            },
            kubelet_client_organization: self.pki.apiserver_kubelet_client_organization,
            etcd_client_organization: self.pki.etcd_client_organization,
        }
    }

    /// The release's kubeconfigs, as `cluster::kubeconfig` wants them.
    pub fn kubeconfig_profile(&self) -> kubeconfig::Profile {
        kubeconfig::Profile {
            admin_organization: self.kubeconfigs.admin_organization,
            super_admin: self.kubeconfigs.super_admin,
            kubelet_local_server: self.kubeconfigs.kubelet_local_server,
            preferences: self.kubeconfigs.preferences,
        }
    }

    /// Every supported minor release, oldest first, at patch 0.
    pub fn all() -> impl Iterator<Item = Self> {
        (OLDEST_MINOR..=NEWEST_MINOR)
            .filter_map(|minor| Self::of(KubernetesVersion { major: 1, minor, patch: 0 }).ok())
    }

    /// Name of the ConfigMap with the kubelet's configuration.
    pub fn kubelet_config_map(&self) -> String {
        self.versioned("kubelet-config")
    }

    /// Name of the Role and the RoleBinding that let nodes read it.
    pub fn kubelet_config_role(&self) -> String {
        self.versioned("kubeadm:kubelet-config")
    }

    fn versioned(&self, name: &str) -> String {
        if self.config.versioned_kubelet_config {
            format!("{name}-{}.{}", self.version.major, self.version.minor)
        } else {
            name.to_owned()
        }
    }

    /// A runtime endpoint as this release spells it: with or without `unix://`.
    pub fn runtime_endpoint(&self, endpoint: &str) -> String {
        match (self.kubelet.endpoint_scheme, endpoint.strip_prefix("unix://")) {
            (true, None) if endpoint.starts_with('/') => format!("unix://{endpoint}"),
            (false, Some(path)) => path.to_owned(),
            _ => endpoint.to_owned(),
        }
    }

    /// The endpoint of a runtime that was found on a host, by the path under which kubeadm of this release
    /// looks for it: it is written into the kubelet's flags and onto the node.
    pub fn found_endpoint(&self, endpoint: &str) -> String {
        match endpoint {
            // The scheme and the longer path came together.
            "unix:///var/run/containerd/containerd.sock" if !self.kubelet.endpoint_scheme => {
                "unix:///run/containerd/containerd.sock".to_owned()
            }
            other => other.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(minor: u16, patch: u16) -> Release {
        Release::of(KubernetesVersion { major: 1, minor, patch }).unwrap()
    }

    #[test]
    fn the_table_covers_the_supported_range_and_no_more() {
        assert_eq!(Release::all().count(), 17);
        for (major, minor) in [(1, 19), (1, 37), (1, 0), (2, 25)] {
            let version = KubernetesVersion { major, minor, patch: 0 };
            assert_eq!(Release::of(version), Err(UnsupportedRelease(version)));
        }
    }

    #[test]
    fn the_registry_moved_in_patches_of_old_releases() {
        assert_eq!(release(23, 14).images.repository, "k8s.gcr.io");
        assert_eq!(release(23, 15).images.repository, "registry.k8s.io");
        assert_eq!(release(21, 99).images.repository, "k8s.gcr.io");
        assert_eq!(release(25, 0).images.repository, "registry.k8s.io");
    }

    #[test]
    fn names_carry_the_minor_version_until_1_23() {
        assert_eq!(release(23, 1).kubelet_config_map(), "kubelet-config-1.23");
        assert_eq!(release(24, 1).kubelet_config_map(), "kubelet-config");
        assert_eq!(release(20, 2).kubelet_config_role(), "kubeadm:kubelet-config-1.20");
    }

    #[test]
    fn endpoints_are_spelled_as_the_release_spells_them() {
        assert_eq!(release(20, 2).runtime_endpoint("unix:///run/c.sock"), "/run/c.sock");
        assert_eq!(release(24, 0).runtime_endpoint("/run/c.sock"), "unix:///run/c.sock");
        assert_eq!(release(36, 0).runtime_endpoint("unix:///run/c.sock"), "unix:///run/c.sock");
        let found = "unix:///var/run/containerd/containerd.sock";
        assert_eq!(release(20, 2).found_endpoint(found), "unix:///run/containerd/containerd.sock");
        assert_eq!(release(24, 0).found_endpoint(found), found);
    }
}
