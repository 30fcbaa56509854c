//! `[cluster]` where it is not written in an inventory: the same keys, rules and messages.

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::document;
use super::error::{Fault, Problems};
use super::model::ClusterSection;
use super::paths::Paths;
use super::resolve;

/// What a table with the keys of `[cluster]` means; places in it are those that problems point at. Relative paths start
/// at the current directory.
pub(crate) fn cluster_section(
    table: Spanned<DeTable<'_>>,
    problems: &mut Problems,
) -> Option<ClusterSection> {
    let span = table.span();
    match document::Cluster::deserialize(Deserializer::from(table)) {
        Ok(raw) => {
            let paths = Paths::new(std::path::Path::new("."));
            resolve::section(&Spanned::new(span, raw), &paths, problems)
        }
        Err(error) => {
            let fault = Fault::new(error.message().trim_end(), "here");
            problems.push(fault.at(error.span().unwrap_or(span)));
            None
        }
    }
}
