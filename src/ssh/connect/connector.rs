//! Opening connections: what is read once per run, and the way from an address to a login.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use russh::client::{self, Handle};
use russh::{Preferred, cipher};
use tokio::time::{Instant, sleep, timeout_at};

use super::descriptors::Descriptors;
use super::dial::{Deadline, Dialled, dial};
use super::handshake;
use super::hops::Hops;
use super::proxy_command::ProxyCommand;
use super::retry::{self, Tried};
use crate::inventory::Host;
use crate::report::{Event, Reporter};
use crate::ssh::auth::{self, Banner, Failure, Login};
use crate::ssh::config::ConfigError;
use crate::ssh::connection::{Client, Connection, Ending, Parts};
use crate::ssh::environment::Environment;
use crate::ssh::error::SshError;
use crate::ssh::keys::KeyRing;
use crate::ssh::known_hosts::{HostKeyCheck, KnownHosts};
use crate::ssh::privilege::Privilege;
use crate::ssh::secrets::{Account, Secrets};
use crate::ssh::settings::Settings;
use crate::ssh::settings::resolver::Resolver;
use crate::ssh::settings::route::Route;

/// Opens connections. Holds the key files and known_hosts files of a run, each read once, and the connections to jump
/// hosts, each made once.
#[derive(Debug, Default)]
pub struct Connector {
    resolver: Arc<Resolver>,
    secrets: Arc<Secrets>,
    key_ring: KeyRing,
    pub(in crate::ssh) known_hosts: Arc<KnownHosts>,
    hops: Hops,
    descriptors: Descriptors,
    reporter: Option<Reporter>,
}

impl Connector {
    /// A connector that has read nothing yet and has nobody to ask for a password.
    pub fn new(environment: Environment) -> Self {
        Self { resolver: Arc::new(Resolver::new(environment)), ..Self::default() }
    }

