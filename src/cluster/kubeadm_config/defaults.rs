//! kubeadm's defaults as its `config print` gives them, and an inventory's cluster in the same words. What kubeadm would
//! find out on a host is a placeholder.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::documents::Kind;
use super::{cluster_configuration_yaml, configuration, inventory};
use crate::cluster::release::{ConfigApi, Release, UnsupportedRelease};
use crate::cluster::spec::{Cluster, ClusterError};
use crate::cluster::yaml::{self, YamlError};
use crate::cluster::{kube_proxy, kubelet};
use crate::inventory::KubernetesVersion;

const TOKEN: &str = "abcdef.0123456789abcdef";
const ADVERTISE_ADDRESS: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);
const NODE: &str = "node";

/// Why there are no documents to print.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// No cluster can be made of what was asked for.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The API of the release has no such document.
    #[error("kubeadm {0} has no {1}; it came with 1.31")]
    NoSuchKind(KubernetesVersion, &'static str),
    /// They cannot be written.
    #[error(transparent)]
    Yaml(#[from] YamlError),
}

/// The cluster of a release with nothing but defaults.
///
/// # Errors
/// The release is not supported.
pub fn default_cluster(version: KubernetesVersion) -> Result<Cluster, ClusterError> {
    let section = inventory::default_section(version);
    let section = section.ok_or(ClusterError::Release(UnsupportedRelease(version)))?;
    Cluster::resolve(&section)
}

/// `init-defaults`: InitConfiguration and ClusterConfiguration, and configurations of components.
///
/// # Errors
/// The release is not supported.
pub fn init_defaults(
    version: KubernetesVersion,
    components: &[Kind],
) -> Result<String, PrintError> {
    let cluster = default_cluster(version)?;
    let release = &cluster.release;
    let mut init = json!({
        "bootstrapTokens": [{
            "groups": ["system:bootstrappers:kubeadm:default-node-token"],
            "token": TOKEN,
            "ttl": "24h0m0s",
            "usages": ["signing", "authentication"],
        }],
        "localAPIEndpoint": { "advertiseAddress": ADVERTISE_ADDRESS, "bindPort": 6443 },
        "nodeRegistration": node_registration(release),
    });
    if !release.config.config_print_placeholders {
        // kubeadm worked the taints out for its own node then.
        let taints = release.nodes.control_plane_taints.iter();
        let taints: Vec<_> =
            taints.map(|key| json!({ "effect": "NoSchedule", "key": key })).collect();
        init["nodeRegistration"]["taints"] = json!(taints);
    }
    let mut configuration = configuration(&cluster, false);
    if release.config.config_print_placeholders {
        configuration.set("kubernetesVersion", release.version.to_string());
    }
    let mut documents = vec![
        document(release, Kind::Init, init)?,
        yaml::write(Kind::Cluster.as_str(), &configuration)?,
    ];
    for component in components {
        documents.push(component_configuration(&cluster, *component, ADVERTISE_ADDRESS.into())?);
    }
    Ok(documents.join("---\n"))
}

/// `join-defaults`.
///
/// # Errors
/// The release is not supported.
pub fn join_defaults(version: KubernetesVersion) -> Result<String, PrintError> {
    let release = Release::of(version).map_err(ClusterError::from)?;
    let mut join = json!({
        "caCertPath": "/etc/kubernetes/pki/ca.crt",
        "discovery": {
            "bootstrapToken": {
                "apiServerEndpoint": "kube-apiserver:6443",
                "token": TOKEN,
                "unsafeSkipCAVerification": true,
            },
            "tlsBootstrapToken": TOKEN,
        },
        "nodeRegistration": node_registration(&release),
    });
    if release.config.api < ConfigApi::V1Beta4 {
        join["discovery"]["timeout"] = json!("5m0s");
    }
    Ok(document(&release, Kind::Join, join)?)
}

/// `reset-defaults`.
///
/// # Errors
/// The release is not supported, or has no such document.
pub fn reset_defaults(version: KubernetesVersion) -> Result<String, PrintError> {
    let release = with_newest_api(version, Kind::Reset)?;
    let reset =
        json!({ "certificatesDir": "/etc/kubernetes/pki", "criSocket": cri_socket(&release) });
    Ok(document(&release, Kind::Reset, reset)?)
}

/// `upgrade-defaults`.
///
/// # Errors
/// The release is not supported, or has no such document.
pub fn upgrade_defaults(version: KubernetesVersion) -> Result<String, PrintError> {
    let release = with_newest_api(version, Kind::Upgrade)?;
    let node = json!({
        "certificateRenewal": true,
        "etcdUpgrade": true,
        "imagePullPolicy": "IfNotPresent",
        "imagePullSerial": true,
    });
    let upgrade =
        json!({ "apply": node, "diff": {}, "node": node, "plan": { "etcdUpgrade": true } });
    Ok(document(&release, Kind::Upgrade, upgrade)?)
}

/// An inventory's cluster: what it keeps of its own configuration, and what its kubelets and kube-proxy are given. The
/// advertise address of the first control plane decides kube-proxy's address family.
///
/// # Errors
/// It cannot be written.
pub fn cluster_documents(
    cluster: &Cluster,
    advertise: Option<IpAddr>,
) -> Result<String, YamlError> {
    let mut documents = vec![
        cluster_configuration_yaml(cluster)?,
        component_configuration(cluster, Kind::Kubelet, ADVERTISE_ADDRESS.into())?,
    ];
    if !cluster.section.proxy.disabled {
        let advertise = advertise.unwrap_or(ADVERTISE_ADDRESS.into());
        documents.push(component_configuration(cluster, Kind::KubeProxy, advertise)?);
    }
    Ok(documents.join("---\n"))
}

fn component_configuration(
    cluster: &Cluster,
    kind: Kind,
    advertise: IpAddr,
) -> Result<String, YamlError> {
    let config = match kind {
        Kind::KubeProxy => kube_proxy::config_yaml(cluster, advertise)?,
        _ => kubelet::config_map_yaml(cluster, false)?,
    };
    Ok(format!("{}\n", config.yaml.trim_end()))
}

fn with_newest_api(version: KubernetesVersion, kind: Kind) -> Result<Release, PrintError> {
    let release = Release::of(version).map_err(ClusterError::from)?;
    if release.config.api < ConfigApi::V1Beta4 {
        return Err(PrintError::NoSuchKind(version, kind.as_str()));
    }
    Ok(release)
}

fn document(release: &Release, kind: Kind, mut fields: Value) -> Result<String, YamlError> {
    let api = release.config.api;
    fields["apiVersion"] = json!(api.as_str());
    fields["kind"] = json!(kind.as_str());
    if api >= ConfigApi::V1Beta4 {
        fields["timeouts"] = json!({
            "controlPlaneComponentHealthCheck": "4m0s",
            "discovery": "5m0s",
            "etcdAPICall": "2m0s",
            "kubeletHealthCheck": "4m0s",
            "kubernetesAPICall": "1m0s",
            "tlsBootstrap": "5m0s",
            "upgradeManifests": "5m0s",
        });
    }
    yaml::write(kind.as_str(), &fields)
}

fn node_registration(release: &Release) -> Value {
    let mut node = json!({ "criSocket": cri_socket(release), "name": NODE, "taints": null });
    if release.config.api >= ConfigApi::V1Beta3 {
        node["imagePullPolicy"] = json!("IfNotPresent");
    }
    if release.config.api >= ConfigApi::V1Beta4 {
        node["imagePullSerial"] = json!(true);
    }
    node
}

/// dockershim's until the release that has none.
fn cri_socket(release: &Release) -> &'static str {
    if release.kubelet.dockershim {
        "/var/run/dockershim.sock"
    } else {
        "unix:///var/run/containerd/containerd.sock"
    }
}

