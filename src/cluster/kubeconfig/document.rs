//! Reading, writing and changing a kubeconfig. What changes one leaves all else as it was written.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::model::{Cluster, Context, Kubeconfig, NamedCluster, NamedContext, NamedUser, User};

/// No kubeconfig is larger; a bigger one is refused rather than parsed.
pub const MAX_BYTES: usize = 1 << 20;

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
                    tls_server_name: None,
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

    /// The file with another client certificate and key for the user of the context in use, and nothing else changed:
    /// not even what this module has no word for.
    pub fn with_client(
        content: &[u8],
        certificate_pem: &str,
        key_pem: &Zeroizing<String>,
    ) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let config = Self::parse(content)?;
        let user = config.current_user().ok_or("its current context names no user in it")?;
        let (Some(certificate), Some(key)) = (&user.client_certificate_data, &user.client_key_data)
        else {
            return Err("its user has no client certificate and key in it");
        };
        // Base64 stands on one line in what kubeadm and kubectl write; whatever else it is, it is unique.
        let text = std::str::from_utf8(content).map_err(|_| "it is not text")?;
        let split = |text, value: &str| -> Result<(usize, usize), &'static str> {
            let mut found = str::match_indices(text, value);
            match (found.next(), found.next()) {
                (Some((start, _)), None) if !value.is_empty() => Ok((start, start + value.len())),
                _ => Err("its client certificate and key cannot be told from the rest of it"),
            }
        };
        let new = User::certificate(certificate_pem, key_pem);
        let values = [
            (split(text, certificate)?, new.client_certificate_data.unwrap_or_default()),
            (split(text, key.expose())?, String::new()),
        ];
        let new_key = new.client_key_data.ok_or("there is no new key")?;
        let [first, second] = if values[0].0 < values[1].0 { [0, 1] } else { [1, 0] };
        // Sized up front, so that growing never leaves a copy of the key in freed memory.
        let size = text.len() + values[0].1.len() + new_key.expose().len();
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        let mut rest = 0;
        for index in [first, second] {
            let ((start, end), value) = &values[index];
            out.extend(&content[rest..*start]);
            out.extend(if index == 0 { value.as_bytes() } else { new_key.expose().as_bytes() });
            rest = *end;
        }
        out.extend(&content[rest..]);
        Ok(out)
    }

    /// Fills in what a kubeconfig lacks whose certificate was asked of an external authority: the cluster's authority, and
    /// the certificate once it is there.
    pub fn complete(&mut self, ca_pem: &[u8], certificate_pem: Option<&[u8]>) {
        let Some(context) = self.current().cloned() else { return };
        let clusters = self.clusters.iter_mut().filter(|it| it.name == context.cluster);
        for NamedCluster { cluster, .. } in clusters {
            if cluster.certificate_authority.is_none() {
                cluster.certificate_authority_data.get_or_insert_with(|| STANDARD.encode(ca_pem));
            }
        }
        for NamedUser { user, .. } in self.users.iter_mut().filter(|it| it.name == context.user) {
            if let (None, Some(pem)) = (&user.client_certificate_data, certificate_pem) {
                user.client_certificate_data = Some(STANDARD.encode(pem));
            }
        }
    }

    /// The cluster the context in use is for.
    pub fn current_cluster(&self) -> Option<&Cluster> {
        let name = &self.current()?.cluster;
        self.clusters.iter().find(|cluster| cluster.name == *name).map(|cluster| &cluster.cluster)
    }

    /// A kubeconfig of the context in use alone, where it embeds the authority and credentials.
    pub fn current_only(&self) -> Option<Self> {
        let context = self.current()?;
        let cluster = self.current_cluster()?;
        let user = self.current_user()?;
        let has_credentials = user.token.is_some()
            || user.client_certificate_data.is_some() && user.client_key_data.is_some();
        let ca = cluster.ca_pem().filter(|_| has_credentials)?;
        let (name, server) = (&context.cluster, &cluster.server);
        Some(Self::new(name, server, &ca, &context.user, user.clone()))
    }

    /// Names another server for every cluster, and the name that its certificate is checked for, if that is not in `url`.
    pub fn set_server(&mut self, url: &str, tls_server_name: Option<&str>) {
        for cluster in self.clusters.iter_mut().map(|named| &mut named.cluster) {
            cluster.server = url.to_owned();
            cluster.tls_server_name = tls_server_name.map(str::to_owned);
        }
    }

    /// Gives the cluster of the context in use another name; the context is named after it.
    pub fn rename_cluster(self, name: &str) -> Self {
        let (Some(cluster), Some(context), Some(user)) =
            (self.current_cluster(), self.current(), self.current_user())
        else {
            return self;
        };
        let mut renamed = Self::new(name, &cluster.server, &[], &context.user, user.clone());
        for named in &mut renamed.clusters {
            named.cluster = cluster.clone();
        }
        renamed.preferences = self.preferences;
        renamed
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

/// A file with another server for the cluster in use; `None` when it names that one already. All else stays as it is
/// written, what is unknown here too: only the one line that names the server is changed.
///
/// # Errors
/// Why it cannot be changed so. The reason never quotes the input.
pub(super) fn with_server(
    content: &[u8],
    server: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>, &'static str> {
    let config = Kubeconfig::parse(content)?;
    let old = &config.current_cluster().ok_or("its current context names no cluster in it")?.server;
    if old == server {
        return Ok(None);
    }
    let text = std::str::from_utf8(content).map_err(|_| "it is not text")?;
    // Sized up front, so that growing never leaves a copy of the key in freed memory.
    let mut changed = Zeroizing::new(Vec::with_capacity(text.len() + server.len() + 16));
    let mut lines = 0;
    for line in text.split_inclusive('\n') {
        let names_old = |(front, value): &(&str, &str)| {
            front.trim_start_matches([' ', '-']).is_empty()
                && value.trim().trim_matches(['"', '\'']) == old.as_str()
        };
        match line.split_once("server:").filter(names_old) {
            Some((front, _)) => {
                lines += 1;
                let end = if line.ends_with('\n') { "\n" } else { "" };
                [front, "server: ", server, end]
                    .iter()
                    .for_each(|part| changed.extend_from_slice(part.as_bytes()));
            }
            None => changed.extend_from_slice(line.as_bytes()),
        }
    }
    let names_new = Kubeconfig::parse(&changed)?
        .current_cluster()
        .is_some_and(|cluster| cluster.server == server);
    if lines == 1 && names_new { Ok(Some(changed)) } else { Err("no single line says its server") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::kubeconfig::Preferences;
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
    fn only_the_server_is_changed() {
        let text = String::from_utf8(sample().render().unwrap().to_vec()).unwrap();
        let unknown = text.replace("    server:", "    proxy-url: http://p # why\n    server:");
        let changed = with_server(unknown.as_bytes(), "https://[fd00::1]:6443").unwrap().unwrap();
        let expected = unknown.replace("https://10.0.0.1:6443", "https://[fd00::1]:6443");
        assert_eq!(String::from_utf8(changed.to_vec()).unwrap(), expected);
        assert!(with_server(text.as_bytes(), "https://10.0.0.1:6443").unwrap().is_none());
        let quoted = text.replace("https://10.0.0.1:6443", "'https://10.0.0.1:6443'");
        assert_eq!(
            *with_server(quoted.as_bytes(), "https://x:1").unwrap().unwrap(),
            text.replace("https://10.0.0.1:6443", "https://x:1").into_bytes()
        );
        // In flow style there is no such line, and with two clusters there may be two.
        let flow = text.replace(
            "    certificate-authority-data: Q0E=\n    server: https://10.0.0.1:6443\n",
            "    {certificate-authority-data: Q0E=, server: 'https://10.0.0.1:6443'}\n",
        );
        assert!(with_server(flow.as_bytes(), "https://x:1").is_err());
        let mut two = sample();
        two.clusters.push(NamedCluster { name: "b".to_owned(), ..two.clusters[0].clone() });
        assert!(with_server(&two.render().unwrap(), "https://x:1").is_err());
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

    #[test]
    fn a_new_client_certificate_changes_nothing_else() {
        let text = String::from_utf8(sample().render().unwrap().to_vec()).unwrap();
        let text = text.replace("    server:", "    tls-server-name: k8s # note\n    server:");
        let key = Zeroizing::new("NEW KEY".to_owned());
        let renewed = Kubeconfig::with_client(text.as_bytes(), "NEW CERT", &key).unwrap();
        let renewed = String::from_utf8(renewed.to_vec()).unwrap();
        let back =
            |text: &str| text.replace("TkVXIENFUlQ=", "Q0VSVA==").replace("TkVXIEtFWQ==", "S0VZ");
        assert_ne!(renewed, text);
        assert_eq!(back(&renewed), text);

        // Written the other way round.
        let swapped = text
            .replace("client-certificate-data: Q0VSVA==", "client-key-data: S0VZ-")
            .replace("client-key-data: S0VZ\n", "client-certificate-data: Q0VSVA==\n")
            .replace("S0VZ-", "S0VZ");
        let renewed = Kubeconfig::with_client(swapped.as_bytes(), "NEW CERT", &key).unwrap();
        assert_eq!(back(std::str::from_utf8(&renewed).unwrap()), swapped);

        let mut file = sample();
        file.use_client_file("/x.pem");
        assert!(Kubeconfig::with_client(&file.render().unwrap(), "C", &key).is_err());
        let twice = text.replace("server: https://10.0.0.1:6443", "server: S0VZ");
        assert!(Kubeconfig::with_client(twice.as_bytes(), "C", &key).is_err());
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
