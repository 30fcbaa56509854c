//! The table itself: which release has what.

use super::{
    AddonFacts, ConfigApi, ConfigFacts, EtcdFlags, EtcdProbes, ImageFacts, KubeProxyFacts,
    KubeconfigFacts, KubeletFacts, NEWEST_MINOR, NodeFacts, OLDEST_MINOR, PkiFacts, PodInfraImage,
    Release, RuntimeFacts, StaticPodFacts, UnsupportedRelease,
};
use crate::inventory::KubernetesVersion;
use crate::pki::Algorithm;

const MASTER: &str = "node-role.kubernetes.io/master";
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
const EXCLUDE_FROM_LOAD_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// etcd, CoreDNS and pause of each minor release, oldest first. 1.21 to 1.31 follow release notes;
/// late patches of a release may ship a newer etcd, which `[cluster.etcd] image_tag` can name.
const IMAGE_VERSIONS: [(&str, &str, &str); (NEWEST_MINOR - OLDEST_MINOR + 1) as usize] = [
    ("3.4.13-0", "1.7.0", "3.2"),     // 1.20
    ("3.4.13-0", "v1.8.0", "3.4.1"),  // 1.21
    ("3.5.0-0", "v1.8.4", "3.5"),     // 1.22
    ("3.5.1-0", "v1.8.6", "3.6"),     // 1.23
    ("3.5.3-0", "v1.8.6", "3.7"),     // 1.24
    ("3.5.4-0", "v1.9.3", "3.8"),     // 1.25
    ("3.5.6-0", "v1.9.3", "3.9"),     // 1.26
    ("3.5.7-0", "v1.10.1", "3.9"),    // 1.27
    ("3.5.9-0", "v1.10.1", "3.9"),    // 1.28
    ("3.5.10-0", "v1.11.1", "3.9"),   // 1.29
    ("3.5.12-0", "v1.11.1", "3.9"),   // 1.30
    ("3.5.15-0", "v1.11.1", "3.10"),  // 1.31
    ("3.5.16-0", "v1.11.3", "3.10"),  // 1.32
    ("3.5.21-0", "v1.12.0", "3.10"),  // 1.33
    ("3.6.5-0", "v1.12.1", "3.10.1"), // 1.34
    ("3.6.6-0", "v1.13.1", "3.10.1"), // 1.35
    ("3.6.8-0", "v1.14.2", "3.10.2"), // 1.36
];

