//! Static pod manifests of the control plane, one file per component. Renders them; puts none on a host.

pub mod etcd;
pub mod kube_apiserver;
pub mod kube_controller_manager;
pub mod kube_scheduler;
pub mod probes;

mod command;
mod volumes;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, Pod, PodSecurityContext, PodSpec, ResourceRequirements,
    SeccompProfile,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::cluster::release::Release;
use crate::cluster::spec::{ControlPlaneNode, MANIFESTS_DIRECTORY};
use crate::cluster::yaml::{self, YamlError};
use crate::inventory::KubernetesVersion;
use probes::{Address, PORT_NAME, Paths};
use volumes::Mount;

/// Mode of manifest files.
pub const FILE_MODE: u32 = 0o600;

/// A component that runs as a static pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    KubeApiserver,
    /// kube-controller-manager.
    KubeControllerManager,
    /// kube-scheduler.
    KubeScheduler,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Etcd, Self::KubeApiserver, Self::KubeControllerManager, Self::KubeScheduler];

    /// The name of pod, container, binary and file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
        }
    }

    /// Where its manifest lies on a node.
    pub fn manifest_path(self) -> String {
        format!("{MANIFESTS_DIRECTORY}/{self}.yaml")
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What distinguishes one component's pod from another's.
struct Blueprint {
    component: Component,
    image: String,
    annotations: BTreeMap<String, String>,
    command: Vec<String>,
    environment: Vec<EnvVar>,
    /// In the order of the container's mounts; volumes are sorted.
    mounts: Vec<Mount>,
    address: Address,
    paths: Paths,
    requests: &'static [(&'static str, &'static str)],
}

impl Blueprint {
    fn pod(self, release: &Release) -> Pod {
        let facts = &release.static_pods;
        let name = self.component.as_str();
        let quantity =
            |(name, amount): &(&str, &str)| ((*name).to_owned(), Quantity((*amount).to_owned()));
        let probes = probes::build(&self.address, self.paths, facts.named_probe_port);
        let container = Container {
            name: name.to_owned(),
            image: Some(self.image),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            command: Some(self.command),
            env: (!self.environment.is_empty()).then_some(self.environment),
            ports: facts.named_probe_port.then(|| {
                vec![ContainerPort {
                    name: Some(PORT_NAME.to_owned()),
                    container_port: self.address.port.into(),
                    protocol: Some("TCP".to_owned()),
                    ..ContainerPort::default()
                }]
            }),
            liveness_probe: Some(probes.live),
            readiness_probe: probes.ready,
            startup_probe: Some(probes.start),
            resources: Some(ResourceRequirements {
                requests: Some(self.requests.iter().map(quantity).collect()),
                ..ResourceRequirements::default()
            }),
            volume_mounts: Some(self.mounts.iter().map(Mount::volume_mount).collect()),
            ..Container::default()
        };
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let labels = [label("component", name), label("tier", "control-plane")];
        let annotations = (!self.annotations.is_empty()).then_some(self.annotations);
        Pod {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some("kube-system".to_owned()),
                labels: Some(labels.into()),
                annotations,
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec {
                containers: vec![container],
                host_network: Some(true),
                priority: facts.priority_number.then_some(2_000_001_000),
                priority_class_name: Some("system-node-critical".to_owned()),
                security_context: facts.seccomp.then(|| PodSecurityContext {
                    seccomp_profile: Some(SeccompProfile {
                        type_: "RuntimeDefault".to_owned(),
                        ..SeccompProfile::default()
                    }),
                    ..PodSecurityContext::default()
                }),
                volumes: Some(volumes::volumes(&self.mounts)),
                ..PodSpec::default()
            }),
            status: None,
        }
    }
}

/// Renders a manifest as kubeadm would write it.
pub fn to_yaml(pod: &Pod, release: &Release) -> Result<String, YamlError> {
    let mut document = json!(pod);
    // What the Go types of the time could not leave out.
    if let Some(fields) = document.as_object_mut() {
        fields.insert("status".to_owned(), json!({}));
    }
    if release.static_pods.null_creation_timestamp {
        document["metadata"]["creationTimestamp"] = Value::Null;
    }
    yaml::write("static pod manifest", &document)
}

/// Reads a manifest, for example one found on a host.
pub fn from_yaml(text: &str) -> Result<Pod, YamlError> {
    yaml::read("static pod manifest", text)
}

/// The Kubernetes version a component's manifest runs, from its image's tag; `None` when the tag is none.
pub fn running_version(manifest: &Pod) -> Option<KubernetesVersion> {
    let image = manifest.spec.as_ref()?.containers.first()?.image.as_deref()?;
    let (_, tag) = image.rsplit_once(':')?;
    let mut numbers = tag.strip_prefix('v')?.split('.').map(str::parse::<u16>);
    let (major, minor, patch) =
        (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(KubernetesVersion { major, minor, patch })
}

/// The host's proxy variables as a container's environment.
fn proxy_environment(node: &ControlPlaneNode) -> Vec<EnvVar> {
    let wanted = |(name, value): &(&String, &String)| {
        !value.is_empty() && name.to_ascii_lowercase().ends_with("_proxy")
    };
    let variable = |(name, value): (&String, &String)| EnvVar {
        name: name.clone(),
        value: Some(value.clone()),
        value_from: None,
    };
    node.proxy_environment.iter().filter(wanted).map(variable).collect()
}
