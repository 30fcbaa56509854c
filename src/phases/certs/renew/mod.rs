//! `certs renew`: new certificates in place of those a host has, in use before the phase ends.
//!
//! A certificate that is renewed keeps its subject, names and usages, whatever the inventory says; it gets a new key and
//! a new validity. Nothing is left behind that a next run would have to know of: what is due is read off the
//! certificates, and a process that began before its files were written shows that it still has the old ones.

mod kubelet;
mod plan;
mod static_pods;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::Duration;

use super::places::{self, pki_path};
use crate::node::{FileBatch, RemoteFile};
use crate::phases::kubelet::is_healthy;
use crate::phases::{Context, Done, PhaseError};
use crate::pki::{Authority, AuthorityName, KeyPool};
use plan::{Rules, Target};

/// Names of the certificates that can be renewed on control planes: kubeadm's, and the kubelet's own.
pub const NAMES: [&str; 12] = [
    "admin.conf",
    "apiserver",
    "apiserver-etcd-client",
    "apiserver-kubelet-client",
    "controller-manager.conf",
    "etcd-healthcheck-client",
    "etcd-peer",
    "etcd-server",
    "front-proxy-client",
    places::KUBELET,
    "scheduler.conf",
    "super-admin.conf",
];

/// What is renewed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only what expires within this time; without it everything, as kubeadm does.
    pub within: Option<Duration>,
}

/// A control plane: its certificates, its kubelet, and the static pods that use them.
///
/// # Errors
/// The host or the API server does not do its part; or a certificate or key there cannot be used.
pub async fn control_plane(context: Arc<Context>) -> Result<Done, PhaseError> {
    context.run.control_plane().check_version(&context.run).await?;
    let paths = plan::to_read(context.host().role);
    let files = context.node().await?.read(&slices(&paths)).await?;
    let wanted: Vec<&'static str> = NAMES.into_iter().filter(|name| context.wants(name)).collect();
    let rules = rules(&context);
    let targets = plan::targets(context.host().role, &files, &wanted, &rules)?;
    if targets.is_empty() && files.is_empty() {
        return Ok(Done::NotNeeded("no certificates of a cluster are here".to_owned()));
    }
    let needed: BTreeSet<AuthorityName> = targets.iter().map(|target| target.authority).collect();
    let authorities = authorities(&context, &files, needed).await?;
    let targets = without_external(&context, targets, &authorities);
    let batch = sign(&context, targets, authorities, rules).await?;
    let renewed: BTreeSet<String> = batch.files.iter().map(|file| file.path.clone()).collect();
    // Certificate and key of each, and all of them, are replaced together or not at all.
    context.install(&batch).await?;

    // A kubelet that has just begun asks an API server for its static pods before it starts one of them again: in recent
    // releases that of this very host, which answers nobody while its etcd is away. So it comes last, unless the
    // static pods have to wait for it.
    let comes_last = !context.wants(places::KUBELET) || is_healthy(&context).await?;
    if comes_last {
        static_pods::restart(&context, &renewed, false).await?;
    }
    let before = kubelet::heartbeat(&context).await;
    let kubelet_renewed = context.wants(places::KUBELET) && kubelet::renew(&context).await?;
    if !comes_last {
        static_pods::restart(&context, &renewed, kubelet_renewed).await?;
    }
    if kubelet_renewed {
        kubelet::wait_reported(&context, before).await?;
    }
    Ok(Done::Finished)
}

/// Another host: its kubelet's client certificate.
///
/// # Errors
/// As [`control_plane`].
pub async fn node(context: Arc<Context>) -> Result<Done, PhaseError> {
    let before = kubelet::heartbeat(&context).await;
    if kubelet::renew(&context).await? {
        kubelet::wait_reported(&context, before).await?;
    }
    Ok(Done::Finished)
}

fn rules(context: &Context) -> Rules {
    let cluster = context.run.cluster();
    Rules {
        profile: cluster.release.pki_profile(),
        now: context.run.started(),
        validity: cluster.certificate_validity(),
        within: context.run.options().renewal.within,
    }
}

