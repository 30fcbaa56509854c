//! `[registries]`: where containerd looks for images before it asks the registries themselves.
//!
//! The operator's configuration of containerd is never written to: where it does not follow the directory of these files, the
//! host fails with the lines that are missing.

use std::sync::Arc;

use crate::cluster::registries::{self, DIRECTORY, FILE_MODE, ca_path, directory, hosts_path};
use crate::node::{FileBatch, NodeFile};
use crate::phases::{Context, Done, PhaseError, kubelet};

/// Prints containerd's configuration as it goes by it, what it imports included.
const DUMP: &str = "#!/bin/sh\nexec containerd config dump\n";

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    if context.run.inventory().registries.is_empty() {
        return Ok(Done::NotNeeded("the inventory has no [registries]".to_owned()));
    }
    if !context.run.cluster().runs_containers(context.host().role) {
        return Ok(Done::NotNeeded("the host runs no containers".to_owned()));
    }
    let socket = kubelet::runtime_endpoint(&context).await?;
    if !socket.contains("containerd") {
        return Err(PhaseError::State(format!(
            "[registries] is for containerd, and the host's container runtime is {socket}; use [[files]] for its \
             own configuration"
        )));
    }
    context.install(&files(&context).await?).await?;
    expect_followed(&context).await?;
    Ok(Done::Finished)
}

/// The files that this host should have.
///
/// # Errors
/// The certificate of an authority is unreadable.
pub async fn files(context: &Context) -> Result<FileBatch, PhaseError> {
    let mut batch = FileBatch::default();
    for registry in &context.run.inventory().registries {
        let text = registries::hosts_toml(registry);
        if let Some(path) = &registry.ca_file {
            let content = tokio::fs::read(path).await.map_err(|error| {
                PhaseError::Local(format!("[registries] ca_file: {}: {error}", path.display()))
            })?;
            batch.files.push(NodeFile::public(ca_path(registry), content, FILE_MODE));
        }
        batch.files.push(NodeFile::public(hosts_path(registry), text, FILE_MODE));
    }
    Ok(batch)
}

/// The directories that go with the files once they are empty.
pub fn directories(context: &Context) -> Vec<String> {
    let own = context.run.inventory().registries.iter().map(directory);
    own.chain([DIRECTORY.to_owned()]).collect()
}

/// Fails unless images that the kubelet asks for are looked for there. Nothing is looked at in a dry run.
async fn expect_followed(context: &Context) -> Result<(), PhaseError> {
    let Some(output) = context.node().await?.run_script(DUMP).await? else { return Ok(()) };
    let dump = String::from_utf8_lossy(&output.stdout);
    let missing = match output.exit.is_success() {
        true => registries::missing(&dump).ok(),
        false => None,
    };
    match missing {
        Some(None) => Ok(()),
        Some(Some(lines)) => Err(PhaseError::State(format!(
            "containerd does not look in {DIRECTORY}; add {lines} to /etc/containerd/config.toml and restart containerd"
        ))),
        None => Err(PhaseError::State(format!(
            "`containerd config dump` does not print containerd's configuration ({}); is it in the system path?",
            output.exit
        ))),
    }
}
