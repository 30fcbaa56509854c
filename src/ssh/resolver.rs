//! The settings of hosts, and of the jump hosts before them.

use crate::inventory::{Hop, SshSettings, Written};

use super::environment::Environment;
use super::error::SshError;
use super::settings::Settings;

/// Resolves settings. What it reads on the workstation it reads once.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    environment: Environment,
}

impl Resolver {
    /// A resolver that has read nothing yet.
    pub(super) fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// The settings of every host on the way to the one that `written` is about and that an operator would reach by
    /// `ssh ADDRESS`: the nearest to the workstation first, the host itself last. Only the first is dialled from the
    /// workstation, by its `proxy_command` if it has one.
    ///
    /// This may block: OpenSSH's configuration can ask for commands to be run.
    pub(super) fn way(
        &self,
        address: &str,
        written: &SshSettings,
    ) -> Result<Vec<Settings>, SshError> {
        let host = self.settings(address, written)?;
        let mut way = self.hops(&host, written)?;
        way.push(host);
        Ok(way)
    }

    /// The settings of the jump hosts before `host`, which `written` is about: the nearest to the workstation first.
    pub(super) fn hops(
        &self,
        host: &Settings,
        written: &SshSettings,
    ) -> Result<Vec<Settings>, SshError> {
        let resolve = |hop: &Hop| self.settings(&hop.host, &hop_settings(hop, written));
        host.jump.value.iter().map(resolve).collect()
    }

    /// The settings of the host alone. This may block, too.
    pub(super) fn settings(
        &self,
        address: &str,
        written: &SshSettings,
    ) -> Result<Settings, SshError> {
        Ok(Settings::resolve(address, written, &self.environment))
    }
}

/// What the inventory says about reaching `hop`, on the way to the host that `behind` is about.
fn hop_settings(hop: &Hop, behind: &SshSettings) -> SshSettings {
    let mut settings = behind.for_hop();
    settings.add(&hop.ssh);
    if let Some(jump) = &behind.jump {
        let place = &jump.place;
        let user = hop.user.clone().map(|value| Written { value, place: place.clone() });
        let port = hop.port.map(|value| Written { value, place: place.clone() });
        settings.add(&SshSettings { user, port, ..SshSettings::default() });
    }
    settings
}
