//! What an image archive on the workstation holds, without unpacking it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::NodeError;

/// No sane index is larger.
const MAX_INDEX: u64 = 4 << 20;

#[derive(Deserialize)]
struct DockerEntry {
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct OciIndex {
    #[serde(default)]
    manifests: Vec<OciManifest>,
}

#[derive(Deserialize)]
struct OciManifest {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Full names of the images in a `docker save` or OCI archive; empty when it does not name any.
pub async fn image_names(path: &Path) -> Result<Vec<String>, NodeError> {
    let path: PathBuf = path.to_owned();
    let task = tokio::task::spawn_blocking(move || {
        read_names(&path).map_err(|source| NodeError::local(&path, source))
    });
    // A blocking task ends early only by a panic in it, or when the runtime is shutting down.
    task.await.unwrap_or_else(|error| {
        Err(NodeError::local(Path::new("image archive"), io::Error::other(error)))
    })
}

fn read_names(path: &Path) -> io::Result<Vec<String>> {
    let mut archive = tar::Archive::new(File::open(path)?);
    let mut names = Vec::new();
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        let entry_path = entry.path_bytes().into_owned();
        let name = entry_path.strip_prefix(b"./").unwrap_or(&entry_path);
        let found = match name {
            b"manifest.json" => docker_names(&read_index(&mut entry)?),
            b"index.json" => oci_names(&read_index(&mut entry)?),
            _ => continue,
        };
        names.extend(found.map_err(io::Error::from)?);
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn read_index(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry.take(MAX_INDEX).read_to_end(&mut content)?;
    Ok(content)
}

fn docker_names(content: &[u8]) -> serde_json::Result<Vec<String>> {
    let entries: Vec<DockerEntry> = serde_json::from_slice(content)?;
    Ok(entries
        .into_iter()
        .flat_map(|entry| entry.tags.unwrap_or_default())
        .map(full_name)
        .collect())
}

/// As container runtimes complete names without a registry.
fn full_name(name: String) -> String {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name,
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

/// The reference name alone may be only a tag; containerd's own annotation is the full name.
fn oci_names(content: &[u8]) -> serde_json::Result<Vec<String>> {
    let index: OciIndex = serde_json::from_slice(content)?;
    let name_of = |manifest: OciManifest| {
        ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
            .iter()
            .find_map(|key| manifest.annotations.get(*key))
            .filter(|name| name.contains('/') && name.contains([':', '@']))
            .cloned()
    };
    Ok(index.manifests.into_iter().filter_map(name_of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_of_both_kinds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(file.as_file());
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, content).unwrap();
        };
        add("layer.tar", &[7; 5000]);
        add("manifest.json", br#"[{"RepoTags":["registry.k8s.io/pause:3.10"]},{"RepoTags":null},{"RepoTags":["busybox:1"]}]"#);
        add(
            "index.json",
            br#"{"manifests":[{"annotations":{"io.containerd.image.name":"r.io/a:1"}},
                {"annotations":{"org.opencontainers.image.ref.name":"latest"}},{}]}"#,
        );
        builder.finish().unwrap();
        drop(builder);
        assert_eq!(
            read_names(file.path()).unwrap(),
            ["docker.io/library/busybox:1", "r.io/a:1", "registry.k8s.io/pause:3.10"]
        );
    }
}
