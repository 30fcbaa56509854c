//! OpenSSH's client configuration: `~/.ssh/config`, `/etc/ssh/ssh_config` and what they include, resolved for one host
//! after the other as `ssh` would resolve it, without running it.
//!
//! The way through: `workstation` reads files, each once; `parse` makes directives of lines, by `words`, `keywords`,
//! `values` and `criteria`; `evaluate` takes what counts for a host, with the help of `canonical`; `resolved` expands
//! `tokens` in that. All but `workstation` is pure: what it needs to know it asks a `world`.
//!
//! What cannot be followed is an error for the hosts it concerns, never a guess. Nothing here knows fleetadm's
//! defaults, or what an inventory says.

mod answers;
mod canonical;
mod check;
mod criteria;
mod error;
mod evaluate;
mod habits;
mod include;
mod keywords;
mod parse;
mod resolved;
#[cfg(test)]
mod tests;
mod tokens;
mod values;
mod words;
mod workstation;
mod world;

use std::sync::OnceLock;

use super::environment::Environment;
use evaluate::{Evaluation, Root};
use workstation::Workstation;

pub(super) use answers::Said;
pub use error::{ConfigError, ConfigLine};
pub(super) use evaluate::Query;
pub(super) use resolved::Resolved;
pub(super) use values::JumpHost;

/// The configuration of a workstation.
#[derive(Debug, Default)]
pub(super) struct Config {
    workstation: Workstation,
    roots: OnceLock<Result<Vec<Root>, ConfigError>>,
}

impl Config {
    /// A configuration that has not been read yet.
    pub(super) fn new(environment: Environment) -> Self {
        Self { workstation: Workstation::new(environment), roots: OnceLock::new() }
    }

    /// Whether the files are known to say nothing.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.roots.get(), Some(Ok(roots)) if roots.is_empty())
    }

    /// Read the files and look for what is wrong with them whatever the host.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check::check(&self.workstation, self.roots()?)
    }

    /// What the configuration says about a host. The first call reads files; any call may run commands and look up names
    /// where the configuration asks for it.
    ///
    /// # Errors
    /// The configuration is wrong, or cannot be followed for this host.
    pub(super) fn resolve(&self, query: Query<'_>) -> Result<Resolved, ConfigError> {
        Resolved::expand(Evaluation::run(query, &self.workstation, self.roots()?)?)
    }

    fn roots(&self) -> Result<&[Root], ConfigError> {
        let roots = self.roots.get_or_init(|| self.workstation.roots());
        roots.as_deref().map_err(Clone::clone)
    }
}
