//! Looking at the host keys of a server without logging in, as ssh-keyscan does.
//!
//! A server shows one key per connection, and proves that it has it. So it is asked for a key of any type, then for one of
//! any other type, until it has no more.

use std::sync::Arc;

use russh::client::{self, Handler};
use russh::keys::PublicKeyOrCertificate;
use russh::{AlgorithmKind, Preferred};
use tokio::time::timeout_at;

use super::connector::{Connector, of_jump_host, preferred};
use super::dial::Dialled;
use super::handshake;
use crate::inventory::Host;
use crate::ssh::connection::{ClientError, Ending};
use crate::ssh::error::{Fault, SshError};
use crate::ssh::known_hosts::{
    self, ExpectedKeys, HostKey, HostKeyCheck, Recorded, Standing, same_type,
};
use crate::ssh::settings::route::Route;

/// A server whose host keys can be looked at: an inventory's host, or a jump host on the way to one.
#[derive(Debug, Clone)]
pub struct Server {
    route: Route,
    /// The inventory's name of the host that it is, or that is behind it.
    host: String,
}

/// What a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its keys and what is known about them. For a host with a good certificate only the key in that.
    pub keys: Vec<(HostKey, Standing)>,
    /// What is wrong with the certificate that it presented, where an authority for it is known.
    pub uncertified: Option<String>,
}

impl Server {
    /// `address:port`.
    pub fn endpoint(&self) -> String {
        self.route.settings.endpoint()
    }

    /// `address:port` of the jump hosts before it, the nearest to the workstation first.
    pub fn through(&self) -> Vec<String> {
        let mut through = Vec::new();
        let mut via = &self.route.via;
        while let Some(route) = via {
            through.push(route.settings.endpoint());
            via = &route.via;
        }
        through.reverse();
        through
    }

    /// The same for two servers that are one, reached in the same way.
    pub fn key(&self) -> String {
        self.route.key()
    }

    /// The file that its keys are written down in.
    pub fn known_hosts_file(&self) -> Option<String> {
        let files = &self.route.settings.known_hosts.value;
        files.first().map(|file| file.display().to_string())
    }

    /// Which of the keys that it offers are in a list, by its address, its name in known_hosts, or `name`.
    ///
    /// # Errors
    /// See [`ExpectedKeys::listed`].
    pub fn listed(
        &self,
        list: &ExpectedKeys,
        name: &str,
        keys: &[HostKey],
    ) -> Result<Vec<bool>, String> {
        let names = known_hosts::names(&self.route.settings);
        let names = names.iter().map(String::as_str).chain([name]);
        list.listed(&names.collect::<Vec<_>>(), keys)
    }
}

impl Connector {
    /// The servers on the way to `host`: jump hosts, the nearest to the workstation first, then the host.
    ///
    /// # Errors
    /// As for [`Connector::way`].
    pub async fn servers(&self, host: &Host) -> Result<Vec<Server>, SshError> {
        let mut servers = Vec::new();
        let mut next = Some(Box::new(self.route(host).await?));
        while let Some(route) = next {
            next = route.via.clone();
            servers.push(Server { route: *route, host: host.name.clone() });
        }
        servers.reverse();
        Ok(servers)
    }

