//! `certs check-expiration`: when the certificates of a host expire. Reads certificates only, never keys.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, UtcOffset};

use super::places::{self, Form, Place, pki_path};
use crate::cluster::kubeconfig::{Kubeconfig, User};
use crate::inventory::Role;
use crate::node::{Node, NodeError, PublicPart};
use crate::pki::{AuthorityName, Certificate, residual};

/// Files of a host by path, as far as they are no secret.
pub type Files = BTreeMap<String, PublicPart>;

/// A certificate as it was found, or not, on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// kubeadm's name of it.
    pub name: &'static str,
    /// The file it is in.
    pub path: String,
    /// It is an authority itself.
    pub is_authority: bool,
    /// The authority's name; `None` for a certificate that signs itself, or that another authority has signed.
    pub authority: Option<&'static str>,
    /// The authority's key is not on the host. `None` on hosts that never have it.
    pub external: Option<bool>,
    /// What is known of it.
    pub state: State,
}

/// What is known of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is not there.
    Missing,
    /// It is there and cannot be read, because of this.
    Unreadable(String),
    /// It is there.
    Valid {
        /// End of its validity.
        until: OffsetDateTime,
    },
}

impl Found {
    /// Time left; negative when it has expired.
    pub fn left(&self, now: OffsetDateTime) -> Option<Duration> {
        match self.state {
            State::Valid { until } => Some(until - now),
            State::Missing | State::Unreadable(_) => None,
        }
    }

    /// The certificate is of no use, or will not be for so much longer.
    pub fn is_due(&self, now: OffsetDateTime, within: Duration) -> bool {
        match self.left(now) {
            Some(left) => left <= within,
            None => matches!(self.state, State::Unreadable(_)),
        }
    }

    /// What programs are told of it.
    pub fn to_json(&self, host: &str, now: OffsetDateTime) -> Value {
        let until = match self.state {
            // Fails only for years beyond what a certificate can say.
            State::Valid { until } => until.to_offset(UtcOffset::UTC).format(&Rfc3339).ok(),
            _ => None,
        };
        json!({
            "host": host,
            "name": self.name,
            "path": self.path,
            "is_authority": self.is_authority,
            "authority": self.authority,
            "externally_managed": self.external,
            "missing": self.state == State::Missing,
            "error": match &self.state {
                State::Unreadable(reason) => Some(reason),
                _ => None,
            },
            "expires": until,
            "residual_seconds": self.left(now).map(|left| left.whole_seconds()),
        })
    }

    /// kubeadm's columns, but for what is above a leaf: name, end, time left.
    pub fn cells(&self, now: OffsetDateTime) -> [String; 3] {
        let format = format_description!("[month repr:short] [day], [year] [hour]:[minute] UTC");
        let name = self.name;
        match &self.state {
            State::Missing => [format!("!MISSING! {name}"), String::new(), String::new()],
            State::Unreadable(reason) => {
                [format!("!UNREADABLE! {name}"), reason.clone(), String::new()]
            }
            State::Valid { until } => [
                name.to_owned(),
                until.to_offset(UtcOffset::UTC).format(format).unwrap_or_default(),
                residual(*until - now),
            ],
        }
    }
}

