//! kubeadm's patches: what an operator changes in what kubeadm would write, static pods, the kubelet's configuration on a
//! node and the Deployment of CoreDNS. Pure: files come as texts, and every mistake that can be found without the document
//! to patch is found when they are read.

mod file_name;
mod lists;
mod strategic;

use std::fmt;

use serde_json::Value;

use crate::cluster::release::Release;
use crate::cluster::yaml::located;
use crate::report::printable;
use strategic::Lists;
pub use strategic::StrategicError;

/// What can be patched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The static pod of etcd.
    Etcd,
    /// The static pod of kube-apiserver.
    KubeApiserver,
    /// The static pod of kube-controller-manager.
    KubeControllerManager,
    /// The static pod of kube-scheduler.
    KubeScheduler,
    /// A node's KubeletConfiguration; what is in the cluster stays as it is.
    KubeletConfiguration,
    /// The Deployment of CoreDNS.
    CorednsDeployment,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::KubeletConfiguration,
        Self::CorednsDeployment,
    ];

    /// The word file names begin with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::KubeletConfiguration => "kubeletconfiguration",
            Self::CorednsDeployment => "corednsdeployment",
        }
    }

    fn is_known_to(self, release: &Release) -> bool {
        match self {
            Self::KubeletConfiguration => release.config.patches_kubelet_configuration,
            Self::CorednsDeployment => release.config.patches_coredns,
            _ => true,
        }
    }

    fn lists(self) -> Lists {
        match self {
            Self::KubeletConfiguration => lists::atomic,
            _ => lists::pod,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a patch is laid over a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A strategic merge patch.
    Strategic,
    /// A JSON merge patch, RFC 7386.
    Merge,
    /// A JSON patch, RFC 6902.
    Json,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Strategic, Self::Merge, Self::Json];

    fn as_str(self) -> &'static str {
        match self {
            Self::Strategic => "strategic",
            Self::Merge => "merge",
            Self::Json => "json",
        }
    }
}

