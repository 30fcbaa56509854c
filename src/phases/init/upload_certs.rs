//! `upload-certs`: the shared certificates, encrypted, as Secret kubeadm-certs. Only on request: fleetadm
//! itself never needs it, `kubeadm join --control-plane --certificate-key` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use time::OffsetDateTime;

use crate::cluster::Cluster;
use crate::cluster::spec::{ETCD_CA_FILE, ETCD_CLIENT_CERTIFICATE_FILE, ETCD_CLIENT_KEY_FILE};
use crate::kubernetes::apply;
use crate::kubernetes::objects::bootstrap_token::{self, BootstrapToken, TokenOptions};
use crate::kubernetes::objects::upload_certs::{self, CertificateKey, EtcdCertificates, LIFETIME};
use crate::phases::{Context, Done, PhaseError};
use crate::report::Event;

/// Where control planes keep what lets them into etcd. Of one without TLS the files are missing.
fn etcd_certificates(cluster: &Cluster) -> EtcdCertificates {
    match cluster.has_stacked_etcd() {
        true => EtcdCertificates::Stacked,
        false => EtcdCertificates::External {
            ca_file: ETCD_CA_FILE.to_owned(),
            cert_file: ETCD_CLIENT_CERTIFICATE_FILE.to_owned(),
            key_file: ETCD_CLIENT_KEY_FILE.to_owned(),
        },
    }
}

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let run = &context.run;
    if !run.options().upload_certs {
        return Ok(Done::NotNeeded("--upload-certs was not given".to_owned()));
    }
    let local = |error: &dyn std::error::Error| PhaseError::Local(error.to_string());
    let pki = run.control_plane().pki(run).await?;
    if let Some((name, _)) = pki.authorities.iter().find(|(_, authority)| authority.key.is_none()) {
        return Err(PhaseError::State(format!(
            "the authority {}.crt is external: its key is not here to be uploaded; leave out --upload-certs",
            name.base()
        )));
    }
    let mut contents: BTreeMap<_, _> =
        pki.shared().map(|file| (file.name.clone(), file.content.clone())).collect();
    let etcd = etcd_certificates(run.cluster());
    if let EtcdCertificates::External { ca_file, cert_file, key_file } = &etcd {
        let paths = [ca_file, cert_file, key_file].map(String::as_str);
        let found = context.node().await?.read(&paths).await?;
        contents.extend(found.into_iter().map(|(path, file)| (path, file.content)));
    }
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
    let secret = upload_certs::secret(&etcd, &contents, &key, owner.as_ref())
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
