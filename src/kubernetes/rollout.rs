//! Replacing the pods of a workload one by one, in the way and by the mark of `kubectl rollout restart`.

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::client::{ApiClient, PatchKind};
use super::error::ApiError;
use super::object::ObjectKey;

/// Have the pods of this DaemonSet or Deployment replaced.
///
/// # Errors
/// There is no such object, or the API server does not answer or refuses.
pub async fn restart(
    client: &ApiClient,
    key: &ObjectKey,
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let now =
        now.format(&Rfc3339).map_err(|error| ApiError::Object { problem: error.to_string() })?;
    let annotations = json!({ "kubectl.kubernetes.io/restartedAt": now });
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
    client.patch(key, PatchKind::StrategicMerge, &patch).await.map(|_| ())
}