impl Release {
    /// Looks the release of a version up.
    pub fn of(version: KubernetesVersion) -> Result<Self, UnsupportedRelease> {
        let minor = version.minor;
        let (true, Some(&(etcd, coredns, pause))) = (
            version.major == 1,
            minor
                .checked_sub(OLDEST_MINOR)
                .and_then(|index| IMAGE_VERSIONS.get(usize::from(index))),
        ) else {
            return Err(UnsupportedRelease(version));
        };
        let since = |first: u16| minor >= first;
        let until = |last: u16| minor <= last;

        // The registry moved in 1.25; the three releases then still maintained followed in a patch.
        let moved_registry = match minor {
            22 => version.patch >= 17,
            23 => version.patch >= 15,
            24 => version.patch >= 9,
            _ => since(25),
        };
        Ok(Self {
            version,
            images: ImageFacts {
                repository: if moved_registry { "registry.k8s.io" } else { "k8s.gcr.io" },
                etcd,
                coredns,
                coredns_in_own_folder: since(21),
                pause,
                coredns_listed_first: since(29),
            },
            config: ConfigFacts {
                api: match minor {
                    ..=21 => ConfigApi::V1Beta2,
                    22..=30 => ConfigApi::V1Beta3,
                    31.. => ConfigApi::V1Beta4,
                },
                cluster_status: until(21),
                ordered_extra_args: since(31),
                patches_kubelet_configuration: since(25),
                patches_coredns: since(32),
                config_print_placeholders: since(21),
                versioned_kubelet_config: until(23),
                cluster_admins_binding: since(29),
                etcd_http_endpoints: since(36),
                apiserver_kubelet_client_binding: since(36),
            },
            pki: PkiFacts {
                encryption_algorithms: match minor {
                    // ECDSA is behind the gate PublicKeysECDSA there.
                    ..=30 => &[Algorithm::Rsa2048, Algorithm::EcdsaP256],
                    31..=33 => &[
                        Algorithm::Rsa2048,
                        Algorithm::Rsa3072,
                        Algorithm::Rsa4096,
                        Algorithm::EcdsaP256,
                    ],
                    34.. => &Algorithm::ALL,
                },
                backdate_certificates: since(28),
                ca_dns_san: since(22),
                zero_ca_serial: until(27),
                leaf_basic_constraints: since(22),
                apiserver_kubelet_client_organization: match minor {
                    ..=28 => Some("system:masters"),
                    29..=35 => Some("kubeadm:cluster-admins"),
                    36.. => None,
                },
                etcd_client_organization: until(28).then_some("system:masters"),
                sha256_key_identifier: since(35),
            },
            kubeconfigs: KubeconfigFacts {
                super_admin: since(29),
                admin_organization: if until(28) {
                    "system:masters"
                } else {
                    "kubeadm:cluster-admins"
                },
                kubelet_local_server: since(33),
                preferences: until(33),
            },
            static_pods: StaticPodFacts {
                named_probe_port: since(34),
                seccomp: since(22),
                priority_number: since(27),
                null_creation_timestamp: until(33),
                apiserver_insecure_port: until(21),
                port_zero: until(22),
                scheduler_livez: since(32),
                flexvolume: until(35),
                etcd_ephemeral_storage: until(21),
                etcd_flags: match minor {
                    ..=23 => EtcdFlags::None,
                    24 => EtcdFlags::ExperimentalCheck,
                    25..=33 => EtcdFlags::Experimental,
                    34..=35 => EtcdFlags::ByImage,
                    36.. => EtcdFlags::Stable,
                },
                etcd_probes: match minor {
                    ..=24 => EtcdProbes { live: "/health", ready: None, start: "/health" },
                    25..=30 => EtcdProbes {
                        live: "/health?exclude=NOSPACE&serializable=true",
                        ready: None,
                        start: "/health?serializable=false",
                    },
                    31.. => EtcdProbes { live: "/livez", ready: Some("/readyz"), start: "/readyz" },
                },
                extra_ca_directories: if until(30) {
                    &[
                        "/etc/pki",
                        "/etc/ca-certificates",
                        "/usr/share/ca-certificates",
                        "/usr/local/share/ca-certificates",
                    ]
                } else {
                    &[
                        "/etc/pki/ca-trust",
                        "/etc/pki/tls/certs",
                        "/etc/ca-certificates",
                        "/usr/share/ca-certificates",
                        "/usr/local/share/ca-certificates",
                    ]
                },
            },
            kubelet: KubeletFacts {
                cgroup_driver: since(21).then_some("systemd"),
                instance_config: since(34),
                container_runtime_flag: until(25),
                dockershim: until(23),
                pod_infra_image: match minor {
                    ..=20 => PodInfraImage::Docker,
                    21..=34 => PodInfraImage::Always,
                    35.. => PodInfraImage::Never,
                },
                resolv_conf_local_only: since(31),
                endpoint_scheme: since(24),
                field_container_runtime_endpoint: since(27),
                field_memory_swap: since(22),
                field_image_maximum_gc_age: since(29),
                field_crash_loop_back_off: since(32),
                field_logging_json: since(23),
                field_logging_text: since(30),
                skew: if until(28) { 1 } else { 3 },
            },
            kube_proxy: KubeProxyFacts {
                udp_idle_timeout: until(25),
                detect_local: since(24),
                localhost_node_ports: since(26),
                logging: since(28),
                nftables: since(29),
            },
            nodes: NodeFacts {
                control_plane_labels: match minor {
                    ..=20 => &[CONTROL_PLANE, MASTER],
                    21..=23 => &[CONTROL_PLANE, MASTER, EXCLUDE_FROM_LOAD_BALANCERS],
                    24.. => &[CONTROL_PLANE, EXCLUDE_FROM_LOAD_BALANCERS],
                },
                control_plane_taints: match minor {
                    ..=23 => &[MASTER],
                    24 => &[MASTER, CONTROL_PLANE],
                    25.. => &[CONTROL_PLANE],
                },
                cri_socket_annotation: until(33),
            },
            addons: AddonFacts {
                coredns_tolerations: if until(24) {
                    &[MASTER, CONTROL_PLANE]
                } else {
                    &[CONTROL_PLANE]
                },
                coredns_reads_nodes: until(20),
                coredns_anti_affinity: since(25),
                coredns_cache_disabled: since(32),
                coredns_named_ports: since(34),
                coredns_endpoint_slices: since(21),
                dns_service_name: if until(20) { "KubeDNS" } else { "CoreDNS" },
                all_capabilities: if until(27) { "all" } else { "ALL" },
                kube_proxy_tolerates_critical_addons: until(20),
            },
            runtime: RuntimeFacts { wait_for_all_components: since(33), etcd_learner: since(29) },
        })
    }
}
