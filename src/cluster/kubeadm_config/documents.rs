//! A file of kubeadm's documents: which ones are in it, and whether their fields exist and are of the right type. Whether
//! the values make sense is for `rules`, what they mean for an inventory for `inventory`.

use std::fmt;

use super::check;
use super::schema::{self, Field};
use crate::cluster::release::ConfigApi;
use crate::cluster::yaml::located::{self, Node, Span};
use crate::inventory::{Fault, Mistakes, Problems, nearest, quoted};

/// The kinds of documents in such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `InitConfiguration`.
    Init,
    /// `ClusterConfiguration`.
    Cluster,
    /// `JoinConfiguration`.
    Join,
    /// `ResetConfiguration`.
    Reset,
    /// `UpgradeConfiguration`.
    Upgrade,
    /// `ClusterStatus`.
    ClusterStatus,
    /// `KubeletConfiguration`, which is the kubelet's.
    Kubelet,
    /// `KubeProxyConfiguration`, which is kube-proxy's.
    KubeProxy,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Init,
        Self::Cluster,
        Self::Join,
        Self::Reset,
        Self::Upgrade,
        Self::ClusterStatus,
        Self::Kubelet,
        Self::KubeProxy,
    ];

    /// The value of `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "InitConfiguration",
            Self::Cluster => "ClusterConfiguration",
            Self::Join => "JoinConfiguration",
            Self::Reset => "ResetConfiguration",
            Self::Upgrade => "UpgradeConfiguration",
            Self::ClusterStatus => "ClusterStatus",
            Self::Kubelet => "KubeletConfiguration",
            Self::KubeProxy => "KubeProxyConfiguration",
        }
    }

    /// The value of `apiVersion`, of a component's configuration.
    fn component_api(self) -> Option<&'static str> {
        match self {
            Self::Kubelet => Some("kubelet.config.k8s.io/v1beta1"),
            Self::KubeProxy => Some("kubeproxy.config.k8s.io/v1alpha1"),
            _ => None,
        }
    }

    /// The fields, of a kind that is kubeadm's own.
    pub(super) fn fields(self) -> &'static [Field] {
        match self {
            Self::Init => schema::INIT,
            Self::Cluster => schema::CLUSTER,
            Self::Join => schema::JOIN,
            Self::Reset => schema::RESET,
            Self::Upgrade => schema::UPGRADE,
            Self::ClusterStatus => schema::CLUSTER_STATUS,
            Self::Kubelet | Self::KubeProxy => &[],
        }
    }

    /// The versions of kubeadm's API that have it.
    fn versions(self) -> std::ops::RangeInclusive<ConfigApi> {
        match self {
            Self::Reset | Self::Upgrade => ConfigApi::V1Beta4..=ConfigApi::V1Beta4,
            Self::ClusterStatus => ConfigApi::V1Beta2..=ConfigApi::V1Beta2,
            _ => ConfigApi::V1Beta2..=ConfigApi::V1Beta4,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One document.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it is.
    pub kind: Kind,
    /// The version of kubeadm's API; `None` for a component's configuration.
    pub api: Option<ConfigApi>,
    /// All of it.
    pub body: Node,
    /// The part of the file that it takes.
    pub(super) range: Span,
}

/// A file whose documents have only fields that exist, of the right types.
#[derive(Debug, Clone)]
pub struct Documents {
    pub(super) origin: String,
    pub(super) text: String,
    pub(super) documents: Vec<Document>,
}

impl Documents {
    /// Reads a file. `origin` is what errors call it.
    ///
    /// # Errors
    /// Everything that is no YAML, no document kubeadm reads, no field of it or of another type, each with its place.
    pub fn read(text: &str, origin: &str) -> Result<Self, Box<Mistakes>> {
        let mut problems = Problems::default();
        let documents = read(text, &mut problems);
        if problems.is_empty() {
            return Ok(Self { origin: origin.to_owned(), text: text.to_owned(), documents });
        }
        Err(Box::new(Mistakes::new(origin, text, problems.into_vec())))
    }

    /// The document of a kind.
    pub fn of(&self, kind: Kind) -> Option<&Document> {
        self.documents.iter().find(|document| document.kind == kind)
    }

    /// The kinds there are, in the file's order.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.documents.iter().map(|document| document.kind)
    }

    /// Problems found later, as an error about this file; `Ok` when there are none.
    pub(super) fn verdict(&self, problems: Problems) -> Result<(), Box<Mistakes>> {
        if problems.is_empty() {
            return Ok(());
        }
        Err(Box::new(Mistakes::new(&self.origin, &self.text, problems.into_vec())))
    }
}

