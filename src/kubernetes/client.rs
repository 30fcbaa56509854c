//! The API client every phase uses: one cluster, one identity, its own timeouts and retries.
//!
//! The connection is dialled by the caller (an SSH tunnel), yet TLS is checked end to end against the
//! cluster's CA, so whoever carries the bytes is not trusted. Client keys stay in memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, header};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower::Layer as _;
use zeroize::Zeroizing;

use super::dial::{Connector, Dial};
use super::error::{ApiError, Retry, describe, retry};
use super::object::{Kind, Object, ObjectKey};

/// A name every API server certificate made by kubeadm or fleetadm carries, whatever its address.
const SERVER_NAME: &str = "kubernetes";

/// How long a "forbidden" may be the authorizer not having seen a binding yet.
const AUTHORIZER_LAG: Duration = Duration::from_secs(5);

/// Who we are, and whom we trust. Debug shows nothing of it.
pub struct Credentials {
    /// The cluster's CA certificates, PEM.
    pub ca: Vec<u8>,
    /// Our client certificate, PEM. X.509 version 3: rustls refuses version 1.
    pub certificate: Vec<u8>,
    /// Its private key, PEM.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// How long one request, and all tries of one call, may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// One request, connection included.
    pub request: Duration,
    /// All tries together; kubeadm's `kubernetesAPICall`.
    pub total: Duration,
    /// Rest between two tries.
    pub interval: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(15),
            total: Duration::from_secs(60),
            interval: Duration::from_millis(500),
        }
    }
}

impl Timing {
    /// One try: for asking whether anybody answers at all.
    pub fn once(request: Duration) -> Self {
        Self { request, total: Duration::ZERO, interval: Duration::ZERO }
    }
}

/// Which items of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector<'a> {
    /// Every one.
    All,
    /// Those a label selector matches: `component=etcd,tier=control-plane`.
    Labels(&'a str),
    /// Those a field selector matches: `type=bootstrap.kubernetes.io/token`.
    Fields(&'a str),
}

/// How a patch is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// Lists with a merge key merge by it; built-in kinds only.
    StrategicMerge,
    /// RFC 7386.
    Merge,
}

/// A client of one cluster's API server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct ApiClient {
    client: kube::Client,
    timing: Timing,
}

impl fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiClient").field("timing", &self.timing).finish_non_exhaustive()
    }
}

impl ApiClient {
    /// A client of the API server at `host:port` as `dial` sees it. Nothing is sent yet.
    ///
    /// Must be called inside a tokio runtime.
    pub fn new(
        dial: Arc<dyn Dial>,
        host: &str,
        port: u16,
        credentials: &Credentials,
    ) -> Result<Self, ApiError> {
        let client = tls_client(dial, host, port, SERVER_NAME, credentials)?;
        Ok(Self { client, timing: Timing::default() })
    }

    /// The same, but the server must vouch for this name or address, as it must for clients that know it by no other.
    pub fn of_name(
        dial: Arc<dyn Dial>,
        host: &str,
        port: u16,
        name: &str,
        credentials: &Credentials,
    ) -> Result<Self, ApiError> {
        let client = tls_client(dial, host, port, name, credentials)?;
        Ok(Self { client, timing: Timing::default() })
    }

    /// The same client with other limits.
    #[must_use]
    pub fn with_timing(&self, timing: Timing) -> Self {
        Self { client: self.client.clone(), timing }
    }

    pub(super) fn timing(&self) -> Timing {
        self.timing
    }

    /// The object, or `None` when it does not exist.
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<Value>, ApiError> {
        let call = Call::get(format!("get {key}"), key.path());
        absent_as_none(self.send(&call).await)
    }

