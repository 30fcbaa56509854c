//! Taking things off a host again: mounts, pod sandboxes, directories, the payload itself.

use super::{Change, Node, NodeError};

impl Node {
    /// What is mounted below a directory, relative to where that really is, with blanks as `\\040`.
    ///
    /// # Errors
    /// What the host said.
    pub async fn mounts_below(&self, directory: &str) -> Result<Vec<String>, NodeError> {
        let answer = self.call(&["mounts", directory]).await?;
        let lines = self.lines("mounts", &answer)?.into_iter();
        lines
            .map(|(word, mount)| match word {
                "mounted" => Ok(mount.to_owned()),
                _ => Err(self.unexpected("mounts", word)),
            })
            .collect()
    }

    /// Unmount everything below these directories, deepest first. An error means that something is
    /// still mounted, and that nothing below must be deleted.
    pub async fn unmount_below(&self, directories: &[&str]) -> Result<Vec<Change>, NodeError> {
        self.report("unmount", directories, &[("unmounted", "unmount")]).await
    }

    /// Stop and remove every pod sandbox of the runtime at this endpoint.
    pub async fn remove_sandboxes(&self, socket: &str) -> Result<Vec<Change>, NodeError> {
        self.report("sandboxes", &[socket], &[("removed", "remove")]).await
    }

    /// Delete what is in these directories and keep them. Directories of the operating system, and
    /// directories with something mounted below, are refused.
    pub async fn empty_directories(&self, directories: &[&str]) -> Result<Vec<Change>, NodeError> {
        self.report("empty", directories, &[("emptied", "empty")]).await
    }

    /// Delete these directories with what is in them; one that is a mount point is only emptied.
    pub async fn remove_directories(&self, directories: &[&str]) -> Result<Vec<Change>, NodeError> {
        let mut arguments = vec!["--rmdir"];
        arguments.extend(directories);
        self.report("empty", &arguments, &[("emptied", "empty"), ("removed", "remove")]).await
    }

    /// Delete those of these directories that are empty.
    pub async fn prune_directories(&self, directories: &[&str]) -> Result<Vec<Change>, NodeError> {
        self.report("prune", directories, &[("removed", "remove")]).await
    }

    /// Remove the payload from the host.
    pub async fn cleanup(&self) -> Result<(), NodeError> {
        if !self.is_dry_run() {
            self.call(&["cleanup"]).await?;
            self.stored.store(false, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    }

    /// Run a subcommand whose answer is one line for each change, and put its words in the imperative.
    pub(super) async fn report(
        &self,
        subcommand: &str,
        arguments: &[&str],
        words: &[(&str, &str)],
    ) -> Result<Vec<Change>, NodeError> {
        let mut all = vec![subcommand];
        all.extend(arguments);
        let answer = self.call(&all).await?;
        self.lines(subcommand, &answer)?
            .into_iter()
            .map(|(word, rest)| {
                words
                    .iter()
                    .find(|(said, _)| *said == word)
                    .map(|(_, verb)| Change::new(format!("{verb} {rest}")))
                    .ok_or_else(|| self.unexpected(subcommand, word))
            })
            .collect()
    }
}