#[cfg(test)]
mod tests {
    use super::super::documents::Documents;
    use super::*;

    fn version(minor: u16) -> KubernetesVersion {
        KubernetesVersion { major: 1, minor, patch: 0 }
    }

    #[test]
    fn every_release_prints_what_it_would_accept() {
        for release in Release::all() {
            let init = init_defaults(release.version, &[Kind::Kubelet, Kind::KubeProxy]).unwrap();
            let join = join_defaults(release.version).unwrap();
            for text in [init, join] {
                let documents = Documents::read(&text, "defaults").unwrap();
                documents.validate().unwrap();
            }
            let both = [reset_defaults(release.version), upgrade_defaults(release.version)];
            for text in both {
                match text {
                    Ok(text) => Documents::read(&text, "defaults").unwrap().validate().unwrap(),
                    Err(error) => assert!(release.version.minor < 31, "{error}"),
                }
            }
        }
    }

    #[test]
    fn a_release_in_between() {
        insta::assert_snapshot!(init_defaults(version(24), &[]).unwrap(), @r#"
        apiVersion: kubeadm.k8s.io/v1beta3
        bootstrapTokens:
        - groups:
          - system:bootstrappers:kubeadm:default-node-token
          token: abcdef.0123456789abcdef
          ttl: 24h0m0s
          usages:
          - signing
          - authentication
        kind: InitConfiguration
        localAPIEndpoint:
          advertiseAddress: 1.2.3.4
          bindPort: 6443
        nodeRegistration:
          criSocket: unix:///var/run/containerd/containerd.sock
          imagePullPolicy: IfNotPresent
          name: node
          taints: null
        ---
        apiServer:
          timeoutForControlPlane: 4m0s
        apiVersion: kubeadm.k8s.io/v1beta3
        certificatesDir: /etc/kubernetes/pki
        clusterName: kubernetes
        controllerManager: {}
        dns: {}
        etcd:
          local:
            dataDir: /var/lib/etcd
        imageRepository: k8s.gcr.io
        kind: ClusterConfiguration
        kubernetesVersion: 1.24.0
        networking:
          dnsDomain: cluster.local
          serviceSubnet: 10.96.0.0/12
        scheduler: {}
        "#);
        insta::assert_snapshot!(join_defaults(version(24)).unwrap(), @r#"
        apiVersion: kubeadm.k8s.io/v1beta3
        caCertPath: /etc/kubernetes/pki/ca.crt
        discovery:
          bootstrapToken:
            apiServerEndpoint: kube-apiserver:6443
            token: abcdef.0123456789abcdef
            unsafeSkipCAVerification: true
          timeout: 5m0s
          tlsBootstrapToken: abcdef.0123456789abcdef
        kind: JoinConfiguration
        nodeRegistration:
          criSocket: unix:///var/run/containerd/containerd.sock
          imagePullPolicy: IfNotPresent
          name: node
          taints: null
        "#);
    }

    #[test]
    fn a_cluster_in_kubeadms_words_is_one_kubeadm_accepts() {
        let text = cluster_documents(&default_cluster(version(36)).unwrap(), None).unwrap();
        let documents = Documents::read(&text, "cluster").unwrap();
        documents.validate().unwrap();
        assert_eq!(documents.kinds().count(), 3);
    }
}
