//! Files and a host to answers: one pass over the files, and a second where something asks for it.

use std::borrow::Cow;
use std::sync::Arc;

use super::answers::Answers;
use super::canonical;
use super::check::{DEEPEST_INCLUDE, depends_on_host, too_deep};
use super::criteria::{Criterion, Test, matches_host, matches_list};
use super::error::{ConfigError, ConfigLine};
use super::habits::Habit;
use super::parse::{Block, Canonicalize, Directive, File, Header};
use super::tokens::{self, MOST, Tokens};
use super::world::World;

/// SSH's port.
pub(super) const DEFAULT_PORT: u16 = 22;

/// A host to look up, with what has been decided above the configuration.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ssh) struct Query<'a> {
    /// What an operator would type behind `ssh`.
    pub(in crate::ssh) name: &'a str,
    /// The login user, as with `ssh -l`.
    pub(in crate::ssh) user: Option<&'a str>,
    /// The port, as with `ssh -p`.
    pub(in crate::ssh) port: Option<u16>,
    /// `HostKeyAlias`.
    pub(in crate::ssh) host_key_alias: Option<&'a str>,
    /// The last jump host, empty for a direct connection, as with `ssh -J`.
    pub(in crate::ssh) jump_host: Option<&'a str>,
}

/// A file to begin with.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub(super) file: Arc<File>,
    /// It is the operator's own, not the system's.
    pub(super) own: bool,
}

/// One host on its way through the files.
pub(super) struct Evaluation<'a> {
    pub(super) query: Query<'a>,
    pub(super) world: &'a dyn World,
    pub(super) answers: Answers,
    /// The name connected to, as far as it is known.
    pub(super) host: String,
    /// The line that says it, if one does.
    pub(super) host_line: Option<ConfigLine>,
    /// This is the second pass.
    second: bool,
    /// Something asked for a second pass.
    wants_second: bool,
}

/// Where a file is looked at from.
#[derive(Clone, Copy)]
struct Place {
    own: bool,
    /// The lines before the first `Host` or `Match` count.
    active: bool,
    /// No line counts, whatever `Host` and `Match` say.
    never: bool,
    depth: usize,
}

impl<'a> Evaluation<'a> {
    /// What `roots` say about a host.
    pub(super) fn run(
        query: Query<'a>,
        world: &'a dyn World,
        roots: &[Root],
    ) -> Result<Self, ConfigError> {
        let mut this = Self {
            query,
            world,
            answers: Answers::default(),
            host: query.name.to_owned(),
            host_line: None,
            second: false,
            wants_second: false,
        };
        this.pass(roots)?;
        this.host = this.current_host()?.into_owned();
        this.host_line = this.answers.host_name.as_ref().map(|said| said.line.clone());
        canonical::canonicalize(&mut this)?;
        if this.wants_second || this.canonicalize() != Canonicalize::No {
            this.second = true;
            this.pass(roots)?;
        }
        Ok(this)
    }

    /// `CanonicalizeHostname`, as far as it is known.
    pub(super) fn canonicalize(&self) -> Canonicalize {
        self.answers.canonicalize.as_ref().map_or(Canonicalize::No, |said| said.value)
    }

    /// The login user, as far as it is known.
    pub(super) fn user(&self) -> &str {
        let said = self.answers.user.as_ref().map(|said| said.value.as_str());
        let local = || self.world.local().user.as_deref();
        self.query.user.or(said).or_else(local).unwrap_or_default()
    }

    /// The last jump host, empty for none, as far as it is known.
    pub(super) fn jump_host(&self) -> &str {
        let said = || self.answers.proxy_jump.as_ref()?.value.last();
        self.query.jump_host.or_else(|| Some(said()?.host.as_str())).unwrap_or_default()
    }

