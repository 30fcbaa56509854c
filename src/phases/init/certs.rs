//! `certs`: the certificate authorities, certificates and keys. What the host has is read, validated and
//! kept; what is missing is made and written.

use std::sync::Arc;

use crate::cluster::spec::CERTIFICATES_DIRECTORY as DIRECTORY;
use crate::node::{FileBatch, NodeDirectory, NodeFile};
use crate::phases::{Context, Done, PhaseError};
use crate::pki::{self, Algorithm, Existing, KeyPool, Requirements};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let outcome = ensure(&context).await?;
    for warning in &outcome.warnings {
        context.warn(warning.clone());
    }
    let mut batch = FileBatch::default();
    for directory in [DIRECTORY, "/etc/kubernetes/pki/etcd"] {
        batch.directories.push(NodeDirectory::new(directory, 0o755));
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
    for file in outcome.files.iter().filter(|file| context.wants(file.phase)) {
        batch.files.push(NodeFile {
            path: format!("{DIRECTORY}/{}", file.name),
            content: file.content.clone(),
            mode: file.mode,
            secret: file.secret,
        });
    }
    context.install(&batch).await?;
    if outcome.created().all(|file| context.wants(file.phase)) {
        context.run.control_plane().set_pki(outcome);
    }
    Ok(Done::Finished)
}

/// The PKI the host should have, from the one it has. Writes nothing.
///
/// # Errors
/// The host cannot be reached, or has files that cannot be used.
pub async fn ensure(context: &Context) -> Result<pki::Outcome, PhaseError> {
    let requirements = requirements(context).await?;
    let existing = read(context, &requirements).await?;
    // Making a dozen RSA keys takes all cores for a while; the other hosts' tasks must go on meanwhile.
    let made = tokio::task::spawn_blocking(move || {
        let count = pki::keys_needed(&existing, &requirements);
        let mut pool = KeyPool::generate(Algorithm::Rsa2048, count)?;
        pki::ensure(&existing, &requirements, &mut pool)
    });
    Ok(made.await.map_err(|error| PhaseError::Local(format!("making certificates: {error}")))??)
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

async fn requirements(context: &Context) -> Result<Requirements, PhaseError> {
    let run = &context.run;
    let cluster = run.cluster();
    let section = &cluster.section;
    Ok(Requirements {
        node_name: context.host().name.clone(),
        advertise_address: run.control_plane().advertise_address(run).await?,
        service_address: cluster.api_service_ip,
        dns_domain: section.networking.dns_domain.clone(),
        control_plane_host: section
            .control_plane_endpoint
            .as_ref()
            .map(|endpoint| endpoint.host.clone()),
        api_server_sans: section.api_server.cert_sans.clone(),
        etcd_server_sans: section.etcd.server_cert_sans.clone(),
        etcd_peer_sans: section.etcd.peer_cert_sans.clone(),
        external_etcd: false,
        profile: cluster.release.pki_profile(),
        now: run.started(),
        ca_validity: pki::CA_VALIDITY,
        leaf_validity: pki::LEAF_VALIDITY,
    })
}
