//! The kubelet's client certificate.
//!
//! It is signed here, with the authority's key, rather than asked for by the kubelet with a bootstrap token: that works
//! when the certificate has expired already, when the API server does not answer, and when the run is cut short. The
//! kubelet stands still while its file is replaced, so that one that runs has read what is there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::plan::{self, KubeletClient};
use super::{authorities, rules, slices, without_external};
use crate::kubernetes::{Poll, nodes, wait};
use crate::node::FileBatch;
use crate::phases::certs::places::{self, pki_path};
use crate::phases::{Context, PhaseError, diagnosis, kubelet};
use crate::pki::{Algorithm, AuthorityName, PrivateKey};

/// Renew the certificate where it is due, and have the kubelet run with it. False where nothing was to be done.
pub(super) async fn renew(context: &Context) -> Result<bool, PhaseError> {
    let conf = places::kubelet_client().path;
    let node = context.node().await?;
    let ca =
        ["crt", "key"].map(|kind| format!("{}.{kind}", pki_path(AuthorityName::Kubernetes.base())));
    let mut paths = vec![conf.clone()];
    paths.extend(ca);
    let mut files = node.read(&slices(&paths)).await?;
    let Some(file) = files.get(&conf) else { return Ok(false) };
    let client = plan::kubelet_client(&conf, &file.content)?;
    if let KubeletClient::File(path) = &client {
        files.extend(node.read(&[path]).await?);
    }
    let rules = rules(context);
    let Some(target) = plan::kubelet_target(&client, &files, &rules)? else {
        // A run that was cut short may have left it stopped.
        kubelet::start(context).await?;
        return Ok(false);
    };
    let needed = BTreeSet::from([AuthorityName::Kubernetes]);
    let authorities = authorities(context, &files, needed).await?;
    let targets = without_external(context, vec![target], &authorities);
    let mut batch = FileBatch::default();
    for target in &targets {
        if let Some(authority) = authorities.get(&target.authority) {
            // The kind that kubelets make themselves.
            let key = PrivateKey::generate(Algorithm::EcdsaP256)?;
            batch.files.extend(target.renew(authority, &rules, &key)?);
        }
    }
    if batch.files.is_empty() {
        return Ok(false);
    }
    kubelet::put_in_place(context, &batch).await?;
    kubelet::start(context).await?;
    if !context.dry_run() {
        kubelet::wait_healthy(context).await?;
    }
    Ok(true)
}

/// When the kubelet last reported, as far as the API server answers.
pub(super) async fn heartbeat(context: &Context) -> Option<String> {
    let api = context.api().await.ok()??;
    let api = api.with_timing(crate::kubernetes::Timing::once(Duration::from_secs(5)));
    let node = nodes::get(&api, &context.host().name).await.ok()??;
    crate::kubernetes::objects::node::heartbeat(&node).map(str::to_owned)
}

/// Wait until the API server has heard from the kubelet again. Where it is not known when it last did, the kubelet's own
/// word has to do.
pub(super) async fn wait_reported(
    context: &Context,
    before: Option<String>,
) -> Result<(), PhaseError> {
    let (Some(before), false) = (before, context.dry_run()) else { return Ok(()) };
    let Some(api) = context.api().await? else { return Ok(()) };
    let timeout = context.run.cluster().section.timeouts.kubelet_health_check;
    let poll = Poll { timeout, interval: Duration::from_millis(500) };
    let name = &context.host().name;
    let cancel = &context.run.options().cancel;
    match wait::node_reported(api, name, Some(&before), poll, cancel).await {
        Ok(_) => Ok(()),
        Err(error) => Err(diagnosis::kubelet(context, error).await),
    }
}
