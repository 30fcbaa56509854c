//! What is wrong with a configuration whatever the host: found before the first host is contacted.

use super::criteria::matches_list;
use super::error::{ConfigError, ConfigLine};
use super::evaluate::{Root, unknown_keyword};
use super::habits::Habit;
use super::parse::{Directive, File};
use super::world::World;

/// Includes within includes, as in OpenSSH.
pub(super) const DEEPEST_INCLUDE: usize = 16;

/// Look at every line of every file. Files whose path depends on the host are left to evaluation.
pub(super) fn check(world: &dyn World, roots: &[Root]) -> Result<(), ConfigError> {
    let mut found = Found { world, unknown: Vec::new(), ignored: Vec::new() };
    for root in roots {
        found.file(&root.file, root.own, 0)?;
    }
    // Whether an IgnoreUnknown counts for a host is not known here, nor whether it stands before.
    let is_ignored = |keyword: &str| found.ignored.iter().any(|list| matches_list(list, keyword));
    match found.unknown.iter().find(|(_, keyword)| !is_ignored(keyword)) {
        Some((line, keyword)) => Err(ConfigError::at(line, unknown_keyword(keyword))),
        None => Ok(()),
    }
}

struct Found<'a> {
    world: &'a dyn World,
    unknown: Vec<(ConfigLine, String)>,
    /// Lists of `IgnoreUnknown`, in lower case.
    ignored: Vec<String>,
}

impl Found<'_> {
    fn file(&mut self, file: &File, own: bool, depth: usize) -> Result<(), ConfigError> {
        for (line, directive) in file.blocks.iter().flat_map(|block| &block.directives) {
            match directive {
                Directive::Unknown(keyword) => self.unknown.push((line.clone(), keyword.clone())),
                Directive::IgnoreUnknown(list) => self.ignored.push(list.to_ascii_lowercase()),
                Directive::Include(_) if depth == DEEPEST_INCLUDE => return Err(too_deep(line)),
                Directive::Include(paths) => {
                    for path in paths {
                        if depends_on_host(self.world, path) {
                            continue;
                        }
                        for file in &*self.world.include(path, own, line)? {
                            self.file(file, own, depth + 1)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the path of an `Include` may differ from host to host.
pub(super) fn depends_on_host(world: &dyn World, path: &str) -> bool {
    path.contains(['%', '$']) && world.client_does(Habit::ExpandsInclude)
}

/// What is said about files that include each other.
pub(super) fn too_deep(line: &ConfigLine) -> ConfigError {
    let reason = format!(
        "`Include`: more than {DEEPEST_INCLUDE} files include each other; do they form a loop?"
    );
    ConfigError::at(line, reason)
}
