//! Bootstrap tokens in the cluster: made, listed, deleted.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::{Zeroize as _, Zeroizing};

use super::client::{ApiClient, Selector};
use super::error::ApiError;
use super::object::Kind;
use super::objects::KUBE_SYSTEM;
use super::objects::bootstrap_token::{
    BootstrapToken, SECRET_TYPE, TokenOptions, secret, secret_key,
};
use crate::cluster::wipe;

/// What kubeadm prints for a token that never expires, in place of the time left and of the moment.
const ENDLESS: (&str, &str) = ("<forever>", "<never>");
/// What kubeadm prints for nothing.
const NONE: &str = "<none>";

/// A token as the cluster has it.
#[derive(Debug)]
pub struct LiveToken {
    /// The token, with its secret.
    pub token: BootstrapToken,
    /// What it is for and how long it lives.
    pub options: TokenOptions,
}

impl LiveToken {
    /// A live token Secret; `None` when it is malformed. The caller wipes the Secret.
    pub fn from_secret(secret: &Value) -> Option<Self> {
        let text = |name: &str| {
            let bytes = STANDARD.decode(secret["data"][name].as_str()?).ok()?;
            match String::from_utf8(bytes) {
                Ok(text) => Some(text),
                Err(error) => {
                    error.into_bytes().zeroize();
                    None
                }
            }
        };
        let secret = Zeroizing::new(text("token-secret")?);
        let whole = Zeroizing::new(format!("{}.{}", text("token-id")?, secret.as_str()));
        let flag = |name: &str| text(name).as_deref() == Some("true");
        let expires = match text("expiration") {
            None => None,
            Some(moment) => Some(OffsetDateTime::parse(&moment, &Rfc3339).ok()?),
        };
        let groups = text("auth-extra-groups").unwrap_or_default();
        Some(Self {
            token: whole.parse().ok()?,
            options: TokenOptions {
                description: text("description"),
                expires,
                signing: flag("usage-bootstrap-signing"),
                authentication: flag("usage-bootstrap-authentication"),
                groups: groups
                    .split(',')
                    .filter(|group| !group.is_empty())
                    .map(str::to_owned)
                    .collect(),
            },
        })
    }

    /// The cells of kubeadm's table: TOKEN, TTL, EXPIRES, USAGES, DESCRIPTION, EXTRA GROUPS. Untrusted.
    pub fn cells(&self, now: OffsetDateTime) -> Vec<String> {
        let options = &self.options;
        let (left, moment) = match options.expires {
            None => (ENDLESS.0.to_owned(), ENDLESS.1.to_owned()),
            Some(moment) => (short_duration(moment - now), rfc3339(moment)),
        };
        let or_none = |text: String| if text.is_empty() { NONE.to_owned() } else { text };
        vec![
            self.token.expose().to_string(),
            left,
            moment,
            or_none(self.usages().join(",")),
            or_none(options.description.clone().unwrap_or_default()),
            or_none(options.groups.join(",")),
        ]
    }

    /// The object of kubeadm's `-o json`. Holds the secret: the caller wipes it.
    pub fn to_json(&self) -> Value {
        let options = &self.options;
        let mut fields = Map::new();
        fields.insert("apiVersion".into(), "output.kubeadm.k8s.io/v1alpha3".into());
        fields.insert("kind".into(), "BootstrapToken".into());
        fields.insert("token".into(), self.token.expose().as_str().into());
        if let Some(description) = &options.description {
            fields.insert("description".into(), description.as_str().into());
        }
        if let Some(moment) = options.expires {
            fields.insert("expires".into(), rfc3339(moment).into());
        }
        fields.insert("usages".into(), json!(self.usages()));
        if !options.groups.is_empty() {
            fields.insert("groups".into(), json!(options.groups));
        }
        Value::Object(fields)
    }

    /// In kubeadm's order.
    fn usages(&self) -> Vec<&'static str> {
        let options = &self.options;
        let usages = [(options.authentication, "authentication"), (options.signing, "signing")];
        usages.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
    }
}

/// The age or the time left as Kubernetes' tools shorten it: one number of the largest unit.
fn short_duration(left: time::Duration) -> String {
    let seconds = left.whole_seconds();
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        86_400..31_536_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

fn rfc3339(moment: OffsetDateTime) -> String {
    // Fails only for years that no expiration was parsed from.
    moment.format(&Rfc3339).unwrap_or_default()
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Its public part is taken.
    #[error(
        "a token with id \"{0}\" already exists; delete it with `fleetadm token delete {0}`, or leave the token out to \
         have a random one made"
    )]
    Exists(String),
    /// The API server did not do it.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Make a token. One with the same public part is never replaced, whatever is in it.
