//! Opening connections: what is read once per run, and the way from an address to a login.

use std::io;
use std::net::Shutdown;
use std::path::PathBuf;
use std::sync::Arc;

use russh::client::{self, Handle};
use russh::{Preferred, cipher};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::auth::{self, Sources};
use super::cache::FileCache;
use super::config::ConfigError;
use super::connection::{Client, ClientError, Connection, Ending};
use super::environment::Environment;
use super::error::SshError;
use super::keys::KeyFile;
use super::known_hosts::{HostKeys, KnownHostsFile, endpoint};
use super::resolver::Resolver;
use super::settings::{Origin, Settings};
use crate::inventory::Host;

/// Opens connections. Holds the key files and known_hosts files of a run, each read once.
#[derive(Debug, Default)]
pub struct Connector {
    resolver: Arc<Resolver>,
    key_files: FileCache<KeyFile>,
    known_hosts: FileCache<KnownHostsFile>,
}

impl Connector {
    /// A connector that has read nothing yet.
    pub fn new(environment: Environment) -> Self {
        Self { resolver: Arc::new(Resolver::new(environment)), ..Self::default() }
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
        Ok(self.resolver.way(&host.address, &host.ssh)?)
    }

    /// Look for what is wrong with OpenSSH's configuration whatever the host.
    ///
    /// # Errors
    /// A file is wrong; the error names the line.
    pub fn check(&self) -> Result<(), SshError> {
        Ok(self.resolver.check()?)
    }

    /// Connect to `host`, check its host key and log in, all within its `connect_timeout`.
    pub async fn connect(&self, host: &Host) -> Result<Connection, SshError> {
        let settings = &self.settings_aside(host).await?;
        let (host_name, port) = (settings.host_name.value.as_str(), settings.port.value);
        let endpoint = endpoint(host_name, port);
        let host_keys = HostKeys::collect(host_name, port, &self.known_hosts(settings))?;
        let user = user(settings, &endpoint)?;
        let limit = settings.connect_timeout.value;
        let begun = Instant::now();
        let deadline = begun + limit;
        let late = |what: &str, hint: &str| SshError::Unreachable {
            endpoint: endpoint.clone(),
            reason: format!("{what} within {} s; {hint}", limit.as_secs_f64()),
        };

        let stream =
            timeout_at(deadline, dial(host_name, port, &endpoint)).await.map_err(|_| {
                late("no answer", "is the host up, and does a firewall drop the port?")
            })??;
        let guard = ShutdownOnDrop::new(&stream);

        let ending = Ending::default();
        let config = Arc::new(config(settings, &host_keys));
        let client = Client::new(host_keys, ending.clone());
        let mut handle = timeout_at(deadline, client::connect_stream(config, stream, client))
            .await
            .map_err(|_| late("no SSH handshake", "is it an SSH server, and is it overloaded?"))?
            .map_err(|error| handshake_error(&endpoint, error))?;

        let login = self.log_in(&mut handle, &ending, &user, settings);
        match timeout_at(deadline, login).await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return Err(SshError::Authentication { endpoint, user, reason }),
            Err(_) => {
                let reason = format!("no decision within {} s", limit.as_secs_f64());
                return Err(SshError::Authentication { endpoint, user, reason });
            }
        }
        guard.disarm();
        Ok(Connection::new(handle, ending, endpoint, user, begun.elapsed(), settings))
    }

    /// [`Connector::settings`] for asynchronous code.
    async fn settings_aside(&self, host: &Host) -> Result<Settings, SshError> {
        let resolver = Arc::clone(&self.resolver);
        let (address, written) = (host.address.clone(), host.ssh.clone());
        let task = tokio::task::spawn_blocking(move || resolver.settings(&address, &written));
        let cancelled = |_| ConfigError::new("fleetadm is ending");
        Ok(task.await.map_err(cancelled)??)
    }

    async fn log_in(
        &self,
        handle: &mut Handle<Client>,
        ending: &Ending,
        user: &str,
        settings: &Settings,
    ) -> Result<(), String> {
        // A key that the inventory names is the one to use; without one the agent comes first.
        let named = settings.identity_files.origin != Origin::Default;
        let sources = Sources {
            identity_files: &settings.identity_files.value,
            named,
            agent: settings.identity_agent.value.as_deref().filter(|_| !named),
            key_files: &self.key_files,
        };
        auth::authenticate(handle, ending, user, &sources).await
    }

    fn known_hosts(&self, settings: &Settings) -> Vec<Arc<KnownHostsFile>> {
        let read = |path: &PathBuf| self.known_hosts.get(path, KnownHostsFile::read);
        settings
            .known_hosts
            .value
            .iter()
            .chain(&settings.global_known_hosts.value)
            .map(read)
            .collect()
    }
}

