//! Public-key authentication: which keys are offered, in what order, and why none was accepted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::MethodKind;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use tokio::net::UnixStream;

use super::cache::FileCache;
use super::connection::{Client, Ending};
use super::keys::KeyFile;

/// Where keys come from for one host.
pub(super) struct Sources<'a> {
    /// Key files, in order.
    pub(super) identity_files: &'a [PathBuf],
    /// Somebody named these files: a missing one is worth a word.
    pub(super) named: bool,
    /// The agent's socket; its keys are offered before the files.
    pub(super) agent: Option<&'a Path>,
    /// Key files read so far in this run.
    pub(super) key_files: &'a FileCache<KeyFile>,
}

/// Offer keys until one is accepted. The error is the reason, for people.
pub(super) async fn authenticate(
    handle: &mut Handle<Client>,
    ending: &Ending,
    user: &str,
    sources: &Sources<'_>,
) -> Result<(), String> {
    let mut attempts = Attempts { handle, ending, user, notes: Vec::new(), rsa_hash: None };
    let accepted = attempts.offer_all(sources).await;
    match accepted {
        Ok(true) => Ok(()),
        Ok(false) if attempts.notes.is_empty() => {
            Err("there is no key to offer; start an agent, or name a key file with identity_file"
                .to_owned())
        }
        Ok(false) => Err(format!("tried {}", attempts.notes.join(", "))),
        Err(Stop(reason)) if attempts.notes.is_empty() => Err(reason),
        Err(Stop(reason)) => Err(format!("tried {}; {reason}", attempts.notes.join(", "))),
    }
}

/// Offering more keys is pointless.
struct Stop(String);

struct Attempts<'a> {
    handle: &'a mut Handle<Client>,
    ending: &'a Ending,
    user: &'a str,
    /// What was tried, for the error message.
    notes: Vec<String>,
    /// The hash for RSA signatures, once asked for.
    rsa_hash: Option<HashAlg>,
}

impl Attempts<'_> {
    async fn offer_all(&mut self, sources: &Sources<'_>) -> Result<bool, Stop> {
        if let Some(socket) = sources.agent
            && self.offer_agent(socket).await?
        {
            return Ok(true);
        }
        self.offer_files(sources.identity_files, sources.key_files, sources.named).await
    }

    /// Offer key files. A missing one is worth a word only when somebody named it.
    async fn offer_files(
        &mut self,
        paths: &[PathBuf],
        key_files: &FileCache<KeyFile>,
        named: bool,
    ) -> Result<bool, Stop> {
        for path in paths {
            let shown = path.display();
            match &*key_files.get(path, KeyFile::read) {
                KeyFile::Usable(key) => {
                    self.notes.push(shown.to_string());
                    if self.offer_key(Arc::clone(key)).await? {
                        return Ok(true);
                    }
                }
                KeyFile::Encrypted if named => self.notes.push(format!(
                    "{shown} (is encrypted; add it to the agent with `ssh-add {shown}` and leave \
                     identity_file out)"
                )),
                KeyFile::Encrypted => self.notes.push(format!(
                    "{shown} (is encrypted; add it to the agent with `ssh-add {shown}`)"
                )),
                KeyFile::Missing if named => self.notes.push(format!("{shown} (no such file)")),
                KeyFile::Missing => {}
                KeyFile::Unusable(reason) => self.notes.push(format!("{shown} ({reason})")),
            }
        }
        Ok(false)
    }

    async fn offer_key(&mut self, key: Arc<PrivateKey>) -> Result<bool, Stop> {
        let hash = if key.algorithm().is_rsa() { Some(self.rsa_hash().await?) } else { None };
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let result = self.handle.authenticate_publickey(self.user, key).await;
        self.judge(result)
    }

    async fn offer_agent(&mut self, socket: &Path) -> Result<bool, Stop> {
        let shown = socket.display();
        let mut agent = match AgentClient::connect_uds(socket).await {
            Ok(agent) => agent,
            Err(error) => {
                self.notes.push(format!("the agent at {shown} ({error})"));
                return Ok(false);
            }
        };
        match agent.request_identities().await {
            Ok(identities) if identities.is_empty() => {
                self.notes.push(format!("the agent at {shown} (holds no keys)"));
            }
            Ok(identities) => {
                for identity in identities {
                    if self.offer_identity(&mut agent, identity).await? {
                        return Ok(true);
                    }
                }
            }
            Err(error) => self.notes.push(format!("the agent at {shown} ({error})")),
        }
        Ok(false)
    }

    async fn offer_identity(
        &mut self,
        agent: &mut AgentClient<UnixStream>,
        identity: AgentIdentity,
    ) -> Result<bool, Stop> {
        let public = identity.public_key().into_owned();
        let hash = if public.algorithm().is_rsa() { Some(self.rsa_hash().await?) } else { None };
        let fingerprint = public.fingerprint(HashAlg::Sha256);
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                self.handle.authenticate_publickey_with(self.user, key, hash, agent).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle.authenticate_certificate_with(self.user, certificate, hash, agent).await
            }
        };
        match result {
            Ok(result) => {
                self.notes.push(format!("agent key {fingerprint}"));
                self.judge(Ok(result))
            }
            // The agent would not sign (removed, declined, locked); the next key may do.
            Err(error) if !self.handle.is_closed() => {
                self.notes
                    .push(format!("agent key {fingerprint} (the agent did not sign: {error})"));
                Ok(false)
            }
            Err(error) => Err(Stop(error.to_string())),
        }
    }

    /// SHA-2 only. A server that does not say what it takes is assumed to take SHA-512.
    async fn rsa_hash(&mut self) -> Result<HashAlg, Stop> {
        if let Some(hash) = self.rsa_hash {
            return Ok(hash);
        }
        let hash = match self.handle.best_supported_rsa_hash().await {
            Ok(Some(Some(hash))) => hash,
            // Only SHA-1: the offer will be refused, which is the answer wanted.
            Ok(Some(None) | None) => HashAlg::Sha512,
            Err(error) => return Err(Stop(self.closed(&error.to_string()))),
        };
        self.rsa_hash = Some(hash);
        Ok(hash)
    }

    fn judge(&self, result: Result<AuthResult, russh::Error>) -> Result<bool, Stop> {
        match result {
            Ok(AuthResult::Success) => Ok(true),
            Ok(AuthResult::Failure { .. }) if self.handle.is_closed() => {
                Err(Stop(self.closed("the server closed the connection")))
            }
            Ok(AuthResult::Failure { partial_success: true, remaining_methods }) => {
                Err(Stop(format!(
                    "the key was accepted, but the server also wants {}",
                    names(&remaining_methods)
                )))
            }
            Ok(AuthResult::Failure { remaining_methods, .. })
                if !remaining_methods.contains(&MethodKind::PublicKey) =>
            {
                Err(Stop(format!("the server accepts no keys, only {}", names(&remaining_methods))))
            }
            Ok(AuthResult::Failure { .. }) => Ok(false),
            Err(error) => Err(Stop(self.closed(&error.to_string()))),
        }
    }

    fn closed(&self, otherwise: &str) -> String {
        self.ending.reason().unwrap_or(otherwise).to_owned()
    }
}

fn names(methods: &[MethodKind]) -> String {
    if methods.is_empty() {
        return "nothing".to_owned();
    }
    methods.iter().map(<&str>::from).collect::<Vec<_>>().join(", ")
}
