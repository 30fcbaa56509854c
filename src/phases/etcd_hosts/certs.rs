//! `etcd/certs` and `etcd/member-certs`: etcd's authority, and what each member shows to clients and to the others. Every
//! member holds the authority's key, as every control plane does with etcd on it: so whichever host is lost, the others
//! can sign for the one in its place.

use std::sync::Arc;

use crate::phases::init::certs as pki_files;
use crate::phases::{Context, Done, PhaseError};
use crate::pki;

/// Run `etcd/certs` on the first host.
pub async fn first(context: Arc<Context>) -> Result<Done, PhaseError> {
    let outcome = ensure(&context, None).await?;
    if let Some(hosts) = context.run.etcd_hosts() {
        hosts.set_pki(outcome);
    }
    Ok(Done::Finished)
}

/// Run `etcd/member-certs` on the others.
pub async fn joining(context: Arc<Context>) -> Result<Done, PhaseError> {
    let Some(hosts) = context.run.etcd_hosts() else {
        return Ok(Done::NotNeeded(super::NO_HOSTS.to_owned()));
    };
    let shared = hosts.pki(&context.run).await?.clone();
    ensure(&context, Some(&shared)).await?;
    Ok(Done::Finished)
}

async fn ensure(
    context: &Context,
    shared: Option<&pki::Outcome>,
) -> Result<pki::Outcome, PhaseError> {
    let outcome = pki_files::ensure(context, shared).await?;
    for warning in &outcome.warnings {
        context.warn(warning.clone());
    }
    context.install(&pki_files::batch(outcome.files.iter())).await?;
    Ok(outcome)
}