    /// The selected items of a collection.
    pub async fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        selector: Selector<'_>,
    ) -> Result<Vec<Value>, ApiError> {
        let query = match selector {
            Selector::All => String::new(),
            Selector::Labels(labels) => format!("?labelSelector={}", percent_encoded(labels)),
            Selector::Fields(fields) => format!("?fieldSelector={}", percent_encoded(fields)),
        };
        let path = kind.collection(namespace) + &query;
        let mut list = self.send(&Call::get(format!("list {}", kind.plural()), path)).await?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// Create an object. `AlreadyExists` is an error here (409).
    pub async fn create(&self, object: &Object) -> Result<Value, ApiError> {
        let action = format!("create {}", object.key());
        let path = object.key().collection();
        self.send(&Call::with_body(Method::POST, action, path, JSON, object.body())).await
    }

    /// Replace an object. The body's resource version guards against somebody else's change (409).
    pub async fn replace(&self, key: &ObjectKey, body: &Value) -> Result<Value, ApiError> {
        self.send(&Call::with_body(Method::PUT, format!("update {key}"), key.path(), JSON, body))
            .await
    }

    /// Change part of an object.
    pub async fn patch(
        &self,
        key: &ObjectKey,
        kind: PatchKind,
        patch: &Value,
    ) -> Result<Value, ApiError> {
        let content_type = match kind {
            PatchKind::StrategicMerge => "application/strategic-merge-patch+json",
            PatchKind::Merge => "application/merge-patch+json",
        };
        let action = format!("patch {key}");
        self.send(&Call::with_body(Method::PATCH, action, key.path(), content_type, patch)).await
    }

    /// Delete an object; `false` when it did not exist.
    pub async fn delete(&self, key: &ObjectKey) -> Result<bool, ApiError> {
        let call = Call {
            method: Method::DELETE,
            action: format!("delete {key}"),
            path: key.path(),
            body: None,
        };
        Ok(absent_as_none(self.send(&call).await)?.is_some())
    }

    /// Delete this very object, and none that has its name by the time the request arrives: one that was given up may still
    /// be on its way when the network comes back. `false` when it did not exist any more.
    pub async fn delete_exactly(&self, key: &ObjectKey, uid: &str) -> Result<bool, ApiError> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
        });
        let call =
            Call::with_body(Method::DELETE, format!("delete {key}"), key.path(), JSON, &options);
        match absent_as_none(self.send(&call).await) {
            // Another one has its name.
            Err(error) if error.status() == Some(409) => Ok(false),
            deleted => Ok(deleted?.is_some()),
        }
    }

    /// One GET of a plain-text endpoint such as `/livez`, without retries.
    pub async fn probe(&self, path: &str) -> Result<String, ApiError> {
        let action = format!("get {path}");
        let request = Call::get(action.clone(), path.to_owned()).request(&action)?;
        match timeout(self.timing.request, self.client.request_text(request)).await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(source)) => Err(ApiError::Request { action, source }),
            Err(_) => Err(self.no_answer(action)),
        }
    }

    /// Send until there is an answer that will stay the same.
    pub(super) async fn send(&self, call: &Call) -> Result<Value, ApiError> {
        let start = Instant::now();
        loop {
            let request = call.request(&call.action)?;
            let last = match timeout(self.timing.request, self.client.request(request)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(source)) => {
                    let lenient = match retry(&source) {
                        Retry::Never => false,
                        Retry::Briefly => start.elapsed() < AUTHORIZER_LAG,
                        Retry::Always => true,
                    };
                    let text = describe(&source);
                    if !lenient || self.timing.total.is_zero() {
                        return Err(ApiError::Request { action: call.action.clone(), source });
                    }
                    text
                }
                Err(_) if self.timing.total.is_zero() => {
                    return Err(self.no_answer(call.action.clone()));
                }
                Err(_) => format!("no answer within {:.0?}", self.timing.request),
            };
            if start.elapsed() + self.timing.interval >= self.timing.total {
                let (action, waited) = (call.action.clone(), start.elapsed());
                return Err(ApiError::TimedOut { action, waited, last });
            }
            sleep(self.timing.interval).await;
        }
    }

    fn no_answer(&self, action: String) -> ApiError {
        let last = "no answer".to_owned();
        ApiError::TimedOut { action, waited: self.timing.request, last }
    }
}

pub(super) const JSON: &str = "application/json";

/// One request that can be sent again. Its body may hold a secret, so it is wiped when dropped.
pub(super) struct Call {
    method: Method,
    action: String,
    path: String,
    body: Option<(&'static str, Zeroizing<Vec<u8>>)>,
}

/// Who asks, for the API server's audit log and the managers of an object's fields.
const USER_AGENT: &str = concat!("fleetadm/", env!("CARGO_PKG_VERSION"));

impl Call {
    pub(super) fn get(action: String, path: String) -> Self {
        Self { method: Method::GET, action, path, body: None }
    }

    pub(super) fn with_body(
        method: Method,
        action: String,
        path: String,
        content_type: &'static str,
        body: &Value,
    ) -> Self {
        let body = Some((content_type, Zeroizing::new(body.to_string().into_bytes())));
        Self { method, action, path, body }
    }

