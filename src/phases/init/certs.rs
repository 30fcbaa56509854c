//! `certs`: the certificate authorities, certificates and keys. What the host has is read, validated and
//! kept; what is missing is made and written. A certificate that lacks names is made anew with them, and the API server
//! that runs is seen to take it up.

use std::sync::Arc;
use std::time::Duration;

use super::provided;
use crate::cluster::spec::CERTIFICATES_DIRECTORY as DIRECTORY;
use crate::inventory::Role;
use crate::kubernetes::poll::Attempt;
use crate::kubernetes::{Poll, Timing};
use crate::node::{FileBatch, NodeDirectory, NodeFile};
use crate::phases::{Context, Done, PhaseError};
use crate::pki::{self, Existing, KeyPool, PkiFile, Purpose, Requirements};

/// The certificate that clients of the API server see.
const API_SERVER: &str = "apiserver.crt";
/// How long an API server may take to serve a certificate that was replaced: it looks once a minute.
const TAKE_UP: Duration = Duration::from_secs(150);

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let outcome = ensure(&context, None).await?;
    let odd = context.run.cluster().validity_warnings();
    for warning in outcome.warnings.iter().cloned().chain(odd) {
        context.warn(warning);
    }
    // A certificate whose authority is neither there nor wanted would be worth nothing.
    let authority = |name: &str| {
        pki::CERTIFICATES.iter().any(|spec| {
            matches!(spec.kind, pki::Kind::Authority { .. }) && name == format!("{}.crt", spec.base)
        })
    };
    if let Some(file) =
        outcome.created().find(|file| authority(&file.name) && !context.wants(file.phase))
    {
        return Err(PhaseError::State(format!(
            "{DIRECTORY}/{} is missing; run phase certs/{} first",
            file.name, file.phase
        )));
    }
    context.install(&batch(outcome.files.iter().filter(|file| context.wants(file.phase)))).await?;
    if context.wants("apiserver") {
        see_taken_up(&context, &outcome).await?;
    }
    if outcome.created().all(|file| context.wants(file.phase)) {
        context.run.control_plane().set_pki(outcome);
    }
    Ok(Done::Finished)
}

/// These files in their places, with the directories they are in.
pub fn batch<'a>(files: impl Iterator<Item = &'a PkiFile>) -> FileBatch {
    let directories = [DIRECTORY, "/etc/kubernetes/pki/etcd"];
    FileBatch {
        directories: directories.map(|directory| NodeDirectory::new(directory, 0o755)).into(),
        files: files
            .map(|file| NodeFile {
                path: format!("{DIRECTORY}/{}", file.name),
                content: file.content.clone(),
                mode: file.mode,
                secret: file.secret,
            })
            .collect(),
    }
}

/// The PKI the host should have, from the one it has; where it joins, with what `shared` has in common with all control
/// planes. Writes nothing.
///
/// # Errors
/// The host cannot be reached, or has files that cannot be used.
pub async fn ensure(
    context: &Context,
    shared: Option<&pki::Outcome>,
) -> Result<pki::Outcome, PhaseError> {
    ensure_for(context, purpose(context), shared).await
}

/// What the host's certificates are for.
pub fn purpose(context: &Context) -> Purpose {
    match context.host().role {
        Role::Etcd => Purpose::EtcdMember,
        _ if context.run.cluster().has_stacked_etcd() => Purpose::ControlPlane,
        _ => Purpose::ControlPlaneOfExternalEtcd,
    }
}

