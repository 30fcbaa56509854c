//! What a host has of its own member: its data directory and what runs it, a static pod or a service of systemd.

use std::time::Duration;

use crate::cluster::etcd_unit;
use crate::cluster::spec::{ETCD_CLIENT_PORT, MANIFESTS_DIRECTORY};
use crate::cluster::static_pods::etcd::{self, InitialCluster};
use crate::cluster::static_pods::{self, Component};
use crate::inventory::{EtcdManager, Role};
use crate::kubernetes::Poll;
use crate::kubernetes::poll::Attempt;
use crate::node::facts::PathState;
use crate::node::{FileAction, FileBatch, NodeDirectory, NodeFile, ServiceAction};
use crate::phases::init::control_plane::{control_plane_node, manifest};
use crate::phases::prepare::binaries;
use crate::phases::{Context, PhaseError, kubelet};

/// Whether the host's member is a service of systemd.
pub fn is_service(context: &Context) -> bool {
    let manager = context.run.cluster().section.etcd.manager;
    context.host().role == Role::Etcd && manager == EtcdManager::Systemd
}

/// What the host's etcd was told of the others when it was set up; `None` where it has no etcd.
///
/// # Errors
/// The host cannot be reached, or its manifest cannot be read.
pub async fn initial_cluster(context: &Context) -> Result<Option<InitialCluster>, PhaseError> {
    let path = path(context);
    let mut files = context.node().await?.read(&[&path]).await?;
    let Some(file) = files.remove(&path) else { return Ok(None) };
    let text = String::from_utf8_lossy(&file.content);
    if is_service(context) {
        return Ok(etcd_unit::initial_cluster(&text));
    }
    Ok(etcd::initial_cluster(&static_pods::from_yaml(&text)?))
}

/// The file that says how the host's member is run.
fn path(context: &Context) -> String {
    match is_service(context) {
        true => etcd_unit::UNIT_PATH.to_owned(),
        false => Component::Etcd.manifest_path(),
    }
}

/// The data directory of the host's member, and what runs it.
///
/// # Errors
/// The host cannot be reached, has no etcd for systemd to run, or the manifest cannot be rendered.
pub async fn files(context: &Context, initial: &InitialCluster) -> Result<FileBatch, PhaseError> {
    let cluster = context.run.cluster();
    let node = control_plane_node(context).await?;
    let mut batch = FileBatch::default();
    batch.directories.push(NodeDirectory {
        path: cluster.section.etcd.data_dir.clone(),
        mode: 0o700,
        // etcd refuses to be read by others, and says so only in its log.
        enforce: true,
    });
    if is_service(context) {
        let binary = binaries::etcd_path(context).await?;
        let unit = etcd_unit::unit(cluster, &node, initial, &binary);
        batch.files.push(NodeFile::public(etcd_unit::UNIT_PATH, unit, etcd_unit::FILE_MODE));
        return Ok(batch);
    }
    batch.directories.push(NodeDirectory::new(MANIFESTS_DIRECTORY, 0o700));
    let pod = super::pod(cluster, &node, initial)?;
    batch.files.push(manifest(cluster, Component::Etcd, &pod)?);
    Ok(batch)
}

/// Whether the host had data of a member when the run looked first, before it started anything.
///
/// # Errors
/// The host cannot be reached.
pub async fn had_data(context: &Context) -> Result<bool, PhaseError> {
    let directory = &context.run.cluster().section.etcd.data_dir;
    Ok(context.facts().await?.paths.get(directory) == Some(&PathState::Directory))
}

/// Put the files of the host's member in place and have it run with them. One that runs already is taken down for it only
/// while the others can do without, so whoever calls this holds the right to change the membership. Says whether it was.
///
/// # Errors
/// What the host said; the others are not well enough.
pub async fn put_in_place(context: &Context, batch: &FileBatch) -> Result<bool, PhaseError> {
    let planned = context.node().await?.plan(batch).await?;
    let changes = planned.iter().any(|change| change.action != FileAction::Unchanged);
    let restarts = changes && had_data(context).await?;
    if restarts && !context.dry_run() {
        wait_until_spared(context).await?;
    }
    if is_service(context) {
        // systemd's own notification tells when the member serves.
        context.install(batch).await?;
        context.service(ServiceAction::Enable, etcd_unit::SERVICE).await?;
        let action = if restarts { ServiceAction::Restart } else { ServiceAction::Start };
        context.service(action, etcd_unit::SERVICE).await?;
        return Ok(restarts);
    }
    // A kubelet that does not run stops nothing, and is started later.
    let taken_down = restarts && !context.dry_run() && kubelet::is_healthy(context).await?;
    if taken_down {
        // It takes its time to notice a changed manifest, and nothing tells when it has. One that is gone it stops, which
        // can be seen.
        context.node().await?.remove(&[&path(context)]).await?;
        wait_until_gone(context).await?;
    }
    context.install(batch).await?;
    Ok(taken_down)
}

/// Wait until the other members are a quorum without this one. Where nobody answers there is nothing to lose.
async fn wait_until_spared(context: &Context) -> Result<(), PhaseError> {
    let (run, name) = (&context.run, &context.host().name);
    let any = super::any_member(run).await?;
    let Ok(members) = any.members().await else { return Ok(()) };
    let spared =
        poll(context).until(&run.options().cancel, "restart the host's member", || async {
            Ok(match super::healthy(run, &members).await {
                Ok(health) if health.can_spare(name) => Attempt::Done(()),
                Ok(health) => Attempt::NotYet(format!(
                    "the others are no quorum without it: {} of {} members answer; {}",
                    health.healthy(),
                    health.voters(),
                    health.problems()
                )),
                Err(error) => Attempt::NotYet(error.to_string()),
            })
        });
    Ok(spared.await?)
}

async fn wait_until_gone(context: &Context) -> Result<(), PhaseError> {
    let address = context.advertise_address().await?.to_string();
    let dial = context.dial().await?;
    let cancel = &context.run.options().cancel;
    let gone = poll(context).until(cancel, "see the host's member stopped", || async {
        Ok(match dial.dial(&address, ETCD_CLIENT_PORT).await {
            Ok(_) => Attempt::NotYet("it still accepts connections".to_owned()),
            Err(_) => Attempt::Done(()),
        })
    });
    Ok(gone.await?)
}

/// How long etcd is waited for, and how often it is asked.
pub fn poll(context: &Context) -> Poll {
    let timeout = context.run.cluster().section.timeouts.etcd_api_call;
    Poll { timeout, interval: Duration::from_millis(250) }
}
