//! Create-or-update for the objects fleetadm owns, and what it would do in a dry run.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use similar::TextDiff;
use tokio::time::{Instant, sleep};

use super::client::ApiClient;
use super::compare::overlay;
use super::error::ApiError;
use super::object::{Object, to_yaml, withhold};

/// Objects in flight at once.
const CONCURRENCY: usize = 8;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It did not exist.
    Created,
    /// It existed and was different.
    Updated,
    /// It was as wanted.
    Unchanged,
}

impl Applied {
    /// True unless nothing had to be done.
    pub fn is_change(self) -> bool {
        self != Self::Unchanged
    }

    /// `create`, `update`, `unchanged`: for "what, in a few words".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Created => "create",
            Self::Updated => "update",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What was done to an object, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `ConfigMap kube-system/kubeadm-config`.
    pub what: String,
    /// What became of it.
    pub applied: Applied,
    /// In a dry run: the YAML of a new object, a unified diff of a changed one. Never a secret.
    pub detail: Option<String>,
}

/// Make one object exist as wanted. Conflicts with other writers are resolved by looking again.
pub async fn apply(client: &ApiClient, object: &Object) -> Result<Applied, ApiError> {
    let timing = client.timing();
    let start = Instant::now();
    loop {
        let result = match client.get(object.key()).await? {
            None => client.create(object).await.map(|_| Applied::Created),
            Some(live) => {
                let wanted = overlay(object, &live);
                if wanted == live {
                    return Ok(Applied::Unchanged);
                }
                client.replace(object.key(), &wanted).await.map(|_| Applied::Updated)
            }
        };
        match result {
            // Conflict, created by someone else, deleted by someone else, or a namespace that a
            // starting API server has not made yet.
            Err(error)
                if matches!(error.status(), Some(404 | 409))
                    && start.elapsed() + timing.interval < timing.total => {}
            other => return other,
        }
        sleep(timing.interval).await;
    }
}

/// Make all objects exist as wanted, several at once. Results are in the order of `objects`.
pub async fn apply_all(client: &ApiClient, objects: &[Object]) -> Result<Vec<Change>, ApiError> {
    let one = async |object: &Object| {
        let applied = apply(client, object).await?;
        Ok(Change { what: object.key().to_string(), applied, detail: None })
    };
    // Collected first: a closure inside the stream would tie the future to one lifetime, and not be Send.
    let futures: Vec<_> = objects.iter().map(one).collect();
    stream::iter(futures).buffered(CONCURRENCY).try_collect().await
}

/// What [`apply_all`] would do. Writes nothing.
///
/// Without a client, or when its API server does not answer (it may not exist yet), everything would be
/// created. Give a client of short [`Timing`](super::Timing): nothing is gained by waiting here.
pub async fn preview_all(
    client: Option<&ApiClient>,
    objects: &[Object],
) -> Result<Vec<Change>, ApiError> {
    let one = async |object: &Object| {
        let live = match client {
            None => None,
            Some(client) => match client.get(object.key()).await {
                Err(error) if error.is_unreachable() => None,
                answer => answer?,
            },
        };
        Ok(preview(object, live.as_ref()))
    };
    let futures: Vec<_> = objects.iter().map(one).collect();
    stream::iter(futures).buffered(CONCURRENCY).try_collect().await
}

/// What applying would do to this live object.
pub fn preview(object: &Object, live: Option<&Value>) -> Change {
    let what = object.key().to_string();
    let Some(live) = live else {
        return Change { what, applied: Applied::Created, detail: Some(object.to_yaml()) };
    };
    let wanted = overlay(object, live);
    if wanted == *live {
        return Change { what, applied: Applied::Unchanged, detail: None };
    }
    let detail = diff(&what, live, &wanted);
    Change { what, applied: Applied::Updated, detail: Some(detail) }
}

/// A unified diff of the content. Of a Secret it shows only which values are new.
pub(super) fn diff(what: &str, live: &Value, wanted: &Value) -> String {
    let mut new = presentable(wanted);
    if new["kind"] == "Secret"
        && let Some(Value::Object(data)) = new.get_mut("data")
    {
        for (name, value) in data {
            if live["data"].get(name) != wanted["data"].get(name) {
                *value = "<new value withheld>".into();
            }
        }
    }
    let (old, new) = (to_yaml(&presentable(live)), to_yaml(&new));
    TextDiff::from_lines(&old, &new)
        .unified_diff()
        .header(&format!("live {what}"), &format!("wanted {what}"))
        .to_string()
}

/// For people: only content, and no secrets.
fn presentable(body: &Value) -> Value {
    withhold(content(body))
}

/// Without what the server keeps for itself.
pub(super) fn content(body: &Value) -> Value {
    const KEPT_BY_SERVER: [&str; 5] =
        ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"];
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("status");
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            for field in KEPT_BY_SERVER {
                metadata.remove(field);
            }
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::object::{Kind, ObjectKey};

    fn config_map(value: &str) -> Object {
        let key = ObjectKey::namespaced(Kind::ConfigMap, "kube-system", "x");
        Object::new(key, json!({"data": {"key": value}}))
    }

    #[test]
    fn a_new_object_is_shown_whole() {
        let change = preview(&config_map("v"), None);
        assert_eq!(change.applied, Applied::Created);
        assert!(change.detail.unwrap().contains("key: v"));
    }

    #[test]
    fn a_changed_object_is_shown_as_a_diff() {
        let mut live = config_map("old").body().clone();
        live["metadata"]["managedFields"] = json!([{}]);
        let change = preview(&config_map("new"), Some(&live));
        assert_eq!(change.applied, Applied::Updated);
        let detail = change.detail.unwrap();
        assert!(detail.contains("-  key: old") && detail.contains("+  key: new"), "{detail}");
        assert!(!detail.contains("managedFields"), "{detail}");
        assert_eq!(preview(&config_map("old"), Some(&live)).applied, Applied::Unchanged);
    }

    #[test]
    fn a_changed_secret_shows_only_which_key() {
        let secret = |value: &str| {
            let key = ObjectKey::namespaced(Kind::Secret, "kube-system", "x");
            Object::new(key, json!({"data": {"a": value, "b": "c2FtZQ=="}}))
        };
        let detail = preview(&secret("bmV3"), Some(secret("b2xk").body())).detail.unwrap();
        assert!(!detail.contains("bmV3") && !detail.contains("b2xk"), "{detail}");
        assert!(detail.contains("<new value withheld>"), "{detail}");
    }
}
