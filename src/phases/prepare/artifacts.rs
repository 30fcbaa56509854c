//! `[artifacts]`: where binaries come from, and what the workstation has, hashed and listed once for all hosts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use crate::inventory::{self, Binaries};
use crate::node::{Download, DownloadLimits, FileChange, LocalFile, Node, NodeError, image_names};
use crate::phases::PhaseError;

/// Binaries that are installed, with their place on a host.
const BINARIES: [(&str, &str); 2] =
    [("kubelet", "/usr/bin/kubelet"), ("kubectl", "/usr/bin/kubectl")];

const MODE: u32 = 0o755;

/// A binary and its place on a host.
pub struct Binary {
    /// Where it comes from.
    pub origin: Origin,
    /// Absolute path on hosts.
    pub destination: &'static str,
}

/// Where a binary comes from.
pub enum Origin {
    /// The workstation.
    Local(LocalFile),
    /// A mirror, which hosts ask themselves.
    Mirror(Download),
}

impl Origin {
    /// Put the binary in place on a host, unless it is there already.
    ///
    /// # Errors
    /// See [`Node::install_binary`] and [`Node::download`].
    pub async fn install(&self, node: &Node, path: &str) -> Result<FileChange, NodeError> {
        match self {
            Self::Local(local) => node.install_binary(local, path, MODE).await,
            Self::Mirror(file) => node.download(file, path, MODE, DownloadLimits::default()).await,
        }
    }
}

/// An image archive and the images in it.
pub struct Archive {
    /// On the workstation.
    pub path: PathBuf,
    /// Full references.
    pub images: BTreeSet<String>,
}

/// What `[artifacts]` offers.
pub struct Artifacts {
    section: inventory::Artifacts,
    binaries: OnceCell<Vec<Binary>>,
    archives: OnceCell<Vec<Archive>>,
    etcd: OnceCell<Option<Origin>>,
    kubelet_version: OnceCell<Option<String>>,
}

impl Artifacts {
    /// Nothing is read yet.
    pub fn new(section: inventory::Artifacts) -> Self {
        Self {
            section,
            binaries: OnceCell::new(),
            archives: OnceCell::new(),
            etcd: OnceCell::new(),
            kubelet_version: OnceCell::new(),
        }
    }

    /// The binaries; `None` where the inventory does not say where they are.
    ///
    /// # Errors
    /// A binary is missing or unreadable.
    pub async fn binaries(&self) -> Result<Option<&[Binary]>, PhaseError> {
        if self.section.binaries.is_none() {
            return Ok(None);
        }
        let open = || async {
            let mut binaries = Vec::new();
            for (name, destination) in BINARIES {
                let origin = self.origin(name).await?;
                binaries.extend(origin.map(|origin| Binary { origin, destination }));
            }
            Ok::<_, PhaseError>(binaries)
        };
        Ok(Some(self.binaries.get_or_try_init(open).await?))
    }

    /// The program `etcd`; `None` where it is not among the binaries.
    ///
    /// # Errors
    /// It is unreadable.
    pub async fn etcd(&self) -> Result<Option<&Origin>, PhaseError> {
        let open = || async {
            if let Some(Binaries::Directory(directory)) = &self.section.binaries
                && let Ok(false) = tokio::fs::try_exists(directory.join("etcd")).await
            {
                return Ok(None);
            }
            self.origin("etcd").await
        };
        Ok(self.etcd.get_or_try_init(open).await?.as_ref())
    }

    /// Where a binary comes from; `None` where no place is named, or a mirror's list does not have it.
    async fn origin(&self, name: &str) -> Result<Option<Origin>, PhaseError> {
        Ok(match &self.section.binaries {
            None => None,
            Some(Binaries::Directory(directory)) => {
                Some(Origin::Local(LocalFile::open(directory.join(name)).await?))
            }
            Some(Binaries::Mirror { url, sha256 }) => sha256.get(name).map(|sha256| {
                let url = format!("{url}/{name}");
                Origin::Mirror(Download { url, sha256: sha256.clone() })
            }),
        })
    }

    /// The image archives; empty where the inventory names no directory.
    ///
    /// # Errors
    /// The directory or an archive is unreadable.
    pub async fn archives(&self) -> Result<&[Archive], PhaseError> {
        let Some(directory) = &self.section.images else { return Ok(&[]) };
        let list = || async {
            let mut archives = Vec::new();
            for path in tar_files(directory).await? {
                let images = image_names(&path).await?;
                if images.is_empty() {
                    return Err(PhaseError::Local(format!(
                        "[artifacts] images: {} names no image; save it by its name and tag",
                        path.display()
                    )));
                }
                archives.push(Archive { path, images: images.into_iter().collect() });
            }
            Ok::<_, PhaseError>(archives)
        };
        Ok(self.archives.get_or_try_init(list).await?)
    }

    /// Version of the kubelet that will be installed, without `v`; `None` where there is none, or where it is not on
    /// this workstation (a mirror) or does not run here (another architecture).
    pub async fn kubelet_version(&self) -> Option<&str> {
        let Some(Binaries::Directory(directory)) = &self.section.binaries else { return None };
        let ask = || async {
            let output = tokio::process::Command::new(directory.join("kubelet"))
                .arg("--version")
                .stdin(std::process::Stdio::null())
                .kill_on_drop(true)
                .output();
            let output = tokio::time::timeout(std::time::Duration::from_secs(10), output).await;
            let text = String::from_utf8(output.ok()?.ok()?.stdout).ok()?;
            Some(text.trim().strip_prefix("Kubernetes v")?.to_owned())
        };
        self.kubelet_version.get_or_init(ask).await.as_deref()
    }
}

async fn tar_files(directory: &Path) -> Result<Vec<PathBuf>, PhaseError> {
    let unreadable =
        |error| PhaseError::Local(format!("[artifacts] images: {}: {error}", directory.display()));
    let mut entries = tokio::fs::read_dir(directory).await.map_err(unreadable)?;
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