fn slices(paths: &[String]) -> Vec<&str> {
    paths.iter().map(String::as_str).collect()
}

/// The authorities that sign, with the key that is here or, missing here, on the first control plane: in memory, for as
/// long as the phase runs.
async fn authorities(
    context: &Context,
    files: &BTreeMap<String, RemoteFile>,
    needed: BTreeSet<AuthorityName>,
) -> Result<BTreeMap<AuthorityName, Authority>, PhaseError> {
    let mut authorities = BTreeMap::new();
    for name in needed {
        let is_first = context.run.control_plane().name() == context.host().name;
        let authority = match read(name, files)? {
            Some(authority) if authority.key.is_some() || is_first => authority,
            None if is_first => return Err(missing(name)),
            here => {
                let paths = ["crt", "key"].map(|kind| format!("{}.{kind}", pki_path(name.base())));
                let run = &context.run;
                let first = run.control_plane().files(run, &slices(&paths)).await?;
                let first = read(name, &first)?.ok_or_else(|| missing(name))?;
                if here
                    .is_some_and(|here| here.certificate.public_key != first.certificate.public_key)
                {
                    return Err(PhaseError::State(format!(
                        "{0} is not the one of {1}, whose key would sign; this host is part of another cluster, or its \
                         authority has been changed by half",
                        paths[0],
                        run.control_plane().name(),
                    )));
                }
                first
            }
        };
        authorities.insert(name, authority);
    }
    Ok(authorities)
}

fn missing(name: AuthorityName) -> PhaseError {
    PhaseError::State(format!(
        "{}.crt is missing, so that nothing can be signed; restore it, or run `fleetadm init` on a new cluster",
        pki_path(name.base())
    ))
}

fn read(
    name: AuthorityName,
    files: &BTreeMap<String, RemoteFile>,
) -> Result<Option<Authority>, PhaseError> {
    let content = |kind: &str| {
        files.get(&format!("{}.{kind}", pki_path(name.base()))).map(|file| file.content.as_slice())
    };
    let Some(certificate) = content("crt") else { return Ok(None) };
    Ok(Some(Authority::read(name.base(), certificate, content("key"))?))
}

/// Those that can be signed; the others are told of, as kubeadm tells of them, and left alone.
fn without_external(
    context: &Context,
    targets: Vec<Target>,
    authorities: &BTreeMap<AuthorityName, Authority>,
) -> Vec<Target> {
    let signs = |target: &Target| {
        authorities.get(&target.authority).is_some_and(|authority| authority.key.is_some())
    };
    let (signed, external): (Vec<Target>, Vec<Target>) = targets.into_iter().partition(signs);
    if !external.is_empty() {
        let names: Vec<&str> = external.iter().map(|target| target.name).collect();
        context.warn(format!(
            "the authority of {} is external (its key is neither here nor on the first control plane), so they are left \
             as they are; `fleetadm certs generate-csr` makes requests for whoever has the key",
            names.join(", ")
        ));
    }
    signed
}

/// Signing takes the processor for a while, and the other hosts' tasks go on meanwhile.
async fn sign(
    context: &Context,
    targets: Vec<Target>,
    authorities: BTreeMap<AuthorityName, Authority>,
    rules: Rules,
) -> Result<FileBatch, PhaseError> {
    let algorithm = context.run.cluster().section.encryption_algorithm;
    let made = tokio::task::spawn_blocking(move || {
        let mut pool = KeyPool::generate(algorithm, targets.len())?;
        let mut batch = FileBatch::default();
        for target in &targets {
            if let Some(authority) = authorities.get(&target.authority) {
                batch.files.extend(target.renew(authority, &rules, &pool.take()?)?);
            }
        }
        Ok::<_, PhaseError>(batch)
    });
    made.await.map_err(|error| PhaseError::Local(format!("making certificates: {error}")))?
}