    /// What tokens stand for, as far as it is known.
    pub(super) fn tokens<'b>(&'b self, host: &'b str, key_alias: &'b str) -> Tokens<'b> {
        let said = self.answers.port.as_ref().map(|said| said.value);
        let alias = self.answers.host_key_alias.as_ref().map(|said| said.value.as_str());
        Tokens {
            world: self.world,
            host,
            original: self.query.name,
            port: self.query.port.or(said).unwrap_or(DEFAULT_PORT),
            user: self.user(),
            key_alias: self.query.host_key_alias.or(alias).unwrap_or(key_alias),
            jump_host: self.jump_host(),
        }
    }

    /// The name that would be connected to if the configuration ended here.
    fn current_host(&self) -> Result<Cow<'_, str>, ConfigError> {
        match &self.answers.host_name {
            Some(said) if !self.second => tokens::expand_host_name(&said.value, self.query.name)
                .map_err(|wrong| ConfigError::at(&said.line, format!("`HostName`: {wrong}"))),
            _ => Ok(self.host.as_str().into()),
        }
    }

    fn pass(&mut self, roots: &[Root]) -> Result<(), ConfigError> {
        for root in roots {
            let place = Place { own: root.own, active: true, never: false, depth: 0 };
            self.file(&root.file, place)?;
        }
        Ok(())
    }

    fn file(&mut self, file: &File, place: Place) -> Result<(), ConfigError> {
        for block in &file.blocks {
            let active = match &block.header {
                Header::Top => place.active,
                Header::Host(patterns) => !place.never && matches_host(patterns, &self.host),
                Header::Match(criteria) => self.matches(criteria, &block.line, place.never)?,
            };
            if active || block.always {
                self.block(block, Place { active, never: place.never || !active, ..place })?;
            }
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, place: Place) -> Result<(), ConfigError> {
        for (line, directive) in &block.directives {
            match directive {
                Directive::Include(paths) => {
                    for path in paths {
                        self.include(path, line, place)?;
                    }
                }
                Directive::Unknown(keyword) => self.unknown(keyword, line)?,
                _ if !place.active => {}
                Directive::RefuseConnection(reason) => {
                    let reason = format!("`RefuseConnection` refuses this host: {reason}");
                    return Err(ConfigError::at(line, reason));
                }
                directive => self.answers.take(directive, line, self.world),
            }
        }
        Ok(())
    }

    fn include(&mut self, path: &str, line: &ConfigLine, place: Place) -> Result<(), ConfigError> {
        if place.depth == DEEPEST_INCLUDE {
            return Err(too_deep(line));
        }
        let path = if depends_on_host(self.world, path) {
            let host = self.current_host()?;
            let expanded = self.tokens(&host, &host).expand(path, MOST);
            expanded.map_err(|wrong| ConfigError::at(line, format!("`Include`: {wrong}")))?
        } else {
            path.to_owned()
        };
        for file in &*self.world.include(&path, place.own, line)? {
            self.file(file, Place { depth: place.depth + 1, ..place })?;
        }
        Ok(())
    }

    fn unknown(&self, keyword: &str, line: &ConfigLine) -> Result<(), ConfigError> {
        let ignored = self.answers.ignore_unknown.as_ref();
        if ignored.is_some_and(|said| matches_list(&said.value.to_ascii_lowercase(), keyword)) {
            return Ok(());
        }
        Err(ConfigError::at(line, unknown_keyword(keyword)))
    }

    /// Whether a `Match` line is about this host. `never`: it is not, but may still ask for a second pass.
    fn matches(
        &mut self,
        criteria: &[Criterion],
        line: &ConfigLine,
        never: bool,
    ) -> Result<bool, ConfigError> {
        self.wants_second |= criteria.iter().any(|criterion| {
            let asks = || self.world.client_does(Habit::AsksByNegatedFinal);
            criterion.test == Test::Final && (!criterion.negated || asks())
        });
        if never {
            return Ok(false);
        }
        let host = self.current_host()?;
        let mut matched = true;
        let mut unanswerable = None;
        for Criterion { negated, test } in criteria {
            // Commands are run only where everything before them is true.
            if !matched && matches!(test, Test::Exec(_)) {
                continue;
            }
            match self.test(test, &host) {
                Ok(answer) => matched &= answer != *negated,
                Err(reason) => unanswerable = unanswerable.or(Some(reason)),
            }
        }
        match unanswerable {
            // It would be a guess.
            Some(reason) if matched => {
                let name = self.query.name;
                let reason = format!("cannot tell whether `Match` is about {name}: {reason}");
                Err(ConfigError::at(line, reason))
            }
            _ => Ok(matched),
        }
    }

    fn test(&self, test: &Test, host: &str) -> Result<bool, String> {
        let local = self.world.local();
        Ok(match test {
            Test::All => true,
            Test::Canonical | Test::Final => self.second,
            Test::Host(names) => matches_list(names, &lower(host)),
            Test::OriginalHost(names) => matches_list(names, &lower(self.query.name)),
            Test::User(users) => matches_list(users, self.user()),
            Test::LocalUser(users) => {
                matches_list(users, local.user.as_deref().unwrap_or_default())
            }
            Test::LocalNetwork(networks) => {
                let addresses = self.world.addresses()?;
                addresses.iter().any(|address| networks.iter().any(|net| net.contains(address)))
            }
            Test::Version(versions) => {
                let version = self.world.client_version();
                let version = version.ok_or("`version` needs OpenSSH's ssh; install it")?;
                matches_list(versions, &version)
            }
            Test::Tagged(tags) => match self.answers.tag.as_ref().map(|said| said.value.as_str()) {
                None | Some("") => tags.is_empty(),
                Some(tag) => matches_list(tags, tag),
            },
            Test::Command => {
                return Err("fleetadm connects before it knows the `command`; match by other \
                            things"
                    .to_owned());
            }
            Test::SessionType(types) => matches_list(types, "exec"),
            Test::Exec(command) => {
                let command = self.tokens(host, host).expand_some(command, MOST)?;
                self.world.run(&command)?
            }
        })
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    let has_upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
    if has_upper { name.to_ascii_lowercase().into() } else { name.into() }
}

/// What is said about a keyword that does not exist.
pub(super) fn unknown_keyword(keyword: &str) -> String {
    format!(
        "OpenSSH knows no keyword `{keyword}`; correct it, or name it in `IgnoreUnknown` before"
    )
}
