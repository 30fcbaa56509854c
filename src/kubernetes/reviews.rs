//! What the API server makes of somebody: reviews, which are answered and never stored.

use http::Method;
use serde_json::{Value, json};

use super::client::{ApiClient, Call, JSON};
use super::error::ApiError;
use super::objects::bootstrap_token::BootstrapToken;

/// Whether a kubelet with this token would be let ask for its certificate; why not yet, in a few words. The token and the
/// permissions of its bearers reach an API server some time after they were stored.
///
/// # Errors
/// The API refuses to be asked, or does not answer.
pub async fn bootstrapper(
    client: &ApiClient,
    token: &BootstrapToken,
) -> Result<Result<(), &'static str>, ApiError> {
    let spec = json!({ "token": token.expose().as_str() });
    let review = review(client, "authentication.k8s.io", "TokenReview", &spec).await?;
    let status = &review["status"];
    if status["authenticated"] != true {
        return Ok(Err("the API server does not know the token"));
    }
    let request = json!({
        "user": status["user"]["username"],
        "groups": status["user"]["groups"],
        "resourceAttributes": {
            "verb": "create", "group": "certificates.k8s.io", "resource": "certificatesigningrequests",
        },
    });
    let review =
        self::review(client, "authorization.k8s.io", "SubjectAccessReview", &request).await?;
    Ok(match review["status"]["allowed"] == true {
        true => Ok(()),
        false => Err("its bearers may not ask for certificates"),
    })
}

async fn review(
    client: &ApiClient,
    group: &str,
    kind: &str,
    spec: &Value,
) -> Result<Value, ApiError> {
    let version = format!("{group}/v1");
    let path = format!("/apis/{version}/{}s", kind.to_lowercase());
    let body = json!({ "apiVersion": version, "kind": kind, "spec": spec });
    let action = format!("ask for a {kind}");
    client.send(&Call::with_body(Method::POST, action, path, JSON, &body)).await
}
