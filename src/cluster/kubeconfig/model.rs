//! What stands in a kubeconfig: the part of its format that kubeadm writes, and that decisions look at.
//!
//! Fields are declared in alphabetical order, which is the order kubeadm's files have them in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A kubeconfig.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kubeconfig {
    /// `v1`.
    #[serde(rename = "apiVersion", default)]
    pub api_version: String,
    /// Clusters by name.
    #[serde(default)]
    pub clusters: Vec<NamedCluster>,
    /// Contexts by name.
    #[serde(default)]
    pub contexts: Vec<NamedContext>,
    /// Name of the context in use.
    #[serde(rename = "current-context", default)]
    pub current_context: String,
    /// `Config`.
    #[serde(default)]
    pub kind: String,
    /// Written, always empty, by releases before 1.34.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub preferences: Option<Preferences>,
    /// Users by name.
    #[serde(default)]
    pub users: Vec<NamedUser>,
}

/// Nothing: kubeadm never sets preferences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {}

/// A cluster and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCluster {
    /// How to reach it.
    pub cluster: Cluster,
    /// Its name.
    pub name: String,
}

/// How to reach a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cluster {
    /// Path of the file holding the authority.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate_authority: Option<String>,
    /// The authority as base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate_authority_data: Option<String>,
    /// URL of the API server.
    #[serde(default)]
    pub server: String,
    /// The name its certificate is checked for, where that is not the one in the URL.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls_server_name: Option<String>,
}

/// A context and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedContext {
    /// What it joins.
    pub context: Context,
    /// Its name.
    pub name: String,
}

/// A user in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace requests are for; the kubelet's own files have one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Name of the user.
    #[serde(default)]
    pub user: String,
}

/// A user and its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedUser {
    /// Its name.
    pub name: String,
    /// Its credentials; none of a file from which the secret ones were left out.
    #[serde(default, deserialize_with = "or_default")]
    pub user: User,
}

fn or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<User, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Credentials. `Debug` does not show the secret ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct User {
    /// Path of the file holding the client certificate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_certificate: Option<String>,
    /// The client certificate as base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_certificate_data: Option<String>,
    /// Path of the file holding the client key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_key: Option<String>,
    /// The client key as base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_key_data: Option<Secret>,
    /// A bearer token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<Secret>,
}

/// Text that is written to the file and nowhere else.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: SecretString) -> Self {
        Self(text)
    }

    /// The secret.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

impl Cluster {
    /// The embedded authority, decoded; `None` when there is none or it is not base64.
    pub fn ca_pem(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.certificate_authority_data.as_ref()?.trim()).ok()
    }
}

impl User {
    /// A client certificate and its key, embedded.
    pub fn certificate(certificate_pem: &str, key_pem: &Zeroizing<String>) -> Self {
        Self {
            client_certificate_data: Some(STANDARD.encode(certificate_pem)),
            client_key_data: Some(Secret(STANDARD.encode(key_pem.as_bytes()).into())),
            ..Self::default()
        }
    }

    /// A client key whose certificate is still to be had.
    pub fn key_alone(key_pem: &Zeroizing<String>) -> Self {
        Self {
            client_key_data: Some(Secret(STANDARD.encode(key_pem.as_bytes()).into())),
            ..Self::default()
        }
    }

    /// A bearer token.
    pub fn token(token: SecretString) -> Self {
        Self { token: Some(Secret(token)), ..Self::default() }
    }

    /// The embedded client key, decoded.
    pub fn key_pem(&self) -> Option<Zeroizing<Vec<u8>>> {
        STANDARD.decode(self.client_key_data.as_ref()?.expose().trim()).ok().map(Zeroizing::new)
    }

    /// The embedded client certificate, decoded.
    pub fn certificate_pem(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.client_certificate_data.as_ref()?.trim()).ok()
    }
}