fn read(text: &str, problems: &mut Problems) -> Vec<Document> {
    let parts = match located::documents(text) {
        Ok(parts) => parts,
        Err(located::Malformed { message, span }) => {
            problems.push(Fault::new(format!("not valid YAML: {message}"), "here").at(span));
            return Vec::new();
        }
    };
    if parts.is_empty() {
        let fault = Fault::new("the file has no document", "expected a ClusterConfiguration");
        problems.push(fault.at(0..0));
    }
    let mut documents: Vec<Document> = Vec::new();
    for (range, body) in parts {
        let Some((kind, api)) = identify(&body, problems) else { continue };
        if let Some(other) = documents.iter().find(|other| other.kind == kind) {
            let fault = Fault::new(format!("two documents of kind {kind}"), "expected one of them");
            let first = place_of_kind(&other.body);
            problems.push(fault.at(place_of_kind(&body)).also(first, "the other one"));
            continue;
        }
        if let Some(api) = api {
            check::fields(kind, api, &body, problems);
            let own = documents.iter().find(|other| other.api.is_some_and(|other| other != api));
            if let Some(other) = own {
                let fault = Fault::new("documents of different versions", "expected one version")
                    .help("`fleetadm config migrate` brings each to one");
                let first = place_of_kind(&other.body);
                problems.push(fault.at(place_of_kind(&body)).also(first, "the other version"));
            }
        }
        documents.push(Document { kind, api, body, range });
    }
    documents
}

fn place_of_kind(body: &Node) -> Span {
    body.at(&["kind"]).map_or(body.span.clone(), |node| node.span.clone())
}

/// What a document is, by its `apiVersion` and `kind`.
fn identify(body: &Node, problems: &mut Problems) -> Option<(Kind, Option<ConfigApi>)> {
    let mut word = |key: &str| {
        let node = body.at(&[key]);
        let text = node.and_then(Node::text);
        if text.is_none() {
            let place = node.map_or(body.span.clone(), |node| node.span.clone());
            let fault = Fault::new(format!("a document without `{key}`"), "what is it?");
            problems.push(fault.at(place));
        }
        Some((text?.to_owned(), node?.span.clone()))
    };
    let (version, kind) = (word("apiVersion"), word("kind"));
    let ((version, version_span), (name, kind_span)) = (version?, kind?);
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == name) else {
        let fault = Fault::new(
            format!("{} is no document that kubeadm reads", quoted(&name)),
            "expected ClusterConfiguration, InitConfiguration or another of its kinds",
        );
        let known = Kind::ALL.map(Kind::as_str);
        problems.push(fault.suggest(nearest(&name, known)).at(kind_span));
        return None;
    };
    if let Some(expected) = kind.component_api() {
        if version != expected {
            let fault = Fault::new(
                format!("{} is not the version of {kind}", quoted(&version)),
                format!("expected `{expected}`"),
            );
            problems.push(fault.at(version_span));
            return None;
        }
        return Some((kind, None));
    }
    let api = ConfigApi::ALL.into_iter().find(|api| api.as_str() == version);
    match api {
        Some(api) if kind.versions().contains(&api) => Some((kind, Some(api))),
        Some(api) => {
            let label = format!("{} has no {kind}", api.as_str());
            problems.push(Fault::new("a kind of another version", label).at(version_span));
            None
        }
        None => {
            let known = ConfigApi::ALL.map(ConfigApi::as_str);
            let fault = Fault::new(
                format!("{} is not a version of kubeadm's API", quoted(&version)),
                format!("expected one of {}", known.join(", ")),
            );
            problems.push(fault.suggest(nearest(&version, known)).at(version_span));
            None
        }
    }
}
