//! The way to a host.

use super::Settings;

/// A host and what it is reached through.
#[derive(Debug, Clone)]
pub(in crate::ssh) struct Route {
    /// How the host itself is reached.
    pub(in crate::ssh) settings: Settings,
    /// It is a jump host itself.
    pub(in crate::ssh) jump: bool,
    /// The way to the jump host before it; `None` for a host that the workstation reaches directly.
    pub(in crate::ssh) via: Option<Box<Route>>,
}

impl Route {
    /// The way over `hops`, the nearest to the workstation first, to the host at the end.
    pub(in crate::ssh) fn over(hops: Vec<Settings>, host: Settings) -> Self {
        let mut via = None;
        for mut settings in hops {
            // A dead jump host is noticed before what is behind it, so that its hosts fail for the right reason.
            let count = &mut settings.keepalive_count.value;
            if *count > 1 {
                *count -= 1;
            }
            via = Some(Box::new(Self { settings, jump: true, via }));
        }
        Self { settings: host, jump: false, via }
    }

    /// What two routes have in common when they end on the same connection: `user@host:port` of every host on them.
    pub(in crate::ssh) fn key(&self) -> String {
        let user = self.settings.user.value.as_deref().unwrap_or_default();
        let last = format!("{user}@{}", self.settings.endpoint());
        match &self.via {
            Some(via) => format!("{},{last}", via.key()),
            None => last,
        }
    }

    /// How many jump hosts are on the way.
    pub(in crate::ssh) fn depth(&self) -> usize {
        self.via.as_ref().map_or(0, |via| via.depth() + 1)
    }
}
