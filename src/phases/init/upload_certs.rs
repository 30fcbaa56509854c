//! `upload-certs`: the shared certificates, encrypted, as Secret kubeadm-certs. Only on request: fleetadm
//! itself never needs it, `kubeadm join --control-plane --certificate-key` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use time::OffsetDateTime;

use crate::kubernetes::apply;
use crate::kubernetes::objects::bootstrap_token::{self, BootstrapToken, TokenOptions};
use crate::kubernetes::objects::upload_certs::{self, CertificateKey, EtcdCertificates, LIFETIME};
use crate::phases::{Context, Done, PhaseError};
use crate::report::Event;

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    if !run.options().upload_certs {
        return Ok(Done::NotNeeded("--upload-certs was not given".to_owned()));
    }
    let local = |error: &dyn std::error::Error| PhaseError::Local(error.to_string());
    let pki = run.control_plane().pki(&context).await?;
    let contents: BTreeMap<_, _> =
        pki.shared().map(|file| (file.name.clone(), file.content.clone())).collect();
    let (Some(api), false) = (context.api().await?, context.dry_run()) else {
        context.changed("create Secret kube-system/kubeadm-certs");
        return Ok(Done::Finished);
    };

    // A token without usages that lives as long as the Secret may: when it goes, the Secret goes.
    let owner = BootstrapToken::generate().map_err(|error| local(&error))?;
    let options = TokenOptions::owning_certificates(OffsetDateTime::now_utc() + LIFETIME);
    apply::apply(api, &bootstrap_token::secret(&owner, &options)).await?;
    let owner = api.get(&owner.key()).await?;

    let key = CertificateKey::generate().map_err(|error| local(&error))?;
    let secret = upload_certs::secret(&EtcdCertificates::Stacked, &contents, &key, owner.as_ref())
        .map_err(|error| local(&error))?;
    let mut objects = vec![secret];
    objects.extend(upload_certs::access());
    context.apply(&objects).await?;
    run.reporter().emit(Event::Disclosed {
        what: "certificate key, valid for two hours".to_owned(),
        secret: SecretString::from(key.expose().as_str()),
    });
    Ok(Done::Finished)
}
