//! The settings of hosts, and of the jump hosts before them.

use crate::inventory::{Hop, SshSettings};

use super::{Layers, Origin, Setting, Settings, from_inventory};
use crate::ssh::config::{Config, ConfigError, Query};
use crate::ssh::environment::Environment;

/// Resolves settings. What it reads on the workstation it reads once.
#[derive(Debug, Default)]
pub(in crate::ssh) struct Resolver {
    environment: Environment,
    config: Config,
}

/// A host to resolve.
struct Request<'a> {
    name: &'a str,
    written: &'a SshSettings,
    user: Option<Setting<String>>,
    port: Option<Setting<u16>>,
    /// The jump host before it, and who says so, where that is not for its own settings to say.
    behind: Option<(&'a str, &'a Origin)>,
}

impl Resolver {
    /// A resolver that has read nothing yet.
    pub(in crate::ssh) fn new(environment: Environment) -> Self {
        Self { config: Config::new(environment.clone()), environment }
    }

    /// Whether resolving may take long: files are read, and what they say may ask for commands to be run.
    pub(in crate::ssh) fn may_block(&self) -> bool {
        !self.config.is_empty()
    }

    /// Look for what is wrong with OpenSSH's configuration whatever the host.
    pub(in crate::ssh) fn check(&self) -> Result<(), ConfigError> {
        self.config.check()
    }

    /// The settings of the host that `written` is about and that an operator would reach by `ssh ADDRESS`.
    ///
    /// This may block: OpenSSH's configuration can ask for commands to be run.
    pub(in crate::ssh) fn settings(
        &self,
        address: &str,
        written: &SshSettings,
    ) -> Result<Settings, ConfigError> {
        let user = written.user.as_ref().map(from_inventory);
        let port = written.port.as_ref().map(from_inventory);
        self.resolve(Request { name: address, written, user, port, behind: None })
    }

    /// The settings of every jump host on the way to that host, the nearest to the workstation first, and of the host itself.
    /// Only the first of all is dialled from the workstation, by its `proxy_command` if it has one.
    ///
    /// This may block, too.
    pub(in crate::ssh) fn way(
        &self,
        address: &str,
        written: &SshSettings,
    ) -> Result<(Vec<Settings>, Settings), ConfigError> {
        let host = self.settings(address, written)?;
        let mut jump = host.jump.clone();
        let mut way: Vec<Settings> = Vec::new();
        while !jump.value.is_empty() {
            let mut hops: Vec<Settings> = Vec::new();
            let mut before = None;
            for hop in &jump.value {
                hops.push(self.hop(hop, written, &jump.origin, before)?);
                before = Some(hop.host.as_str());
            }
            // A jump host that is the nearest may itself be reached by others.
            let next = hops.first().map(|first| first.jump.clone());
            hops.append(&mut way);
            way = hops;
            if let Some(repeated) = repeated(way.iter().chain([&host])) {
                return Err(ConfigError::new(format!(
                    "the jump hosts on the way to {address} form a loop: {repeated} is behind itself, by \
                     {}; exclude it there, as in `Host * !{repeated}`",
                    jump.origin
                )));
            }
            jump = next.unwrap_or(jump);
        }
        Ok((way, host))
    }

    /// A jump host on the way to the host that `behind` is about; `before` is the jump host before it. `origin` says so.
    fn hop(
        &self,
        hop: &Hop,
        behind: &SshSettings,
        origin: &Origin,
        before: Option<&str>,
    ) -> Result<Settings, ConfigError> {
        let mut written = behind.for_hop();
        written.add(&hop.ssh);
        let user = hop.user.clone().map(|value| Setting { value, origin: origin.clone() });
        let port = hop.port.map(|value| Setting { value, origin: origin.clone() });
        self.resolve(Request {
            name: &hop.host,
            written: &written,
            user: user.or_else(|| written.user.as_ref().map(from_inventory)),
            port: port.or_else(|| written.port.as_ref().map(from_inventory)),
            behind: before.map(|before| (before, origin)),
        })
    }

    fn resolve(&self, request: Request<'_>) -> Result<Settings, ConfigError> {
        let Request { name, written, user, port, behind } = request;
        let jump =
            written.jump.as_ref().map(|jump| jump.value.last().map_or("", |hop| hop.host.as_str()));
        let config = self.config.resolve(Query {
            name,
            user: user.as_ref().map(|user| user.value.as_str()),
            port: port.as_ref().map(|port| port.value),
            host_key_alias: written.host_key_alias.as_ref().map(|alias| alias.value.as_str()),
            jump_host: behind.map(|(host, _)| host).or(jump),
        })?;
        Ok(Settings::resolve(Layers {
            name,
            user,
            port,
            written,
            reached_by: behind.map(|(_, origin)| origin),
            config,
            environment: &self.environment,
        }))
    }
}

/// The name of the first host that is on the way twice.
fn repeated<'a>(mut way: impl Iterator<Item = &'a Settings>) -> Option<&'a str> {
    let login = |settings: &Settings| {
        (settings.host_name.value.clone(), settings.port.value, settings.user.value.clone())
    };
    let mut seen = std::collections::BTreeSet::new();
    let again = way.find(|settings| !seen.insert(login(settings)))?;
    Some(&again.host_name.value)
}
