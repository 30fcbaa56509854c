//! What the kernel is told: modules, settings under /proc/sys, swap. Only for now: what shall hold after the next boot is
//! in files, which the caller puts in place.

use super::{Change, Node, NodeError};

impl Node {
    /// Load those of these kernel modules that are not there.
    ///
    /// # Errors
    /// The kernel has no such module, or root is not allowed to load any, as in most containers.
    pub async fn load_modules(&self, names: &[&str]) -> Result<Vec<Change>, NodeError> {
        self.tell_kernel("modules", names, "load module").await
    }

    /// Give settings their values, as `net/ipv4/ip_forward=1`.
    ///
    /// # Errors
    /// The kernel has no such setting, or does not take the value.
    pub async fn set_sysctls(&self, settings: &[&str]) -> Result<Vec<Change>, NodeError> {
        self.tell_kernel("sysctls", settings, "set").await
    }

    /// Stop swapping to those of these devices and files that are in use.
    ///
    /// # Errors
    /// What was swapped out does not fit into memory.
    pub async fn swap_off(&self, devices: &[&str]) -> Result<Vec<Change>, NodeError> {
        self.tell_kernel("swapoff", devices, "stop swapping to").await
    }

    async fn tell_kernel(
        &self,
        subcommand: &str,
        arguments: &[&str],
        verb: &str,
    ) -> Result<Vec<Change>, NodeError> {
        if arguments.is_empty() {
            return Ok(vec![]);
        }
        let mut all = vec![subcommand];
        all.extend(arguments);
        let answer = self.call(&all).await?;
        let mut changes = Vec::new();
        for (word, what) in self.lines(subcommand, &answer)? {
            match word {
                "changed" => changes.push(Change::new(format!("{verb} {what}"))),
                "unchanged" => {}
                _ => return Err(self.unexpected(subcommand, word)),
            }
        }
        Ok(changes)
    }
}
