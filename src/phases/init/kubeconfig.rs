//! `kubeconfig`: the kubeconfig files of the administrators, the kubelet, the controller manager and the
//! scheduler. A file that trusts this cluster's authority is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::provided;
use crate::cluster::kubeconfig::{self, Requirements, Workflow, specs};
use crate::node::{FileBatch, NodeFile};
use crate::phases::control_plane::KUBERNETES_DIRECTORY;
use crate::phases::{Context, Done, PhaseError};
use crate::pki::{AuthorityName, KeyPool};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    context.check_version().await?;
    // Which files are init's alone can be told from those of a host that joined: one that was there before, and is the
    // first one only now, gets no more than it has.
    ensure(&context, if context.was_there() { Workflow::Join } else { Workflow::Init }).await
}

/// Make the kubeconfigs of a workflow that the host lacks.
///
/// # Errors
/// The host cannot be reached, or has files that cannot be used.
pub async fn ensure(context: &Context, workflow: Workflow) -> Result<Done, PhaseError> {
    let requirements = requirements(context, workflow).await?;
    let path = |name: &str| format!("{KUBERNETES_DIRECTORY}/{name}");

    // Those of init are looked at wherever they are.
    let all = specs(&requirements.profile, Workflow::Init, &requirements.node_name);
    let names: Vec<&'static str> = all.iter().map(|spec| spec.file).collect();
    let paths: Vec<String> = names.iter().map(|name| path(name)).collect();
    let asked: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut found = context.node().await?.read(&asked).await?;
    let existing: BTreeMap<String, _> = names
        .iter()
        .zip(&paths)
        .filter_map(|(name, path)| {
            found.remove(path).map(|file| ((*name).to_owned(), file.content))
        })
        .collect();

    let pki = context.run.control_plane().pki(&context.run).await?.clone();
    let existing = match (&context.run.cluster().section.pki_directory, pki.file("ca.crt")) {
        (Some(directory), Some(ca)) => {
            let host = &context.host().name;
            provided::add_kubeconfigs(existing, &names, directory, host, &ca.content)?
        }
        _ => existing,
    };
    let algorithm = context.run.cluster().section.encryption_algorithm;
    let made = tokio::task::spawn_blocking(move || -> Result<_, PhaseError> {
        let authority = pki.authorities.get(&AuthorityName::Kubernetes).ok_or_else(|| {
            PhaseError::State("the PKI has no certificate authority `ca`".to_owned())
        })?;
        let count = kubeconfig::keys_needed(&existing, &requirements);
        let mut pool = KeyPool::generate(algorithm, count)?;
        Ok(kubeconfig::ensure(&existing, authority, &requirements, &mut pool)?)
    });
    let outcome =
        made.await.map_err(|error| PhaseError::Local(format!("making kubeconfigs: {error}")))??;

    for warning in outcome.warnings {
        context.warn(warning);
    }
    let mut batch = FileBatch::default();
    for file in outcome.files.into_iter().filter(|file| context.wants(file.phase)) {
        batch.files.push(NodeFile::secret(path(file.name), file.content, kubeconfig::MODE));
    }
    context.install(&batch).await?;
    Ok(Done::Finished)
}

async fn requirements(context: &Context, workflow: Workflow) -> Result<Requirements, PhaseError> {
    let run = &context.run;
    let cluster = run.cluster();
    let address = context.advertise_address().await?;
    Ok(Requirements {
        cluster_name: cluster.section.name.clone(),
        node_name: context.host().name.clone(),
        control_plane_url: cluster.control_plane_url(address),
        local_url: cluster.local_endpoint_url(address),
        workflow,
        profile: cluster.release.kubeconfig_profile(),
        pki: cluster.release.pki_profile(),
        validity: cluster.certificate_validity(),
        now: run.started(),
    })
}
