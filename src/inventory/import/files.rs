//! The documents of an Ansible inventory: a file or a directory of them, and the variables beside it.
//!
//! It only reads. Programs that print inventories are not run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ImportError;
use crate::inventory::source;

/// Endings of files of variables, the first one counts where there are several of one name.
const ENDINGS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// Endings of files in an inventory directory that are no inventories.
const IGNORED: [&str; 12] =
    [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

/// Directories inside directories are followed this far.
const DEPTH: usize = 16;

/// A text, and what it is called.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) name: Arc<str>,
    pub(super) text: String,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) inventories: Vec<Document>,
    /// By the name of the group.
    pub(super) group_vars: BTreeMap<String, Vec<Document>>,
    /// By the name of the host.
    pub(super) host_vars: BTreeMap<String, Vec<Document>>,
}

/// Reads everything that belongs to the inventory at a path.
pub(super) fn read(path: &Path) -> Result<Documents, ImportError> {
    if source::is_standard_input(path) {
        let inventories = vec![document(path)?];
        return Ok(Documents { inventories, ..Documents::default() });
    }
    let (inventories, directory) = if path.is_dir() {
        let mut inventories = Vec::new();
        directory(path, DEPTH, &mut inventories)?;
        (inventories, path)
    } else {
        (vec![document(path)?], path.parent().unwrap_or(Path::new("")))
    };
    Ok(Documents {
        inventories,
        group_vars: variables(&directory.join("group_vars"))?,
        host_vars: variables(&directory.join("host_vars"))?,
    })
}

fn document(path: &Path) -> Result<Document, ImportError> {
    let name = source::origin(path);
    let text = source::text(path)
        .map_err(|reason| ImportError::Unreadable { document: name.clone(), reason })?;
    Ok(Document { name: name.into(), text })
}

/// The inventories of a directory, in the order of their names.
fn directory(path: &Path, depth: usize, found: &mut Vec<Document>) -> Result<(), ImportError> {
    for (name, path) in entries(path)? {
        let aside = ["group_vars", "host_vars", "vars_plugins"].contains(&name.as_str());
        if aside || name.starts_with('.') || IGNORED.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        if !path.is_dir() {
            found.push(document(&path)?);
        } else if depth > 0 {
            directory(&path, depth - 1, found)?;
        }
    }
    Ok(())
}

/// The files of variables of a directory, by what they are about. It need not be there.
fn variables(path: &Path) -> Result<BTreeMap<String, Vec<Document>>, ImportError> {
    let mut chosen: BTreeMap<String, (usize, PathBuf)> = BTreeMap::new();
    if !path.is_dir() {
        return Ok(BTreeMap::new());
    }
    for (name, path) in entries(path)? {
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let ended = ENDINGS.iter().enumerate().skip(1).find_map(|(rank, ending)| {
            Some((rank, name.strip_suffix(ending).filter(|name| !name.is_empty())?))
        });
        let (rank, about) = ended.filter(|_| !path.is_dir()).unwrap_or((0, &name));
        let better = chosen.get(about).is_none_or(|(known, _)| rank < *known);
        if better {
            chosen.insert(about.to_owned(), (rank, path));
        }
    }
    let mut documents = BTreeMap::new();
    for (about, (_, path)) in chosen {
        let mut list = Vec::new();
        if path.is_dir() {
            variable_files(&path, DEPTH, &mut list)?;
        } else {
            list.push(document(&path)?);
        }
        documents.insert(about, list);
    }
    Ok(documents)
}

/// The files of a directory that is about one group or host.
fn variable_files(path: &Path, depth: usize, found: &mut Vec<Document>) -> Result<(), ImportError> {
    for (name, path) in entries(path)? {
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let ending = name.rfind('.').map_or("", |dot| &name[dot..]);
        if path.is_dir() {
            if ending.is_empty() && depth > 0 {
                variable_files(&path, depth - 1, found)?;
            }
        } else if ENDINGS.contains(&ending) {
            found.push(document(&path)?);
        }
    }
    Ok(())
}

/// What a directory holds, by name.
fn entries(path: &Path) -> Result<Vec<(String, PathBuf)>, ImportError> {
    let unreadable = |reason: io::Error| ImportError::Unreadable {
        document: path.to_string_lossy().into_owned(),
        reason,
    };
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    entries.sort();
    Ok(entries)
}
