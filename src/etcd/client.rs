//! A client of one member, by etcd's JSON gateway: gRPC would need a compiler for its protocol at build time.
//!
//! TLS is checked end to end against etcd's authority, so whoever carries the bytes is not trusted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::kubernetes::{Credentials, Dial, Tls, client_of, tls_client};
use crate::report::printable_line;

use super::error::EtcdError;
use super::members::{Member, MemberId, Members};

/// kubeadm's limit for one request. Longer than its dial timeout, since a tunnel may have to be opened first.
const REQUEST: Duration = Duration::from_secs(5);
/// Far more than the longest answer there is: a list of members.
const LONGEST_ANSWER: usize = 1 << 20;

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// Version of etcd, for example `3.4.23`.
    #[serde(default)]
    pub version: String,
    /// The member that leads, as this one sees it; zero where it sees none.
    #[serde(default = "nobody")]
    pub leader: MemberId,
    /// It receives the log and does not vote.
    #[serde(rename = "isLearner", default)]
    pub is_learner: bool,
    /// What it complains about: alarms, a missing leader.
    #[serde(default)]
    pub errors: Vec<String>,
}

fn nobody() -> MemberId {
    MemberId(0)
}

/// What an etcd that somebody else runs lets us in by.
#[derive(Default)]
pub struct Access {
    /// Its authority, PEM; `None` for those the workstation trusts anyway.
    pub ca: Option<Vec<u8>>,
    /// Our certificate and its key, PEM, where it asks for one.
    pub client: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

/// A client of one member.
#[derive(Clone)]
pub struct EtcdClient {
    client: kube::Client,
    endpoint: String,
}

impl fmt::Debug for EtcdClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdClient").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl EtcdClient {
    /// A client of the member that serves clients at `host:port` as `dial` sees it; its certificate must be for
    /// `server_name`. Nothing is sent yet. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The credentials cannot be used.
    pub fn new(
        dial: Arc<dyn Dial>,
        host: &str,
        port: u16,
        server_name: &str,
        credentials: &Credentials,
    ) -> Result<Self, EtcdError> {
        let client = tls_client(dial, host, port, server_name, credentials)
            .map_err(|error| EtcdError::Setup(error.to_string()))?;
        Ok(Self { client, endpoint: crate::cluster::spec::host_port(host, port) })
    }