///
/// # Errors
/// There is one already, or the API server does not answer or refuses.
pub async fn create(
    client: &ApiClient,
    token: &BootstrapToken,
    options: &TokenOptions,
) -> Result<(), CreateError> {
    let exists = || CreateError::Exists(token.id().to_owned());
    if let Some(mut found) = client.get(&token.key()).await? {
        wipe(&mut found);
        return Err(exists());
    }
    match client.create(&secret(token, options)).await {
        Ok(mut made) => {
            wipe(&mut made);
            Ok(())
        }
        // It was not there a moment ago: the answer to a first try may have been lost, and this is that token.
        Err(error) if error.status() == Some(409) => {
            let found = client.get(&token.key()).await?;
            let is_ours = found.is_some_and(|mut found| {
                let live = LiveToken::from_secret(&found);
                wipe(&mut found);
                live.is_some_and(|live| live.token.expose() == token.expose())
            });
            if is_ours { Ok(()) } else { Err(exists()) }
        }
        Err(error) => Err(error.into()),
    }
}

/// Every well-formed bootstrap token that is good for something, by id. The one that owns kubeadm-certs is good for
/// nothing but that.
///
/// # Errors
/// The API server does not answer or refuses.
pub async fn list(client: &ApiClient) -> Result<Vec<LiveToken>, ApiError> {
    let selector = format!("type={SECRET_TYPE}");
    let secrets = client.list(Kind::Secret, Some(KUBE_SYSTEM), Selector::Fields(&selector)).await?;
    let mut tokens = Vec::new();
    for mut secret in secrets {
        tokens.extend(LiveToken::from_secret(&secret));
        wipe(&mut secret);
    }
    tokens.retain(|live| live.options.signing || live.options.authentication);
    tokens.sort_by(|one, other| one.token.id().cmp(other.token.id()));
    Ok(tokens)
}

/// Delete a token by its id; `false` when there was none.
///
/// # Errors
/// The API server does not answer or refuses.
pub async fn delete(client: &ApiClient, id: &str) -> Result<bool, ApiError> {
    client.delete(&secret_key(id)).await
}

/// How long from `now` a token lives that expires after `ttl`; `None`, for ever, where that is zero.
pub fn expiry(now: OffsetDateTime, ttl: Duration) -> Option<OffsetDateTime> {
    // What is beyond the calendar is as good as never.
    if ttl.is_zero() { None } else { now.checked_add(ttl.try_into().ok()?) }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-24 10:00 UTC);

    fn live(options: &TokenOptions) -> LiveToken {
        let token = "abcdef.0123456789abcdef".parse().unwrap();
        LiveToken::from_secret(secret(&token, options).body()).unwrap()
    }

    #[test]
    fn reads_back_what_was_written() {
        let options = TokenOptions::for_one_run(NOW);
        let read = live(&options);
        assert_eq!(read.options, options);
        assert_eq!(read.token.expose().as_str(), "abcdef.0123456789abcdef");
        let owner = TokenOptions::owning_certificates(NOW);
        assert_eq!(live(&owner).options, owner);
    }

    #[test]
    fn malformed_tokens_are_left_out() {
        assert!(LiveToken::from_secret(&json!({})).is_none());
        let data = json!({"token-id": STANDARD.encode("abcdef"), "token-secret": "!"});
        assert!(LiveToken::from_secret(&json!({"data": data})).is_none());
        let data =
            json!({"token-id": STANDARD.encode("abcdef"), "token-secret": STANDARD.encode("x")});
        assert!(LiveToken::from_secret(&json!({"data": data})).is_none());
    }

    #[test]
    fn a_row_as_kubeadm_prints_it() {
        let day = expiry(NOW, Duration::from_secs(86_400));
        assert_eq!(
            live(&TokenOptions::joining(day)).cells(NOW + time::Duration::SECOND),
            [
                "abcdef.0123456789abcdef",
                "23h",
                "2026-11-25T10:00:00Z",
                "authentication,signing",
                "<none>",
                "system:bootstrappers:kubeadm:default-node-token"
            ]
        );
        let bare = TokenOptions {
            description: Some("for racks".to_owned()),
            authentication: false,
            groups: Vec::new(),
            ..TokenOptions::joining(None)
        };
        assert_eq!(
            live(&bare).cells(NOW)[1..],
            ["<forever>", "<never>", "signing", "for racks", "<none>"]
        );
    }

    #[test]
    fn an_object_as_kubeadm_prints_it() {
        let text = serde_json::to_string(&live(&TokenOptions::joining(Some(NOW))).to_json());
        insta::assert_snapshot!(text.unwrap(), @r#"{"apiVersion":"output.kubeadm.k8s.io/v1alpha3","expires":"2026-11-24T10:00:00Z","groups":["system:bootstrappers:kubeadm:default-node-token"],"kind":"BootstrapToken","token":"abcdef.0123456789abcdef","usages":["authentication","signing"]}"#);
    }

    #[test]
    fn durations_are_shortened_as_kubernetes_does() {
        let cases = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (59, "59s"),
            (60, "1m"),
            (7_199, "1h"),
            (86_399, "23h"),
            (86_400, "1d"),
            (31_535_999, "364d"),
            (31_536_000, "1y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(short_duration(time::Duration::seconds(seconds)), expected);
        }
    }

    #[test]
    fn no_time_is_for_ever() {
        assert_eq!(expiry(NOW, Duration::ZERO), None);
        assert_eq!(expiry(NOW, Duration::from_secs(1)), Some(datetime!(2026-11-24 10:00:01 UTC)));
        assert_eq!(expiry(NOW, Duration::MAX), None);
    }
}
