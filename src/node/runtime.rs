//! Images in the host's container runtime.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Change, Node, NodeError, Source, archive};

impl Node {
    /// Names of the images that the runtime at this endpoint has.
    pub async fn image_names(&self, socket: &str) -> Result<BTreeSet<String>, NodeError> {
        let answer = self.call(&["images", socket, "ls"]).await?;
        let text = String::from_utf8_lossy(&answer);
        Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// Import an image archive from the workstation, unless the runtime has every image named in it.
    pub async fn import_image(&self, socket: &str, local: &Path) -> Result<Vec<Change>, NodeError> {
        let names = archive::image_names(local).await?;
        let present = self.image_names(socket).await?;
        let missing: Vec<_> = names.iter().filter(|name| !present.contains(*name)).collect();
        if missing.is_empty() && !names.is_empty() {
            return Ok(vec![]);
        }
        if !self.is_dry_run() {
            self.feed(&["images", socket, "import"], Source::File(local)).await?;
        }
        Ok(match missing.as_slice() {
            [] => vec![Change::new(format!("import {}", local.display()))],
            missing => {
                missing.iter().map(|name| Change::new(format!("import image {name}"))).collect()
            }
        })
    }

    /// Have the runtime pull the images that it does not have, trying each up to five times.
    pub async fn pull_images(
        &self,
        socket: &str,
        names: &[&str],
    ) -> Result<Vec<Change>, NodeError> {
        let mut arguments = vec!["images", socket, "pull"];
        arguments.extend(names);
        let answer = self.call(&arguments).await?;
        let mut changes = Vec::new();
        for (word, name) in self.lines("images pull", &answer)? {
            match word {
                "changed" => changes.push(Change::new(format!("pull image {name}"))),
                "unchanged" => {}
                _ => return Err(self.unexpected("images pull", word)),
            }
        }
        Ok(changes)
    }
}
