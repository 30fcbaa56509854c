//! haproxy and keepalived alike: the package, the configuration, and the service running with it.

use crate::cluster::load_balancer::{DIRECTORY, Daemon, check_path, is_own};
use crate::node::facts::InitKind;
use crate::node::{FileBatch, NodeDirectory, NodeFile, ServiceAction};
use crate::phases::{Context, PhaseError, diagnosis};

/// Have the daemon run with this configuration. What runs is told to read it anew only where it has read another one,
/// so that connections through it last.
///
/// # Errors
/// The host has no systemd, or refused; with what the daemon logged.
pub async fn converge(
    context: &Context,
    daemon: Daemon,
    config: &str,
    scripts: Vec<NodeFile>,
) -> Result<(), PhaseError> {
    if context.facts().await?.init.kind != InitKind::Systemd {
        return Err(PhaseError::State(format!(
            "{} needs systemd on the host; choose other `hosts` in [cluster.load_balancer]",
            daemon.service()
        )));
    }
    let node = context.node().await?;
    context.report_all(node.install_packages(&[daemon.package()]).await?);
    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory::new(DIRECTORY, 0o755));
    batch.files.extend(scripts);
    batch.files.push(NodeFile::public(daemon.config_path(), config, 0o644));
    context.install(&batch).await?;
    let mut unit = FileBatch::default();
    unit.files.push(NodeFile::public(daemon.unit_path(), daemon.unit(), 0o644));
    let unit_changed = context.install(&unit).await? > 0;

    let loaded_path = daemon.loaded_path();
    let loaded = node.read(&[&loaded_path]).await?.remove(&loaded_path);
    let action = match loaded {
        // It does not run, or, where its binary was replaced, is started anew.
        None => ServiceAction::Start,
        Some(_) if unit_changed => ServiceAction::Restart,
        Some(loaded) if loaded.content.as_slice() == config.as_bytes() => ServiceAction::Start,
        Some(_) => ServiceAction::Refresh,
    };
    if let Err(error) = context.service(action, daemon.service()).await {
        return Err(diagnosis::service(context, daemon.service(), error).await);
    }
    context.service(ServiceAction::Enable, daemon.service()).await
}

/// Stop the daemon and remove what is ours of it.
///
/// # Errors
/// What the host said.
pub async fn remove(context: &Context, daemon: Daemon) -> Result<(), PhaseError> {
    let node = context.node().await?;
    let unit = daemon.unit_path();
    let check = check_path();
    let config = daemon.config_path();
    let mut ours = vec![unit.as_str(), config.as_str()];
    if daemon == Daemon::Keepalived {
        ours.push(&check);
    }
    let mut present = node.read(&ours).await?;
    present.retain(|_, file| is_own(&file.content));
    if present.is_empty() {
        return Ok(());
    }
    if present.contains_key(&unit) {
        context.service(ServiceAction::Stop, daemon.service()).await?;
        context.service(ServiceAction::Disable, daemon.service()).await?;
    }
    let paths: Vec<&str> = present.keys().map(String::as_str).collect();
    context.report_all(node.remove(&paths).await?);
    context.report_all(node.prune_directories(&[DIRECTORY]).await?);
    node.service(ServiceAction::Reload, daemon.service()).await?;
    Ok(())
}
