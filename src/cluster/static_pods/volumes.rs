//! Host paths mounted into static pods.

use k8s_openapi::api::core::v1::{HostPathVolumeSource, Volume, VolumeMount};

use crate::cluster::spec::{CERTIFICATES_DIRECTORY, ControlPlaneNode};

/// What a host path is created as when it is missing.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Directory,
    File,
}

/// A host path, mounted at the same path.
pub(super) struct Mount {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) read_only: bool,
}

impl Mount {
    pub(super) fn directory(name: &str, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            kind: Kind::Directory,
            read_only: false,
        }
    }

    pub(super) fn kubeconfig(path: &str) -> Self {
        let (name, path) = ("kubeconfig".to_owned(), path.to_owned());
        Self { name, path, kind: Kind::File, read_only: true }
    }

    pub(super) fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    pub(super) fn volume_mount(&self) -> VolumeMount {
        VolumeMount {
            name: self.name.clone(),
            mount_path: self.path.clone(),
            read_only: self.read_only.then_some(true),
            ..VolumeMount::default()
        }
    }

    fn volume(&self) -> Volume {
        let kind = match self.kind {
            Kind::Directory => "DirectoryOrCreate",
            Kind::File => "FileOrCreate",
        };
        let source = HostPathVolumeSource { path: self.path.clone(), type_: Some(kind.to_owned()) };
        Volume { name: self.name.clone(), host_path: Some(source), ..Volume::default() }
    }
}

/// The volumes behind mounts, sorted by name.
pub(super) fn volumes(mounts: &[Mount]) -> Vec<Volume> {
    let mut volumes: Vec<_> = mounts.iter().map(Mount::volume).collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    volumes
}

/// Certificates as kube-apiserver and kube-controller-manager see them, with `more`, sorted by name.
pub(super) fn with_certificates(node: &ControlPlaneNode, more: Vec<Mount>) -> Vec<Mount> {
    let mut mounts = vec![
        Mount::directory("ca-certs", "/etc/ssl/certs").read_only(),
        Mount::directory("k8s-certs", CERTIFICATES_DIRECTORY).read_only(),
    ];
    mounts.extend(node.extra_ca_directories.iter().map(|path| {
        Mount::directory(path.trim_start_matches('/').replace('/', "-").as_str(), path).read_only()
    }));
    mounts.extend(more);
    mounts.sort_by(|a, b| a.name.cmp(&b.name));
    mounts
}
