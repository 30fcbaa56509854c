//! The way to a host.

use super::settings::Settings;

/// A host and what it is reached through.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// How the host itself is reached.
    pub(super) settings: Settings,
    /// The way to the jump host before it; `None` for a host that the workstation reaches directly.
    pub(super) via: Option<Box<Route>>,
}

impl Route {
    /// What two routes have in common when they end on the same connection: `user@host:port` of every host on them.
    pub(super) fn key(&self) -> String {
        let user = self.settings.user.value.as_deref().unwrap_or_default();
        let last = format!("{user}@{}", self.settings.endpoint());
        match &self.via {
            Some(via) => format!("{},{last}", via.key()),
            None => last,
        }
    }

    /// How many jump hosts are on the way.
    pub(super) fn depth(&self) -> usize {
        self.via.as_ref().map_or(0, |via| via.depth() + 1)
    }
}
