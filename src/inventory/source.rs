//! Where an inventory comes from: a file, standard input, or a program that prints one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::InventoryError;
use super::program;

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Longer documents are not inventories, in bytes.
pub(super) const LIMIT: u64 = 64 << 20;

/// A document, and where it comes from.
pub(super) struct Source {
    pub(super) text: String,
    /// Where its relative paths start.
    pub(super) directory: PathBuf,
    /// What messages call it.
    pub(super) origin: String,
}

/// What messages call the inventory at a path.
pub fn origin(path: &Path) -> String {
    if is_standard_input(path) {
        "standard input".to_owned()
    } else {
        path.to_string_lossy().into_owned()
    }
}

/// Reads the document that a path stands for; a program is run for it.
pub(super) fn read(path: &Path) -> Result<Source, InventoryError> {
    let origin = origin(path);
    let text = if is_program(path) {
        program::output(path, &program::LIMITS)
            .map_err(|reason| InventoryError::Program { origin: origin.clone(), reason })?
    } else {
        text(path)
            .map_err(|reason| InventoryError::Unreadable { origin: origin.clone(), reason })?
    };
    let beside = path.parent().filter(|directory| *directory != Path::new(""));
    Ok(Source { text, directory: beside.unwrap_or(Path::new(".")).to_owned(), origin })
}

/// Reads a file, or standard input.
pub(super) fn text(path: &Path) -> io::Result<String> {
    if is_standard_input(path) { bounded(io::stdin().lock()) } else { bounded(File::open(path)?) }
}

/// Whether a path stands for standard input: `-`.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

/// Whether a path is to be run: a file with an executable bit. Files that are called documents are
/// none: some file systems give that bit to every file.
fn is_program(path: &Path) -> bool {
    let document = matches!(path.extension().and_then(OsStr::to_str), Some("toml" | "json"));
    !document
        && fs::metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn bounded(input: impl Read) -> io::Result<String> {
    let mut text = String::new();
    input.take(LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("it is larger than {} MiB", LIMIT >> 20)));
    }
    Ok(text)
}
