//! bootstrap-token: tokens as Secrets, and what their holders may do.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::rbac::{Subject, cluster_role, cluster_role_binding};
use super::{BOOTSTRAPPERS, KUBE_SYSTEM, NODES};
use crate::kubernetes::object::{Kind, Object, ObjectKey};

const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;
/// What the groups of a token's holder begin with.
const GROUP_PREFIX: &str = "system:bootstrappers:";

/// Description of the tokens fleetadm makes for itself: tells people where one comes from that a crashed run left.
pub const RUN_TOKEN_DESCRIPTION: &str = "created by fleetadm for one run";

/// The type of a token's Secret.
pub const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";

/// Not a bootstrap token. Does not repeat the text: it may be most of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a bootstrap token: expected six characters, a dot, and sixteen, of a to z and 0 to 9")]
pub struct InvalidToken;

/// The system's random source failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random source failed")]
pub struct NoRandomness;

/// `id.secret`. The id is public; Debug and Display show nothing else.
#[derive(Clone)]
pub struct BootstrapToken {
    id: String,
    secret: SecretString,
}

impl BootstrapToken {
    /// A new random token.
    pub fn generate() -> Result<Self, NoRandomness> {
        let id = random_text(ID_LENGTH)?;
        let secret = random_text(SECRET_LENGTH)?;
        Ok(Self { id: id.to_string(), secret: SecretString::from(secret.as_str()) })
    }

    /// The public part.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret part.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// The whole token, for a bootstrap kubeconfig or a join command.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}.{}", self.id, self.secret.expose_secret()))
    }

    /// Where the token's Secret is.
    pub fn key(&self) -> ObjectKey {
        secret_key(&self.id)
    }
}

impl fmt::Debug for BootstrapToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootstrapToken({}.<withheld>)", self.id)
    }
}

impl FromStr for BootstrapToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (id, secret) = text.split_once('.').ok_or(InvalidToken)?;
        if !is_token_id(id) || !is_word(secret, SECRET_LENGTH) {
            return Err(InvalidToken);
        }
        Ok(Self { id: id.to_owned(), secret: SecretString::from(secret) })
    }
}

/// True for the public part of a token.
pub fn is_token_id(text: &str) -> bool {
    is_word(text, ID_LENGTH)
}

/// Whether a token's holder may be of this group: the API server's rule.
pub fn is_bootstrap_group(text: &str) -> bool {
    let is_alphanumeric = |byte: u8| ALPHABET.contains(&byte);
    text.strip_prefix(GROUP_PREFIX).and_then(|rest| rest.as_bytes().split_last()).is_some_and(
        |(last, rest)| {
            is_alphanumeric(*last)
                && rest.len() <= 255
                && rest.iter().all(|byte| is_alphanumeric(*byte) || b":-".contains(byte))
        },
    )
}

fn is_word(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Where the Secret of the token with this id is.
pub fn secret_key(id: &str) -> ObjectKey {
    ObjectKey::namespaced(Kind::Secret, KUBE_SYSTEM, &format!("bootstrap-token-{id}"))
}

/// Each character is equally likely: bytes that would favour some are thrown away.
fn random_text(length: usize) -> Result<Zeroizing<String>, NoRandomness> {
    let fair = u8::MAX - u8::MAX % 36;
    let mut text = Zeroizing::new(String::with_capacity(length));
    let mut bytes = Zeroizing::new([0u8; 32]);
    while text.len() < length {
        rand::fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
        let fair_bytes = bytes.iter().filter(|byte| **byte < fair);
        for byte in fair_bytes.take(length - text.len()) {
            text.push(char::from(ALPHABET[usize::from(byte % 36)]));
        }
    }
    Ok(text)
}

/// What a token is for and how long it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOptions {
    /// For people.
    pub description: Option<String>,
    /// `None` lives for ever.
    pub expires: Option<OffsetDateTime>,
    /// cluster-info is signed with it.
    pub signing: bool,
    /// Its holder may log in.
    pub authentication: bool,
    /// Groups of its holder.
    pub groups: Vec<String>,
}

impl TokenOptions {
    /// kubeadm's defaults: signing and authentication, the default group.
    pub fn joining(expires: Option<OffsetDateTime>) -> Self {
        Self {
            description: None,
            expires,
            signing: true,
            authentication: true,
            groups: vec![BOOTSTRAPPERS.to_owned()],
        }
    }

    /// A token for joins of this run, marked as ours.
    pub fn for_one_run(expires: OffsetDateTime) -> Self {
        Self { description: Some(RUN_TOKEN_DESCRIPTION.to_owned()), ..Self::joining(Some(expires)) }
    }

    /// A token good for nothing but to own kubeadm-certs: when it expires, that Secret goes with it.
    pub fn owning_certificates(expires: OffsetDateTime) -> Self {
        Self {
            description: Some("Proxy for managing TTL for the kubeadm-certs secret".to_owned()),
            expires: Some(expires),
            signing: false,
            authentication: false,
            groups: Vec::new(),
        }
    }
}

