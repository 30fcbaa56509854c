//! `--patches` and `[cluster] patches`: a directory of the workstation.

use std::path::Path;

use crate::cluster::Release;
use crate::cluster::patches::{PatchFile, Patches};

use super::failure::Failure;

/// Longer files are no patches, in bytes.
const LIMIT: u64 = 1 << 20;

/// Read the patches of a directory for a release. Nothing has been touched when one of them is wrong.
pub(super) fn read(directory: &Path, release: &Release) -> Result<Patches, Failure> {
    let fail = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::usage(format!("patch {}: {error}", path.display()))
    };
    let entries = std::fs::read_dir(directory).map_err(|error| {
        Failure::usage(format!("directory of patches {}: {error}", directory.display()))
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| fail(directory, &error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() || !Patches::wants(&name).map_err(|error| fail(&path, &error))? {
            continue;
        }
        let size = path.metadata().map_err(|error| fail(&path, &error))?.len();
        if size > LIMIT {
            return Err(fail(&path, &"larger than 1 MiB"));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| fail(&path, &error))?;
        files.push(PatchFile { name, shown: path.display().to_string(), text });
    }
    Patches::read(files, release).map_err(Failure::usage)
}
