//! `certs generate-csr`: keys and signing requests for all certificates of a control plane, in kubeadm's file layout,
//! for an authority whose key is elsewhere. Nothing is put on hosts.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::cluster::kubeconfig::{Kubeconfig, User, Workflow, specs};
use crate::phases::init::certs;
use crate::phases::{Context, PhaseError};
use crate::pki::{AltNames, CERTIFICATES, Kind, PrivateKey, Requirements, request};

/// A certificate to be asked for.
pub struct Request {
    /// The key's file: `pki/apiserver.key`, or a kubeconfig as `admin.conf`. Relative to the host's directory.
    pub key: PathBuf,
    /// The request's file.
    pub csr: PathBuf,
    common_name: String,
    organization: Option<&'static str>,
    alt_names: AltNames,
    /// For a kubeconfig: the cluster's name, and its server.
    kubeconfig: Option<(String, String)>,
}

impl Request {
    /// What the key's file holds for a new key.
    ///
    /// # Errors
    /// The kubeconfig cannot be written as YAML.
    pub fn key_file(
        &self,
        key: &PrivateKey,
        ca_pem: Option<&[u8]>,
    ) -> Result<Zeroizing<Vec<u8>>, PhaseError> {
        let Some((cluster, server)) = &self.kubeconfig else {
            return Ok(Zeroizing::new(key.pem().as_bytes().to_vec()));
        };
        let mut config = Kubeconfig::new(
            cluster,
            server,
            ca_pem.unwrap_or_default(),
            &self.common_name,
            User::key_alone(key.pem()),
        );
        if ca_pem.is_none() {
            config.clusters.iter_mut().for_each(|it| it.cluster.certificate_authority_data = None);
        }
        config.render().map_err(|reason| self.unusable(reason))
    }

    /// The key in a file that was made before.
    ///
    /// # Errors
    /// There is none in it.
    pub fn read_key(&self, content: &[u8]) -> Result<PrivateKey, PhaseError> {
        let pem = match &self.kubeconfig {
            None => Zeroizing::new(content.to_vec()),
            Some(_) => Kubeconfig::parse(content)
                .map_err(|reason| self.unusable(reason))?
                .current_user()
                .and_then(User::key_pem)
                .ok_or_else(|| self.unusable("its user has no key in it"))?,
        };
        PrivateKey::from_pem(&pem).map_err(|reason| self.unusable(reason))
    }

    /// The request for a key, in PEM.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn csr_file(&self, key: &PrivateKey) -> Result<String, PhaseError> {
        Ok(request(&self.common_name, self.organization, &self.alt_names, key)?)
    }

    fn unusable(&self, reason: &str) -> PhaseError {
        PhaseError::Local(format!(
            "{}: {reason}; remove it to have it made anew",
            self.key.display()
        ))
    }
}

/// What a control plane needs, in kubeadm's order. The host is asked only for what the inventory does not say.
///
/// # Errors
/// The host has to be asked for its address, and cannot be.
pub async fn of_host(context: &Context) -> Result<Vec<Request>, PhaseError> {
    let cluster = context.run.cluster();
    let requirements = certs::requirements(context, certs::purpose(context)).await?;
    let (mut requests, rejected) = of_pki(&requirements);
    for name in rejected {
        context.warn(format!("`{name}` is neither a DNS name nor an IP address, and is left out"));
    }
    let profile = cluster.release.kubeconfig_profile();
    let urls = (
        cluster.control_plane_url(requirements.advertise_address),
        cluster.local_endpoint_url(requirements.advertise_address),
    );
    for spec in specs(&profile, Workflow::Init, &context.host().name) {
        let server = match spec.server {
            crate::cluster::kubeconfig::Server::ControlPlane => urls.0.clone(),
            crate::cluster::kubeconfig::Server::Local => urls.1.clone(),
        };
        requests.push(Request {
            key: spec.file.into(),
            csr: format!("{}.csr", spec.file).into(),
            common_name: spec.user,
            organization: spec.organization,
            alt_names: AltNames::default(),
            kubeconfig: Some((cluster.section.name.clone(), server)),
        });
    }
    Ok(requests)
}

fn of_pki(requirements: &Requirements) -> (Vec<Request>, Vec<String>) {
    let mut all_rejected = Vec::new();
    let mut requests = Vec::new();
    for spec in CERTIFICATES {
        let Kind::Leaf { common_name, organization, sans, .. } = spec.kind else { continue };
        let (alt_names, rejected) = requirements.alt_names(sans);
        all_rejected.extend(rejected);
        let base = Path::new("pki").join(spec.base);
        requests.push(Request {
            key: base.with_extension("key"),
            csr: base.with_extension("csr"),
            common_name: common_name.unwrap_or(&requirements.node_name).to_owned(),
            organization: organization(&requirements.profile),
            alt_names,
            kubeconfig: None,
        });
    }
    all_rejected.sort();
    all_rejected.dedup();
    (requests, all_rejected)
}
