//! `kubeconfig`: the kubeconfig files of the administrators, the kubelet, the controller manager and the
//! scheduler. A file that trusts this cluster's authority is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::kubeconfig::{self, Requirements, Workflow, specs};
use crate::node::{FileBatch, NodeFile};
use crate::phases::control_plane::KUBERNETES_DIRECTORY;
use crate::phases::{Context, Done, PhaseError};
use crate::pki::{self, Algorithm, AuthorityName, KeyPool};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let requirements = requirements(&context).await?;
    let path = |name: &str| format!("{KUBERNETES_DIRECTORY}/{name}");

    let names: Vec<&'static str> =
        specs(&requirements.profile, Workflow::Init, &requirements.node_name)
            .iter()
            .map(|spec| spec.file)
            .collect();
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

    let pki = context.run.control_plane().pki(&context).await?.clone();
    let made = tokio::task::spawn_blocking(move || -> Result<_, PhaseError> {
        let authority = pki.authorities.get(&AuthorityName::Kubernetes).ok_or_else(|| {
            PhaseError::State("the PKI has no certificate authority `ca`".to_owned())
        })?;
        let count = kubeconfig::keys_needed(&existing, &requirements);
        let mut pool = KeyPool::generate(Algorithm::Rsa2048, count)?;
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

async fn requirements(context: &Context) -> Result<Requirements, PhaseError> {
    let run = &context.run;
    let cluster = run.cluster();
    let address = run.control_plane().advertise_address(run).await?;
    Ok(Requirements {
        cluster_name: cluster.section.name.clone(),
        node_name: context.host().name.clone(),
        control_plane_url: cluster.control_plane_url(address),
        local_url: cluster.local_endpoint_url(address),
        workflow: Workflow::Init,
        profile: cluster.release.kubeconfig_profile(),
        pki: cluster.release.pki_profile(),
        validity: pki::LEAF_VALIDITY,
        now: run.started(),
    })
}