fn user(settings: &Settings, endpoint: &str) -> Result<String, SshError> {
    settings.user.value.clone().ok_or_else(|| SshError::Authentication {
        endpoint: endpoint.to_owned(),
        user: "anybody".to_owned(),
        reason: "no login user; set `user` under [ssh], or USER in the environment".to_owned(),
    })
}

fn config(settings: &Settings, host_keys: &HostKeys) -> client::Config {
    // AES-GCM takes 0.6 of the CPU time of ChaCha20 on anything with AES instructions.
    let ciphers = [cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::CHACHA20_POLY1305];
    let rest = Preferred::DEFAULT.cipher.iter().copied();
    let rest = rest.filter(|name| !ciphers.contains(name));
    client::Config {
        nodelay: true,
        inactivity_timeout: None,
        keepalive_interval: Some(settings.keepalive.value).filter(|interval| !interval.is_zero()),
        keepalive_max: settings.keepalive_count.value,
        preferred: Preferred {
            key: host_keys.algorithms().into(),
            cipher: ciphers.into_iter().chain(rest).collect::<Vec<_>>().into(),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    }
}

/// Resolve and connect, trying every address the name has.
async fn dial(address: &str, port: u16, endpoint: &str) -> Result<TcpStream, SshError> {
    let unreachable =
        |reason: String| SshError::Unreachable { endpoint: endpoint.to_owned(), reason };
    let candidates = tokio::net::lookup_host((address, port)).await.map_err(|error| {
        unreachable(format!("cannot resolve {address} ({error}); check `address`"))
    })?;
    let mut last = None;
    for candidate in candidates {
        match TcpStream::connect(candidate).await {
            Ok(stream) => {
                // Without it small requests wait for acknowledgements; failing to set it only costs time.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(unreachable(match last {
        Some(error) => explain(&error, port),
        None => format!("{address} has no address"),
    }))
}

fn explain(error: &io::Error, port: u16) -> String {
    /// Too many open files in this process.
    const EMFILE: i32 = 24;
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("connection refused; is sshd running and listening on port {port}?")
        }
        _ if error.raw_os_error() == Some(EMFILE) => {
            "too many open files; raise the limit with `ulimit -n`".to_owned()
        }
        _ => format!("{error}; check the address and the route to it"),
    }
}

fn handshake_error(endpoint: &str, error: ClientError) -> SshError {
    let reason = match error {
        ClientError::HostKey(error) => return error.into(),
        ClientError::Protocol(russh::Error::NoCommonAlgo { kind, theirs, .. }) => format!(
            "no common {} algorithm; the server offers only {}",
            format!("{kind:?}").to_lowercase(),
            crate::report::printable(&theirs.join(", "))
        ),
        ClientError::Protocol(
            russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_),
        ) => "the server closed the connection during the handshake; is it overloaded \
              (sshd's MaxStartups), or does it block this workstation?"
            .to_owned(),
        ClientError::Protocol(error) => format!("the SSH handshake failed: {error}"),
    };
    SshError::Unreachable { endpoint: endpoint.to_owned(), reason }
}

/// Shuts a socket down unless told not to. The task that runs a handshake would otherwise outlive an
/// abandoned `connect` for as long as a silent peer keeps the connection open.
struct ShutdownOnDrop(Option<std::net::TcpStream>);

impl ShutdownOnDrop {
    fn new(stream: &TcpStream) -> Self {
        use std::os::fd::AsFd;
        // Without a second descriptor there is only no protection.
        Self(stream.as_fd().try_clone_to_owned().ok().map(Into::into))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        if let Some(stream) = &self.0 {
            // An error means that it is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
