//! Health endpoints: the kubelet's over plain HTTP, the controller manager's and scheduler's over TLS
//! that cannot be verified (they serve self-signed certificates), the API server's through the client.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use kube::client::Body;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::client::{ApiClient, Timing, base_uri, http_client};
use super::dial::{Connector, Dial};
use super::error::{ApiError, describe};
use super::poll::{Attempt, Poll};

/// One try may take this long.
const REQUEST: Duration = Duration::from_secs(10);

/// A component's health endpoint as its node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthEndpoint {
    /// The component's name, for messages: `kubelet`.
    pub component: String,
    /// TLS without verification instead of plain HTTP.
    pub tls: bool,
    /// Address on the node.
    pub host: String,
    /// Port on the node.
    pub port: u16,
    /// `/healthz` or `/livez`.
    pub path: String,
}

impl HealthEndpoint {
    /// The kubelet's: `healthzBindAddress` and `healthzPort` of its configuration (127.0.0.1:10248).
    pub fn kubelet(host: &str, port: u16) -> Self {
        Self::new("kubelet", false, host, port, "/healthz")
    }

    /// The controller manager's (127.0.0.1:10257).
    pub fn controller_manager(host: &str, port: u16) -> Self {
        Self::new("kube-controller-manager", true, host, port, "/healthz")
    }

    /// The scheduler's (127.0.0.1:10259): `/livez` where the release has it, else `/healthz`.
    pub fn scheduler(host: &str, port: u16, path: &str) -> Self {
        Self::new("kube-scheduler", true, host, port, path)
    }

    fn new(component: &str, tls: bool, host: &str, port: u16, path: &str) -> Self {
        let (component, host, path) = (component.to_owned(), host.to_owned(), path.to_owned());
        Self { component, tls, host, port, path }
    }

    /// `http://127.0.0.1:10248/healthz`.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let Self { host, port, path, .. } = self;
        if host.contains(':') {
            format!("{scheme}://[{host}]:{port}{path}")
        } else {
            format!("{scheme}://{host}:{port}{path}")
        }
    }

    /// Ask until the answer is 200. Returns how long it took.
    pub async fn wait(
        &self,
        dial: Arc<dyn Dial>,
        poll: Poll,
        cancel: &CancellationToken,
    ) -> Result<Duration, ApiError> {
        let start = Instant::now();
        let client = self.client(dial)?;
        let action = format!("see {} healthy at {}", self.component, self.url());
        poll.until(cancel, &action, || async {
            Ok(match self.ask(&client, REQUEST).await {
                Ok(()) => Attempt::Done(()),
                Err(problem) => Attempt::NotYet(problem),
            })
        })
        .await?;
        Ok(start.elapsed())
    }

    /// Ask once, and take no answer in this time for one. Why it is not healthy, for people.
    pub async fn check(&self, dial: Arc<dyn Dial>, within: Duration) -> Result<(), String> {
        let client = self.client(dial).map_err(|error| error.to_string())?;
        self.ask(&client, within).await.map_err(|reason| format!("{}: {reason}", self.url()))
    }

    fn client(&self, dial: Arc<dyn Dial>) -> Result<kube::Client, ApiError> {
        let scheme = if self.tls { "https" } else { "http" };
        let mut config = kube::Config::new(base_uri(scheme, &self.host, self.port)?);
        config.accept_invalid_certs = true;
        // Nothing is verified; without this the workstation's own trust store would be read.
        config.root_cert = Some(Vec::new());
        http_client(&config, Connector::new(dial, &self.host, self.port))
    }

    /// The body is not read: it comes from an endpoint nobody vouches for, and the status says it all.
    async fn ask(&self, client: &kube::Client, within: Duration) -> Result<(), String> {
        let request = Request::get(&self.path).body(Body::empty()).map_err(|e| e.to_string())?;
        match timeout(within, client.send(request)).await {
            Ok(Ok(response)) if response.status().as_u16() == 200 => Ok(()),
            Ok(Ok(response)) => Err(format!("it answered {}", response.status())),
            Ok(Err(error)) => Err(describe(&error)),
            Err(_) => Err(format!("no answer within {within:.0?}")),
        }
    }
}

