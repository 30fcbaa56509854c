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

use crate::cluster::patches::{PatchError, Target};
use crate::cluster::release::Release;
use crate::cluster::spec::{Cluster, MANIFESTS_DIRECTORY};
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

impl Component {
    fn target(self) -> Target {
        match self {
            Self::Etcd => Target::Etcd,
            Self::KubeApiserver => Target::KubeApiserver,
            Self::KubeControllerManager => Target::KubeControllerManager,
            Self::KubeScheduler => Target::KubeScheduler,
        }
    }
}

/// A component's pod with the operator's patches.
///
/// # Errors
/// They do not fit, or what comes out is no Pod.
pub fn patched(cluster: &Cluster, component: Component, pod: Pod) -> Result<Pod, PatchError> {
    let (patches, target) = (&cluster.patches, component.target());
    if !patches.has(target) {
        return Ok(pod);
    }
    let mut document = json!(pod);
    patches.apply(target, &mut document)?;
    serde_json::from_value(document).map_err(|error| patches.spoiled(target, "Pod", error))
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

/// The tag of the image that a component's manifest runs.
pub fn image_tag(manifest: &Pod) -> Option<&str> {
    let image = manifest.spec.as_ref()?.containers.first()?.image.as_deref()?;
    image.rsplit_once(':').map(|(_, tag)| tag)
}

/// The Kubernetes version a component's manifest runs, from its image's tag; `None` when the tag is none.
pub fn running_version(manifest: &Pod) -> Option<KubernetesVersion> {
    let mut numbers = image_tag(manifest)?.strip_prefix('v')?.split('.').map(str::parse::<u16>);
    let (major, minor, patch) =
        (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(KubernetesVersion { major, minor, patch })
}

/// A container's environment, sorted by name: the host's proxy variables, and the operator's above them.
fn environment(host: &BTreeMap<String, String>, extra: &[(String, String)]) -> Vec<EnvVar> {
    let proxies = host
        .iter()
        .filter(|(name, value)| !value.is_empty() && name.to_ascii_lowercase().ends_with("_proxy"));
    let mut variables: BTreeMap<&String, &String> = proxies.collect();
    variables.extend(extra.iter().map(|(name, value)| (name, value)));
    let variable = |(name, value): (&String, &String)| EnvVar {
        name: name.clone(),
        value: Some(value.clone()),
        value_from: None,
    };
    variables.into_iter().map(variable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{node, section};
    use crate::inventory::{ExtraVolume, Extras};

    #[test]
    fn the_operators_volumes_and_variables_join_kubeadms() {
        let mut section = section(36, 2);
        let volume = |name: &str, path: &str| ExtraVolume {
            name: name.to_owned(),
            host_path: path.to_owned(),
            mount_path: "/here".to_owned(),
            read_only: true,
            path_type: String::new(),
        };
        section.extras.scheduler = Extras {
            volumes: vec![volume("policy", "/etc/policy"), volume("kubeconfig", "/mine")],
            envs: vec![("no_proxy".to_owned(), "a".to_owned()), ("A".to_owned(), "1".to_owned())],
        };
        let mut node = node();
        for (name, value) in [("no_proxy", "b"), ("HTTPS_PROXY", "c"), ("PATH", "d")] {
            node.proxy_environment.insert(name.to_owned(), value.to_owned());
        }
        let pod = kube_scheduler::manifest(&Cluster::resolve(&section).unwrap(), &node);
        let spec = pod.spec.unwrap();
        let env: Vec<_> = spec.containers[0].env.iter().flatten().collect();
        let env: Vec<_> = env.iter().map(|it| (&*it.name, it.value.as_deref().unwrap())).collect();
        assert_eq!(env, [("A", "1"), ("HTTPS_PROXY", "c"), ("no_proxy", "a")]);
        let mounts: Vec<_> = spec.containers[0].volume_mounts.iter().flatten().collect();
        assert_eq!(mounts.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["kubeconfig", "policy"]);
        assert_eq!(mounts[0].mount_path, "/here");
        let source = spec.volumes.unwrap().remove(0).host_path.unwrap();
        assert_eq!((&*source.path, source.type_.as_deref()), ("/mine", Some("")));
    }
}
