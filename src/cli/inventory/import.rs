//! `fleetadm inventory import`: an Ansible inventory in fleetadm's words. No host is contacted.

use std::io::Write;
use std::path::Path;

use crate::inventory::import::{Format, ImportError, Note, import};

use crate::cli::args::ImportFormat;
use crate::cli::failure::Failure;
use crate::cli::print;

pub(super) fn run(path: &Path, format: ImportFormat) -> Result<u8, Failure> {
    let format = match format {
        ImportFormat::Ini => Format::Ini,
        ImportFormat::Yaml => Format::Yaml,
        ImportFormat::Auto => Format::Auto,
    };
    let imported = import(path, format).map_err(|error| {
        if let ImportError::NoHosts { notes, .. } = &error {
            list(notes);
        }
        Failure::usage(error)
    })?;
    list(&imported.notes);
    print(&imported.document)
}

fn list(notes: &[Note]) {
    let lines: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
    // Nobody is left to tell when standard error is gone.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}
