//! The kubeconfig document: the part of its format that kubeadm writes, and that decisions look at.
//!
//! Fields are declared in alphabetical order, which is the order kubeadm's files have them in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// No kubeconfig is larger; a bigger one is refused rather than parsed.
const MAX_BYTES: usize = 1 << 20;

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
    /// Its credentials.
    pub user: User,
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

impl Kubeconfig {
    /// One cluster, one user, and the context `user@cluster` in use.
    pub fn new(
        cluster_name: &str,
        server: &str,
        ca_pem: &[u8],
        user_name: &str,
        user: User,
    ) -> Self {
        let context = format!("{user_name}@{cluster_name}");
        Self {
            api_version: "v1".to_owned(),
            clusters: vec![NamedCluster {
                cluster: Cluster {
                    certificate_authority: None,
                    certificate_authority_data: Some(STANDARD.encode(ca_pem)),
                    server: server.to_owned(),
                },
                name: cluster_name.to_owned(),
            }],
            contexts: vec![NamedContext {
                context: Context {
                    cluster: cluster_name.to_owned(),
                    namespace: None,
                    user: user_name.to_owned(),
                },
                name: context.clone(),
            }],
            current_context: context,
            kind: "Config".to_owned(),
            preferences: None,
            users: vec![NamedUser { name: user_name.to_owned(), user }],
        }
    }

    /// Reads a file a host has. The reason for refusal never quotes the input.
    pub fn parse(input: &[u8]) -> Result<Self, &'static str> {
        if input.len() > MAX_BYTES {
            return Err("it is larger than 1 MiB");
        }
        let text = std::str::from_utf8(input).map_err(|_| "it is not text")?;
        // The parser's own message shows the line, and the line may be a key.
        serde_saphyr::from_str(text).map_err(|_| "it is not a kubeconfig in YAML")
    }

    /// The file's content.
    pub fn render(&self) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        // Sized up front, so that growing never leaves a copy of the key in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
        // Long base64 stays on its line.
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_fmt_writer_with_options(&mut *text, self, options)
            .map_err(|_| "the kubeconfig cannot be written as YAML")?;
        Ok(Zeroizing::new(text.as_bytes().to_vec()))
    }

    /// The cluster the context in use is for.
    pub fn current_cluster(&self) -> Option<&Cluster> {
        let name = &self.current()?.cluster;
        self.clusters.iter().find(|cluster| cluster.name == *name).map(|cluster| &cluster.cluster)
    }

    /// The user of the context in use.
    pub fn current_user(&self) -> Option<&User> {
        let name = &self.current()?.user;
        self.users.iter().find(|user| user.name == *name).map(|user| &user.user)
    }

    /// Lets the user of the context in use take certificate and key from this file (kubelet-finalize:
    /// the kubelet rotates its certificate there). False when there is no such user; nothing changes
    /// when it is so already.
    pub fn use_client_file(&mut self, path: &str) -> bool {
        let Some(name) = self.current().map(|context| context.user.clone()) else { return false };
        let Some(user) = self.users.iter_mut().find(|user| user.name == name) else { return false };
        user.user = User {
            client_certificate: Some(path.to_owned()),
            client_key: Some(path.to_owned()),
            ..User::default()
        };
        true
    }

    fn current(&self) -> Option<&Context> {
        self.contexts
            .iter()
            .find(|context| context.name == self.current_context)
            .map(|context| &context.context)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Kubeconfig {
        let user = User::certificate("CERT", &Zeroizing::new("KEY".to_owned()));
        Kubeconfig::new("prod", "https://10.0.0.1:6443", b"CA", "kubernetes-admin", user)
    }

    #[test]
    fn looks_as_kubeadm_writes_it() {
        let mut config = sample();
        config.preferences = Some(Preferences {});
        let text = String::from_utf8(config.render().unwrap().to_vec()).unwrap();
        insta::assert_snapshot!(text, @r"
        apiVersion: v1
        clusters:
        - cluster:
            certificate-authority-data: Q0E=
            server: https://10.0.0.1:6443
          name: prod
        contexts:
        - context:
            cluster: prod
            user: kubernetes-admin
          name: kubernetes-admin@prod
        current-context: kubernetes-admin@prod
        kind: Config
        preferences: {}
        users:
        - name: kubernetes-admin
          user:
            client-certificate-data: Q0VSVA==
            client-key-data: S0VZ
        ");
    }

    #[test]
    fn the_client_file_replaces_embedded_credentials() {
        let mut config = sample();
        assert!(config.use_client_file("/x.pem"));
        let user = config.current_user().unwrap();
        assert_eq!(user.client_certificate.as_deref(), Some("/x.pem"));
        assert!(user.client_key_data.is_none() && user.client_certificate_data.is_none());
        config.current_context = "other".to_owned();
        assert!(!config.use_client_file("/y.pem"));
    }

    #[test]
    fn secrets_stay_out_of_debug_and_errors() {
        let user = User::token("abcdef.0123456789abcdef".to_owned().into());
        let config = Kubeconfig::new("c", "s", b"", "u", user);
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
        assert!(!format!("{:?}", sample()).contains("S0VZ"));
        let error = Kubeconfig::parse(b"users: [{name: 1, user: {token: [secret]}}]").unwrap_err();
        assert!(!error.contains("secret"));
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Kubeconfig::parse(&input);
        }
    }

    #[test]
    fn round_trip() {
        let read = Kubeconfig::parse(&sample().render().unwrap()).unwrap();
        assert_eq!(read.current_cluster().unwrap().ca_pem().unwrap(), b"CA");
        assert_eq!(read.current_user().unwrap().client_key_data.as_ref().unwrap().expose(), "S0VZ");
    }
}