/// Look at the certificates of a host. `configured` is the kubelet's tlsCertFile, where the inventory says one.
///
/// # Errors
/// What the host said.
pub async fn gather(
    node: &Node,
    role: Role,
    configured: Option<&str>,
) -> Result<Vec<Found>, NodeError> {
    let paths = places::to_read(role, configured);
    let mut files = node.read_public(&paths.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    // A kubelet may keep its certificate elsewhere.
    if let Some(path) = kubelet_client_file(&files)
        && !paths.contains(&path)
    {
        files.extend(node.read_public(&[&path]).await?);
    }
    Ok(examine(&files, role, configured))
}

/// The file that kubelet.conf names for the client certificate.
pub fn kubelet_client_file(files: &Files) -> Option<String> {
    let part = files.get(&places::kubelet_client().path)?;
    let config = Kubeconfig::parse(&part.content).ok()?;
    config.current_user()?.client_certificate.clone()
}

/// The certificates that a host has, and those it lacks, by name. Nothing for a host that has none of its role's files.
fn examine(files: &Files, role: Role, configured: Option<&str>) -> Vec<Found> {
    let authority = |name: AuthorityName| files.get(&format!("{}.crt", pki_path(name.base())));
    let external = |name: AuthorityName| {
        let key = format!("{}.key", pki_path(name.base()));
        (role != Role::Worker && authority(name).is_some()).then(|| !files.contains_key(&key))
    };
    let components = places::of_components(role);
    // Where etcd is not on the control plane, its certificates are not missed there.
    let stacked = components.iter().any(|place| {
        place.authority == Some(AuthorityName::Etcd) && files.contains_key(&place.path)
    });
    let is_expected = |place: &Place| match place.authority {
        Some(AuthorityName::Etcd) => stacked,
        // Only the control plane that was set up first has one.
        _ => place.name != "super-admin.conf" || files.contains_key(&place.path),
    };
    let member = components.iter().any(|place| files.contains_key(&place.path));
    let mut found: Vec<Found> = components
        .iter()
        .filter(|place| member && is_expected(place))
        .map(|place| Found {
            name: place.name,
            path: place.path.clone(),
            is_authority: place.form == Form::Authority,
            authority: place.authority.map(places::name_of),
            external: place.authority.and_then(external),
            state: state(files, place),
        })
        .collect();
    let client = places::kubelet_client();
    if files.contains_key(&client.path) {
        found.push(Found {
            name: client.name,
            path: kubelet_client_file(files).unwrap_or_else(|| client.path.clone()),
            is_authority: false,
            authority: client.authority.map(places::name_of),
            external: external(AuthorityName::Kubernetes),
            state: state(files, &client),
        });
        found.extend(serving(files, configured, external(AuthorityName::Kubernetes)));
    }
    found.sort_by_key(|one| (one.is_authority, one.name));
    found
}

/// The certificate a kubelet serves with.
fn serving(files: &Files, configured: Option<&str>, external: Option<bool>) -> Option<Found> {
    let places = places::kubelet_serving(configured);
    let place = places.iter().find(|place| files.contains_key(&place.path))?;
    let chain = Certificate::from_pem(&files[&place.path].content);
    let authority = files.get(&format!("{}.crt", pki_path(AuthorityName::Kubernetes.base())));
    let authority = authority.and_then(|part| first(&part.content).ok());
    let signed = match (&chain, &authority) {
        (Ok(chain), Some(authority)) => {
            chain.first().is_some_and(|leaf| leaf.is_signed_by(authority))
        }
        _ => false,
    };
    Some(Found {
        name: place.name,
        path: place.path.clone(),
        is_authority: false,
        authority: signed.then(|| places::name_of(AuthorityName::Kubernetes)),
        external: signed.then_some(external).flatten(),
        state: state(files, place),
    })
}

fn state(files: &Files, place: &Place) -> State {
    let Some(part) = files.get(&place.path) else { return State::Missing };
    let certificate = match place.form {
        Form::Authority | Form::Leaf => first(&part.content),
        Form::Kubeconfig => of_kubeconfig(files, &part.content),
    };
    match certificate {
        Ok(certificate) => State::Valid { until: certificate.not_after },
        Err(reason) => State::Unreadable(reason),
    }
}

fn of_kubeconfig(files: &Files, content: &[u8]) -> Result<Certificate, String> {
    let config = Kubeconfig::parse(content)?;
    let user = config.current_user().ok_or("its current context names no user in it")?;
    match (&user.client_certificate, User::certificate_pem(user)) {
        (_, Some(pem)) => first(&pem),
        (Some(path), None) => match files.get(path) {
            Some(part) => first(&part.content),
            None => Err(format!("{path} is missing")),
        },
        (None, None) => Err("it has no client certificate".to_owned()),
    }
}

fn first(pem: &[u8]) -> Result<Certificate, String> {
    Certificate::from_pem(pem).map(|mut chain| chain.swap_remove(0))
}

#[cfg(test)]
mod tests;