/// The certificates that the host should have for this purpose; as [`ensure`].
///
/// # Errors
/// As [`ensure`].
pub async fn ensure_for(
    context: &Context,
    purpose: Purpose,
    shared: Option<&pki::Outcome>,
) -> Result<pki::Outcome, PhaseError> {
    let requirements = requirements(context, purpose).await?;
    let mut existing = read(context, &requirements).await?;
    if let Some(shared) = shared {
        existing = pki::adopt(existing, shared.shared())?;
    } else if let Some(directory) = &context.run.cluster().section.pki_directory {
        existing = provided::add_pki(existing, directory, &context.host().name)?;
    }
    let algorithm = context.run.cluster().section.encryption_algorithm;
    // Making a dozen RSA keys takes all cores for a while; the other hosts' tasks must go on meanwhile.
    let made = tokio::task::spawn_blocking(move || {
        let count = pki::keys_needed(&existing, &requirements);
        let mut pool = KeyPool::generate(algorithm, count)?;
        pki::ensure(&existing, &requirements, &mut pool)
    });
    Ok(made.await.map_err(|error| PhaseError::Local(format!("making certificates: {error}")))??)
}

/// Wait until the host's API server serves the certificate that was made anew. It reads the file again by itself, without
/// a break for anybody; a restart would be one.
///
/// # Errors
/// The host cannot be reached.
pub async fn see_taken_up(context: &Context, outcome: &pki::Outcome) -> Result<(), PhaseError> {
    let extended = outcome.extended.iter().find(|extended| extended.file == API_SERVER);
    // A wildcard is no name that a server can be asked for.
    let named = |name: &&String| !name.starts_with("*.");
    let Some(name) = extended.and_then(|extended| extended.names.iter().find(named)) else {
        return Ok(());
    };
    context.check_version().await?;
    if context.dry_run() || !context.was_there() {
        return Ok(());
    }
    let Some(api) = context.own_api_as(Some(name)).await? else { return Ok(()) };
    let api = api.with_timing(Timing::once(Duration::from_secs(5)));
    let poll = Poll { timeout: TAKE_UP, interval: Duration::from_secs(1) };
    let action = format!("see the API server serve its new certificate, for {name}");
    let taken_up = poll.until(&context.run.options().cancel, &action, || async {
        Ok(match api.probe("/version").await {
            Ok(_) => Attempt::Done(()),
            Err(error) => Attempt::NotYet(error.to_string()),
        })
    });
    match taken_up.await.map_err(PhaseError::Api) {
        Err(error) if error.interrupted() => Err(error),
        // It may be down for a reason that a later phase removes, or wait for what fails then.
        Err(error) => {
            context.warn(format!("{error}; restart the API server if this does not change"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn read(context: &Context, requirements: &Requirements) -> Result<Existing, PhaseError> {
    let certificates = requirements
        .certificates()
        .flat_map(|spec| [format!("{}.crt", spec.base), format!("{}.key", spec.base)]);
    let names: Vec<String> =
        certificates.chain(["sa.key".to_owned(), "sa.pub".to_owned()]).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("{DIRECTORY}/{name}")).collect();
    let asked: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut found = context.node().await?.read(&asked).await?;
    Ok(names
        .into_iter()
        .zip(&paths)
        .filter_map(|(name, path)| found.remove(path).map(|file| (name, file.content)))
        .collect())
}

/// What the PKI must be for this purpose, as the inventory has it.
///
/// # Errors
/// The host has to be asked for its address, and cannot be.
pub async fn requirements(context: &Context, purpose: Purpose) -> Result<Requirements, PhaseError> {
    let run = &context.run;
    let cluster = run.cluster();
    let section = &cluster.section;
    Ok(Requirements {
        node_name: context.host().name.clone(),
        advertise_address: context.advertise_address().await?,
        service_address: cluster.api_service_ip,
        dns_domain: section.networking.dns_domain.clone(),
        control_plane_host: section
            .control_plane_endpoint
            .as_ref()
            .map(|endpoint| endpoint.host.clone()),
        api_server_sans: section.api_server.cert_sans.clone(),
        etcd_server_sans: section.etcd.server_cert_sans.clone(),
        etcd_peer_sans: section.etcd.peer_cert_sans.clone(),
        purpose,
        profile: cluster.release.pki_profile(),
        now: run.started(),
        ca_validity: cluster.ca_certificate_validity(),
        leaf_validity: cluster.certificate_validity(),
    })
}
