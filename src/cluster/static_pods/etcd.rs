//! The manifest of an etcd member.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use k8s_openapi::api::core::v1::Pod;

use super::probes::{self, Paths};
use super::volumes::Mount;
use super::{Blueprint, Component, command, environment};
use crate::cluster::images::Image;
use crate::cluster::release::EtcdFlags;
use crate::cluster::spec::{
    CERTIFICATES_DIRECTORY, Cluster, ControlPlaneNode, ETCD_CLIENT_PORT, ETCD_PEER_PORT,
};

/// Annotation with the URL clients reach a member at.
pub const CLIENT_URLS_ANNOTATION: &str = "kubeadm.kubernetes.io/etcd.advertise-client-urls";

const METRICS_PORT: u16 = 2381;

/// A member of the etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name: the node's.
    pub name: String,
    /// Its peer URL.
    pub peer_url: String,
}

/// What a starting member is told about the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitialCluster {
    /// It is alone and starts a new cluster.
    New,
    /// It joins these, itself included, in this order.
    Existing(Vec<Member>),
}

/// What the member of a manifest was told about the others; `None` where its flags do not say.
pub fn initial_cluster(manifest: &Pod) -> Option<InitialCluster> {
    told(manifest.spec.as_ref()?.containers.first()?.command.as_ref()?)
}

/// What the member that runs with this command line was told about the others; `None` where its flags do not say.
pub fn told(command: &[String]) -> Option<InitialCluster> {
    if command::flag(command, "initial-cluster-state") != Some("existing") {
        return Some(InitialCluster::New);
    }
    let members = command::flag(command, "initial-cluster")?.split(',').map(|entry| {
        let (name, peer_url) = entry.split_once('=')?;
        Some(Member { name: name.to_owned(), peer_url: peer_url.to_owned() })
    });
    members.collect::<Option<_>>().map(InitialCluster::Existing)
}

/// URL clients reach the member on `address` at.
pub fn client_url(address: IpAddr) -> String {
    url(address, ETCD_CLIENT_PORT)
}

/// URL other members reach the member on `address` at.
pub fn peer_url(address: IpAddr) -> String {
    url(address, ETCD_PEER_PORT)
}

fn url(address: IpAddr, port: u16) -> String {
    format!("https://{}", SocketAddr::new(address, port))
}

