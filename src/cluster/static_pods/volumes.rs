//! Host paths mounted into static pods.

use k8s_openapi::api::core::v1::{HostPathVolumeSource, Volume, VolumeMount};

use crate::cluster::spec::{CERTIFICATES_DIRECTORY, ControlPlaneNode};
use crate::inventory::ExtraVolume;

/// What a host path is created as when it is missing.
const DIRECTORY: &str = "DirectoryOrCreate";
const FILE: &str = "FileOrCreate";

/// A host path, and where it is mounted.
pub(super) struct Mount {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) mount_path: String,
    pub(super) kind: String,
    pub(super) read_only: bool,
}

impl Mount {
    pub(super) fn directory(name: &str, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            mount_path: path.to_owned(),
            kind: DIRECTORY.to_owned(),
            read_only: false,
        }
    }

    pub(super) fn kubeconfig(path: &str) -> Self {
        Self { kind: FILE.to_owned(), ..Self::directory("kubeconfig", path).read_only() }
    }

    fn extra(volume: &ExtraVolume) -> Self {
        Self {
            name: volume.name.clone(),
            path: volume.host_path.clone(),
            mount_path: volume.mount_path.clone(),
            kind: volume.path_type.clone(),
            read_only: volume.read_only,
        }
    }

    pub(super) fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    pub(super) fn volume_mount(&self) -> VolumeMount {
        VolumeMount {
            name: self.name.clone(),
            mount_path: self.mount_path.clone(),
            read_only: self.read_only.then_some(true),
            ..VolumeMount::default()
        }
    }

    fn volume(&self) -> Volume {
        let source =
            HostPathVolumeSource { path: self.path.clone(), type_: Some(self.kind.clone()) };
        Volume { name: self.name.clone(), host_path: Some(source), ..Volume::default() }
    }
}

/// The volumes behind mounts, sorted by name.
pub(super) fn volumes(mounts: &[Mount]) -> Vec<Volume> {
    let mut volumes: Vec<_> = mounts.iter().map(Mount::volume).collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    volumes
}

/// Mounts with the operator's, which take the place of those of the same name; sorted by name.
pub(super) fn with_extra(mounts: Vec<Mount>, extra: &[ExtraVolume]) -> Vec<Mount> {
    let kept = |mount: &Mount| !extra.iter().any(|volume| volume.name == mount.name);
    let mut mounts: Vec<Mount> = mounts.into_iter().filter(kept).collect();
    mounts.extend(extra.iter().map(Mount::extra));
    mounts.sort_by(|a, b| a.name.cmp(&b.name));
    mounts
}

/// Certificates as kube-apiserver and kube-controller-manager see them, with `more`.
pub(super) fn with_certificates(node: &ControlPlaneNode, more: Vec<Mount>) -> Vec<Mount> {
    let mut mounts = vec![
        Mount::directory("ca-certs", "/etc/ssl/certs").read_only(),
        Mount::directory("k8s-certs", CERTIFICATES_DIRECTORY).read_only(),
    ];
    mounts.extend(node.extra_ca_directories.iter().map(|path| {
        Mount::directory(path.trim_start_matches('/').replace('/', "-").as_str(), path).read_only()
    }));
    mounts.extend(more);
    mounts
}
