//! TOML or JSON to resolved hosts and cluster section, with errors that point at the line.
//!
//! What leaves this module is validated and resolved: ranges expanded, groups and defaults folded in.
//! It never contacts a host, and it knows nothing of how its values are used.
//!
//! The way through: `source` (a file, standard input or a program to text), `read` (text to a
//! `document`), `resolve` (document to [`Inventory`], by the `rules`), and every mistake on the way into
//! an [`InventoryError`].

mod document;
mod error;
pub mod import;
mod json;
mod model;
mod overrides;
mod paths;
mod program;
mod ranges;
mod read;
mod resolve;
mod rules;
mod section;
mod selection;
mod source;
mod ssh;
mod suggest;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use error::{Fault, Problem, Problems, quoted};
pub use error::{InventoryError, Mistakes};
pub use model::*;
pub use program::ProgramError;
pub use ranges::fold_hosts;
pub(crate) use resolve::use_etcd_hosts;
pub(crate) use rules::{advertise_address, endpoint, host_name, kubernetes_version, taint};
pub(crate) use section::cluster_section;
pub use selection::{SelectionError, Sources, select};
pub use source::{is_standard_input, origin};
pub use ssh::*;
pub(crate) use suggest::nearest;

/// Reads an inventory: a file, a program that prints one, or standard input for `-`. Relative paths in
/// it start at its directory, those of standard input at the current one.
pub fn load(path: &Path) -> Result<Inventory, InventoryError> {
    let source = source::read(path)?;
    parse(&source.text, &source.directory, &source.origin)
}

/// A limit as inventories and the command line write it: seconds, or a number with `ms`, `s`, `m` or `h`;
/// never zero.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    use document::Number;
    let number = text.parse().map_or_else(|_| Number::Text(text.to_owned()), Number::Integer);
    rules::duration(&number)
        .map_err(|_| "expected seconds (15) or a number with a unit (500ms, 15s, 2m, 1h)")
}

/// A release of Kubernetes as inventories and the command line write it: `1.36.2`, with a `v` or without.
pub fn parse_version(text: &str) -> Result<KubernetesVersion, String> {
    kubernetes_version(text).map_err(error::Fault::into_title)
}

/// Reads an inventory from text: JSON where it begins with `{` or `origin` ends with `.json`, else
/// TOML. `directory` is where relative paths start, `origin` what errors call the document.
pub fn parse(text: &str, directory: &Path, origin: &str) -> Result<Inventory, InventoryError> {
    let (mut problems, mut not_yet) = (error::Problems::default(), error::Problems::default());
    let paths = paths::Paths::new(directory);
    let syntax = read::Syntax::of(text, origin);
    let inventory = read::read(text, syntax, &mut problems)
        .map(|document| resolve::resolve(&document, text, &paths, &mut problems, &mut not_yet));
    match inventory {
        Some(inventory) if problems.is_empty() => {
            let mistakes = error::Mistakes::new(origin, text, not_yet.into_vec());
            let not_yet = Some(Arc::new(mistakes)).filter(|mistakes| mistakes.count() > 0);
            Ok(Inventory { not_yet, ..inventory })
        }
        _ => {
            let all = problems.into_vec().into_iter().chain(not_yet.into_vec()).collect();
            let mistakes = error::Mistakes::new(origin, text, all);
            Err(InventoryError::Invalid(Box::new(mistakes)))
        }
    }
}
