//! The kube-apiserver manifest.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use k8s_openapi::api::core::v1::Pod;

use super::probes::{self, Paths};
use super::{Blueprint, Component, command, environment, etcd as local_etcd, volumes};
use crate::cluster::images::Image;
use crate::cluster::spec::{
    CERTIFICATES_DIRECTORY, Cluster, ControlPlaneNode, ETCD_CA_FILE, ETCD_CLIENT_CERTIFICATE_FILE,
    ETCD_CLIENT_KEY_FILE,
};

/// Annotation with the address and port the API server advertises.
pub const ADVERTISE_ADDRESS_ANNOTATION: &str =
    "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint";

const AUTHORIZATION_MODE: &str = "authorization-mode";
const KNOWN_MODES: [&str; 6] = ["AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "RBAC", "Node"];

/// The pod that runs on a control-plane node.
pub fn manifest(cluster: &Cluster, node: &ControlPlaneNode) -> Pod {
    let release = &cluster.release;
    let component = Component::KubeApiserver;
    let mut extra = cluster.section.api_server.extra_args.clone();
    let mut defaults = defaults(cluster, node);
    if release.config.ordered_extra_args {
        defaults.extend(authorization_mode(&extra));
    } else {
        // While arguments were a map, the modes worked out took the place of the operator's.
        extra.extend(authorization_mode(&extra));
    }
    let command = command::assemble(component.as_str(), defaults, &extra, release);
    let advertised = SocketAddr::new(node.advertise_address, cluster.section.api_server.bind_port);
    let extras = &cluster.section.extras.api_server;
    let blueprint = Blueprint {
        component,
        image: cluster.image(Image::ApiServer),
        annotations: BTreeMap::from([(
            ADVERTISE_ADDRESS_ANNOTATION.to_owned(),
            advertised.to_string(),
        )]),
        address: probes::address(component, &command),
        command,
        environment: environment(&node.proxy_environment, &extras.envs),
        mounts: volumes::with_extra(volumes::with_certificates(node, Vec::new()), &extras.volumes),
        paths: Paths { live: "/livez", ready: Some("/readyz"), start: "/livez" },
        requests: &[("cpu", "250m")],
    };
    blueprint.pod(release)
}

fn defaults(cluster: &Cluster, node: &ControlPlaneNode) -> command::Defaults {
    let pki = |file| format!("{CERTIFICATES_DIRECTORY}/{file}");
    let text = str::to_owned;
    let mut defaults = command::defaults([
        ("advertise-address", node.advertise_address.to_string()),
        ("allow-privileged", text("true")),
        ("client-ca-file", pki("ca.crt")),
        ("enable-admission-plugins", text("NodeRestriction")),
        ("enable-bootstrap-token-auth", text("true")),
        ("kubelet-client-certificate", pki("apiserver-kubelet-client.crt")),
        ("kubelet-client-key", pki("apiserver-kubelet-client.key")),
        ("kubelet-preferred-address-types", text("InternalIP,ExternalIP,Hostname")),
        ("proxy-client-cert-file", pki("front-proxy-client.crt")),
        ("proxy-client-key-file", pki("front-proxy-client.key")),
        ("requestheader-allowed-names", text("front-proxy-client")),
        ("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
        ("requestheader-extra-headers-prefix", text("X-Remote-Extra-")),
        ("requestheader-group-headers", text("X-Remote-Group")),
        ("requestheader-username-headers", text("X-Remote-User")),
        ("secure-port", cluster.section.api_server.bind_port.to_string()),
        ("service-account-issuer", cluster.service_account_issuer()),
        ("service-account-key-file", pki("sa.pub")),
        ("service-account-signing-key-file", pki("sa.key")),
        ("service-cluster-ip-range", cluster.service_subnets()),
        ("tls-cert-file", pki("apiserver.crt")),
        ("tls-private-key-file", pki("apiserver.key")),
    ]);
    defaults.extend(etcd(cluster, node));
    if cluster.release.static_pods.apiserver_insecure_port {
        defaults.extend(command::defaults([("insecure-port", text("0"))]));
    }
    defaults
}

/// Where etcd is, and who the API server is to it.
fn etcd(cluster: &Cluster, node: &ControlPlaneNode) -> command::Defaults {
    let (servers, ca, client) = match cluster.external_etcd() {
        None => (
            local_etcd::servers(cluster, node),
            Some(ETCD_CA_FILE),
            Some((ETCD_CLIENT_CERTIFICATE_FILE, ETCD_CLIENT_KEY_FILE)),
        ),
        Some(etcd) => (etcd.endpoints.join(","), etcd.ca_file, etcd.client_files),
    };
    let file = |name: &str, path: &str| (name.to_owned(), path.to_owned());
    let mut arguments = command::defaults([("etcd-servers", servers)]);
    arguments.extend(ca.map(|ca| file("etcd-cafile", ca)));
    if let Some((certificate, key)) = client {
        arguments.extend([file("etcd-certfile", certificate), file("etcd-keyfile", key)]);
    }
    arguments
}

/// The argument for the authorization modes: the operator's without unknown ones, or else kubeadm's. There is none when
/// a configuration file takes its place.
pub(in crate::cluster) fn authorization_mode(
    extra: &[(String, String)],
) -> Option<(String, String)> {
    if command::extra(extra, "authorization-config").is_some() {
        return None;
    }
    let requested = command::extra(extra, AUTHORIZATION_MODE).unwrap_or_default();
    let known = requested.split(',').filter(|mode| KNOWN_MODES.contains(mode));
    let modes = known.collect::<Vec<_>>().join(",");
    let modes = if modes.is_empty() { "Node,RBAC".to_owned() } else { modes };
    Some((AUTHORIZATION_MODE.to_owned(), modes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{node, section, section_with_etcd_hosts};
    use crate::inventory::{ClusterSection, EtcdClientFiles, EtcdOwner, ExternalEtcd};

    fn command_line(minor: u16, extra: &[(&str, &str)]) -> Vec<String> {
        let mut section = section(minor, 0);
        section.api_server.extra_args =
            extra.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let pod = manifest(&Cluster::resolve(&section).unwrap(), &node());
        pod.spec.unwrap().containers.remove(0).command.unwrap()
    }

    #[test]
    fn flags_of_a_release_in_between() {
        insta::assert_snapshot!(command_line(24, &[]).join("\n"), @r"
        kube-apiserver
        --advertise-address=10.0.0.11
        --allow-privileged=true
        --authorization-mode=Node,RBAC
        --client-ca-file=/etc/kubernetes/pki/ca.crt
        --enable-admission-plugins=NodeRestriction
        --enable-bootstrap-token-auth=true
        --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt
        --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt
        --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key
        --etcd-servers=https://127.0.0.1:2379
        --kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt
        --kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key
        --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname
        --proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt
        --proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key
        --requestheader-allowed-names=front-proxy-client
        --requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt
        --requestheader-extra-headers-prefix=X-Remote-Extra-
        --requestheader-group-headers=X-Remote-Group
        --requestheader-username-headers=X-Remote-User
        --secure-port=6443
        --service-account-issuer=https://kubernetes.default.svc.cluster.local
        --service-account-key-file=/etc/kubernetes/pki/sa.pub
        --service-account-signing-key-file=/etc/kubernetes/pki/sa.key
        --service-cluster-ip-range=10.96.0.0/12
        --tls-cert-file=/etc/kubernetes/pki/apiserver.crt
        --tls-private-key-file=/etc/kubernetes/pki/apiserver.key
        ");
    }

    #[test]
    fn unknown_authorization_modes_are_dropped_while_arguments_were_a_map() {
        let mode = |minor, mode| {
            let line = command_line(minor, &[(AUTHORIZATION_MODE, mode)]);
            command::flag(&line, AUTHORIZATION_MODE).unwrap().to_owned()
        };
        assert_eq!(mode(30, "RBAC,Nonsense,Node"), "RBAC,Node");
        assert_eq!(mode(30, "Nonsense"), "Node,RBAC");
        assert_eq!(mode(31, "RBAC,Node"), "RBAC,Node");
    }

    #[test]
    fn an_external_etcd_is_asked_at_its_endpoints() {
        let etcd_flags = |section: &ClusterSection| {
            let pod = manifest(&Cluster::resolve(section).unwrap(), &node());
            let mut line = pod.spec.unwrap().containers.remove(0).command.unwrap();
            line.retain(|argument| argument.starts_with("--etcd-"));
            line.join("\n")
        };
        let mut section = section_with_etcd_hosts(30, 0);
        insta::assert_snapshot!(etcd_flags(&section), @r"
        --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt
        --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt
        --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key
        --etcd-servers=https://10.0.1.1:2379,https://10.0.1.2:2379,https://10.0.1.3:2379
        ");
        section.etcd.external = Some(ExternalEtcd {
            endpoints: vec!["http://etcd.example.com:2379".to_owned()],
            owner: EtcdOwner::SomebodyElse(EtcdClientFiles::default()),
        });
        assert_eq!(etcd_flags(&section), "--etcd-servers=http://etcd.example.com:2379");
    }

    #[test]
    fn an_authorization_configuration_replaces_the_modes() {
        let line = command_line(31, &[("authorization-config", "/etc/kubernetes/authz.yaml")]);
        assert_eq!(command::flag(&line, AUTHORIZATION_MODE), None);
    }

    #[test]
    fn extra_arguments_follow_since_1_31() {
        let line = command_line(31, &[("v", "4"), ("profiling", "false")]);
        assert_eq!(line[line.len() - 2..], ["--v=4", "--profiling=false"]);
    }
}
