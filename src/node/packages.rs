//! Packages of the host's distribution, and addresses of its interfaces.

use std::net::IpAddr;

use super::{Change, Node, NodeError};

impl Node {
    /// Install those of these packages whose command, of the same name, is missing: by apt-get or dnf, without questions
    /// and without recommended packages. A service that starts with the installation is stopped.
    ///
    /// # Errors
    /// The host has neither, or it refused; with what it said.
    pub async fn install_packages(&self, names: &[&str]) -> Result<Vec<Change>, NodeError> {
        let mut arguments = vec!["packages"];
        arguments.extend(names);
        let answer = self.call(&arguments).await?;
        let mut changes = Vec::new();
        for (word, name) in self.lines("packages", &answer)? {
            match word {
                "changed" => changes.push(Change::new(format!("install package {name}"))),
                "unchanged" => {}
                _ => return Err(self.unexpected("packages", word)),
            }
        }
        Ok(changes)
    }

    /// Take an address off the interfaces that have it.
    ///
    /// # Errors
    /// What the host said.
    pub async fn unassign(&self, address: IpAddr) -> Result<Vec<Change>, NodeError> {
        self.report("unassign", &[&address.to_string()], &[("removed", "remove")]).await
    }
}