    /// Look at the keys of `server`.
    ///
    /// # Errors
    /// It or a jump host before it cannot be reached, or a known_hosts file cannot be used.
    pub async fn host_keys(&self, server: &Server) -> Result<Offer, SshError> {
        let check = self.check_of(server)?;
        let settings = &server.route.settings;
        let mut uncertified = None;
        let certificates = check.certificate_algorithms();
        if !certificates.is_empty() {
            let preferred = Preferred {
                key: Vec::new().into(),
                host_key_certificates: certificates.into(),
                ..preferred()
            };
            match self.look(server, preferred).await? {
                None => {}
                Some(shown) => match check.verify(&shown) {
                    Ok(()) => {
                        let key = HostKey::new(shown.public_key());
                        let keys = vec![(key, Standing::Certified)];
                        return Ok(Offer { keys, uncertified });
                    }
                    Err(error) => uncertified = Some(error.to_string()),
                },
            }
        }
        let mut left = check.algorithms();
        let mut keys = Vec::new();
        while !left.is_empty() {
            let preferred = Preferred { key: left.clone().into(), ..preferred() };
            let Some(shown) = self.look(server, preferred).await? else { break };
            let key = shown.public_key();
            let asked = left.len();
            left.retain(|algorithm| !same_type(algorithm, &key.algorithm()));
            if left.len() == asked {
                return Err(SshError::Unreachable {
                    endpoint: settings.endpoint(),
                    reason: "it shows a host key of a type that it was not asked for".to_owned(),
                    fault: Fault::Lasting,
                });
            }
            keys.push(HostKey::new(key));
        }
        let standings = check.standings(&keys);
        Ok(Offer { keys: keys.into_iter().zip(standings).collect(), uncertified })
    }

    /// Write down `wanted`, some of the keys that `server` `has`, in the first of its known_hosts files. With `replace` the
    /// keys that it is known by and does not have any more are taken out.
    ///
    /// # Errors
    /// The file cannot be written, or the keys are not what they were when they were looked at.
    pub async fn record_host_keys(
        &self,
        server: &Server,
        has: &[HostKey],
        wanted: &[HostKey],
        replace: bool,
    ) -> Result<Recorded, String> {
        let check = self.check_of(server).map_err(|error| error.to_string())?;
        check.record(has, wanted, replace).await
    }

    fn check_of(&self, server: &Server) -> Result<HostKeyCheck, SshError> {
        HostKeyCheck::new(&self.known_hosts, &server.route.settings, &server.host)
    }

    /// What the server shows when asked for the host keys of `preferred`; `None` when it has none of them.
    async fn look(
        &self,
        server: &Server,
        preferred: Preferred,
    ) -> Result<Option<PublicKeyOrCertificate>, SshError> {
        let Server { route, host } = server;
        let config = Arc::new(client::Config { preferred, nodelay: true, ..Default::default() });
        let attempt = || async {
            let dialled = self.dial(host, route).await?;
            let via = dialled.via.clone();
            look_over(dialled, &route.settings.endpoint(), Arc::clone(&config))
                .await
                .map_err(|error| of_jump_host(via, error))
        };
        self.persist(host, &route.settings, attempt).await
    }
}

async fn look_over(
    dialled: Dialled,
    endpoint: &str,
    config: Arc<client::Config>,
) -> Result<Option<PublicKeyOrCertificate>, SshError> {
    // The way through the jump host stays open as long as it is needed.
    let Dialled { wire, lifeline, via: _via, deadline } = dialled;
    let handshake = client::connect_stream(config, wire, Onlooker);
    let error = match timeout_at(deadline.at, handshake).await {
        Ok(Err(Seen::Key(shown))) => return Ok(Some(*shown)),
        Ok(Err(Seen::Other(russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, .. }))) => {
            return Ok(None);
        }
        Ok(Err(Seen::Other(error))) => error,
        // No server gets here without showing a key.
        Ok(Ok(_)) => russh::Error::UnknownKey,
        Err(_) => {
            return Err(handshake::late(endpoint.to_owned(), deadline, &lifeline.heard().await));
        }
    };
    let error = ClientError::Protocol(error);
    let heard = lifeline.heard().await;
    Err(handshake::error(endpoint.to_owned(), error, &Ending::default(), &heard))
}

/// Lets no server get further than showing its key.
struct Onlooker;

/// How a look at a server ended.
#[derive(Debug, thiserror::Error)]
enum Seen {
    #[error("a host key")]
    Key(Box<PublicKeyOrCertificate>),
    #[error(transparent)]
    Other(#[from] russh::Error),
}

impl Handler for Onlooker {
    type Error = Seen;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Err(Seen::Key(Box::new(match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.clone().into(),
            PublicKeyOrCertificate::Certificate(certificate) => certificate.clone().into(),
        })))
    }
}
