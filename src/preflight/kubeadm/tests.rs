use super::*;
use crate::node::facts::{Init, InitKind, Os, PathState, Runtime, ServiceState};
use crate::preflight::catalogue::{Source, explain};
use crate::preflight::ignore;
use crate::report::Severity;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn version(minor: u16) -> KubernetesVersion {
    KubernetesVersion { major: 1, minor, patch: 2 }
}

fn target(minor: u16) -> Target {
    Target {
        version: version(minor),
        node_name: "n1".to_owned(),
        bind_port: 6443,
        advertise: None,
        endpoint_host: Some("10.250.1.1".to_owned()),
        service_subnets: vec!["10.96.0.0/12".parse().unwrap()],
        pod_subnets: vec!["10.244.0.0/16".parse().unwrap()],
        etcd_data_dir: Some("/var/lib/etcd".to_owned()),
        etcd_in_a_container: true,
        external_etcd: None,
        kubelet_version_override: None,
        already: Membership::None,
        cluster: None,
    }
}

/// The host the golden verdicts were given on: everything in order, but cgroup v1.
fn golden_host(minor: u16) -> Facts {
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let service = |active| ServiceState { exists: true, enabled: true, active };
    let options = "NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CPUSETS MEMCG INET EXT4_FS PROC_FS \
        NETFILTER_XT_TARGET_REDIRECT NETFILTER_XT_MATCH_COMMENT FAIR_GROUP_SCHED CGROUPS CGROUP_CPUACCT \
        CGROUP_DEVICE CGROUP_FREEZER CGROUP_PIDS CGROUP_SCHED OVERLAY_FS CFS_BANDWIDTH SECCOMP \
        SECCOMP_FILTER";
    let commands =
        "crictl conntrack ip iptables mount nsenter ebtables ethtool socat tc touch losetup cp";
    Facts {
        hostname: "n1".to_owned(),
        kernel_name: "Linux".to_owned(),
        kernel_release: "6.18.44-fc-v657".to_owned(),
        machine: "x86_64".to_owned(),
        os: Os { id: "debian".to_owned(), version: "13".to_owned() },
        cpus: 2,
        memory_mb: 24_000,
        default_addresses: vec!["10.250.1.1".parse().unwrap()],
        hostname_addresses: strings(&["10.250.1.1"]),
        listening_tcp_ports: vec![22],
        commands: commands
            .split_whitespace()
            .map(|name| (name.to_owned(), format!("/usr/bin/{name}")))
            .collect(),
        sysctls: ["net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"]
            .map(|key| (key.to_owned(), "1".to_owned()))
            .into(),
        kernel_config: Some(
            options.split_whitespace().map(|name| (name.to_owned(), "y".to_owned())).collect(),
        ),
        cgroup_version: 1,
        cgroup_controllers: strings(&[
            "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "hugetlb", "blkio",
            "io",
        ]),
        init: Init {
            kind: InitKind::Systemd,
            services: [("kubelet", service(false)), ("containerd", service(true))]
                .map(|(name, state)| (name.to_owned(), state))
                .into(),
        },
        kubelet_version: format!("1.{minor}.2"),
        cri_sockets: strings(&["unix:///run/containerd/containerd.sock"]),
        runtime: Some(Runtime {
            socket: "unix:///run/containerd/containerd.sock".to_owned(),
            name: "containerd".to_owned(),
            version: "2.1.4".to_owned(),
            ready: true,
            ..Runtime::default()
        }),
        paths: [("/etc/kubernetes".to_owned(), PathState::Directory)].into(),
        ..Facts::default()
    }
}

fn findings(results: &[CheckResult]) -> Vec<String> {
    results
        .iter()
        .filter(|result| result.severity != Severity::Passed)
        .map(|result| format!("{:?} {}", result.severity, result.name))
        .collect()
}

fn init(minor: u16, change: impl FnOnce(&mut Target, &mut Facts)) -> Vec<CheckResult> {
    run(Workflow::Init, minor, change)
}

fn run(
    workflow: Workflow,
    minor: u16,
    change: impl FnOnce(&mut Target, &mut Facts),
) -> Vec<CheckResult> {
    let (mut target, mut facts) = (target(minor), golden_host(minor));
    change(&mut target, &mut facts);
    evaluate(workflow, &target, &facts)
}