/// The token as a Secret.
pub fn secret(token: &BootstrapToken, options: &TokenOptions) -> Object {
    let mut data = Map::new();
    let mut put = |name: &str, value: &str| {
        data.insert(name.to_owned(), STANDARD.encode(value).into());
    };
    put("token-id", token.id());
    put("token-secret", token.secret().expose_secret());
    if let Some(description) = &options.description {
        put("description", description);
    }
    // A date that cannot be written as RFC 3339 (a year beyond 9999) is as good as never.
    if let Some(expires) = options.expires.and_then(rfc3339) {
        put("expiration", &expires);
    }
    if options.signing {
        put("usage-bootstrap-signing", "true");
    }
    if options.authentication {
        put("usage-bootstrap-authentication", "true");
    }
    if !options.groups.is_empty() {
        put("auth-extra-groups", &options.groups.join(","));
    }
    Object::new(token.key(), json!({"type": SECRET_TYPE, "data": data}))
}

fn rfc3339(moment: OffsetDateTime) -> Option<String> {
    let utc = moment.to_offset(time::UtcOffset::UTC);
    utc.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

/// Roles and bindings that let a token's holder join, and a kubelet renew its certificate.
///
/// `apiserver_kubelet_client`: the release (1.36 and later) whose API server's kubelet client is an
/// ordinary user that needs a binding.
pub fn rbac(apiserver_kubelet_client: bool) -> Vec<Object> {
    const SIGNING: &str = "system:certificates.k8s.io:certificatesigningrequests";
    let joining = Subject::Group(BOOTSTRAPPERS);
    let get_nodes = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]);
    let mut objects = vec![
        cluster_role("kubeadm:get-nodes", get_nodes),
        cluster_role_binding("kubeadm:get-nodes", "kubeadm:get-nodes", joining),
        cluster_role_binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", joining),
        cluster_role_binding(
            "kubeadm:node-autoapprove-bootstrap",
            &format!("{SIGNING}:nodeclient"),
            joining,
        ),
        cluster_role_binding(
            "kubeadm:node-autoapprove-certificate-rotation",
            &format!("{SIGNING}:selfnodeclient"),
            Subject::Group(NODES),
        ),
    ];
    if apiserver_kubelet_client {
        objects.push(cluster_role_binding(
            "kubeadm:apiserver-kubelet-client",
            "system:kubelet-api-admin",
            Subject::User("kube-apiserver-kubelet-client"),
        ));
    }
    objects
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn generated_tokens_are_well_formed_and_differ() {
        let one = BootstrapToken::generate().unwrap();
        let two = BootstrapToken::generate().unwrap();
        assert!(one.expose().parse::<BootstrapToken>().is_ok());
        assert_ne!(one.expose(), two.expose());
    }

    #[test]
    fn the_secret_part_is_never_printed() {
        let token: BootstrapToken = "abcdef.0123456789abcdef".parse().unwrap();
        assert_eq!(format!("{token:?}"), "BootstrapToken(abcdef.<withheld>)");
        assert_eq!(token.expose().as_str(), "abcdef.0123456789abcdef");
    }

    #[test]
    fn malformed_tokens_are_refused() {
        for text in
            ["", "abcdef", "abcdeF.0123456789abcdef", "abcdef.0123", "abcdefg.0123456789abcdef"]
        {
            assert_eq!(text.parse::<BootstrapToken>().unwrap_err(), InvalidToken, "{text}");
        }
    }

    #[test]
    fn groups_of_bootstrappers() {
        let long = format!("system:bootstrappers:{}", "a".repeat(256));
        for group in [BOOTSTRAPPERS, "system:bootstrappers:x", "system:bootstrappers::-9", &long] {
            assert!(is_bootstrap_group(group), "{group}");
        }
        let longer = format!("{long}a");
        for group in
            ["", "system:masters", "system:bootstrappers:", "system:bootstrappers:a-", &longer]
        {
            assert!(!is_bootstrap_group(group), "{group}");
        }
        assert!(!is_bootstrap_group("system:bootstrappers:A,b"));
    }

    #[test]
    fn a_token_becomes_a_secret() {
        let token: BootstrapToken = "abcdef.0123456789abcdef".parse().unwrap();
        let expires = datetime!(2026-11-24 12:05:29.5 +2);
        let object = secret(&token, &TokenOptions::for_one_run(expires));
        let text = |name: &str| {
            let value = object.body()["data"][name].as_str().unwrap();
            String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
        };
        assert_eq!(object.key().to_string(), "Secret kube-system/bootstrap-token-abcdef");
        assert_eq!(text("expiration"), "2026-11-24T10:05:29Z");
        assert_eq!(text("description"), RUN_TOKEN_DESCRIPTION);
        assert_eq!(text("auth-extra-groups"), BOOTSTRAPPERS);
        assert_eq!(text("usage-bootstrap-signing"), "true");
    }

    #[test]
    fn the_owner_token_can_do_nothing() {
        let token: BootstrapToken = "abcdef.0123456789abcdef".parse().unwrap();
        let options = TokenOptions::owning_certificates(datetime!(2026-11-24 10:00 UTC));
        let object = secret(&token, &options);
        let names: Vec<_> = object.body()["data"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["description", "expiration", "token-id", "token-secret"]);
    }
}
