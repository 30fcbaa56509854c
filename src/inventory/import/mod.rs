//! Ansible's inventories to fleetadm's: hosts, groups, variables, and how hosts are reached.
//!
//! Every host gets exactly the variables and the SSH settings that Ansible's rules give it. What fleetadm
//! has no word for becomes a note; secrets are never copied. Nothing is run, and no host is contacted.
//!
//! The way through: `files` (paths to texts), `ini` and `yaml` (texts to an `ansible` inventory),
//! `precedence` (what holds for each host), `connection` and `variables` (that in fleetadm's words),
//! `layers` and `fleet` (the same, said once for many hosts), `render` (TOML).

mod ansible;
mod connection;
mod error;
mod files;
mod fleet;
mod ini;
mod layers;
mod literal;
mod names;
mod notes;
mod patterns;
mod precedence;
mod render;
mod roles;
mod ssh_args;
mod templates;
#[cfg(test)]
mod tests;
mod variables;
mod words;
mod yaml;

use std::path::Path;
use std::sync::Arc;

use ansible::{Inventory, Variables};
use files::{Document, Documents};
use notes::Notes;

pub use error::ImportError;
pub use notes::{Line, Note};

/// What a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// INI.
    Ini,
    /// YAML.
    Yaml,
    /// What its name or its first line looks like.
    Auto,
}

/// An inventory of fleetadm, and what did not make it there.
#[derive(Debug)]
pub struct Imported {
    /// The inventory, in TOML.
    pub document: String,
    /// What was not carried over as it is.
    pub notes: Vec<Note>,
}

/// Imports the Ansible inventory at a path: a file or a directory with the `group_vars` and `host_vars`
/// beside or in it, or standard input for `-`.
pub fn import(path: &Path, format: Format) -> Result<Imported, ImportError> {
    convert(&files::read(path)?, format, &super::origin(path))
}

fn convert(documents: &Documents, format: Format, origin: &str) -> Result<Imported, ImportError> {
    let mut notes = Notes::default();
    let mut inventory = Inventory::new();
    for document in &documents.inventories {
        if let Some(problem) = program(document) {
            // One of several is left out; alone, there is nothing else to import.
            if documents.inventories.len() == 1 {
                return Err(ImportError::at(&whole(&document.name), problem));
            }
            notes.at(&whole(&document.name), format!("left out: {problem}"));
            continue;
        }
        match settled(format, document) {
            Format::Yaml => yaml::read(&mut inventory, &document.name, &document.text, &mut notes)?,
            _ => ini::read(&mut inventory, &document.name, &document.text)?,
        }
    }
    for (name, documents) in &documents.group_vars {
        let variables = variables(documents, &mut notes)?;
        match inventory.find_group(name) {
            Some(group) => inventory.groups[group].file_variables = variables,
            None => nobody(documents, &format!("there is no group `{name}`"), &mut notes),
        }
    }
    for (name, documents) in &documents.host_vars {
        let variables = variables(documents, &mut notes)?;
        match inventory.find_host(name) {
            Some(host) => inventory.hosts[host].file_variables = variables,
            None => nobody(documents, &format!("there is no host `{name}`"), &mut notes),
        }
    }
    inventory.settle();
    let fleet = fleet::carry_over(&inventory, &mut notes);
    if fleet.hosts.is_empty() {
        let document = origin.to_owned();
        return Err(ImportError::NoHosts { document, notes: notes.into_sorted() });
    }
    let document = render::document(fleet, origin)
        .map_err(|error| ImportError::at(&whole(&origin.into()), error.to_string()))?;
    Ok(Imported { document, notes: notes.into_sorted() })
}

/// The variables of several files; what a later one says counts.
fn variables(documents: &[Document], notes: &mut Notes) -> Result<Variables, ImportError> {
    let mut all = Variables::new();
    for document in documents {
        all.extend(yaml::variables(&document.name, &document.text, notes)?);
    }
    Ok(all)
}

fn nobody(documents: &[Document], why: &str, notes: &mut Notes) {
    for document in documents {
        notes.at(&whole(&document.name), format!("left out: {why}"));
    }
}

fn whole(document: &Arc<str>) -> Line {
    Line { document: document.clone(), number: 0 }
}

/// What is to be done about a document that is a program.
fn program(document: &Document) -> Option<String> {
    let name = &document.name;
    let advice =
        format!("it is a program; import what `ansible-inventory -i {name} --list --yaml` prints");
    document.text.starts_with("#!").then_some(advice)
}

/// The format of a document, guessed where nobody says it.
fn settled(format: Format, document: &Document) -> Format {
    if format != Format::Auto {
        return format;
    }
    let named = |endings: &[&str]| endings.iter().any(|ending| document.name.ends_with(ending));
    if named(&[".yml", ".yaml", ".json"]) {
        return Format::Yaml;
    }
    if named(&[".ini"]) {
        return Format::Ini;
    }
    let mut lines = document.text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let yaml = first.is_some_and(|line| {
        let mapping = line.ends_with(':') || line.contains(": ") && !line.contains('=');
        mapping || line.starts_with("---") || line.starts_with('{') || line.starts_with('%')
    });
    if yaml { Format::Yaml } else { Format::Ini }
}