/// Which checks fail, of an API server that has answered `/readyz` or `/livez` with a list of them; none where that is no
/// such answer.
pub fn failed_checks(answer: &str) -> Vec<&str> {
    let failed = answer.split("[-]").skip(1);
    failed.filter_map(|rest| rest.split_whitespace().next()).collect()
}

/// Ask the API server's `/livez` or `/healthz` until it says ok. Returns how long it took.
pub async fn wait_api_server(
    client: &ApiClient,
    path: &str,
    poll: Poll,
    cancel: &CancellationToken,
) -> Result<Duration, ApiError> {
    let start = Instant::now();
    let once = client.with_timing(Timing::once(REQUEST));
    let action = format!("see the API server healthy at {path}");
    poll.until(cancel, &action, || async {
        match once.probe(path).await {
            Ok(_) => Ok(Attempt::Done(())),
            Err(error) if error.is_transient() => Ok(Attempt::NotYet(error.to_string())),
            Err(error) => Err(error),
        }
    })
    .await?;
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const QUICK: Poll =
        Poll { timeout: Duration::from_secs(5), interval: Duration::from_millis(5) };

    /// A server that answers each connection with the next of `answers`; `None` refuses it.
    fn scripted(answers: Vec<Option<&'static str>>) -> Arc<dyn Dial> {
        let answers = std::sync::Mutex::new(answers.into_iter());
        Arc::new(move |host: String, port: u16| {
            let next = answers.lock().unwrap().next().flatten();
            async move {
                assert_eq!((host.as_str(), port), ("127.0.0.1", 10248));
                let Some(status) = next else {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                };
                let (ours, mut theirs) = duplex(4096);
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    let length = theirs.read(&mut request).await.unwrap();
                    assert!(request[..length].starts_with(b"GET /healthz HTTP/1.1\r\n"));
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
                    );
                    theirs.write_all(answer.as_bytes()).await.unwrap();
                });
                Ok::<DuplexStream, _>(ours)
            }
        })
    }

    #[tokio::test]
    async fn waits_through_refusals_and_errors() {
        let dial = scripted(vec![None, Some("500 Internal Server Error"), None, Some("200 OK")]);
        let kubelet = HealthEndpoint::kubelet("127.0.0.1", 10248);
        kubelet.wait(dial, QUICK, &CancellationToken::new()).await.unwrap();
    }

    #[tokio::test]
    async fn says_where_it_asked_and_what_came() {
        let dial = scripted(vec![Some("503 Service Unavailable")]);
        let kubelet = HealthEndpoint::kubelet("127.0.0.1", 10248);
        let error = kubelet.check(dial, REQUEST).await.unwrap_err();
        insta::assert_snapshot!(error, @"http://127.0.0.1:10248/healthz: it answered 503 Service Unavailable");
    }

    #[tokio::test]
    async fn a_refused_connection_is_named() {
        let kubelet = HealthEndpoint::kubelet("127.0.0.1", 10248);
        let error = kubelet.check(scripted(vec![None]), REQUEST).await.unwrap_err();
        assert!(error.contains("connection refused"), "{error}");
    }

    #[test]
    fn failed_checks_are_picked_out_of_all() {
        let answer =
            "[+]ping ok\n[-]etcd failed: reason withheld\n[-]a/b failed: x\nreadyz check failed";
        assert_eq!(failed_checks(answer), ["etcd", "a/b"]);
        assert!(failed_checks("connection refused [").is_empty());
    }

    #[test]
    fn urls_are_as_people_write_them() {
        let url = |endpoint: HealthEndpoint| endpoint.url();
        assert_eq!(
            url(HealthEndpoint::scheduler("::1", 10259, "/livez")),
            "https://[::1]:10259/livez"
        );
    }
}
