//! How API servers are reached, and as whom: through the SSH connections of their hosts, with an administrator's
//! kubeconfig.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::cluster::kubeconfig::{self, Kubeconfig};
use crate::fleet::Link;
use crate::kubernetes::{Credentials, Dial};
use crate::phases::PhaseError;
use crate::ssh::Tunnel;

/// How long a control plane may take before the next one is asked as well.
const LONG: Duration = Duration::from_secs(2);

/// Opens byte streams as the host sees addresses, through its SSH connection.
pub(in crate::phases) fn through(link: Link) -> Arc<dyn Dial> {
    Arc::new(move |host: String, port: u16| {
        let link = link.clone();
        async move { open(&link, &host, port).await }
    })
}

/// Opens byte streams to whichever of these answers, the first one foremost, each through its own host's connection. One
/// that takes its time does not keep the next one waiting. Their certificates vouch for the same cluster, so it does not
/// matter which it is.
pub(in crate::phases) fn any_of(addresses: Vec<(Link, IpAddr)>, port: u16) -> Arc<dyn Dial> {
    let addresses = Arc::new(addresses);
    Arc::new(move |_, _| {
        let addresses = addresses.clone();
        async move {
            let attempt = |(link, address): &(Link, IpAddr)| {
                let (link, host) = (link.clone(), address.to_string());
                async move { open(&link, &host, port).await }
            };
            first_of(LONG, addresses.iter().map(attempt)).await
        }
    })
}

async fn open(link: &Link, host: &str, port: u16) -> io::Result<Tunnel> {
    let opened = async { link.connection().await?.tunnel(host, port).await };
    opened.await.map_err(io::Error::other)
}

/// What the first of these comes to that succeeds. Each begins when the one before has failed, or has taken long.
async fn first_of<T>(
    long: Duration,
    attempts: impl ExactSizeIterator<Item = impl Future<Output = io::Result<T>>>,
) -> io::Result<T> {
    let mut attempts = attempts;
    let mut begun = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if begun.is_empty() {
            match attempts.next() {
                Some(attempt) => begun.push(attempt),
                None => return Err(last),
            }
        }
        tokio::select! {
            biased;
            Some(ended) = begun.next() => match ended {
                Ok(value) => return Ok(value),
                Err(error) => {
                    last = error;
                    begun.extend(attempts.next());
                }
            },
            () = sleep(long), if attempts.len() > 0 => begun.extend(attempts.next()),
        }
    }
}

/// What an administrator's kubeconfig says.
///
/// # Errors
/// It lacks something.
pub(in crate::phases) fn credentials(
    path: &str,
    content: &Zeroizing<Vec<u8>>,
) -> Result<Credentials, PhaseError> {
    let unusable = |reason: &'static str| {
        PhaseError::Kubeconfig(kubeconfig::Error::Unreadable { file: path.to_owned(), reason })
    };
    let config = Kubeconfig::parse(content).map_err(unusable)?;
    let user =
        config.current_user().ok_or_else(|| unusable("its current context names no user in it"))?;
    Ok(Credentials {
        ca: config
            .current_cluster()
            .and_then(|cluster| cluster.ca_pem())
            .ok_or_else(|| unusable("it embeds no certificate authority"))?
            .to_vec(),
        certificate: user
            .certificate_pem()
            .ok_or_else(|| unusable("it embeds no client certificate"))?
            .to_vec(),
        key: user.key_pem().ok_or_else(|| unusable("it embeds no client key"))?,
    })
}

#[cfg(test)]
mod tests {
    use futures::future::{BoxFuture, FutureExt as _, pending, ready};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn of(attempts: Vec<BoxFuture<'static, io::Result<u8>>>) -> BoxFuture<'static, io::Result<u8>> {
        first_of(SOON, attempts.into_iter()).boxed()
    }

    fn refused() -> BoxFuture<'static, io::Result<u8>> {
        ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused))).boxed()
    }

    #[tokio::test]
    async fn one_that_hangs_or_fails_keeps_nobody_waiting() {
        assert_eq!(of(vec![ready(Ok(1)).boxed(), ready(Ok(2)).boxed()]).await.unwrap(), 1);
        assert_eq!(of(vec![refused(), ready(Ok(2)).boxed()]).await.unwrap(), 2);
        assert_eq!(of(vec![pending().boxed(), refused(), ready(Ok(3)).boxed()]).await.unwrap(), 3);
        let error = of(vec![refused(), refused()]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(of(Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn the_first_may_still_be_the_one() {
        let slow = async {
            sleep(SOON * 2).await;
            Ok(1)
        };
        assert_eq!(of(vec![slow.boxed(), pending().boxed()]).await.unwrap(), 1);
    }
}
