//! Bootstrap tokens in the cluster: listing, deleting, and finding those a crashed run left.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::client::{ApiClient, Selector};
use super::error::ApiError;
use super::object::{Kind, wipe};
use super::objects::KUBE_SYSTEM;
use super::objects::bootstrap_token::{
    RUN_TOKEN_DESCRIPTION, SECRET_TYPE, is_token_id, secret_key,
};

/// What may be told about a token: everything but its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// The public part.
    pub id: String,
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

impl TokenInfo {
    /// Made by fleetadm for one run.
    pub fn is_of_one_run(&self) -> bool {
        self.description.as_deref() == Some(RUN_TOKEN_DESCRIPTION)
    }

    /// Good for nothing but to own kubeadm-certs; lists for people leave it out.
    pub fn has_no_use(&self) -> bool {
        !self.signing && !self.authentication
    }

    /// A live token Secret without its secret; `None` when it is malformed.
    pub fn from_secret(secret: &Value) -> Option<Self> {
        let text = |name: &str| {
            let value = STANDARD.decode(secret["data"][name].as_str()?).ok()?;
            String::from_utf8(value).ok()
        };
        let id = text("token-id").filter(|id| is_token_id(id))?;
        let flag = |name: &str| text(name).as_deref() == Some("true");
        let expires = match text("expiration") {
            None => None,
            Some(moment) => Some(OffsetDateTime::parse(&moment, &Rfc3339).ok()?),
        };
        let groups = text("auth-extra-groups").unwrap_or_default();
        Some(Self {
            id,
            description: text("description"),
            expires,
            signing: flag("usage-bootstrap-signing"),
            authentication: flag("usage-bootstrap-authentication"),
            groups: groups
                .split(',')
                .filter(|group| !group.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// Every well-formed bootstrap token, by id.
pub async fn list(client: &ApiClient) -> Result<Vec<TokenInfo>, ApiError> {
    let selector = format!("type={SECRET_TYPE}");
    let secrets = client.list(Kind::Secret, Some(KUBE_SYSTEM), Selector::Fields(&selector)).await?;
    let mut tokens = Vec::new();
    for mut secret in secrets {
        tokens.extend(TokenInfo::from_secret(&secret));
        wipe(&mut secret);
    }
    tokens.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(tokens)
}

/// Delete a token by its id; `false` when there was none.
pub async fn delete(client: &ApiClient, id: &str) -> Result<bool, ApiError> {
    client.delete(&secret_key(id)).await
}

/// Delete the tokens earlier runs left behind, but not `current`'s. Returns their ids.
pub async fn delete_left_behind(
    client: &ApiClient,
    current: Option<&str>,
) -> Result<Vec<String>, ApiError> {
    let mut deleted = Vec::new();
    for token in list(client).await? {
        if token.is_of_one_run() && Some(token.id.as_str()) != current {
            delete(client, &token.id).await?;
            deleted.push(token.id);
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;
    use crate::kubernetes::objects::bootstrap_token::{TokenOptions, secret};

    #[test]
    fn reads_back_what_was_written() {
        let token = "abcdef.0123456789abcdef".parse().unwrap();
        let expires = datetime!(2026-11-24 10:00 UTC);
        let object = secret(&token, &TokenOptions::for_one_run(expires));
        let info = TokenInfo::from_secret(object.body()).unwrap();
        assert_eq!(info.id, "abcdef");
        assert_eq!(info.expires, Some(expires));
        assert!(info.is_of_one_run() && !info.has_no_use());
        assert_eq!(info.groups, ["system:bootstrappers:kubeadm:default-node-token"]);

        let owner = secret(&token, &TokenOptions::owning_certificates(expires));
        let info = TokenInfo::from_secret(owner.body()).unwrap();
        assert!(info.has_no_use() && !info.is_of_one_run());
    }

    #[test]
    fn malformed_tokens_are_left_out() {
        assert_eq!(TokenInfo::from_secret(&json!({})), None);
        assert_eq!(TokenInfo::from_secret(&json!({"data": {"token-id": "!"}})), None);
    }
}