    fn request(&self, action: &str) -> Result<Request<Vec<u8>>, ApiError> {
        let mut request = Request::builder().method(&self.method).uri(&self.path);
        let mut bytes = Vec::new();
        if let Some((content_type, body)) = &self.body {
            request = request.header(header::CONTENT_TYPE, *content_type);
            bytes.clone_from(body);
        }
        request = request.header(header::USER_AGENT, USER_AGENT);
        request.header(header::ACCEPT, "application/json, */*").body(bytes).map_err(|error| {
            ApiError::Request { action: action.to_owned(), source: kube::Error::HttpError(error) }
        })
    }
}

pub(super) fn absent_as_none(answer: Result<Value, ApiError>) -> Result<Option<Value>, ApiError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn base_uri(scheme: &str, host: &str, port: u16) -> Result<http::Uri, ApiError> {
    // An IPv6 address needs brackets in a URI and must not have them elsewhere.
    let authority =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    format!("{scheme}://{authority}")
        .parse()
        .map_err(|error| ApiError::Setup { problem: format!("address {authority:?}: {error}") })
}

/// A client of `host:port` as `dial` sees it, over TLS with a client certificate; the server's certificate must be for
/// `server_name`.
pub(crate) fn tls_client(
    dial: Arc<dyn Dial>,
    host: &str,
    port: u16,
    server_name: &str,
    credentials: &Credentials,
) -> Result<kube::Client, ApiError> {
    let tls = Tls {
        server_name,
        ca: Some(&credentials.ca),
        client: Some((&credentials.certificate, &credentials.key)),
    };
    client_of(dial, host, port, Some(tls))
}

/// How a server proves who it is, and how we do.
pub(crate) struct Tls<'a> {
    /// The name its certificate must be for.
    pub server_name: &'a str,
    /// Its authority, PEM; `None` for those the workstation trusts anyway.
    pub ca: Option<&'a [u8]>,
    /// Our certificate and its key, PEM, where it asks for one.
    pub client: Option<(&'a [u8], &'a [u8])>,
}

/// A client of `host:port` as `dial` sees it; without TLS where none is given.
pub(crate) fn client_of(
    dial: Arc<dyn Dial>,
    host: &str,
    port: u16,
    tls: Option<Tls<'_>>,
) -> Result<kube::Client, ApiError> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut config = kube::Config::new(base_uri(scheme, host, port)?);
    match tls {
        // Nothing is verified; without this the workstation's own trust store would be read.
        None => config.root_cert = Some(Vec::new()),
        Some(tls) => {
            config.root_cert = tls.ca.map(ca_certificates).transpose()?;
            config.tls_server_name = Some(tls.server_name.to_owned());
            if let Some((certificate, key)) = tls.client {
                config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
                let key = SecretString::from(STANDARD.encode(key));
                config.auth_info.client_key_data = Some(key);
            }
        }
    }
    http_client(&config, Connector::new(dial, host, port))
}

pub(super) fn http_client(
    config: &kube::Config,
    connector: Connector,
) -> Result<kube::Client, ApiError> {
    let setup = |error: kube::Error| ApiError::Setup { problem: describe(&error) };
    let https = config.rustls_https_connector_with_connector(connector).map_err(setup)?;
    let client = legacy::Client::builder(TokioExecutor::new()).build(https);
    Ok(kube::Client::new(config.base_uri_layer().layer(client), "default"))
}

fn ca_certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, ApiError> {
    let certificates = x509_parser::pem::Pem::iter_from_buffer(pem)
        .map(|entry| entry.map(|entry| entry.contents))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ApiError::Setup { problem: format!("the cluster CA: {error}") })?;
    if certificates.is_empty() {
        return Err(ApiError::Setup { problem: "the cluster CA holds no certificate".to_owned() });
    }
    Ok(certificates)
}

/// Encodes what may not stand in a query value.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_get_brackets() {
        assert_eq!(
            base_uri("https", "fd00::1", 6443).unwrap().to_string(),
            "https://[fd00::1]:6443/"
        );
        assert_eq!(base_uri("http", "10.0.0.1", 80).unwrap().to_string(), "http://10.0.0.1:80/");
        assert!(base_uri("https", "a b", 1).is_err());
    }

    #[test]
    fn selectors_are_encoded() {
        assert_eq!(percent_encoded("component=etcd,tier"), "component%3Detcd%2Ctier");
    }

    #[test]
    fn a_ca_without_certificates_is_refused() {
        let error = ca_certificates(b"nothing").unwrap_err();
        assert!(error.to_string().contains("holds no certificate"), "{error}");
    }
}
