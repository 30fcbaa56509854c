//! Kubeconfigs for people: the administrator's, and those of named users. The authority's key is read from a control plane
//! to sign a certificate, and stays in memory.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::cluster::kubeconfig::{self, Kubeconfig, User};
use crate::cluster::spec::CERTIFICATES_DIRECTORY;
use crate::phases::control_plane::{CA_PATH, KUBERNETES_DIRECTORY};
use crate::phases::{PhaseError, Run};
use crate::pki::{self, Algorithm, Authority, Certificate, ClientCertificate, KeyPool, PrivateKey};

/// A user that has no kubeconfig yet.
#[derive(Debug)]
pub struct NamedUser {
    /// The common name of its certificate, and the name of its entry.
    pub name: String,
    /// What it logs in with.
    pub credential: Credential,
}

/// What a user logs in with.
#[derive(Debug)]
pub enum Credential {
    /// A client certificate that is made for it.
    Certificate {
        /// The user's groups.
        organizations: Vec<String>,
        /// From now on.
        validity: Duration,
    },
    /// A bearer token that somebody else has made.
    Token(SecretString),
}

/// The administrator's kubeconfig, as the control plane has it, and what the operator should know about it.
///
/// # Errors
/// The host cannot be reached, or has none that can be used.
pub async fn admin(run: &Arc<Run>) -> Result<(Kubeconfig, Vec<String>), PhaseError> {
    let path = format!("{KUBERNETES_DIRECTORY}/admin.conf");
    let mut files = run.control_plane().files(run, &[&path]).await?;
    let Some(file) = files.remove(&path) else {
        return Err(PhaseError::State(format!(
            "{} has no {path}: it is no control plane yet (run `fleetadm apply` or `fleetadm init`), or the file was \
             taken away; `fleetadm init phase kubeconfig/admin` makes it anew",
            run.control_plane().name(),
        )));
    };
    let unusable =
        |reason: &'static str| kubeconfig::Error::Unreadable { file: path.clone(), reason };
    let found = Kubeconfig::parse(&file.content).map_err(unusable)?;
    let config = found.current_only().ok_or_else(|| {
        unusable("its current context names no cluster and user in it that embed what they need")
    })?;
    let chain = config.current_user().and_then(User::certificate_pem);
    let chain = chain.and_then(|pem| Certificate::from_pem(&pem).ok()).unwrap_or_default();
    let warning = chain.first().and_then(|leaf| pki::validity_warning(&path, leaf, run.started()));
    Ok((config, warning.into_iter().collect()))
}

/// A kubeconfig for `user`. Its certificate is made now, unless `present` has one that is as wanted and has at least half
/// of its time left.
///
/// # Errors
/// The host cannot be reached, the cluster's authority is external, or its files cannot be used.
pub async fn named(
    run: &Arc<Run>,
    user: &NamedUser,
    present: Option<User>,
) -> Result<(Kubeconfig, Vec<String>), PhaseError> {
    let control_plane = run.control_plane();
    let cluster = run.cluster();
    let server = cluster.control_plane_url(control_plane.advertise_address(run).await?);
    let name = &cluster.section.name;
    match &user.credential {
        Credential::Token(token) => {
            let ca = control_plane.ca(run).await?;
            let config = Kubeconfig::new(name, &server, ca, &user.name, User::token(token.clone()));
            Ok((config, Vec::new()))
        }
        Credential::Certificate { organizations, validity } => {
            let authority = authority(run).await?;
            let organizations: Vec<&str> = organizations.iter().map(String::as_str).collect();
            let validity = time::Duration::try_from(*validity)
                .map_err(|_| PhaseError::Local("the validity is beyond the calendar".to_owned()))?;
            let client = ClientCertificate {
                common_name: &user.name,
                organizations: &organizations,
                validity,
            };
            let end = run.started().checked_add(validity);
            let outlived = end.is_none_or(|end| end > authority.certificate.not_after);
            let warning = outlived.then(|| {
                format!(
                    "the certificate is good only until {}, when the cluster's authority ends",
                    authority.certificate.not_after.date()
                )
            });
            if let Some(user) = present.filter(|user| {
                kubeconfig::is_fresh(user, &client, &authority.certificate, run.started())
            }) {
                let ca = authority.certificate.pem();
                let config =
                    Kubeconfig::new(name, &server, ca.as_bytes(), client.common_name, user);
                return Ok((config, warning.into_iter().collect()));
            }
            let config = kubeconfig::client_config(
                name,
                &server,
                &client,
                &authority,
                &cluster.release.pki_profile(),
                run.started(),
                &mut KeyPool::new(Algorithm::Rsa2048),
            )?;
            Ok((config, warning.into_iter().collect()))
        }
    }
}

/// The cluster's authority with its key.
async fn authority(run: &Arc<Run>) -> Result<Authority, PhaseError> {
    let control_plane = run.control_plane();
    let key_path = format!("{CERTIFICATES_DIRECTORY}/ca.key");
    let mut files = control_plane.files(run, &[CA_PATH, &key_path]).await?;
    let host = control_plane.name();
    let unusable =
        |path: &str, reason: &str| PhaseError::State(format!("{host}: {path}: {reason}"));
    let Some(certificate) = files.remove(CA_PATH) else {
        return Err(PhaseError::State(format!(
            "{host} has no {CA_PATH}: it is no control plane yet; run `fleetadm apply` or `fleetadm init`"
        )));
    };
    let Some(key) = files.remove(&key_path) else {
        return Err(PhaseError::State(format!(
            "the cluster's authority is external: {host} has no {key_path} to sign a certificate with; have whoever \
             holds it sign one, or use --token"
        )));
    };
    let chain =
        Certificate::from_pem(&certificate.content).map_err(|reason| unusable(CA_PATH, &reason))?;
    let certificate =
        chain.into_iter().next().ok_or_else(|| unusable(CA_PATH, "it holds no certificate"))?;
    let key = PrivateKey::from_pem(&key.content).map_err(|reason| unusable(&key_path, reason))?;
    Ok(Authority { certificate, key: Some(key) })
}