/// What is wrong with a patch.
#[derive(Debug, thiserror::Error)]
pub enum PatchProblem {
    /// Its name begins with no target.
    #[error("the file's name begins with no target{}; expected one of {}", meant(.0.as_deref()), targets())]
    UnknownTarget(Option<String>),
    /// Its name has a type that does not exist.
    #[error("`+{0}` in the file's name is no type of patch; expected strategic, merge or json")]
    UnknownType(String),
    /// The release does not patch the target.
    #[error("Kubernetes {release} has no patches of {target}; they came with {since}")]
    TooNew {
        /// The release.
        release: String,
        /// The target.
        target: Target,
        /// The first release that has them.
        since: &'static str,
    },
    /// It is no YAML or JSON.
    #[error("line {line}: {message}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// It is not what its type demands.
    #[error("expected {0}")]
    WrongShape(&'static str),
    /// An operation that does not exist, or lacks something.
    #[error("not a JSON patch: {0}")]
    NotAJsonPatch(serde_json::Error),
    /// It is empty.
    #[error("the file is empty")]
    Empty,
    /// It does not fit the document.
    #[error("it does not fit {target}: {source}")]
    Strategic {
        /// The target.
        target: Target,
        /// Why.
        source: StrategicError,
    },
    /// An operation does not fit the document.
    #[error("it does not fit {target}: {source}")]
    Json {
        /// The target.
        target: Target,
        /// Why.
        source: json_patch::PatchError,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

fn targets() -> String {
    Target::ALL.map(Target::as_str).join(", ")
}

/// A patch that cannot be used, and the file it is in.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// One file is wrong, or does not fit.
    #[error("patch {file}: {}", printable(&problem.to_string()))]
    File {
        /// The file as the operator knows it.
        file: String,
        /// What is wrong.
        problem: Box<PatchProblem>,
    },
    /// What came out is no document of its kind any more.
    #[error("patches {}: {target} is no {kind} any more: {}", files.join(", "), printable(reason))]
    Result {
        /// The files that were applied.
        files: Vec<String>,
        /// The target.
        target: Target,
        /// What it should be.
        kind: &'static str,
        /// Why it is not.
        reason: String,
    },
}

#[derive(Debug, Clone)]
struct Patch {
    file: String,
    target: Target,
    operation: Operation,
}

#[derive(Debug, Clone)]
enum Operation {
    Strategic(Value),
    Merge(Value),
    Json(json_patch::Patch),
}

/// A file of a directory of patches.
#[derive(Debug)]
pub struct PatchFile {
    /// Its name, without the directory.
    pub name: String,
    /// What messages call it.
    pub shown: String,
    /// What is in it.
    pub text: String,
}

/// Patches in the order in which they are applied: that of the names of their files.
#[derive(Debug, Clone, Default)]
pub struct Patches(Vec<Patch>);

impl Patches {
    /// Whether a file of this name would be read. Hidden files and those that are neither `.yaml` nor `.json` are no
    /// patches.
    ///
    /// # Errors
    /// It is a patch for nothing, or of no type.
    pub fn wants(name: &str) -> Result<bool, PatchProblem> {
        file_name::parse(name).map(|found| found.is_some())
    }

    /// Reads the files of a directory, in any order. A YAML file may hold several patches.
    ///
    /// # Errors
    /// The first file that is no patch, or is for something that the release does not patch.
    pub fn read(mut files: Vec<PatchFile>, release: &Release) -> Result<Self, PatchError> {
        files.sort_by(|left, right| left.name.cmp(&right.name));
        let mut patches = Vec::new();
        for file in files {
            let fail =
                |problem| PatchError::File { file: file.shown.clone(), problem: Box::new(problem) };
            let Some((target, kind)) = file_name::parse(&file.name).map_err(fail)? else {
                continue;
            };
            check_release(target, release).map_err(fail)?;
            for operation in operations(kind, &file.text).map_err(fail)? {
                patches.push(Patch { file: file.shown.clone(), target, operation });
            }
        }
        Ok(Self(patches))
    }

    /// Lays the target's patches over a document, one after the other.
    ///
    /// # Errors
    /// The first patch that does not fit.
    pub fn apply(&self, target: Target, document: &mut Value) -> Result<(), PatchError> {
        for patch in self.of(target) {
            patch.apply(document).map_err(|problem| PatchError::File {
                file: patch.file.clone(),
                problem: Box::new(problem),
            })?;
        }
        Ok(())
    }

    /// Whether there is a patch of the target.
    pub fn has(&self, target: Target) -> bool {
        self.of(target).next().is_some()
    }

    /// What came out of the target's patches does not read as what it should be.
    pub(super) fn spoiled(
        &self,
        target: Target,
        kind: &'static str,
        reason: impl fmt::Display,
    ) -> PatchError {
        let mut files: Vec<String> = self.of(target).map(|patch| patch.file.clone()).collect();
        files.dedup();
        PatchError::Result { files, target, kind, reason: reason.to_string() }
    }

    fn of(&self, target: Target) -> impl Iterator<Item = &Patch> {
        self.0.iter().filter(move |patch| patch.target == target)
    }
}

impl Patch {
    fn apply(&self, document: &mut Value) -> Result<(), PatchProblem> {
        let target = self.target;
        match &self.operation {
            Operation::Strategic(patch) => {
                *document = strategic::apply(document, patch, target.lists())
                    .map_err(|source| PatchProblem::Strategic { target, source })?;
            }
            Operation::Merge(patch) => json_patch::merge(document, patch),
            Operation::Json(patch) => {
                // On a copy: taking back what was done of a patch that does not fit is what the library may panic at.
                let mut patched = document.clone();
                json_patch::patch_unsafe(&mut patched, patch)
                    .map_err(|source| PatchProblem::Json { target, source })?;
                *document = patched;
            }
        }
        Ok(())
    }
}

fn check_release(target: Target, release: &Release) -> Result<(), PatchProblem> {
    if target.is_known_to(release) {
        return Ok(());
    }
    let since = if target == Target::KubeletConfiguration { "1.25" } else { "1.32" };
    Err(PatchProblem::TooNew { release: release.version.to_string(), target, since })
}

fn operations(kind: Kind, text: &str) -> Result<Vec<Operation>, PatchProblem> {
    let documents = located::documents(text).map_err(|error| {
        let before = text.get(..error.span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        PatchProblem::Malformed { line, message: error.message }
    })?;
    if documents.is_empty() {
        return Err(PatchProblem::Empty);
    }
    let operation = |value: Value| match kind {
        Kind::Json if !value.is_array() => {
            Err(PatchProblem::WrongShape("a list of operations, for its type is json"))
        }
        Kind::Json => {
            serde_json::from_value(value).map(Operation::Json).map_err(PatchProblem::NotAJsonPatch)
        }
        Kind::Strategic | Kind::Merge if !value.is_object() => Err(PatchProblem::WrongShape(
            "a mapping; say +json in the name of a list of operations",
        )),
        Kind::Strategic => Ok(Operation::Strategic(value)),
        Kind::Merge => Ok(Operation::Merge(value)),
    };
    documents.into_iter().map(|(_, document)| operation(document.to_value())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{cluster, node};
    use crate::cluster::static_pods::{self, Component, kube_scheduler};
    use serde_json::json;

    fn file(name: &str, text: &str) -> PatchFile {
        PatchFile { name: name.to_owned(), shown: format!("p/{name}"), text: text.to_owned() }
    }

    fn read(minor: u16, files: Vec<PatchFile>) -> Result<Patches, PatchError> {
        Patches::read(files, &cluster(minor, 0).release)
    }

    #[test]
    fn patches_of_all_types_apply_in_the_order_of_their_names() {
        let patches = read(
            36,
            vec![
                file(
                    "kubeletconfiguration2+json.json",
                    r#"[{"op": "add", "path": "/c/-", "value": 3}]"#,
                ),
                file("kubeletconfiguration0.yaml", "a: 1\nb: {x: 1}\n---\nb: {y: null}\nc: [1]\n"),
                file("kubeletconfiguration1+merge.yaml", "a: null\nc: [2]\n"),
                file("etcd.yaml", "z: 1\n"),
                file("README.md", "not looked at"),
            ],
        )
        .unwrap();
        let mut document = json!({ "b": { "y": 2 }, "d": 4 });
        patches.apply(Target::KubeletConfiguration, &mut document).unwrap();
        assert_eq!(document, json!({ "b": { "x": 1 }, "c": [2, 3], "d": 4 }));
        assert!(patches.has(Target::Etcd) && !patches.has(Target::KubeScheduler));
    }

    #[test]
    fn mistakes_name_the_file() {
        let told = |minor, name: &str, text: &str| {
            read(minor, vec![file(name, text)]).unwrap_err().to_string()
        };
        for (message, part) in [
            (told(36, "etcd.yaml", "a: 1\nb: [\n"), "patch p/etcd.yaml: line "),
            (told(36, "etcd.yaml", "- a\n"), "patch p/etcd.yaml: expected a mapping"),
            (told(36, "etcd.yaml", "# nothing\n"), "patch p/etcd.yaml: the file is empty"),
            (told(36, "etcd+json.yaml", "a: 1\n"), "expected a list of operations"),
            (told(36, "etcd+json.yaml", "[{op: jump, path: /a}]\n"), "not a JSON patch"),
            (told(24, "kubeletconfiguration.yaml", "a: 1\n"), "they came with 1.25"),
            (told(31, "corednsdeployment.yaml", "a: 1\n"), "they came with 1.32"),
        ] {
            assert!(message.contains(part), "{message}");
        }
        let patches = read(36, vec![file("etcd+json.yaml", "[{op: remove, path: /x}]\n")]).unwrap();
        let error = patches.apply(Target::Etcd, &mut json!({})).unwrap_err().to_string();
        assert!(error.starts_with("patch p/etcd+json.yaml: it does not fit etcd: "), "{error}");
    }

    #[test]
    fn a_static_pod_stays_one() {
        let mut cluster = cluster(36, 2);
        let patched = |cluster: &crate::cluster::Cluster| {
            let pod = kube_scheduler::manifest(cluster, &node());
            static_pods::patched(cluster, Component::KubeScheduler, pod)
        };
        let text = "spec: {containers: [{name: kube-scheduler, resources: {limits: {cpu: 2}}}]}\n";
        cluster.patches = read(36, vec![file("kube-scheduler.yaml", text)]).unwrap();
        let pod = patched(&cluster).unwrap();
        let resources = pod.spec.unwrap().containers.remove(0).resources.unwrap();
        assert_eq!(resources.limits.unwrap()["cpu"].0, "2");
        assert_eq!(resources.requests.unwrap()["cpu"].0, "100m");

        let text = "spec: {priority: high}\n";
        cluster.patches = read(36, vec![file("kube-scheduler9+merge.yaml", text)]).unwrap();
        let error = patched(&cluster).unwrap_err().to_string();
        assert!(
            error.contains("p/kube-scheduler9+merge.yaml: kube-scheduler is no Pod"),
            "{error}"
        );
    }

    #[test]
    fn the_kubelet_keeps_its_nodes_own_part() {
        use crate::cluster::kubelet::{KubeletNode, config_map_yaml, config_yaml};
        let mut cluster = cluster(36, 2);
        let text = "maxPods: 7\ncontainerRuntimeEndpoint: unix:///elsewhere\n";
        cluster.patches = read(36, vec![file("kubeletconfiguration.yaml", text)]).unwrap();
        let none = std::collections::BTreeMap::new();
        let node = KubeletNode {
            name: "a",
            hostname: "a",
            runtime_endpoint: "unix:///run/a.sock",
            systemd_resolved: false,
            register_with_taints: &[],
            extra_args: &none,
        };
        let config = config_yaml(&cluster, &node).unwrap();
        assert!(config.yaml.contains("maxPods: 7\n"));
        assert!(config.yaml.contains("containerRuntimeEndpoint: unix:///run/a.sock\n"));
        assert_eq!(config.deviations.len(), 1);
        assert!(!config_map_yaml(&cluster, false).unwrap().yaml.contains("maxPods"));
    }
}