fn names(results: &[CheckResult]) -> String {
    results.iter().map(|result| result.name.as_ref()).collect::<Vec<_>>().join("\n")
}

/// Names and severities kubeadm printed on its own host, and the order in which its log says it looked.
#[test]
fn verdicts_and_order_are_kubeadms() {
    let directory = std::env::var("FLEETADM_GOLDEN")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/golden").to_owned());
    for (version, minor) in [("1.20.2", 20), ("1.36.2", 36)] {
        let path = format!("{directory}/{version}/preflight-strict.txt");
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("SKIPPED: no golden data; set FLEETADM_GOLDEN to its directory");
            return;
        };
        let theirs: BTreeSet<String> = text
            .lines()
            .filter_map(|line| {
                let (severity, name) =
                    line.strip_prefix("\t[")?.split_once("]:")?.0.split_once(' ')?;
                let severity = if severity == "ERROR" { "Error" } else { "Warning" };
                Some(format!("{severity} {name}"))
            })
            .collect();
        let results = init(minor, |_, _| {});
        let ours = findings(&results);
        assert_eq!(theirs, ours.iter().cloned().collect(), "{version}");

        // The log names what it looks at, not how the check is spelt.
        let logged = text.lines().filter_map(check_in_log).map(|name| name.to_lowercase());
        let logged: Vec<String> = logged.collect();
        let ours: Vec<String> = results
            .iter()
            // These do not log that they look.
            .filter(|result| !["IsPrivilegedUser", "NumCPU", "Mem"].contains(&result.name.as_ref()))
            .map(|result| result.name.to_lowercase())
            .collect();
        assert_eq!(logged, ours, "{version}");
    }
}

/// The name of the check a line of kubeadm's log is about.
fn check_in_log(line: &str) -> Option<String> {
    let message = line.split_once("] ")?.1;
    let last = message.rsplit(' ').next()?;
    let dashed = || last.replace('/', "-");
    let about = |start: &str| message.starts_with(start);
    Some(match () {
        () if about("validating Kubernetes and kubeadm version") => "KubernetesVersion".to_owned(),
        () if about("validating if the firewall") => "Firewalld".to_owned(),
        () if about("validating availability of port") => format!("Port-{last}"),
        () if about("validating the existence of file") => format!("FileAvailable-{}", dashed()),
        () if about("validating the existence and emptiness") => {
            format!("DirAvailable-{}", dashed())
        }
        () if about("validating if the connectivity type") => "HTTPProxy".to_owned(),
        () if about("validating http connectivity") => "HTTPProxyCIDR".to_owned(),
        () if about("validating the container runtime version") => {
            "ContainerRuntimeVersion".to_owned()
        }
        () if message == "validating the container runtime" => "CRI".to_owned(),
        () if about("validating the contents of file") => format!("FileContent-{}", dashed()),
        () if about("validating whether swap") => "Swap".to_owned(),
        () if about("validating the presence of executable") => format!("FileExisting-{last}"),
        () if about("running all checks") || about("running system verification") => {
            "SystemVerification".to_owned()
        }
        () if about("checking whether the given node name") => "Hostname".to_owned(),
        () if about("validating kubelet version") => "KubeletVersion".to_owned(),
        () if about("validating if the \"kubelet\" service") => "Service-Kubelet".to_owned(),
        () => return None,
    })
}