    /// The same with passwords.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<Secrets>) -> Self {
        Self { secrets, ..self }
    }

    /// The same, telling `reporter` which host keys are added, what servers say before they let anybody in, and what is
    /// tried again and why.
    #[must_use]
    pub fn reporting_to(self, reporter: Reporter) -> Self {
        Self { reporter: Some(reporter), ..self }
    }

    /// Whom to ask what only the operator knows.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// How `host` is reached, and who says so. This may block: OpenSSH's configuration can ask for commands to be run.
    ///
    /// # Errors
    /// OpenSSH's configuration is wrong, or says something about this host that cannot be followed.
    pub fn settings(&self, host: &Host) -> Result<Settings, SshError> {
        Ok(self.resolver.settings(&host.address, &host.ssh)?)
    }

    /// The same for every host on the way to `host`: the nearest to the workstation first, `host` itself last.
    ///
    /// # Errors
    /// As for [`Connector::settings`]; or the jump hosts form a loop.
    pub fn way(&self, host: &Host) -> Result<Vec<Settings>, SshError> {
        let (mut way, host) = self.resolver.way(&host.address, &host.ssh)?;
        way.push(host);
        Ok(way)
    }

    /// Look for what is wrong with OpenSSH's configuration whatever the host.
    ///
    /// # Errors
    /// A file is wrong; the error names the line.
    pub fn check(&self) -> Result<(), SshError> {
        Ok(self.resolver.check()?)
    }

    /// Connect to `host` through its jump hosts, check its host key and log in. Each attempt takes at most the host's
    /// `connect_timeout`, as does one to each jump host on the way.
    ///
    /// # Errors
    /// The host or a jump host cannot be reached, has the wrong key or refuses the login. What may pass in a moment has been
    /// tried several times.
    pub async fn connect(&self, host: &Host) -> Result<Connection, SshError> {
        self.connect_to(&host.name, &self.route(host).await?).await
    }

    /// How many connections may be open at once, those through jump hosts not counted. Whoever wants another waits for one
    /// to end.
    pub fn most_connections(&self) -> usize {
        self.descriptors.most()
    }

    /// Wait until somebody has had to wait for another connection to end, in this run.
    pub async fn crowded(&self) {
        self.descriptors.short().await;
    }

    /// Whether that has been so.
    pub fn is_crowded(&self) -> bool {
        self.descriptors.is_short()
    }

    /// Close the connections to jump hosts. What is behind them is lost, and no others are made.
    pub async fn close(&self) {
        self.hops.close().await;
    }

    /// The way to `host`.
    pub(in crate::ssh) async fn route(&self, host: &Host) -> Result<Route, SshError> {
        if !self.resolver.may_block() {
            let (hops, host) = self.resolver.way(&host.address, &host.ssh)?;
            return Ok(Route::over(hops, host));
        }
        let (resolver, address, written) =
            (Arc::clone(&self.resolver), host.address.clone(), host.ssh.clone());
        let task = tokio::task::spawn_blocking(move || resolver.way(&address, &written));
        let ended = |_| ConfigError::new("fleetadm is ending");
        let (hops, host) = task.await.map_err(ended)??;
        Ok(Route::over(hops, host))
    }

    /// A stream of bytes to the server at the end of `route`, which has not been spoken to. `host` is the inventory's name
    /// of the host that needs it.
    ///
    /// # Errors
    /// The server or a jump host cannot be reached. Only jump hosts have been tried several times: see
    /// [`Connector::persist`].
    pub(in crate::ssh) async fn dial(
        &self,
        host: &str,
        route: &Route,
    ) -> Result<Dialled, SshError> {
        let via = match &route.via {
            Some(via) => {
                // A route may be any number of hops long.
                let connect = || Box::pin(self.connect_to(host, via));
                Some(self.hops.get(via, connect).await?)
            }
            None => None,
        };
        let descriptors = match (&via, &route.settings.proxy_command.value) {
            (Some(_), _) => 0,
            (None, Some(_)) => ProxyCommand::DESCRIPTORS,
            (None, None) => 1,
        };
        let tell = |text| self.tell(Event::Message { text });
        let room = self.descriptors.take(descriptors, tell).await;
        dial(&route.settings, via, room).await
    }

    fn tell(&self, event: Event) {
        if let Some(reporter) = &self.reporter {
            reporter.emit(event);
        }
    }

    /// `attempt` to reach the host of `settings`, again and again where what keeps it from succeeding may pass.
    pub(in crate::ssh) async fn persist<T, F>(
        &self,
        host: &str,
        settings: &Settings,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, SshError>
    where
        F: Future<Output = Result<T, SshError>>,
    {
        let begun = Instant::now();
        let mut attempts = 0;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            attempts += 1;
            let at_least = settings.connection_attempts.value;
            let tried = Tried { attempts, at_least, spent: begun.elapsed() };
            let Some(pause) = retry::pause(&error, tried, random()) else {
                return Err(error);
            };
            let text = format!("{error}; trying again in {:.1} s", pause.as_secs_f64());
            self.tell(Event::Note { host: host.to_owned(), text });
            sleep(pause).await;
        }
    }

    async fn connect_to(&self, host: &str, route: &Route) -> Result<Connection, SshError> {
        let attempt = || async {
            match self.attempt(host, route).await {
                // What the operator said meanwhile is known now.
                Err(SshError::Outwaited { .. }) => self.attempt(host, route).await,
                outcome => outcome,
            }
        };
        self.persist(host, &route.settings, attempt).await
    }

    async fn attempt(&self, host: &str, route: &Route) -> Result<Connection, SshError> {
        let settings = &route.settings;
        let host_key = HostKeyCheck::new(&self.known_hosts, settings, host)?;
        let account = account(host, route)?;
        let dialled = self.dial(host, route).await?;
        let via = dialled.via.clone();
        let result = self.log_in_over(dialled, settings, &host_key, account).await;
        // Said even when nothing came of the connection: the key is there now.
        self.say_added(host, &host_key);
        result.map_err(|error| of_jump_host(via, error))
    }

    /// Shake hands and log in over a stream to the server.
    async fn log_in_over(
        &self,
        dialled: Dialled,
        settings: &Settings,
        host_key: &HostKeyCheck,
        account: Account,
    ) -> Result<Connection, SshError> {
        let Dialled { wire, lifeline, via, deadline } = dialled;
        let endpoint = settings.endpoint();
        let ending = Ending::default();
        let config = Arc::new(config(settings, host_key));
        let banner = Banner::default();
        let client = Client::new(host_key.clone(), ending.clone(), banner.clone());
        let handshake = client::connect_stream(config, wire, client);
        let mut handle = match timeout_at(deadline.at, handshake).await {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => {
                return Err(handshake::error(endpoint, error, &ending, &lifeline.heard().await));
            }
            Err(_) => return Err(handshake::late(endpoint, deadline, &lifeline.heard().await)),
        };

        let login = self.log_in(&mut handle, &ending, &banner, &account, settings, deadline).await;
        let user = account.user.clone();
        match login {
            Ok(()) => {}
            Err(Failure::Refused(reason)) => {
                return Err(SshError::Authentication { endpoint, user, reason });
            }
            Err(Failure::Outwaited(reason)) => {
                return Err(SshError::Outwaited { endpoint, reason });
            }
        }
        let privilege = Privilege::new(settings, account, Arc::clone(&self.secrets));
        let parts = Parts { handle, ending, lifeline, via, endpoint, user, privilege };
        Ok(Connection::new(parts, settings))
    }

    async fn log_in(
        &self,
        handle: &mut Handle<Client>,
        ending: &Ending,
        banner: &Banner,
        account: &Account,
        settings: &Settings,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let login = Login {
            handle,
            ending,
            account,
            methods: auth::methods(settings),
            identities: &self.key_ring.identities(settings),
            key_ring: &self.key_ring,
            secrets: &self.secrets,
            banner,
            deadline,
        };
        let outcome = auth::authenticate(login).await;
        if let Some(reporter) = &self.reporter {
            banner.report(&account.host, reporter);
        }
        outcome
    }

    fn say_added(&self, host: &str, host_key: &HostKeyCheck) {
        if let (Some(reporter), Some(added)) = (&self.reporter, host_key.added()) {
            reporter.emit(Event::Warning {
                host: host.to_owned(),
                phase: "connect".to_owned(),
                text: format!("host key added: {added}"),
            });
        }
    }
}

