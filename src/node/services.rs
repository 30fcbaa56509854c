//! Services, by the host's init system: systemd or OpenRC, chosen by kubeadm's rule.

use super::{Change, Node, NodeError};

/// What to do with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceAction {
    /// Start it unless it runs; restart it where its binary has been replaced since. Units are reloaded first.
    Start,
    /// Stop it if it runs.
    Stop,
    /// Restart it, whatever its state. Units are reloaded first.
    Restart,
    /// Start it at boot.
    Enable,
    /// Do not start it at boot.
    Disable,
    /// Have the init system read its units anew, after one was removed.
    Reload,
    /// Have it read its configuration anew without a break; start it where it does not run. Units are reloaded first.
    Refresh,
}

impl ServiceAction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Reload => "reload",
            Self::Refresh => "refresh",
        }
    }
}

impl Node {
    /// Bring a service into a state; no change when it is there already. Restarting always is one.
    pub async fn service(
        &self,
        action: ServiceAction,
        name: &str,
    ) -> Result<Vec<Change>, NodeError> {
        let verb = action.as_str();
        let answer = self.call(&["service", verb, name]).await?;
        match self.lines("service", &answer)?.as_slice() {
            [("changed", _)] => Ok(vec![Change::new(format!("{verb} service {name}"))]),
            [("unchanged", _)] => Ok(vec![]),
            _ => Err(self.unexpected("service", &String::from_utf8_lossy(&answer))),
        }
    }

    /// The last lines a service logged; empty where the init system keeps no log.
    pub async fn service_log(&self, name: &str, lines: u32) -> Result<String, NodeError> {
        let answer = self.call(&["log", name, &lines.to_string()]).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