    /// A client of the etcd at an endpoint, `https://host:port` or `http://host:port`, as `dial` sees it; its certificate
    /// must be for that host. Nothing is sent yet. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The endpoint is none, or what lets us in cannot be used.
    pub fn at(dial: Arc<dyn Dial>, endpoint: &str, access: &Access) -> Result<Self, EtcdError> {
        let setup = |problem: &dyn fmt::Display| EtcdError::Setup(format!("{endpoint}: {problem}"));
        let uri: Uri = endpoint.parse().map_err(|error| setup(&error))?;
        let host = uri.host().ok_or_else(|| setup(&"it names no host"))?;
        // In a URI an IPv6 address has brackets, and nowhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("http") => 80,
            _ => 443,
        });
        let tls = (uri.scheme_str() != Some("http")).then(|| Tls {
            server_name: host,
            ca: access.ca.as_deref(),
            client: access.client.as_ref().map(|(certificate, key)| (&**certificate, &***key)),
        });
        let client = client_of(dial, host, port, tls).map_err(|error| setup(&error))?;
        Ok(Self { client, endpoint: endpoint.to_owned() })
    }

    /// The version of the server, which it tells anybody that is let in.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub async fn version(&self) -> Result<String, EtcdError> {
        #[derive(Deserialize)]
        struct Version {
            etcdserver: String,
        }
        let request = Request::get("/version").body(Body::empty());
        let version: Version = self.send("ask for the version", request).await?;
        Ok(printable_line(&version.etcdserver, 50))
    }

    /// Every member, as a quorum of them agrees on.
    ///
    /// # Errors
    /// See [`EtcdError`]; without a quorum there is no answer.
    pub async fn members(&self) -> Result<Members, EtcdError> {
        self.list_members(true).await
    }

    /// Every member that this one knows of, whether or not the others agree: there is an answer without a quorum, too.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub async fn known_members(&self) -> Result<Members, EtcdError> {
        self.list_members(false).await
    }

    async fn list_members(&self, linearizable: bool) -> Result<Members, EtcdError> {
        #[derive(Deserialize)]
        struct Answer {
            members: Vec<Member>,
        }
        let body = json!({ "linearizable": linearizable });
        let answer: Answer = self.call("cluster/member/list", "list the members", &body).await?;
        Ok(Members(answer.members))
    }

    /// What the member says of itself.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub async fn status(&self) -> Result<Status, EtcdError> {
        self.call("maintenance/status", "ask for the status", &json!({})).await
    }

    /// Whether the member takes part in a cluster that works: it can read what a quorum agrees on. No key needs to
    /// be there.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub async fn check_health(&self) -> Result<(), EtcdError> {
        // "health", in the base64 of the gateway.
        let body = json!({"key": "aGVhbHRo"});
        self.call::<Value>("kv/range", "read a key", &body).await.map(|_| ())
    }

    /// Add a member that receives the log and does not vote yet.
    ///
    /// # Errors
    /// See [`EtcdError`]; etcd takes one learner at a time.
    pub async fn add_learner(&self, peer_url: &str) -> Result<Member, EtcdError> {
        #[derive(Deserialize)]
        struct Answer {
            member: Member,
        }
        let action = format!("add the learner {peer_url}");
        let body = json!({"peerURLs": [peer_url], "isLearner": true});
        let answer: Answer = self.call("cluster/member/add", &action, &body).await?;
        Ok(answer.member)
    }

    /// Let a learner vote.
    ///
    /// # Errors
    /// See [`EtcdError`]; a learner that lags behind is refused as [`EtcdError::is_precondition`].
    pub async fn promote(&self, id: MemberId) -> Result<(), EtcdError> {
        let action = format!("promote member {id}");
        let body = json!({"ID": id.0.to_string()});
        self.call::<Value>("cluster/member/promote", &action, &body).await.map(|_| ())
    }

    /// Take a member out. One that is out already is no error.
    ///
    /// # Errors
    /// See [`EtcdError`]; etcd refuses where too few healthy members would be left.
    pub async fn remove(&self, id: MemberId) -> Result<(), EtcdError> {
        let action = format!("remove member {id}");
        let body = json!({"ID": id.0.to_string()});
        match self.call::<Value>("cluster/member/remove", &action, &body).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        action: &str,
        body: &Value,
    ) -> Result<T, EtcdError> {
        let request = Request::post(format!("/v3/{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string().into_bytes()));
        self.send(action, request).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        action: &str,
        request: http::Result<Request<Body>>,
    ) -> Result<T, EtcdError> {
        let silent = |problem: String| EtcdError::NoAnswer {
            endpoint: self.endpoint.clone(),
            action: action.to_owned(),
            problem,
        };
        let request = request.map_err(|error| silent(error.to_string()))?;
        let exchange = async {
            let response = self
                .client
                .send(request)
                .await
                .map_err(|error| silent(crate::kubernetes::error::describe(&error)))?;
            read(response).await.map_err(silent)
        };
        let answer = timeout(REQUEST, exchange)
            .await
            .map_err(|_| silent(format!("no answer within {REQUEST:.0?}")))??;
        match answer {
            Answer::Good(text) => serde_json::from_slice(&text)
                .map_err(|error| silent(format!("its answer makes no sense: {error}"))),
            Answer::Bad { code, message } => Err(EtcdError::Refused {
                endpoint: self.endpoint.clone(),
                action: action.to_owned(),
                code,
                message,
            }),
        }
    }
}

enum Answer {
    Good(Vec<u8>),
    Bad { code: u32, message: String },
}

async fn read(response: Response<Body>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default)]
        code: u32,
        #[serde(default)]
        message: String,
        #[serde(default)]
        error: String,
    }
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER)
        .collect()
        .await
        .map_err(|error| format!("its answer broke off: {error}"))?
        .to_bytes();
    if status.is_success() {
        return Ok(Answer::Good(body.to_vec()));
    }
    if status.as_u16() == 404 {
        return Err(
            "it has no JSON gateway; is it started with --enable-grpc-gateway=false?".to_owned()
        );
    }
    match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) if refusal.code != 0 => {
            let message = if refusal.message.is_empty() { refusal.error } else { refusal.message };
            Ok(Answer::Bad { code: refusal.code, message: printable_line(&message, 300) })
        }
        _ => Err(format!("it answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response<Body> {
        Response::builder().status(status).body(Body::from(body.as_bytes().to_vec())).unwrap()
    }

    #[tokio::test]
    async fn refusals_carry_their_code() {
        let text =
            r#"{"error":"x","code":9,"message":"etcdserver: in sync with leader","details":[]}"#;
        match read(response(400, text)).await.unwrap() {
            Answer::Bad { code: 9, message } => assert!(message.contains("in sync")),
            _ => panic!("not taken for a refusal"),
        }
    }

    #[tokio::test]
    async fn a_missing_gateway_and_rubbish_are_no_refusals() {
        assert!(
            read(response(404, "404 page not found")).await.is_err_and(|e| e.contains("gateway"))
        );
        assert!(read(response(500, "<html>")).await.is_err_and(|e| e.contains("500")));
    }
}