/// `error` of a server, or that of the jump host `via` where that was lost.
pub(in crate::ssh) fn of_jump_host(via: Option<Connection>, error: SshError) -> SshError {
    match via {
        // Whatever it looks like from here, that is what happened.
        Some(via) if via.is_closed() && !matches!(error, SshError::HostKey(_)) => {
            let endpoint = via.endpoint().to_owned();
            SshError::Jump { endpoint, error: Box::new(via.ended()) }
        }
        _ => error,
    }
}

/// Whose password may be wanted at the end of `route`, which leads to `host` of the inventory or to a jump host.
fn account(host: &str, route: &Route) -> Result<Account, SshError> {
    let settings = &route.settings;
    let user = settings.user.value.clone().ok_or_else(|| SshError::Authentication {
        endpoint: settings.endpoint(),
        user: "anybody".to_owned(),
        reason: "no login user; set `user` under [ssh], or USER in the environment".to_owned(),
    })?;
    let host = if route.jump { settings.host_name.value.as_str() } else { host };
    Ok(Account {
        host: host.to_owned(),
        user,
        jump: route.jump,
        password_command: settings.password_command.value.clone(),
        become_password_command: settings.become_password_command.value.clone(),
    })
}

fn config(settings: &Settings, host_key: &HostKeyCheck) -> client::Config {
    client::Config {
        nodelay: true,
        inactivity_timeout: None,
        keepalive_interval: Some(settings.keepalive.value).filter(|interval| !interval.is_zero()),
        keepalive_max: settings.keepalive_count.value,
        preferred: Preferred {
            key: host_key.algorithms().into(),
            host_key_certificates: host_key.certificate_algorithms().into(),
            ..preferred()
        },
        ..client::Config::default()
    }
}

/// The algorithms to ask every server for. Those of host keys depend on the server.
pub(in crate::ssh) fn preferred() -> Preferred {
    // AES-GCM takes 0.6 of the CPU time of ChaCha20 on anything with AES instructions.
    let ciphers = [cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::CHACHA20_POLY1305];
    let rest = Preferred::DEFAULT.cipher.iter().copied();
    let rest = rest.filter(|name| !ciphers.contains(name));
    Preferred {
        cipher: ciphers.into_iter().chain(rest).collect::<Vec<_>>().into(),
        ..Preferred::DEFAULT
    }
}

/// Between 0 and 1. It only spreads pauses.
fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}
