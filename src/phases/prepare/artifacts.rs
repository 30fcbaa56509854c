//! `[artifacts]` on the workstation: binaries hashed and archives listed once for all hosts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use crate::inventory;
use crate::node::{LocalFile, image_names};
use crate::phases::PhaseError;

/// Binaries that are installed, with their place on a host.
const BINARIES: [(&str, &str); 2] =
    [("kubelet", "/usr/bin/kubelet"), ("kubectl", "/usr/bin/kubectl")];

/// A binary and its place on a host.
pub struct Binary {
    /// On the workstation.
    pub local: LocalFile,
    /// Absolute path on hosts.
    pub destination: &'static str,
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
    kubelet_version: OnceCell<Option<String>>,
}

impl Artifacts {
    /// Nothing is read yet.
    pub fn new(section: inventory::Artifacts) -> Self {
        Self {
            section,
            binaries: OnceCell::new(),
            archives: OnceCell::new(),
            kubelet_version: OnceCell::new(),
        }
    }

    /// The binaries; `None` where the inventory names no directory.
    ///
    /// # Errors
    /// A binary is missing or unreadable.
    pub async fn binaries(&self) -> Result<Option<&[Binary]>, PhaseError> {
        let Some(directory) = &self.section.binaries else { return Ok(None) };
        let open = || async {
            let mut binaries = Vec::new();
            for (name, destination) in BINARIES {
                binaries.push(Binary {
                    local: LocalFile::open(directory.join(name)).await?,
                    destination,
                });
            }
            Ok::<_, PhaseError>(binaries)
        };
        Ok(Some(self.binaries.get_or_try_init(open).await?))
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

    /// Version of the kubelet that will be installed, without `v`; `None` where there is none, or where it
    /// does not run on this workstation (another architecture).
    pub async fn kubelet_version(&self) -> Option<&str> {
        let directory = self.section.binaries.as_ref()?;
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