#[test]
fn an_imperfect_host_is_told_everything_at_once() {
    let results = init(34, |_, facts| {
        facts.euid = 1000;
        facts.cpus = 1;
        facts.memory_mb = 900;
        facts.swaps = vec!["/dev/sda2".to_owned()];
        facts.listening_tcp_ports = vec![6443, 10250];
        facts.commands.remove("losetup");
        facts.sysctls.clear();
        facts.kubelet_version.clear();
        facts.runtime = None;
        facts.cri_sockets.clear();
        facts.kernel_release = "4.19.0".to_owned();
        facts.hostname_addresses.clear();
        facts.init.services.remove("kubelet");
        facts.paths.insert("/var/lib/etcd".to_owned(), PathState::Directory);
        facts.paths.insert("/etc/kubernetes/manifests/etcd.yaml".to_owned(), PathState::File);
        facts.proxy_environment.insert("https_proxy".to_owned(), "http://u:p@proxy".to_owned());
    });
    insta::assert_snapshot!(findings(&results).join("\n"), @r"
    Error IsPrivilegedUser
    Error NumCPU
    Error Mem
    Error Port-6443
    Error FileAvailable--etc-kubernetes-manifests-etcd.yaml
    Warning HTTPProxy
    Warning HTTPProxyCIDR
    Warning HTTPProxyCIDR
    Error CRI
    Warning Swap
    Error FileExisting-losetup
    Warning SystemVerification
    Warning Hostname
    Error KubeletVersion
    Warning Service-Kubelet
    Error Port-10250
    Error FileContent--proc-sys-net-ipv4-ip_forward
    Error DirAvailable--var-lib-etcd
    ");
    let text: String =
        results.iter().flat_map(|result| &result.findings).map(|f| f.message.as_str()).collect();
    assert!(!text.contains("u:p"));
}

#[test]
fn ignored_errors_become_warnings() {
    let bad = || {
        init(20, |_, facts| {
            facts.cpus = 1;
            facts.swaps = vec!["/dev/sda2".to_owned()];
        })
    };
    let mut results = bad();
    assert_eq!(findings(&results), ["Error NumCPU", "Error Swap"]);
    ignore(&mut results, &["numcpu".to_owned()]);
    assert_eq!(findings(&results), ["Warning NumCPU", "Error Swap"]);
    let mut results = bad();
    ignore(&mut results, &["ALL".to_owned()]);
    assert_eq!(findings(&results), ["Warning NumCPU", "Warning Swap"]);
    let findings = results.iter().flat_map(|result| &result.findings);
    assert!(findings.into_iter().all(|finding| finding.severity == Severity::Warning));
}

#[test]
fn a_worker_joins() {
    insta::assert_snapshot!(names(&run(Workflow::JoinWorker, 36, |_, _| {})), @r"
    IsPrivilegedUser
    FileAvailable--etc-kubernetes-kubelet.conf
    FileAvailable--etc-kubernetes-bootstrap-kubelet.conf
    CRI
    ContainerRuntimeVersion
    Swap
    FileExisting-losetup
    FileExisting-mount
    FileExisting-cp
    SystemVerification
    Hostname
    KubeletVersion
    Service-kubelet
    Port-10250
    FileAvailable--etc-kubernetes-pki-ca.crt
    HTTPProxy
    FileContent--proc-sys-net-ipv4-ip_forward
    ");
    assert!(
        names(&run(Workflow::JoinWorker, 20, |_, _| {}))
            .contains("DirAvailable--etc-kubernetes-manifests")
    );
}

#[test]
fn a_control_plane_joins_without_looking_at_anything_twice() {
    let results = run(Workflow::JoinControlPlane, 36, |_, _| {});
    let count = |name: &str| results.iter().filter(|result| result.name == name).count();
    for name in
        ["IsPrivilegedUser", "CRI", "NumCPU", "Port-10250", "Port-2379", "SystemVerification"]
    {
        assert_eq!(count(name), 1, "{name}");
    }
    assert_eq!(count("FileAvailable--etc-kubernetes-pki-ca.crt"), 0);
}

#[test]
fn reset_only_wants_root() {
    assert_eq!(names(&run(Workflow::Reset, 36, |_, _| {})), "IsPrivilegedUser");
}

#[test]
fn a_member_is_not_told_that_it_is_in_use() {
    let occupy = |target: &mut Target, facts: &mut Facts, already| {
        target.already = already;
        facts.cgroup_version = 2;
        facts.kernel_config.as_mut().unwrap().insert("CGROUP_BPF".to_owned(), "y".to_owned());
        facts.listening_tcp_ports = vec![6443, 2379, 2380, 10250, 10257, 10259];
        facts.paths.insert("/var/lib/etcd".to_owned(), PathState::Directory);
        facts.paths.insert("/etc/kubernetes/kubelet.conf".to_owned(), PathState::File);
    };
    let verdict = |workflow, already| {
        findings(&run(workflow, 36, |target, facts| occupy(target, facts, already)))
    };
    for workflow in [Workflow::Init, Workflow::JoinControlPlane] {
        assert_eq!(verdict(workflow, Membership::ControlPlane), [""; 0]);
        assert!(verdict(workflow, Membership::Worker).contains(&"Error Port-6443".to_owned()));
    }
    assert_eq!(verdict(Workflow::JoinWorker, Membership::Worker), [""; 0]);
    assert!(!verdict(Workflow::JoinWorker, Membership::ControlPlane).is_empty());
    assert!(!verdict(Workflow::Init, Membership::None).is_empty());
}

#[test]
fn the_kubelet_that_will_be_installed_counts() {
    let verdict = |minor, installed: &str, coming: Option<&str>| {
        let results = run(Workflow::JoinWorker, minor, |target, facts| {
            facts.kubelet_version = installed.to_owned();
            facts.init.services.remove("kubelet");
            facts.cgroup_version = 2;
            facts.kernel_config.as_mut().unwrap().insert("CGROUP_BPF".to_owned(), "y".to_owned());
            target.kubelet_version_override = coming.map(str::to_owned);
        });
        findings(&results)
    };
    assert_eq!(verdict(36, "", Some("1.36.2")), [""; 0]);
    assert_eq!(verdict(36, "", None), ["Error KubeletVersion", "Warning Service-kubelet"]);
    assert_eq!(verdict(36, "1.33.0", None), ["Warning Service-kubelet"]);
    assert_eq!(verdict(36, "1.32.9", None)[0], "Error KubeletVersion");
    assert_eq!(verdict(35, "1.36.0", None)[0], "Error KubeletVersion");
    assert_eq!(verdict(28, "1.26.0", None)[0], "Error KubeletVersion");
    assert_eq!(verdict(29, "1.26.0", None), ["Warning Service-Kubelet"]);
}

#[test]
fn control_groups() {
    let verdict = |minor, change: fn(&mut Facts)| {
        findings(&run(Workflow::JoinWorker, minor, |_, facts| change(facts)))
    };
    assert_eq!(verdict(30, |_| {}), [""; 0]);
    assert_eq!(verdict(34, |_| {}), ["Warning SystemVerification"]);
    assert_eq!(verdict(35, |_| {}), ["Error SystemVerification"]);
    assert_eq!(
        verdict(35, |facts| facts.kubelet_version = "1.34.1".to_owned()),
        ["Warning SystemVerification"]
    );
    assert_eq!(verdict(30, |facts| facts.cgroup_version = 0), ["Error SystemVerification"]);
    assert_eq!(
        verdict(30, |facts| facts.cgroup_controllers.retain(|name| name != "pids")),
        ["Error SystemVerification"]
    );
    assert_eq!(verdict(30, |facts| facts.kernel_config = None), ["Warning SystemVerification"]);
}

#[test]
fn forwarding_follows_the_families() {
    let verdict = |minor, advertise: &str, services: &str| {
        let results = init(minor, |target, facts| {
            facts.sysctls.clear();
            target.advertise = Some(advertise.parse().unwrap());
            target.service_subnets = vec![services.parse().unwrap()];
            target.pod_subnets.clear();
        });
        results
            .iter()
            .filter_map(|result| {
                result.name.strip_prefix("FileContent--proc-sys-net-").map(str::to_owned)
            })
            .collect::<Vec<_>>()
    };
    let (v4, v6) = ("10.0.0.1", "fd00::1");
    assert_eq!(verdict(36, v4, "10.96.0.0/12"), ["ipv4-ip_forward"]);
    assert_eq!(verdict(36, v6, "fd01::/108"), ["ipv6-conf-default-forwarding"]);
    assert_eq!(verdict(36, v4, "fd01::/108"), ["ipv4-ip_forward", "ipv6-conf-default-forwarding"]);
    assert_eq!(
        verdict(20, v4, "10.96.0.0/12"),
        ["bridge-bridge-nf-call-iptables", "ipv4-ip_forward"]
    );
    assert_eq!(
        verdict(20, v6, "fd01::/108"),
        [
            "bridge-bridge-nf-call-iptables",
            "ipv4-ip_forward",
            "bridge-bridge-nf-call-ip6tables",
            "ipv6-conf-default-forwarding"
        ]
    );
}

const WORKFLOWS: [Workflow; 5] = [
    Workflow::Init,
    Workflow::JoinControlPlane,
    Workflow::JoinWorker,
    Workflow::Reset,
    Workflow::Upgrade,
];

#[test]
fn every_check_is_explained_and_says_what_it_saw() {
    for minor in 20..=37 {
        for workflow in WORKFLOWS {
            let results = run(workflow, minor, |target, _| {
                // Both families, so that no sysctl is left out.
                target.service_subnets.push("fd00::/108".parse().unwrap());
                target.advertise = Some("fd00::1".parse().unwrap());
                target.already = match workflow {
                    Workflow::Upgrade => Membership::ControlPlane,
                    _ => Membership::None,
                };
                target.cluster = Some(healthy_cluster());
            });
            for result in results {
                let explanation = explain(&result.name);
                assert!(
                    explanation.is_some_and(|e| e.source == Source::Kubeadm),
                    "{}",
                    result.name
                );
                assert!(!result.evidence.is_empty(), "{} saw nothing", result.name);
            }
        }
    }
}

/// A cluster of 1.20 on its way to 1.21.
fn healthy_cluster() -> ClusterView {
    let node = ControlPlaneNode { name: "n1".to_owned(), ready: Some("True".to_owned()) };
    let coredns = CoreDns {
        image: "k8s.gcr.io/coredns:1.7.0".to_owned(),
        corefile: Some(".:53 {\n errors\n cache 30\n}".to_owned()),
        target_tag: "v1.8.0".to_owned(),
    };
    ClusterView { control_planes: Ok(vec![node]), coredns: Ok(Some(coredns)) }
}

#[test]
fn an_upgrade_asks_the_cluster() {
    let upgrade = |change: &dyn Fn(&mut ClusterView)| {
        let mut cluster = healthy_cluster();
        change(&mut cluster);
        run(Workflow::Upgrade, 21, |target, _| target.cluster = Some(cluster))
    };
    let healthy = upgrade(&|_| {});
    assert_eq!(findings(&healthy), [""; 0]);
    insta::assert_snapshot!(names(&healthy), @r"
    IsPrivilegedUser
    SystemVerification
    CoreDNSUnsupportedPlugins
    CoreDNSMigration
    ControlPlaneNodesReady
    ");

    let coredns = |change: &dyn Fn(&mut CoreDns)| {
        findings(&upgrade(&|cluster| {
            if let Ok(Some(coredns)) = &mut cluster.coredns {
                change(coredns);
            }
        }))
    };
    let (plugins, migration) = ("Error CoreDNSUnsupportedPlugins", "Error CoreDNSMigration");
    let fancy = |dns: &mut CoreDns| dns.corefile = Some(".:53 {\n fancy\n}".to_owned());
    assert_eq!(coredns(&fancy), [plugins]);
    let mut later = healthy_cluster();
    if let Ok(Some(dns)) = &mut later.coredns {
        fancy(dns);
    }
    let later = run(Workflow::Upgrade, 27, |target, _| target.cluster = Some(later));
    assert_eq!(findings(&later), ["Warning CoreDNSUnsupportedPlugins"]);
    assert_eq!(coredns(&|dns| dns.image = "coredns:own".to_owned()), [migration]);
    assert_eq!(coredns(&|dns| dns.target_tag = "1.6.9".to_owned()), [migration]);
    assert_eq!(coredns(&|dns| dns.corefile = None), [plugins, migration]);
    let refused = upgrade(&|cluster| cluster.coredns = Err("forbidden (403)".to_owned()));
    assert_eq!(findings(&refused), [plugins, migration]);
    let absent = upgrade(&|cluster| cluster.coredns = Ok(None));
    assert!(!names(&absent).contains("CoreDNS"));

    let nodes = |ready: &[Option<&str>]| {
        let node = |(index, ready): (usize, &Option<&str>)| ControlPlaneNode {
            name: format!("n{index}"),
            ready: ready.map(str::to_owned),
        };
        let nodes: Vec<_> = ready.iter().enumerate().map(node).collect();
        upgrade(&|cluster| cluster.control_planes = Ok(nodes.clone()))
    };
    assert_eq!(findings(&nodes(&[Some("True"), Some("True")])), [""; 0]);
    let down = nodes(&[Some("True"), Some("Unknown"), None, Some("False")]);
    let message = &down.last().unwrap().findings[0].message;
    assert_eq!(message, "there are NotReady control-planes in the cluster: [n1 n2 n3]");

    let silent = upgrade(&|cluster| {
        *cluster = ClusterView { control_planes: Err("no answer".to_owned()), coredns: Ok(None) };
    });
    assert_eq!(findings(&silent), ["Error ControlPlaneNodesReady"]);
}

#[test]
fn an_upgrade_looks_at_the_kubelet_to_come() {
    let upgrade =
        |minor, change: fn(&mut Target, &mut Facts)| run(Workflow::Upgrade, minor, change);
    let names_of = |results: &[CheckResult]| names(results).replace('\n', " ");
    let worker = upgrade(36, |_, _| {});
    assert_eq!(names_of(&worker), "IsPrivilegedUser SystemVerification ContainerRuntimeVersion");
    assert_eq!(names_of(&upgrade(34, |_, _| {})), "IsPrivilegedUser SystemVerification");

    let from = |kubelet: &str, minor| {
        let results = run(Workflow::Upgrade, minor, |_, facts| {
            facts.kubelet_version = kubelet.to_owned();
        });
        findings(&results)
    };
    assert_eq!(from("1.33.2", 34), ["Warning SystemVerification"]);
    assert_eq!(from("1.34.2", 35), ["Error SystemVerification"]);

    let control_plane = upgrade(34, |target, facts| {
        target.already = Membership::ControlPlane;
        for component in ["kube-apiserver", "kube-scheduler"] {
            let path = format!("/etc/kubernetes/manifests/{component}.yaml");
            facts.paths.insert(path, PathState::File);
        }
    });
    let manifests = control_plane.last().unwrap();
    assert_eq!((manifests.name.as_ref(), manifests.findings.len()), ("StaticPodManifest", 1));
    assert!(manifests.findings[0].message.contains("kube-controller-manager.yaml"));
}

#[test]
fn the_nodes_name_is_looked_up_where_it_is_not_the_hosts_own() {
    let verdict = |resolved: Option<&[&str]>| {
        let results = run(Workflow::JoinWorker, 30, |target, facts| {
            target.node_name = "other".to_owned();
            if let Some(found) = resolved {
                let found = found.iter().map(|address| address.parse().unwrap()).collect();
                facts.resolved.insert("other".to_owned(), found);
            }
        });
        findings(&results)
    };
    assert_eq!(verdict(Some(&[])), ["Warning Hostname"]);
    assert_eq!(verdict(Some(&["10.0.0.7"])), [""; 0]);
    assert_eq!(verdict(None), [""; 0]);
}

#[test]
fn a_runtime_that_does_not_answer() {
    let verdict = |minor| findings(&init(minor, |_, facts| facts.runtime = None));
    assert_eq!(verdict(34), ["Error CRI", "Warning SystemVerification"]);
    assert_eq!(
        verdict(35),
        ["Error CRI", "Error ContainerRuntimeVersion", "Error SystemVerification"]
    );
}

proptest! {
    #[test]
    fn nothing_a_host_says_panics(text in "\\PC{0,20}", number in any::<u16>(), minor in 0u16..50) {
        for workflow in WORKFLOWS {
            run(workflow, minor, |target, facts| {
                facts.kernel_release = text.clone();
                facts.kubelet_version = text.clone();
                facts.cgroup_version = number as u8;
                facts.proxy_environment.insert("https_proxy".to_owned(), text.clone());
                facts.proxy_environment.insert("no_proxy".to_owned(), text.clone());
                target.endpoint_host = Some(text.clone());
                target.node_name = text.clone();
            });
        }
    }
}