fn loopback(node: &ControlPlaneNode) -> IpAddr {
    match node.advertise_address {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// What the API server of the same node is told.
pub(super) fn servers(cluster: &Cluster, node: &ControlPlaneNode) -> String {
    let extra = &cluster.section.etcd.extra_args;
    command::extra(extra, "advertise-client-urls")
        .map_or_else(|| client_url(loopback(node)), ToOwned::to_owned)
}

/// The member's command line, whatever runs it.
pub fn command_line(
    cluster: &Cluster,
    node: &ControlPlaneNode,
    initial_cluster: &InitialCluster,
) -> Vec<String> {
    let defaults = defaults(cluster, node, initial_cluster);
    let extra = &cluster.section.etcd.extra_args;
    command::assemble(Component::Etcd.as_str(), defaults, extra, &cluster.release)
}

/// The pod that runs on a control-plane node, or on a host of etcd alone.
pub fn manifest(
    cluster: &Cluster,
    node: &ControlPlaneNode,
    initial_cluster: &InitialCluster,
) -> Pod {
    let release = &cluster.release;
    let component = Component::Etcd;
    let etcd = &cluster.section.etcd;
    let command = command_line(cluster, node, initial_cluster);
    let paths = release.static_pods.etcd_probes;
    let blueprint = Blueprint {
        component,
        image: cluster.image(Image::Etcd),
        annotations: BTreeMap::from([(
            CLIENT_URLS_ANNOTATION.to_owned(),
            client_url(node.advertise_address),
        )]),
        address: probes::address(component, &command),
        command,
        environment: environment(&BTreeMap::new(), &cluster.section.extras.etcd.envs),
        mounts: vec![
            Mount::directory("etcd-data", &etcd.data_dir),
            Mount::directory("etcd-certs", &format!("{CERTIFICATES_DIRECTORY}/etcd")),
        ],
        paths: Paths { live: paths.live, ready: paths.ready, start: paths.start },
        requests: if release.static_pods.etcd_ephemeral_storage {
            &[("cpu", "100m"), ("memory", "100Mi"), ("ephemeral-storage", "100Mi")]
        } else {
            &[("cpu", "100m"), ("memory", "100Mi")]
        },
    };
    blueprint.pod(release)
}

fn defaults(
    cluster: &Cluster,
    node: &ControlPlaneNode,
    initial_cluster: &InitialCluster,
) -> command::Defaults {
    let pki = |file| format!("{CERTIFICATES_DIRECTORY}/etcd/{file}");
    let (client, peer) = (client_url(node.advertise_address), peer_url(node.advertise_address));
    let local = loopback(node);
    let metrics = SocketAddr::new(local, METRICS_PORT);
    let mut defaults = command::defaults([
        ("advertise-client-urls", client.clone()),
        ("cert-file", pki("server.crt")),
        ("client-cert-auth", "true".to_owned()),
        ("data-dir", cluster.section.etcd.data_dir.clone()),
        ("initial-advertise-peer-urls", peer.clone()),
        ("key-file", pki("server.key")),
        ("listen-client-urls", format!("{},{client}", client_url(local))),
        ("listen-metrics-urls", format!("http://{metrics}")),
        ("listen-peer-urls", peer.clone()),
        ("name", node.name.clone()),
        ("peer-cert-file", pki("peer.crt")),
        ("peer-client-cert-auth", "true".to_owned()),
        ("peer-key-file", pki("peer.key")),
        ("peer-trusted-ca-file", pki("ca.crt")),
        ("snapshot-count", "10000".to_owned()),
        ("trusted-ca-file", pki("ca.crt")),
    ]);
    match initial_cluster {
        InitialCluster::New => {
            defaults
                .extend(command::defaults([("initial-cluster", format!("{}={peer}", node.name))]));
        }
        InitialCluster::Existing(members) => {
            let spell = |member: &Member| format!("{}={}", member.name, member.peer_url);
            let members: Vec<_> = members.iter().map(spell).collect();
            defaults.extend(command::defaults([("initial-cluster", members.join(","))]));
            defaults.extend(command::defaults([("initial-cluster-state", "existing".to_owned())]));
        }
    }
    defaults.extend(consistency_flags(cluster));
    defaults
}

fn consistency_flags(cluster: &Cluster) -> command::Defaults {
    let check = ("experimental-initial-corrupt-check", "true".to_owned());
    let notify = "5s".to_owned();
    let flags = match cluster.release.static_pods.etcd_flags {
        EtcdFlags::ByImage if is_before_3_6(cluster.etcd_tag()) => EtcdFlags::Experimental,
        flags => flags,
    };
    match flags {
        EtcdFlags::None => command::defaults([]),
        EtcdFlags::ExperimentalCheck => command::defaults([check]),
        EtcdFlags::Experimental => {
            command::defaults([check, ("experimental-watch-progress-notify-interval", notify)])
        }
        EtcdFlags::ByImage | EtcdFlags::Stable => command::defaults([
            ("feature-gates", "InitialCorruptCheck=true".to_owned()),
            ("watch-progress-notify-interval", notify),
        ]),
    }
}

/// A tag that is no version is taken for a recent etcd.
fn is_before_3_6(tag: &str) -> bool {
    let mut parts = tag.strip_prefix('v').unwrap_or(tag).split('.').map(str::parse::<u16>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (3, 6),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{cluster, node, section};
    use crate::cluster::static_pods::probes::health_endpoint;

    fn command_line(cluster: &Cluster, node: &ControlPlaneNode) -> Vec<String> {
        let pod = manifest(cluster, node, &InitialCluster::New);
        pod.spec.unwrap().containers.remove(0).command.unwrap()
    }

    #[test]
    fn flags_of_a_release_in_between() {
        insta::assert_snapshot!(command_line(&cluster(30, 0), &node()).join("\n"), @r"
        etcd
        --advertise-client-urls=https://10.0.0.11:2379
        --cert-file=/etc/kubernetes/pki/etcd/server.crt
        --client-cert-auth=true
        --data-dir=/var/lib/etcd
        --experimental-initial-corrupt-check=true
        --experimental-watch-progress-notify-interval=5s
        --initial-advertise-peer-urls=https://10.0.0.11:2380
        --initial-cluster=cp-1=https://10.0.0.11:2380
        --key-file=/etc/kubernetes/pki/etcd/server.key
        --listen-client-urls=https://127.0.0.1:2379,https://10.0.0.11:2379
        --listen-metrics-urls=http://127.0.0.1:2381
        --listen-peer-urls=https://10.0.0.11:2380
        --name=cp-1
        --peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt
        --peer-client-cert-auth=true
        --peer-key-file=/etc/kubernetes/pki/etcd/peer.key
        --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
        --snapshot-count=10000
        --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
        ");
    }

    #[test]
    fn a_manifest_tells_what_its_member_was_told() {
        let member =
            |name: &str, url: &str| Member { name: name.to_owned(), peer_url: url.to_owned() };
        let joined = InitialCluster::Existing(vec![
            member("cp-1", "https://10.0.0.11:2380"),
            member("cp-2", "https://10.0.0.12:2380"),
        ]);
        for initial in [InitialCluster::New, joined] {
            let pod = manifest(&cluster(36, 2), &node(), &initial);
            assert_eq!(initial_cluster(&pod), Some(initial));
        }
        assert_eq!(initial_cluster(&Pod::default()), None);
    }

    #[test]
    fn an_old_etcd_image_gets_the_flags_it_knows() {
        let mut section = section(34, 0);
        let has = |section: &_, flag: &str| {
            let line = command_line(&Cluster::resolve(section).unwrap(), &node());
            line.iter().any(|argument| argument.starts_with(flag))
        };
        assert!(has(&section, "--feature-gates="));
        section.etcd.image_tag = Some("3.5.24-0".to_owned());
        assert!(has(&section, "--experimental-initial-corrupt-check="));
        assert!(!has(&section, "--feature-gates="));
    }

    #[test]
    fn an_ipv6_member_listens_on_ipv6() {
        let node = ControlPlaneNode { advertise_address: "fd00::1".parse().unwrap(), ..node() };
        let line = command_line(&cluster(36, 2), &node);
        let flag = |name| command::flag(&line, name).unwrap();
        assert_eq!(flag("listen-client-urls"), "https://[::1]:2379,https://[fd00::1]:2379");
        assert_eq!(flag("listen-metrics-urls"), "http://[::1]:2381");
        assert_eq!(servers(&cluster(36, 2), &node), "https://[::1]:2379");
    }

    #[test]
    fn probes_follow_the_metrics_url() {
        let mut section = section(30, 0);
        section.etcd.extra_args =
            vec![("listen-metrics-urls".to_owned(), "http://0.0.0.0:9999,http://x:1".to_owned())];
        let cluster = Cluster::resolve(&section).unwrap();
        let pod = manifest(&cluster, &node(), &InitialCluster::New);
        let endpoint = health_endpoint(Component::Etcd, &pod, &cluster.release).unwrap();
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port, endpoint.tls),
            ("127.0.0.1", 9999, false)
        );
        let live = pod.spec.unwrap().containers.remove(0).liveness_probe.unwrap();
        assert_eq!(live.http_get.unwrap().host, None);
    }
}
